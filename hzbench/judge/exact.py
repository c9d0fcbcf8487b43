"""Exact predictions: the mean over replicas equals the value."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.verdict import Outcome, Statistic, Verdict
from hzbench.judge import hall
from hzbench.judge import statistics as tests
from hzbench.judge.certain import judge_certain
from hzbench.judge.select import Selection
from hzbench.judge.statistics import Against
from hzbench.judge.wording import number, percent, replica_plan, subject, too_few

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Test:
    """A test of q statistics that vary.

    Attributes:
        method: its name.
        p_value: against the prediction.
        visible: R -> the shift of each statistic that R replicas see with power 0.9, shape [q].
        measured: means, shape [q].
        deviation: standard deviation of one replica, shape [q].
        tolerance: the shift that matters, shape [q].
    """

    method: str
    p_value: float
    visible: Callable[[int], Array]
    measured: Array
    deviation: Array
    tolerance: Array

    def ratio(self, replicas: int) -> float:
        """Largest visible shift over tolerance at R replicas."""
        return float(np.max(self.visible(replicas) / self.tolerance))


def judge_exact(base: Verdict, selection: Selection, against: Against) -> Verdict:
    """Judge an exact prediction (certain values at rounding, the rest by one test)."""
    certain = selection.where(selection.certain)
    varying = selection.where(~selection.certain)
    if certain.size:
        verdict = judge_certain(base, certain)
        if verdict.outcome == "violated" or not varying.size:
            return verdict
        base = replace(base, statistics=verdict.statistics, reason=f"{verdict.reason}; ")
    if base.replicas < tests.LEAST_REPLICAS:
        return _undecided(base, varying, against)
    return _decide(base, varying, _test(varying, base.level, base.tolerance, against), against)


def _test(varying: Selection, level: float, tolerance: float, against: Against) -> Test:
    """Hall's t for one statistic, Hotelling's T² for more."""
    measured, covariance = varying.values.mean(axis=1), _covariance(varying)
    deviation = np.sqrt(np.diag(covariance))
    matters = _matters(varying, deviation, tolerance)
    if _alone(varying):
        sample = hall.summarize(varying.values)
        method = "Hall t"

        def visible(replicas: int) -> Array:
            return np.maximum(*hall.visible(replace(sample, replicas=replicas), level / 2.0))
    else:
        method = "Hotelling T²"

        def visible(replicas: int) -> Array:
            return tests.hotelling_visible(covariance, replicas, level, against)

    return Test(
        method=method,
        p_value=p_value(varying),
        visible=visible,
        measured=measured,
        deviation=deviation,
        tolerance=matters,
    )


def _matters(varying: Selection, deviation: Array, tolerance: float) -> Array:
    """Return the shift of each statistic that matters, shape [q]."""
    spread = np.where(np.isnan(varying.spread), deviation, varying.spread)
    unit = np.where(np.isnan(varying.unit), spread, varying.unit)
    return np.asarray(tolerance * np.maximum(np.abs(varying.predicted), unit))


def _undecided(base: Verdict, varying: Selection, against: Against) -> Verdict:
    """Say that there are too few replicas, and how many would do."""
    needed, source = _planned(base, varying, against)
    told = too_few(varying, base.replicas, tests.LEAST_REPLICAS)
    least = max(needed, tests.LEAST_REPLICAS)
    plan = replica_plan(f"to see {percent(base.tolerance)}", base.replicas, needed, least, source)
    return replace(base, reason=f"{base.reason}{told}; {plan}", replicas_needed=least)


def _planned(base: Verdict, varying: Selection, against: Against) -> tuple[int, str]:
    """Return how many replicas make the visible error the tolerance (0: unknown), and whence.

    From `MEASURABLE` replicas on (and two a statistic) their spread says it, as it does with
    enough of them; with fewer the spread that theory predicts.
    """
    least, spread = tests.LEAST_REPLICAS, varying.spread
    if base.replicas >= max(tests.MEASURABLE, 2 * varying.size):
        test = _test(varying, base.level, base.tolerance, against)
        return tests.replicas_until(test.ratio, least), f"of these {base.replicas}"
    if np.isnan(spread).any():
        return 0, ""
    matters = _matters(varying, spread, base.tolerance)

    def ratio(replicas: int) -> float:
        visible = tests.hotelling_visible(np.diag(spread**2), replicas, base.level, against)
        return float(np.max(visible / matters))

    return tests.replicas_until(ratio, least), "that theory predicts"


def p_value(varying: Selection) -> float:
    """Return the p-value of statistics that vary, whatever the number of replicas."""
    measured, replicas = varying.values.mean(axis=1), varying.values.shape[1]
    slack = varying.rounding.slack(measured, varying.predicted)
    shift = measured - varying.predicted
    if _alone(varying):
        nearest = varying.predicted + np.clip(shift, -slack, slack)
        return float(hall.two_sided(hall.summarize(varying.values), nearest)[0])
    return tests.hotelling(shift, _covariance(varying), replicas, slack)


def _alone(varying: Selection) -> bool:
    """Return whether Hall's t applies: one statistic, and the replicas show its variance."""
    return varying.size == 1 and not _still(varying)[0]


def _covariance(varying: Selection) -> Array:
    """Return the covariance of one replica, shape [q, q].

    A column that theory calls random but that shows no variance (every replica missed a rare event)
    gets its predicted variance, uncorrelated with the others.
    """
    covariance = np.atleast_2d(np.cov(varying.values))
    still = _still(varying)
    covariance[still, :] = 0.0
    covariance[:, still] = 0.0
    covariance[still, still] = varying.spread[still] ** 2
    return np.asarray(covariance)


def _still(varying: Selection) -> NDArray[np.bool_]:
    """Return which columns show no variance although theory calls them random, shape [q]."""
    size = np.abs(varying.values).max(axis=1)
    return np.asarray(np.ptp(varying.values, axis=1) <= varying.rounding.relative * size)


def _decide(base: Verdict, varying: Selection, test: Test, against: Against) -> Verdict:
    """Turn p-value and visible errors into an outcome."""
    ratio = test.ratio(base.replicas)
    outcome: Outcome = "consistent" if ratio <= 1.0 else "inconclusive"
    if test.p_value <= base.level:
        outcome = "violated"
    open_ = outcome == "inconclusive"
    verdict = replace(
        base,
        outcome=outcome,
        method=test.method,
        p_value=test.p_value,
        visible_error=ratio * base.tolerance,
        replicas_needed=tests.replicas_until(test.ratio, base.replicas) if open_ else 0,
        statistics=(*base.statistics, *_report(varying, test, base.replicas)),
    )
    return replace(verdict, reason=base.reason + _sentence(verdict, varying, test, against))


def _sentence(verdict: Verdict, varying: Selection, test: Test, against: Against) -> str:
    """Return the reason of a test's verdict."""
    where, level, p_value = subject(varying), number(verdict.level), number(verdict.p_value)
    if verdict.outcome == "violated":
        worst = _worst(varying, test, verdict.replicas)
        return f"{where} disagree with theory: p = {p_value} ≤ {level}; farthest is {worst}"
    how = {"alone": " alone", "any": " whatever the others do"}[against]
    error = percent(verdict.visible_error)
    seen = f"a {error} error of one statistic{how if varying.size > 1 else ''} would have been seen"
    if verdict.outcome == "consistent":
        return f"{where} agree: p = {p_value} > {level}; {seen} with power 0.9"
    return (
        f"{where} are not rejected (p = {p_value} > {level}), but only {seen} with power 0.9; "
        f"{percent(verdict.tolerance)} takes about {verdict.replicas_needed} replicas"
    )


def _worst(varying: Selection, test: Test, replicas: int) -> str:
    """Name the statistic that lies most standard errors from theory."""
    errors = test.deviation / np.sqrt(replicas)
    scores = (test.measured - varying.predicted) / errors
    i = int(np.argmax(np.abs(scores)))
    told = f"{number(test.measured[i])} measured, {number(varying.predicted[i])} predicted"
    where = f"{varying.observables[i]} at step {varying.steps[i]}"
    return f"{where}: {told}, {scores[i]:+.1f} standard errors"


def _report(varying: Selection, test: Test, replicas: int) -> tuple[Statistic, ...]:
    """Return one record a statistic."""
    visible = test.visible(replicas)
    return tuple(
        Statistic(
            observable=varying.observables[i],
            step=varying.steps[i],
            measured=float(test.measured[i]),
            standard_error=float(test.deviation[i] / np.sqrt(replicas)),
            predicted=float(varying.predicted[i]),
            visible_error=float(visible[i]),
            tolerance=float(test.tolerance[i]),
        )
        for i in range(varying.size)
    )
