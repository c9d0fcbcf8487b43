"""Tuning: the best point of a geometric lattice, with a budget that every method is given alike.

The search begins with the first grid and asks for the untried neighbours of the best point so far,
so a best point on an edge widens the grid. Where all neighbours are worse, what is left of the
budget is spread evenly between the neighbours along the first axis. An optimum that the budget
leaves on an edge is not an optimum: it is named, never silently used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Point = tuple[float, ...]  # one exponent an axis; an axis's value is first · ratio^exponent
Score = tuple[float, ...]  # less is better, compared from the left: (time to ε, lowest level)
Evaluate = Callable[[Sequence[Point]], Sequence[Score]]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter on a geometric grid.

    Attributes:
        key: name of the parameter.
        first: value at exponent 0.
        ratio: of neighbours.
        count: points of the first grid, exponents 0 ... count − 1.
        whole: whether values are rounded to whole numbers.
        least: smallest value that makes sense; it is no edge of the grid.
    """

    key: str
    first: float
    ratio: float
    count: int
    whole: bool = False
    least: float = 0.0

    def value(self, exponent: float) -> float:
        """The value at an exponent."""
        value = self.first * self.ratio**exponent
        return float(round(value)) if self.whole else value

    def allows(self, exponent: float) -> bool:
        """Whether the value makes sense."""
        return self.value(exponent) >= self.least


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One evaluated point: exponents, and values by parameter."""

    point: Point
    values: dict[str, float]
    score: Score


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search found.

    Attributes:
        best: the trial with the least score; the first of equal ones.
        trials: all, in the order of evaluation; as many as the budget.
        edges: parameters whose best value has no worse one beyond it, with the direction: "above"
            or "below". Empty for an optimum.
        widened: how many trials lie beyond the first grid.
    """

    best: Trial
    trials: tuple[Trial, ...]
    edges: tuple[tuple[str, str], ...]
    widened: int


def tune(evaluate: Evaluate, axes: Sequence[Axis], budget: int) -> Tuned:
    """Search for the point of least score with exactly `budget` evaluations.

    Arguments:
        evaluate: scores of several points at once.
        axes: the parameters.
        budget: number of evaluations, at least that of the first grid.

    Raises:
        ValueError: the first grid alone exceeds the budget.
    """
    known: dict[Point, Score] = {}
    grid = list(itertools.product(*(range(axis.count) for axis in axes)))
    if len(grid) > budget:
        raise ValueError(f"got a first grid of {len(grid)} points for {budget} runs; raise budget")

    def ask(points: Sequence[Point]) -> None:
        known.update(zip(points, evaluate(points), strict=True))

    ask([tuple(map(float, point)) for point in grid])
    while len(known) < budget:
        left = budget - len(known)
        ask(_untried(_best(known), axes, known)[:left] or _between(_best(known), left))
    best = _best(known)
    return Tuned(
        best=_trial(best, axes, known),
        trials=tuple(_trial(point, axes, known) for point in known),
        edges=tuple(_edges(best, axes, known)),
        widened=sum(_outside(point, axes) for point in known),
    )


def _best(known: dict[Point, Score]) -> Point:
    return min(known, key=lambda point: known[point])


def _trial(point: Point, axes: Sequence[Axis], known: dict[Point, Score]) -> Trial:
    values = {a.key: a.value(e) for a, e in zip(axes, point, strict=True)}
    return Trial(point=point, values=values, score=known[point])


def _outside(point: Point, axes: Sequence[Axis]) -> bool:
    return any(not 0 <= e <= a.count - 1 for a, e in zip(axes, point, strict=True))


def _untried(best: Point, axes: Sequence[Axis], known: dict[Point, Score]) -> list[Point]:
    """The neighbours that make sense and are not known, also not by their values."""
    values = {_values(point, axes) for point in known}
    found = []
    for index, axis in enumerate(axes):
        for sign in (1, -1):
            exponent = best[index] + sign
            point = (*best[:index], exponent, *best[index + 1 :])
            if axis.allows(exponent) and _values(point, axes) not in values:
                found.append(point)
    return found


def _between(best: Point, count: int) -> list[Point]:
    """Points along the first axis, evenly spaced between the neighbours of the best one."""
    lower = count // 2
    steps = [-(k + 1) / (lower + 1) for k in range(lower)]
    steps += [(k + 1) / (count - lower + 1) for k in range(count - lower)]
    return [(best[0] + step, *best[1:]) for step in sorted(steps)]


def _values(point: Point, axes: Sequence[Axis]) -> tuple[float, ...]:
    return tuple(axis.value(e) for axis, e in zip(axes, point, strict=True))


def _edges(best: Point, axes: Sequence[Axis], known: dict[Point, Score]) -> list[tuple[str, str]]:
    """Directions in which nothing was tried near the best point: within a grid step elsewhere."""
    found = []
    for index, axis in enumerate(axes):
        row = [p[index] for p in known if _near(p, best, index)]
        if max(row) == best[index]:
            found.append((axis.key, "above"))
        if min(row) == best[index] and _lower(axis, best[index]):
            found.append((axis.key, "below"))
    return found


def _near(point: Point, best: Point, index: int) -> bool:
    pairs = enumerate(zip(point, best, strict=True))
    return all(abs(a - b) <= 1 for place, (a, b) in pairs if place != index)


def _lower(axis: Axis, exponent: float) -> bool:
    """Whether a smaller value makes sense."""
    value = axis.value(exponent)
    beyond = value - 1 if axis.whole else value / axis.ratio
    return beyond >= axis.least
