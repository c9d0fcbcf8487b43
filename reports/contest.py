"""The view model of a contest: who is faster than whom, where, by how much. Pure.

Ratios are the reference's time over another method's: below 1 the reference is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from hzbench.reports.contest_answer import NO_BIAS, answer, biased, common_ratio, passes, seconds_of
from hzbench.reports.formats import duration, finite, number, words

Record = Mapping[str, Any]
BENT = 0.5  # γ K λ_min from which the finite dimension bends a slope


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method in one cell, in words.

    Attributes:
        seconds: time to ε; None: never.
        interval: "low … high", or "" where it is exact.
        ratio, span: reference over this method, and its simultaneous interval.
        outcome: faster, slower, undecided, error; "" for the reference.
        note: floor, edge or tuned values.
        best: whether no method of the cell takes less time.
    """

    method: str
    seconds: float | None
    interval: str
    ratio: str
    span: str
    outcome: str
    tuned: str
    note: str
    best: bool


@dataclass(frozen=True, kw_only=True)
class CellView:
    """One cell: problem, clock, ε."""

    problem: str
    clock: str
    target: float
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One ratio of the first figure, for one cell and one other method.

    Attributes:
        place: index of the cell within its problem.
        series: index of the method.
        bound: whether the other method never arrives, so that the ratio is at most this.
    """

    place: int
    series: int
    ratio: float
    low: float
    high: float
    bound: bool


@dataclass(frozen=True, kw_only=True)
class Forest:
    """The ratios of one problem."""

    problem: str
    labels: tuple[str, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class Race:
    """Curves of all methods in one cell: (series, seconds, means)."""

    title: str
    target: float
    curves: tuple[tuple[int, tuple[float, ...], tuple[float, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One cell as a common grid of step sizes that nobody widens would have it.

    Attributes:
        entries: of every other method (ratio on that grid, tuned ratio, whether the best point is
            the grid's last); None: it does not arrive.
    """

    cell: str
    entries: tuple[tuple[str, str, bool] | None, ...]


@dataclass(frozen=True, kw_only=True)
class Slope:
    """Slope of log T against log 1/ε of one method.

    Attributes:
        series: index of the method.
        measured, predicted: None: never arrives, or no prediction.
        bent: whether the finite dimension invalidates the prediction: γ K λ_min above `BENT`.
    """

    series: int
    measured: float | None
    predicted: float | None
    bent: bool


@dataclass(frozen=True, kw_only=True)
class SlopeRow:
    """The slopes of one problem and clock.

    Attributes:
        noise_free: the exponent that gradient flow has in this dimension, 2/3 in many.
    """

    problem: str
    clock: str
    slopes: tuple[Slope, ...]
    noise_free: float | None

    @property
    def drawn(self) -> bool:
        """Whether something is both measured and predicted."""
        return any(finite(s.measured) and finite(s.predicted) for s in self.slopes)


@dataclass(frozen=True, kw_only=True)
class ContestView:
    """The whole page."""

    title: str
    description: str
    reference: str
    methods: tuple[str, ...]
    answer: tuple[str, ...]
    forests: tuple[Forest, ...]
    races: tuple[Race, ...]
    cells: tuple[CellView, ...]
    slopes: tuple[SlopeRow, ...]
    grids: tuple[Grid, ...]
    schedules: tuple[tuple[str, Record], ...]
    schedule_clock: str
    errors: int
    comparisons: int
    level: float
    alpha: float
    budget: int
    ratio: float
    patience: float
    provenance: tuple[tuple[str, str], ...]
    created: str


def contest_view(record: Record) -> ContestView:
    """Arrange the results of a contest for reading."""
    contest, cells = record["contest"], record["cells"]
    methods = tuple(method["label"] for method in record["methods"])
    provenance = dict(record["provenance"])
    created = str(provenance.pop("created", ""))
    provenance["time"] = duration(provenance.pop("seconds", None))
    shown = record.get("schedules") or {}
    return ContestView(
        title=contest["title"] or contest["name"],
        description=contest["description"],
        reference=contest["reference"],
        methods=methods,
        answer=answer(record, methods),
        forests=tuple(_forest(name, record, methods) for name in _problems(cells)),
        races=tuple(_race(cell, methods) for cell in _hardest(cells)),
        cells=tuple(_cell(cell, methods) for cell in cells),
        slopes=tuple(_slopes(record, methods)),
        grids=tuple(_grids(record, methods)),
        schedules=tuple((shown.get("methods") or {}).items()),
        schedule_clock=str(shown.get("clock", "")),
        errors=sum(bool(e["edges"]) for cell in cells for e in cell["entrants"].values()),
        comparisons=record["comparisons"],
        level=record["level"],
        alpha=contest["alpha"],
        budget=contest["budget"],
        ratio=contest["step_sizes"]["ratio"],
        patience=contest["patience"],
        provenance=tuple((key, words(value)) for key, value in provenance.items() if words(value)),
        created=created,
    )


def _problems(cells: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(cell["problem"] for cell in cells))


def _forest(problem: str, record: Record, methods: Sequence[str]) -> Forest:
    cells = [cell for cell in record["cells"] if cell["problem"] == problem]
    several = len({cell["target"] for cell in cells}) > 1
    labels = [
        f"{cell['clock']}, ε = {number(cell['target'])}" if several else cell["clock"]
        for cell in cells
    ]
    bars = []
    for place, cell in enumerate(cells):
        for series, label in enumerate(methods):
            found = cell["ratios"].get(label)
            if found is None or not finite(found["ratio"]) or found["outcome"] == "error":
                continue
            low, high = found["low"], found["high"]
            bars.append(
                Bar(
                    place=place,
                    series=series,
                    ratio=float(found["ratio"]),
                    low=float(low) if finite(low) else 0.0,
                    high=float(high) if finite(high) else inf,
                    bound=cell["entrants"][label]["seconds"] is None,
                )
            )
    return Forest(problem=problem, labels=tuple(labels), bars=tuple(bars))


def _hardest(cells: Sequence[Record]) -> list[Record]:
    """The cell of the least target of every problem and clock."""
    found: dict[tuple[str, str], Record] = {}
    for cell in cells:
        key = (cell["problem"], cell["clock"])
        if key not in found or cell["target"] < found[key]["target"]:
            found[key] = cell
    return list(found.values())


def _race(cell: Record, methods: Sequence[str]) -> Race:
    curves = []
    for series, label in enumerate(methods):
        curve = cell["entrants"][label]["curve"]
        pairs = [
            (float(t), float(m))
            for t, m in zip(curve["seconds"], curve["mean"], strict=True)
            if finite(m) and t > 0
        ]
        times, means = zip(*pairs, strict=True) if pairs else ((), ())
        curves.append((series, tuple(times), tuple(means)))
    title = f"{cell['problem']}, {cell['clock']}"
    return Race(title=title, target=cell["target"], curves=tuple(curves))


def _cell(cell: Record, methods: Sequence[str]) -> CellView:
    least = min(seconds_of(cell, label) for label in methods)
    return CellView(
        problem=cell["problem"],
        clock=cell["clock"],
        target=cell["target"],
        entries=tuple(_entry(cell, label, least) for label in methods),
    )


def _entry(cell: Record, label: str, least: float) -> Entry:
    entrant, ratio = cell["entrants"][label], cell["ratios"].get(label)
    low, high = entrant["low"], entrant["high"]
    exact = entrant["exact"] or low == high
    return Entry(
        method=label,
        seconds=entrant["seconds"],
        interval="" if exact else f"{number(low)} … {number(high) if finite(high) else 'never'}",
        ratio="" if ratio is None else _ratio_text(ratio, entrant),
        span="" if ratio is None else _span(ratio),
        outcome="" if ratio is None else ratio["outcome"],
        tuned=", ".join(f"{_short(k)} {number(v)}" for k, v in entrant["tuned"].items()),
        note=_note(entrant, cell["target"]),
        best=seconds_of(cell, label) == least < inf,
    )


def _ratio_text(ratio: Record, entrant: Record) -> str:
    if not finite(ratio["ratio"]):
        return "neither arrives"
    return ("at most " if entrant["seconds"] is None else "") + number(ratio["ratio"])


def _span(ratio: Record) -> str:
    low, high = ratio["low"], ratio["high"]
    if not finite(ratio["ratio"]) or (low == 0 and not finite(high)):
        return ""
    return f"{number(low)} … {number(high) if finite(high) else '∞'}"


def _short(key: str) -> str:
    return {"step_size": "η", "batch": "S", "delay_threshold": "R"}.get(key, key)


def _note(entrant: Record, target: float) -> str:
    """Edges first; else why a method never arrives."""
    if entrant["edges"]:
        found = ", ".join(f"{_short(key)} {side}" for key, side in entrant["edges"])
        return f"error: best value at the edge of the grid ({found}) after {entrant['runs']} runs"
    predicted = entrant.get("predicted_floor")
    if passes(entrant, target):
        return f"passes by, on its way to the bias {number(predicted)}"
    if entrant["seconds"] is not None:
        return ""
    if biased(entrant, target):
        return f"predicted bias {number(predicted)} > ε, lowest seen {number(entrant['floor'])}"
    bias = finite(predicted) and predicted > NO_BIAS
    known = f", predicted bias {number(predicted)}" if bias else ""
    return f"given up after {number(entrant['until'])} s at {number(entrant['floor'])}{known}"


def _slopes(record: Record, methods: Sequence[str]) -> list[SlopeRow]:
    """By problem and clock."""
    rows: dict[tuple[str, str], list[Record]] = {}
    for each in record.get("slopes") or ():
        rows.setdefault((each["problem"], each["clock"]), []).append(each)
    return [
        SlopeRow(
            problem=problem,
            clock=clock,
            slopes=tuple(_slope(each, methods) for each in listed),
            noise_free=listed[0].get("noise_free"),
        )
        for (problem, clock), listed in rows.items()
    ]


def _slope(row: Record, methods: Sequence[str]) -> Slope:
    progress = row.get("progress")
    return Slope(
        series=methods.index(row["method"]),
        measured=row["measured"],
        predicted=row["predicted"],
        bent=finite(progress) and progress > BENT,
    )


def _grids(record: Record, methods: Sequence[str]) -> list[Grid]:
    """What one grid of step sizes around the reference's best would have said."""
    reference = record["contest"]["reference"]
    others = [label for label in methods if label != reference]
    found = []
    for cell in record["cells"]:
        name = f"{cell['problem']} · {cell['clock']} · ε = {number(cell['target'])}"
        entries = tuple(_grid_entry(cell, reference, label) for label in others)
        found += [Grid(cell=name, entries=entries)] if any(entries) else []
    return found


def _grid_entry(cell: Record, reference: str, label: str) -> tuple[str, str, bool] | None:
    ratio, common = common_ratio(cell, reference, label), cell["entrants"][label].get("common")
    if ratio is None or not common:
        return None
    shown = "never" if ratio == 0 else number(ratio)
    return shown, number(cell["ratios"][label]["ratio"]), bool(common["at_end"])
