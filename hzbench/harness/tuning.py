"""Tuning: a pattern search for the best parameters, with a budget that every method is given alike.

The search begins with a few points a wide ratio apart and asks for the neighbours of the best point
so far, in every direction, until none of them is better; then it halves the distance (on a
logarithmic scale) and asks again, until the budget is used up. So an optimum is bracketed before it
is refined. One that the budget leaves on an edge of what was tried is not an optimum: it is named,
never silently used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log

Point = tuple[float, ...]  # one exponent an axis; an axis's value is first · ratio^exponent
Score = tuple[float, ...]  # less is better, compared from the left: (time to ε, level at the end)
Evaluate = Callable[[Sequence[Point]], Sequence[Score]]

_FINEST = 2.0**-30


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One positive parameter on a logarithmic scale.

    Attributes:
        key: name of the parameter.
        first: value at exponent 0, where the search begins.
        ratio: of neighbours, as long as the optimum is not bracketed.
        whole: whether values are rounded to whole numbers.
        least: smallest value that makes sense; it is no edge.
    """

    key: str
    first: float
    ratio: float
    whole: bool = False
    least: float = 0.0

    def value(self, exponent: float) -> float:
        """The value at an exponent."""
        value = self.first * self.ratio**exponent
        return float(max(round(value), self.least)) if self.whole else value

    def below(self, exponent: float, mesh: float) -> float:
        """The next lower exponent at a distance, that of the least value if there is less."""
        if not self.least:
            return exponent - mesh
        return min(exponent, max(exponent - mesh, log(self.least / self.first) / log(self.ratio)))


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
        mesh: ratio of the best step size to the nearest other one that was tried there.
    """

    best: Trial
    trials: tuple[Trial, ...]
    edges: tuple[tuple[str, str], ...]
    mesh: float


def tune(evaluate: Evaluate, axes: Sequence[Axis], first: Sequence[float], budget: int) -> Tuned:
    """Search for the point of least score with exactly `budget` evaluations.

    Arguments:
        evaluate: scores of several points at once.
        axes: the parameters.
        first: exponents of the first axis to begin with, the other parameters at their first value.
        budget: number of evaluations, at least as many as there are first points.

    Raises:
        ValueError: the first points alone exceed the budget.
    """
    if len(first) > budget:
        raise ValueError(f"got {len(first)} first points for {budget} runs; raise budget")
    known: dict[Point, Score] = {}

    def ask(points: Sequence[Point]) -> None:
        known.update(zip(points, evaluate(points), strict=True))

    ask([(exponent, *(0.0 for _ in axes[1:])) for exponent in first])
    mesh = 1.0
    while len(known) < budget and mesh > _FINEST:
        wanted = _untried(_best(known), axes, known, mesh)
        if wanted:
            ask(wanted[: budget - len(known)])
        else:
            mesh /= 2
    best = _best(known)
    return Tuned(
        best=_trial(best, axes, known),
        trials=tuple(_trial(point, axes, known) for point in known),
        edges=tuple(_edges(best, axes, known)),
        mesh=_nearest(best, axes[0], known),
    )


def _best(known: dict[Point, Score]) -> Point:
    return min(known, key=lambda point: known[point])


def _trial(point: Point, axes: Sequence[Axis], known: dict[Point, Score]) -> Trial:
    values = {a.key: a.value(e) for a, e in zip(axes, point, strict=True)}
    return Trial(point=point, values=values, score=known[point])


def _untried(
    best: Point, axes: Sequence[Axis], known: dict[Point, Score], mesh: float
) -> list[Point]:
    """The neighbours at a distance that are not known, also not by their values."""
    values = {_values(point, axes) for point in known}
    found = []
    for index, axis in enumerate(axes):
        for exponent in (best[index] + mesh, axis.below(best[index], mesh)):
            point = (*best[:index], exponent, *best[index + 1 :])
            if _values(point, axes) not in values:
                values.add(_values(point, axes))
                found.append(point)
    return found


def _values(point: Point, axes: Sequence[Axis]) -> tuple[float, ...]:
    return tuple(axis.value(e) for axis, e in zip(axes, point, strict=True))


def _edges(best: Point, axes: Sequence[Axis], known: dict[Point, Score]) -> list[tuple[str, str]]:
    """Directions in which nothing was tried near the best point: within a first step elsewhere."""
    found = []
    for index, axis in enumerate(axes):
        row = [p[index] for p in known if _near(p, best, index)]
        if max(row) == best[index]:
            found.append((axis.key, "above"))
        if min(row) == best[index] and axis.value(best[index]) > axis.least:
            found.append((axis.key, "below"))
    return found


def _near(point: Point, best: Point, index: int) -> bool:
    pairs = enumerate(zip(point, best, strict=True))
    return all(abs(a - b) <= 1 for place, (a, b) in pairs if place != index)


def _nearest(best: Point, axis: Axis, known: dict[Point, Score]) -> float:
    """Ratio of the nearest other value on the first axis, the other parameters alike."""
    away = [abs(p[0] - best[0]) for p in known if p[1:] == best[1:] and p[0] != best[0]]
    return float(axis.ratio ** min(away, default=1.0))
