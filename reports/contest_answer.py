"""What the results of a contest say in words: does the reference win, against whom, where. Pure.

Ratios are the reference's time over another method's: below 1 the reference is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from statistics import median
from typing import Any

from hzbench.reports.formats import finite, number

Record = Mapping[str, Any]
NO_BIAS = 1e-12  # predicted floors below are rounding
_LISTED = 4  # cells named in a sentence; more are counted


def seconds_of(cell: Record, label: str) -> float:
    """Time to ε; inf: never, no optimum, or only passing by on the way to a bias."""
    entrant = cell["entrants"][label]
    found = entrant["seconds"]
    if not finite(found) or entrant["edges"] or passes(entrant, cell["target"]):
        return inf
    return float(found)


def passes(entrant: Record, target: float) -> bool:
    """Whether it gets to ε only on its way to a larger bias."""
    predicted = entrant.get("predicted_floor")
    return finite(entrant["seconds"]) and finite(predicted) and predicted > target


def biased(entrant: Record, target: float) -> bool:
    """Whether theory says that no step size brings it to ε."""
    predicted = entrant.get("predicted_floor")
    return finite(predicted) and predicted > target


def common_ratio(cell: Record, reference: str, label: str) -> float | None:
    """Reference over the other on one grid of step sizes for all; None: not known."""
    common = cell["entrants"][label].get("common")
    own = cell["entrants"][reference]["tuned_seconds"]
    if not common or not finite(own):
        return None
    return float(own) / float(common["seconds"]) if finite(common["seconds"]) else 0.0


def answer(record: Record, methods: Sequence[str]) -> tuple[str, ...]:
    """Whether the reference wins, where, against whom, by how much, and what one grid would say."""
    reference, cells = record["contest"]["reference"], record["cells"]
    others = [label for label in methods if label != reference]
    problems = list(dict.fromkeys(cell["problem"] for cell in cells))
    lines = [_first(cells, methods, reference)]
    for problem in problems:
        part = [cell for cell in cells if cell["problem"] == problem]
        told = "; ".join(_against(part, label) for label in others)
        lines.append(f"{problem}, {reference} against {told}.")
    lines += [_sizes(cells, others, reference), _reasons(cells, methods, reference)]
    lines.append(_one_grid(cells, others, reference))
    return tuple(filter(None, lines))


def _first(cells: Sequence[Record], methods: Sequence[str], reference: str) -> str:
    """Who is first how often."""
    first = [min(methods, key=lambda label: seconds_of(cell, label)) for cell in cells]
    wins = [cell for cell, winner in zip(cells, first, strict=True) if winner == reference]
    counts = sorted(
        ((label, first.count(label)) for label in methods if label in first),
        key=lambda pair: -pair[1],
    )
    ranking = ", ".join(f"{label} in {count}" for label, count in counts)
    start = "Yes" if len(wins) == len(cells) else "Seldom" if wins else "No"
    start = "Mostly" if len(cells) > len(wins) > len(cells) / 2 else start
    named = 0 < len(wins) <= _LISTED and len(wins) < len(cells)
    where = ": " + "; ".join(f"{c['problem']}, {_places([c])}" for c in wins) if named else ""
    return (
        f"{start}. {reference} is the fastest of all methods in {len(wins)} of {len(cells)} cells"
        f"{where} ({ranking}; what only passes ε on its way to a bias above does not count)."
    )


def _places(cells: Sequence[Record]) -> str:
    """Clocks, with their targets."""
    clocks = dict.fromkeys(cell["clock"] for cell in cells)
    targets = {
        clock: ", ".join(number(cell["target"]) for cell in cells if cell["clock"] == clock)
        for clock in clocks
    }
    return " / ".join(f"{clock} at ε = {known}" for clock, known in targets.items())


def _against(cells: Sequence[Record], label: str) -> str:
    """Counts of outcomes against one method, with the range of ratios, and where it is faster."""
    parts = []
    for outcome, word in (("faster", "faster"), ("slower", "slower"), ("undecided", "tied")):
        those = [cell for cell in cells if cell["ratios"][label]["outcome"] == outcome]
        known = [r for r in (c["ratios"][label]["ratio"] for c in those) if finite(r)]
        if those and known:
            named = outcome == "faster" and len(those) < len(cells) and len(those) <= _LISTED
            where = f": {_places(those)}" if named else ""
            bound = all(cell["entrants"][label]["seconds"] is None for cell in those)
            parts.append(f"{word} in {len(those)} ({_span(known, bound=bound)}{where})")
        elif those:
            parts.append(f"not comparable in {len(those)} (neither arrives)")
    broken = sum(cell["ratios"][label]["outcome"] == "error" for cell in cells)
    if broken:
        parts.append(f"not judged in {broken} (optimum on an edge)")
    never = sum(cell["entrants"][label]["seconds"] is None for cell in cells)
    tail = f", which never arrives in {never}" if never else ""
    passing = sum(passes(cell["entrants"][label], cell["target"]) for cell in cells)
    tail += f", in {passing} only passing by" if passing else ""
    return f"{label}{tail}: " + ", ".join(parts)


def _span(ratios: Sequence[float], *, bound: bool) -> str:
    """The range of ratios; where the others never arrive they are upper bounds."""
    low, high = number(min(ratios)), number(max(ratios))
    if bound:
        return f"at most {high}"
    return low if low == high else f"{low} … {high}"


def _sizes(cells: Sequence[Record], others: Sequence[str], reference: str) -> str:
    """By how much: medians over the cells where both arrive."""
    told = []
    for label in others:
        both = [
            seconds_of(cell, reference) / seconds_of(cell, label)
            for cell in cells
            if max(seconds_of(cell, reference), seconds_of(cell, label)) < inf
        ]
        if both:
            told.append(f"{number(median(both))} times that of {label} ({len(both)} cells)")
    if not told:
        return ""
    return f"Where both arrive, {reference}'s time is in the median " + ", ".join(told) + "."


def _reasons(cells: Sequence[Record], methods: Sequence[str], reference: str) -> str:
    """Why those who never arrive do not."""
    told = []
    for label in methods:
        never = [cell for cell in cells if cell["entrants"][label]["seconds"] is None]
        why = [biased(cell["entrants"][label], cell["target"]) for cell in never]
        parts = [f"{sum(why)} times for its predicted bias above ε"] if any(why) else []
        late = len(never) - sum(why)
        parts += [f"{late} times for being given up long after {reference}"] if late else []
        if parts:
            told.append(f"{label} " + " and ".join(parts))
    return "Who never arrives: " + "; ".join(told) + "." if told else ""


def _one_grid(cells: Sequence[Record], others: Sequence[str], reference: str) -> str:
    """How often the reference would have seemed faster on one grid for all."""
    told = []
    for label in others:
        ratios = [(common_ratio(cell, reference, label), cell) for cell in cells]
        known = [(ratio, cell) for ratio, cell in ratios if ratio is not None]
        before = sum(ratio < 1 for ratio, _ in known)
        after = sum(seconds_of(c, reference) < seconds_of(c, label) for _, c in known)
        if before > after:
            told.append(f"{label} in {before} cells of {len(known)} (tuned: {after})")
    if not told:
        return ""
    return (
        f"One grid of step sizes for all, five around {reference}'s best which nobody widens, "
        "would have it faster than " + ", ".join(told) + "."
    )
