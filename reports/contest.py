"""The view model of a contest: who is faster than whom, where, by how much. Pure.

Ratios are the reference's time over another method's: below 1 the reference is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any

from hzbench.reports.formats import duration, finite, number, words

Record = Mapping[str, Any]
NO_BIAS = 1e-12  # predicted floors below are rounding


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
        tuned, common: reference over the other method, with a budget each and on the first grid.
        edge: methods whose best point of that grid is its last step size.
    """

    cell: str
    other: str
    tuned: float | None
    common: float | None
    edge: str
    steps: str


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
    slopes: tuple[Record, ...]
    grids: tuple[Grid, ...]
    schedules: tuple[tuple[str, Record], ...]
    schedule_clock: str
    errors: int
    comparisons: int
    level: float
    alpha: float
    budget: int
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
        answer=_answer(record, methods),
        forests=tuple(_forest(name, record, methods) for name in _problems(cells)),
        races=tuple(_race(cell, methods) for cell in _hardest(cells)),
        cells=tuple(_cell(cell, methods) for cell in cells),
        slopes=tuple(record.get("slopes") or ()),
        grids=tuple(_grids(record)),
        schedules=tuple((shown.get("methods") or {}).items()),
        schedule_clock=str(shown.get("clock", "")),
        errors=sum(bool(e["edges"]) for cell in cells for e in cell["entrants"].values()),
        comparisons=record["comparisons"],
        level=record["level"],
        alpha=contest["alpha"],
        budget=contest["budget"],
        provenance=tuple((key, words(value)) for key, value in provenance.items() if words(value)),
        created=created,
    )


def _problems(cells: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(cell["problem"] for cell in cells))


def _seconds(cell: Record, label: str) -> float:
    """Time to ε; inf: never, no optimum, or only passing by on the way to a bias."""
    entrant = cell["entrants"][label]
    found = entrant["seconds"]
    if not finite(found) or entrant["edges"] or _passes(entrant, cell["target"]):
        return inf
    return float(found)


def _passes(entrant: Record, target: float) -> bool:
    """Whether it gets to ε only on its way to a larger bias."""
    predicted = entrant.get("predicted_floor")
    return finite(entrant["seconds"]) and finite(predicted) and predicted > target


def _answer(record: Record, methods: Sequence[str]) -> tuple[str, ...]:
    """Whether the reference wins, against whom, where, by how much."""
    reference, cells = record["contest"]["reference"], record["cells"]
    first = [min(methods, key=lambda label: _seconds(cell, label)) for cell in cells]
    wins = [cell for cell, winner in zip(cells, first, strict=True) if winner == reference]
    others = {label: first.count(label) for label in methods if label in first}
    ranking = ", ".join(f"{label} in {count}" for label, count in _by_count(others))
    lines = [
        f"{reference} is the fastest of all methods in {len(wins)} of {len(cells)} cells "
        f"({ranking}; what only passes ε on its way to a bias above does not count)."
    ]
    for problem in _problems(cells):
        part = [cell for cell in cells if cell["problem"] == problem]
        told = [_against(part, label) for label in methods if label != reference]
        lines.append(f"{problem}, {reference} against " + "; ".join(told) + ".")
    return tuple(lines)


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: -pair[1])


def _against(cells: Sequence[Record], label: str) -> str:
    """Counts of outcomes against one method, with the range of ratios."""
    ratios = [cell["ratios"][label] for cell in cells]
    parts = []
    for outcome, word in (("faster", "faster"), ("slower", "slower"), ("undecided", "tied")):
        found = [r["ratio"] for r in ratios if r["outcome"] == outcome]
        known = [ratio for ratio in found if finite(ratio)]
        if found and known:
            span = f"{number(min(known))} … {number(max(known))}" if len(known) > 1 else ""
            parts.append(f"{word} in {len(found)} ({span or number(known[0])})")
        elif found:
            parts.append(f"not comparable in {len(found)} (neither arrives)")
    broken = sum(r["outcome"] == "error" for r in ratios)
    if broken:
        parts.append(f"not judged in {broken} (optimum on an edge)")
    never = sum(cell["entrants"][label]["seconds"] is None for cell in cells)
    tail = f", which never arrives in {never}" if never else ""
    passes = sum(_passes(cell["entrants"][label], cell["target"]) for cell in cells)
    tail += f", in {passes} only passing by" if passes else ""
    return f"{label}{tail}: " + ", ".join(parts)


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
    least = min(_seconds(cell, label) for label in methods)
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
        best=_seconds(cell, label) == least < inf,
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
    """Edges first; else the floor of a method that never arrives."""
    if entrant["edges"]:
        found = ", ".join(f"{_short(key)} {side}" for key, side in entrant["edges"])
        return f"error: best value at the edge of the grid ({found}) after {entrant['runs']} runs"
    predicted = entrant.get("predicted_floor")
    biased = finite(predicted) and predicted > NO_BIAS
    if _passes(entrant, target):
        return f"passes by, on its way to the bias {number(predicted)}"
    if entrant["seconds"] is not None:
        return ""
    known = f", predicted bias {number(predicted)}" if biased else ""
    return f"floor {number(entrant['floor'])}{known}"


def _grids(record: Record) -> list[Grid]:
    """What the first grid alone would have said, of the methods that wait for everyone."""
    reference = record["contest"]["reference"]
    rules = {m["label"]: m["method"]["name"] for m in record["methods"]}
    chosen = [label for label, name in rules.items() if name == "malenia"]
    found = []
    for cell in record["cells"]:
        for label in chosen:
            own = _first_grid(cell["entrants"][reference], record)
            other = _first_grid(cell["entrants"][label], record)
            tuned = cell["ratios"][label]["ratio"]
            edges = [name for name, each in ((reference, own), (label, other)) if each[1]]
            steps = [cell["entrants"][each]["tuned"]["step_size"] for each in (reference, label)]
            found.append(
                Grid(
                    cell=f"{cell['problem']} · {cell['clock']} · ε = {number(cell['target'])}",
                    other=label,
                    tuned=tuned,
                    common=own[0] / other[0] if own[0] < inf and other[0] < inf else None,
                    edge=", ".join(edges),
                    steps=number(_workers(record) * steps[0] / steps[1]),
                )
            )
    return found


def _workers(record: Record) -> int:
    return sum(int(group["count"]) for group in record["nodes"])


def _first_grid(entrant: Record, record: Record) -> tuple[float, bool]:
    """Best time on the first grid, and whether it is at its largest step size."""
    trials = entrant["trials"]
    count = int(record["contest"]["step_sizes"]["count"])
    inside = [
        t for t in trials if all(p == int(p) for p in t["point"]) and 0 <= t["point"][0] < count
    ]
    inside = [t for t in inside if all(p == 0 for p in t["point"][1:])]
    if not inside:
        return nan, False
    best = min(inside, key=lambda t: t["seconds"] if finite(t["seconds"]) else inf)
    time = best["seconds"] if finite(best["seconds"]) else inf
    return float(time), best["point"][0] == count - 1
