"""An entrant of a contest: one method in one cell, tuned with the common budget, then judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.server import ServerMethod
from hzbench.core.spec import Spec
from hzbench.harness.contest import Cell, Contest, MethodTable, axes_of
from hzbench.harness.contest_curves import contest_problem, curves
from hzbench.harness.contest_question import Curves, Question
from hzbench.harness.server import schedule_of
from hzbench.harness.setting import method_of
from hzbench.harness.tuning import Axis, Point, Score, Tuned, tune
from hzbench.judge.target_time import STAY, TargetTime, target_time, time_to_target

Array = NDArray[np.float64]
MARGIN = 1.5  # a judged run goes on until this many times its time, for resampled means
COMMON = (-2, -1, 0, 1, 2)  # exponents of 2: a grid for all, around the reference's step size
_UPDATES = 10  # a worker, from whose later half delays are counted


@dataclass(frozen=True, kw_only=True)
class Leader:
    """What the reference's entrant tells those who enter after it.

    Attributes:
        seconds: its time to ε; how long a first try of the others lasts, nothing else.
        step_size: its best one, around which a grid for all is laid; None: it has none.
    """

    seconds: float = inf
    step_size: float | None = None


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One method in one cell.

    Attributes:
        tuned: the search.
        judged: time to ε at the tuned parameters, on the seeds for judging.
        seconds, values: the judged curve, [P] and [P, R].
        exact: whether it is an expectation, R = 1.
        delay: mean delay of the estimates that it uses, in updates.
        common: what one grid for all would say of it; None: it was not asked.
    """

    tuned: Tuned
    judged: TargetTime
    seconds: Array
    values: Array
    exact: bool
    delay: float
    common: dict[str, Any] | None = None

    @property
    def leader(self) -> Leader:
        """What it tells the others, if it is the reference's."""
        known = self.judged.reached and not self.tuned.edges
        step_size = self.tuned.best.values["step_size"] if known else None
        return Leader(seconds=self.judged.seconds, step_size=step_size)


def enter(
    contest: Contest, cell: Cell, method: MethodTable, leader: Leader | None = None
) -> Entrant:
    """Tune one method in one cell, and judge it where it is best.

    Arguments:
        leader: the reference, for the others.
    """
    leader = leader or Leader()
    delay = mean_delay(contest.spec(cell.problem, cell.clock, method))
    tuned = _final(contest, cell, method, delay, leader.seconds)
    settings = contest.table.judging
    question = Question(
        target=cell.target,
        horizon=cell.horizon,
        resolution=cell.resolution,
        margin=MARGIN,
        separate=True,
        expected=tuned.best.score[0] if tuned.best.score[0] < inf else cell.horizon,
    )
    values, draws = tuned.best.values, (settings.seed, settings.replicas)
    found = _measured(contest, cell, method, values, draws, question)
    curve = found.values[:, 0]
    judged, center = target_time(found.seconds, curve, cell.target), leader.step_size
    common = None
    if judged.reached and center is not None:
        common = _on_common_grid(contest, cell, method, tuned, center)
    return Entrant(
        tuned=tuned,
        judged=judged,
        seconds=found.seconds,
        values=curve,
        exact=found.exact,
        delay=delay,
        common=common,
    )


def mean_delay(spec: Spec) -> float:
    """δ: how many updates old the estimates are that a method uses, by weight."""
    method = method_of(spec)
    assert isinstance(method, ServerMethod)
    updates = _UPDATES * spec.node_count
    long = spec.replace(run={"steps": updates, "seed": spec.run.seed})
    plan = schedule_of(long, method)
    late = slice(int(plan.offsets[updates // 2]), None)
    update = np.repeat(np.arange(updates), np.diff(plan.offsets))[late]
    delays = update - plan.versions[plan.samples[late]]
    return float(np.average(delays, weights=plan.weights[late] * plan.scales[update]))


def first_step(contest: Contest, cell: Cell, method: MethodTable, delay: float) -> float:
    """The step size where a search begins: 1/(L (1 + δ)), or what the cell says in place of 1/L.

    Where delayed gradients are used, stability asks for L η δ below a constant.
    """
    fresh = cell.step_sizes.first
    if fresh is None:
        spec = contest.spec(cell.problem, cell.clock, method)
        fresh = 1 / contest_problem(spec).constants.smoothness
        assert isfinite(fresh)
        assert fresh > 0
    return fresh / (1 + delay)


def _final(
    contest: Contest, cell: Cell, method: MethodTable, delay: float, expected: float
) -> Tuned:
    """Tune, then run the best few points again with more replicas, where points are measured."""
    axes = axes_of(cell, method, first_step(contest, cell, method, delay))
    tuned, exact = tune_method(contest, cell, method, axes, expected)
    arrived = [trial for trial in tuned.trials if trial.score[0] < inf]
    few = sorted(arrived, key=lambda trial: trial.score)[: contest.table.tuning.finalists]
    if exact or len(few) < 2:
        return tuned
    draws = (contest.table.tuning.seed, contest.table.judging.replicas)
    question = Question(target=cell.target, horizon=cell.horizon, resolution=cell.resolution)
    scores, _ = _scored(contest, cell, method, [t.values for t in few], draws, question)
    again = [replace(t, score=score) for t, score in zip(few, scores, strict=True)]
    return replace(tuned, best=min(again, key=lambda trial: trial.score))


def tune_method(
    contest: Contest,
    cell: Cell,
    method: MethodTable,
    axes: Sequence[Axis],
    expected: float = inf,
) -> tuple[Tuned, bool]:
    """Search for the least time to ε with the contest's budget, on the seeds for tuning.

    Where no point gets to ε the level at the end decides.

    Returns:
        What was found, and whether expectations decided.
    """
    draws = (contest.table.tuning.seed, contest.table.tuning.replicas)
    exact, best, guess = False, inf, expected / 2 if expected < inf else 0.0

    def evaluate(points: Sequence[Point]) -> list[Score]:
        nonlocal best, guess, exact
        question = Question(
            target=cell.target,
            horizon=min(cell.horizon, (1 + STAY) * (1 + cell.resolution) * best),
            resolution=cell.resolution,
            expected=guess,
        )
        values = [
            {axis.key: axis.value(e) for axis, e in zip(axes, point, strict=True)}
            for point in points
        ]
        scores, exact = _scored(contest, cell, method, values, draws, question)
        best = min(best, *(score[0] for score in scores))
        guess = best if best < inf else cell.horizon
        return scores

    first = [1.0 - k for k in range(cell.step_sizes.count)]
    return tune(evaluate, axes, first, contest.table.budget), exact


def _on_common_grid(
    contest: Contest, cell: Cell, method: MethodTable, tuned: Tuned, center: float
) -> dict[str, Any]:
    """The best of five step sizes around the reference's, as one grid for all would have it.

    The other parameter stays as it is tuned; draws are those of the finalists.

    Returns:
        seconds (inf: never), step_size, and whether that is the grid's last one.
    """
    steps = tuple(center * 2.0**k for k in COMMON)
    draws = (contest.table.tuning.seed, contest.table.judging.replicas)
    question = Question(
        target=cell.target,
        horizon=cell.horizon,
        resolution=cell.resolution,
        expected=tuned.best.score[0],
    )
    values = {**tuned.best.values, "step_size": steps}
    scores = _scores(_measured(contest, cell, method, values, draws, question), cell.target)
    best = min(range(len(steps)), key=lambda place: scores[place])
    return {
        "seconds": scores[best][0],
        "step_size": steps[best],
        "at_end": best == len(steps) - 1,
    }


def _scored(
    contest: Contest,
    cell: Cell,
    method: MethodTable,
    points: Sequence[Mapping[str, float]],
    draws: tuple[int, int],
    question: Question,
) -> tuple[list[Score], bool]:
    """Scores of several points, those that differ in the step size alone in one run.

    Returns:
        Scores, and whether they are of expectations.
    """
    groups: dict[tuple[tuple[str, float], ...], list[int]] = {}
    for place, values in enumerate(points):
        rest = tuple((key, value) for key, value in values.items() if key != "step_size")
        groups.setdefault(rest, []).append(place)
    scores: dict[int, Score] = {}
    exact = False
    for rest, places in groups.items():
        steps = tuple(points[place]["step_size"] for place in places)
        asked: dict[str, Any] = {**dict(rest), "step_size": steps}
        found = _measured(contest, cell, method, asked, draws, question)
        exact = found.exact
        scores |= zip(places, _scores(found, cell.target), strict=True)
    return [scores[place] for place in range(len(points))], exact


def _scores(found: Curves, target: float) -> list[Score]:
    """Time to ε of every step size, and its level in the last tenth of the time.

    Not the lowest level on the way: that may be the start, where |∇f| first grows.
    """
    times = time_to_target(found.seconds, found.means, target)
    late = found.seconds >= found.seconds[-1] / (1 + STAY) * (1 - 1e-9)
    levels = np.nan_to_num(found.means[late], nan=inf, posinf=inf).max(axis=0)
    return [(float(t), float(v)) for t, v in zip(times, levels, strict=True)]


def _measured(
    contest: Contest,
    cell: Cell,
    method: MethodTable,
    values: Mapping[str, Any],
    draws: tuple[int, int],
    question: Question,
) -> Curves:
    """Curves at one value of the other parameter and one or several step sizes.

    Arguments:
        draws: seed and replicas.
    """
    steps = values["step_size"]
    rest = {key: int(value) for key, value in values.items() if key != "step_size"}
    seed, replicas = draws
    spec = contest.spec(cell.problem, cell.clock, method, rest, seed)
    return curves(spec, steps if isinstance(steps, tuple) else (steps,), replicas, question)
