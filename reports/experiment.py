"""What a paper says of the runs, beside what they do: orderings, readings, and one race a quantity.

A race draws one observable of all runs that an ordering or a reading names over their steps, with
the numbers read off the paper as diamonds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hzbench.reports.curves import Curve, Overlay, Panel, array, averaged, curve, race
from hzbench.reports.formats import number
from hzbench.reports.leaderboard import title
from hzbench.reports.svg import SERIES

Run = Mapping[str, Any]
Answers = tuple[tuple[str, tuple[str, ...]], ...]
NEAR = 0.1  # a run whose last value lies within this fraction takes part in the closer look
MANY = 20  # record points from which on there is one
WORDS = {"consistent": "seen", "violated": "opposite seen", "inconclusive": "undecided"}
READ = WORDS | {"violated": "not seen"}  # of numbers, which have no opposite
ANSWERS = {
    "consistent": "Reproduces",
    "violated": "Does not reproduce (the opposite is seen, or another number)",
    "inconclusive": "Undecided by these runs",
    "shortened": "Undecided: these runs end before the step that the paper speaks of",
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One other run of an ordering, in words."""

    other: str
    difference: float | None
    low: float | None
    high: float | None
    lasts: str
    predicted: str


@dataclass(frozen=True, kw_only=True)
class OrderingRow:
    """One ordering of the table.

    Attributes:
        thesis: whether the paper says it at large and not of this figure.
        cut: what is seen at which step of how many where the runs are shortened, else empty.
    """

    text: str
    source: str
    outcome: str
    word: str
    run: str
    relation: str
    observable: str
    step: int
    p_value: float | None
    reason: str
    comparisons: tuple[Comparison, ...]
    thesis: bool
    cut: str


@dataclass(frozen=True, kw_only=True)
class ReadingRow:
    """One printed number beside the measured one."""

    run: str
    observable: str
    step: int
    source: str
    printed: float
    measured: float | None
    low: float | None
    high: float | None
    tolerance: float | None
    outcome: str | None
    word: str
    p_value: float | None
    cut: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """Claims about the figure itself, or those of the paper at large."""

    title: str
    orderings: tuple[OrderingRow, ...]
    readings: tuple[ReadingRow, ...] = ()

    @property
    def answers(self) -> Answers:
        """What reproduces, what does not and what is undecided: claims of the paper by outcome."""
        told = [(_filed(row), row.text + _there(row)) for row in self.orderings]
        told += [
            (_filed(row), f"{row.run}: {row.observable} {number(row.printed)}{_there(row)}")
            for row in self.readings
            if row.outcome is not None
        ]
        found = {
            word: tuple(text for outcome, text in told if outcome == name)
            for name, word in ANSWERS.items()
        }
        return tuple((word, texts) for word, texts in found.items() if texts)

    @property
    def seen(self) -> int:
        """Orderings that are seen."""
        return sum(row.outcome == "consistent" for row in self.orderings)


def _filed(row: OrderingRow | ReadingRow) -> str | None:
    return "shortened" if row.cut else row.outcome


def _there(row: OrderingRow | ReadingRow) -> str:
    """What is seen of a shortened run; of a number without that, at which step it is."""
    if row.cut:
        return f" ({row.cut})"
    return f" at step {row.step}" if isinstance(row, ReadingRow) else ""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The section of the report.

    Attributes:
        changes: what the experiment has otherwise than the paper.
    """

    orderings: tuple[OrderingRow, ...]
    readings: tuple[ReadingRow, ...]
    races: tuple[Panel, ...]
    level: float | None
    changes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the paper says of the figure, then what it says at large; none that is empty."""
        own = tuple(row for row in self.orderings if not row.thesis)
        asked = tuple(row for row in self.orderings if row.thesis)
        found = Part(title="", orderings=own, readings=self.readings)
        thesis = Part(title="Also asked: the paper's thesis", orderings=asked)
        return tuple(part for part in (found, thesis) if part.orderings or part.readings)

    @property
    def shortened(self) -> bool:
        """Whether runs end before what the paper speaks of."""
        return any([row.cut for row in self.orderings] + [row.cut for row in self.readings])

    @property
    def judged(self) -> bool:
        """Whether a printed number has a verdict."""
        return any(row.outcome is not None for row in self.readings)


def experiment(results: Mapping[str, Any]) -> Experiment | None:
    """The section, or None where the suite tells of no paper."""
    orderings, readings = results.get("orderings") or [], results.get("readings") or []
    if not orderings and not readings:
        return None
    runs = {str(run.get("name")): run for run in results.get("runs") or []}
    names = {name: title(run) for name, run in runs.items()}
    asked = dict.fromkeys(str(each["observable"]) for each in (*orderings, *readings))
    drawn = [_race(name, orderings, readings, runs) for name in asked]
    drawn += [_near(panel, orderings, names) for panel in drawn if panel is not None]
    drawn += [_foretold(each, runs) for each in _widest(orderings)]
    return Experiment(
        orderings=tuple(_ordering(each, names) for each in orderings),
        readings=tuple(_reading(each, names) for each in readings),
        races=tuple(panel for panel in drawn if panel is not None),
        changes=tuple((results.get("suite") or {}).get("changes") or ()),
        level=next((each["level"] for each in (*orderings, *readings) if "level" in each), None),
    )


def _race(
    observable: str,
    orderings: Sequence[Mapping[str, Any]],
    readings: Sequence[Mapping[str, Any]],
    runs: Mapping[str, Run],
) -> Panel | None:
    """The runs that are spoken of, in the order of the suite."""
    about = [each for each in orderings if each["observable"] == observable]
    spoken = {name for each in about for name in (each["run"], *each["than"])}
    spoken |= {each["run"] for each in readings if each["observable"] == observable}
    members = [(title(run), run) for name, run in runs.items() if name in spoken]
    marks = [
        (title(runs[each["run"]]), float(each["step"]), float(each["value"]))
        for each in readings
        if each["observable"] == observable and each["run"] in runs
    ]
    return race(members[: len(SERIES)], observable, marks)


def _near(
    panel: Panel, orderings: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> Panel | None:
    """What the other runs have more than the one most spoken of, if they end near it."""
    about = [each for each in orderings if each["observable"] == panel.observable]
    own = names.get(max(about, key=lambda each: len(each["than"]))["run"]) if about else None
    base = next((curve for curve in panel.curves if curve.name == own), None)
    if base is None or len(panel.steps) < MANY:
        return None
    late, last = len(panel.steps) // 10, abs(base.mean[-1, 0])
    curves = tuple(
        replace(each, mean=each.mean[late:] - base.mean[late:], error=0 * each.error[late:])
        if abs(each.mean[-1, 0] - base.mean[-1, 0]) < NEAR * last
        else replace(each, mean=np.full_like(each.mean[late:], np.nan), error=each.error[late:])
        for each in panel.curves
    )
    if sum(bool(np.isfinite(each.mean).any()) for each in curves) < 2:
        return None
    text = f"{panel.observable} minus that of {own}"
    return replace(
        panel, observable=text, meaning="", steps=panel.steps[late:], curves=curves, marks=()
    )


def _widest(orderings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without those whose comparisons another one with a prediction has, and more."""
    keys = ("run", "observable")
    told = [each for each in orderings if each.get("predict")]
    return [
        each
        for each in told
        if not any(
            all(each[key] == other[key] for key in keys) and set(each["than"]) < set(other["than"])
            for other in told
        )
    ]


def _foretold(record: Mapping[str, Any], runs: Mapping[str, Run]) -> Panel | None:
    """Differences to the others as measured, each with the one that measured noise predicts."""
    told = {
        name: pair["predicted"]
        for name, pair in (record.get("pairs") or {}).items()
        if pair.get("predicted")
    }
    own = _curve(runs.get(record["run"]), record["observable"])
    others = {name: _curve(runs.get(name), record["observable"]) for name in told}
    if not told or own is None:
        return None
    steps = array(runs[record["run"]].get("steps"))[:, 0]
    late = np.arange(len(steps) // 10, len(steps))
    curves, overlays = [], []
    for name, other in others.items():
        if other is None:
            continue
        away, zero = own.mean[late] - other.mean[late], 0 * own.error[late]
        curves.append(Curve(mean=away, error=zero, name=title(runs[name]), replicas=own.replicas))
        values = array(told[name]["difference"])[steps[late].astype(int)]
        overlays.append(Overlay(theorem="", kind="exact", rows=late - late[0], values=values))
    return Panel(
        observable=f"{record['observable']}: {title(runs[record['run']])} minus another run",
        shape="race",
        steps=steps[late],
        curves=tuple(curves[: len(SERIES)]),
        overlays=tuple(overlays[: len(SERIES)]),
    )


def _curve(run: Run | None, observable: str) -> Curve | None:
    """A recorded observable of a run."""
    entry = ((run or {}).get("observables") or {}).get(observable)
    return None if run is None else curve(entry, averaged(run))


def _ordering(record: Mapping[str, Any], names: Mapping[str, str]) -> OrderingRow:
    pairs = record.get("pairs") or {}
    return OrderingRow(
        text=record["text"],
        source=record["source"],
        outcome=record["outcome"],
        word=WORDS.get(record["outcome"], record["outcome"]),
        run=names.get(record["run"], record["run"]),
        relation=record["relation"],
        observable=record["observable"].replace("_", " "),
        step=int(record["step"]),
        p_value=record.get("p_value"),
        reason=record["reason"],
        comparisons=tuple(_comparison(names.get(k, k), pair) for k, pair in pairs.items()),
        thesis=bool(record.get("thesis")),
        cut=cut(record, WORDS),
    )


def cut(record: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """What a shortened run shows instead: at step 5 of a run of 20 instead of 1000: seen."""
    short = record.get("shortened")
    if not short:
        return ""
    seen = f": {words[short['outcome']]}" if short["outcome"] else ""
    return (
        f"at step {record['step']} of a run of {short['last']} instead of {short['whole']} "
        f"steps{seen}"
    )


def _comparison(other: str, pair: Mapping[str, Any]) -> Comparison:
    return Comparison(
        other=other,
        difference=pair["difference"],
        low=pair["low"],
        high=pair["high"],
        lasts=_lasts(pair["crossing"]),
        predicted=_predicted(pair.get("predicted")),
    )


def _predicted(found: Mapping[str, Any] | None) -> str:
    """What measured noise says of the same, in words."""
    if found is None:
        return ""
    if not found.get("small", True):
        return (
            f"predicted by step sizes alone: {_from(found['step'])}, difference "
            f"{number(found['at_step'])}; noise is beyond its leading order here"
        )
    return (
        f"predicted: {_from(found['step'])}, difference {number(found['at_step'])} (of it "
        f"{number(found['free_at_step'])} by step sizes alone)"
    )


def _lasts(crossing: Mapping[str, float | None]) -> str:
    """From which step the ordering lasts, with the interval over resampled seeds."""
    step, low, high = (crossing[key] for key in ("step", "low", "high"))
    if step is None:
        return _from(step)
    upper = number(high, 4) if high is not None else "never"
    interval = "" if low == high else f" (95 %: {number(low, 4)} ... {upper})"
    return _from(step) + interval


def _from(step: float | None) -> str:
    if step is None:
        return "not at the end"
    return "from the start" if step == 0 else f"from step {number(step, 4)} on"


def _reading(record: Mapping[str, Any], names: Mapping[str, str]) -> ReadingRow:
    return ReadingRow(
        run=names.get(record["run"], record["run"]),
        observable=record["observable"].replace("_", " "),
        step=int(record["step"]),
        source=record["source"],
        printed=record["value"],
        measured=record.get("measured"),
        low=record.get("low"),
        high=record.get("high"),
        tolerance=record.get("tolerance"),
        outcome=record.get("outcome"),
        word=READ.get(record.get("outcome") or "", ""),
        cut=cut(record, READ),
        p_value=record.get("p_value"),
    )
