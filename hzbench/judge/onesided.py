"""One-sided claims: bounds (upper, lower) and signs (order).

Each becomes an excess that theory says is not positive: x - bound, bound - x, or -sign x. Per
statistic Hall's t gives a p-value against the claim and one for it.

- violated: the smallest p-value against, times the number of statistics (Bonferroni), is at most
  the level: a true claim is called violated with at most this probability.
- consistent: every p-value for the claim is at most the level (intersection-union, Berger 1982; no
  correction is due), so the upper confidence limit of every excess is negative: a claim that fails
  anywhere is called consistent with at most this probability.
- inconclusive: otherwise.

The p-value of the verdict is the one against the claim.
"""

from dataclasses import dataclass, replace
from math import ceil, nan

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import HzbenchError
from hzbench.core.verdict import Outcome, Statistic, Verdict
from hzbench.judge import hall
from hzbench.judge.select import Selection
from hzbench.judge.statistics import MEASURABLE
from hzbench.judge.wording import number, replica_plan, subject, too_few

Array = NDArray[np.float64]

LEAST_REPLICAS = 400
"""Hall's t keeps its level from here on: at most 1.6 times 1e-5 for squares of normals (simulated;
Student's t reaches 23 times)."""


@dataclass(frozen=True, kw_only=True)
class Excess:
    """How far each statistic lies beyond the claim, and what chance says of it.

    Attributes:
        measured: the statistic itself, shape [q].
        mean: its excess, shape [q]; theory says at most 0.
        error: standard error, 0 for certain ones, shape [q].
        against: p-value against the claim, shape [q].
        confirming: p-value for the claim, shape [q].
        rise: excess above 0 that would be seen with power 0.9, shape [q].
        fall: likewise below 0.
    """

    measured: Array
    mean: Array
    error: Array
    against: Array
    confirming: Array
    rise: Array
    fall: Array


def judge_onesided(base: Verdict, selection: Selection) -> Verdict:
    """Judge a bound or a sign."""
    varying = selection.where(~selection.certain)
    if varying.size and base.replicas < LEAST_REPLICAS:
        return _undecided(base, selection, varying)
    excess = _excess(selection, base.kind, base.level, base.replicas)
    p_value = min(1.0, max(1, varying.size) * float(excess.against.min()))
    outcome = _outcome(p_value, base.level, excess)
    verdict = replace(
        base,
        outcome=outcome,
        p_value=p_value,
        method="Hall t" if varying.size else "deterministic",
        replicas_needed=_needed(base.replicas, excess) if outcome == "inconclusive" else 0,
        tolerance=nan,
    )
    return (_sign if base.kind == "order" else _bound)(verdict, selection, excess)


def _undecided(base: Verdict, selection: Selection, varying: Selection) -> Verdict:
    """Say that there are too few replicas, and how many would do if the means stay as they are."""
    aim = "to establish the sign" if base.kind == "order" else "to confirm the bound"
    plan, least = replica_plan(aim, base.replicas, 0, LEAST_REPLICAS, ""), LEAST_REPLICAS
    if base.replicas >= MEASURABLE:
        excess = _excess(selection, base.kind, base.level, LEAST_REPLICAS)
        needed = _needed(LEAST_REPLICAS, excess)
        least = max(needed, LEAST_REPLICAS)
        plan = replica_plan(aim, base.replicas, needed, least, f"of these {base.replicas}")
        if not needed:
            plan = f"a mean lies on the wrong side so far: {_closest(selection, excess, base.kind)}"
    told = too_few(varying, base.replicas, LEAST_REPLICAS)
    return replace(base, reason=f"{told}; {plan}", replicas_needed=least)


def _excess(selection: Selection, kind: str, level: float, replicas: int) -> Excess:
    """Test every statistic as with so many replicas; certain ones are compared at rounding."""
    factor, offset = _claim(selection, kind)
    beyond = factor[:, None] * (selection.values - offset[:, None])
    varying = ~selection.certain & (np.ptp(beyond, axis=1) > 0)  # 1e-23 - 1e-3 does not vary
    mean = np.where(varying, beyond.mean(axis=1), beyond.max(axis=1))
    measured = offset + mean * factor
    strict, rounding = kind == "order", selection.rounding
    slack = np.full(mean.shape, rounding.least) if strict else rounding.slack(measured, offset)
    against = np.where(mean > slack, 0.0, 1.0)
    confirming = np.where(mean < -slack if strict else mean <= slack, 0.0, 1.0)
    error, rise, fall = np.zeros((3, selection.size))
    if varying.any():
        sample = replace(hall.summarize(beyond[varying]), replicas=replicas)
        error[varying] = sample.standard_error
        against[varying], confirming[varying] = hall.p_values(sample, np.zeros(varying.sum()))
        rise[varying] = hall.visible(sample, level / varying.sum())[0]
        fall[varying] = hall.visible(sample, level)[1]
    return Excess(
        measured=measured,
        mean=mean,
        error=error,
        against=against,
        confirming=confirming,
        rise=rise,
        fall=fall,
    )


def _claim(selection: Selection, kind: str) -> tuple[Array, Array]:
    """Return factors ±1 and offsets, each [q], of the claim "factor (x - offset) <= 0"."""
    if kind != "order":
        return np.full(selection.size, 1.0 if kind == "upper" else -1.0), selection.predicted
    if not np.all(np.abs(selection.predicted) == 1.0):
        raise HzbenchError(f"got signs {selection.predicted.tolist()}; expected +1 or -1 each")
    return -selection.predicted, np.zeros(selection.size)


def _outcome(p_value: float, level: float, excess: Excess) -> Outcome:
    """Return the outcome; a statistic cannot be significant on both sides for level < 1/2."""
    if p_value <= level:
        return "violated"
    return "consistent" if float(excess.confirming.max()) <= level else "inconclusive"


def _needed(replicas: int, excess: Excess) -> int:
    """Return the R at which the measured distances would confirm the claim with power 0.9.

    0 where a mean lies on the wrong side, so that no R is expected to confirm it.
    """
    open_ = excess.error > 0.0
    if not open_.any() or np.any(excess.mean[open_] >= 0.0):
        return 0
    return ceil(replicas * float(np.max((excess.fall[open_] / excess.mean[open_]) ** 2)))


def _bound(verdict: Verdict, selection: Selection, excess: Excess) -> Verdict:
    """Add tightness, visible error and the sentence of a bound.

    The visible error is the distance to the bound plus what the test sees beyond it: a mean that is
    wrong by less stays within the bound. Tightness is bound over mean (mean over lower bound).
    """
    visible = np.maximum(0.0, -excess.mean) + excess.rise
    size, limit = np.abs(excess.measured), np.abs(selection.predicted)
    above, below = (limit, size) if verdict.kind == "upper" else (size, limit)
    tightness = _largest(above, below, both=1.0)
    worst = _closest(selection, excess, verdict.kind)
    reasons: dict[Outcome, str] = {
        "violated": f"the bound is broken by {worst}; p = {number(verdict.p_value)}",
        "consistent": f"the bound on {subject(selection)} holds; it would only see errors beyond "
        f"a factor {number(tightness)}",
        "inconclusive": f"the bound is neither broken nor confirmed by {worst}",
    }
    return replace(
        verdict,
        tightness=tightness,
        visible_error=_largest(visible, size, both=0.0),
        reason=reasons[verdict.outcome],
        statistics=_report(selection, excess, visible),
    )


def _sign(verdict: Verdict, selection: Selection, excess: Excess) -> Verdict:
    """Add the sentence of a sign; its visible error is the difference seen with power 0.9."""
    worst = _closest(selection, excess, verdict.kind)
    level = f"p = {number(float(excess.confirming.max()))} for the other sign"
    reasons: dict[Outcome, str] = {
        "violated": f"the sign is the opposite at {worst}; p = {number(verdict.p_value)}",
        "consistent": f"the sign is as predicted, closest at {worst}; {level}",
        "inconclusive": f"the sign is not established at {worst}; {level}",
    }
    return replace(
        verdict,
        reason=reasons[verdict.outcome],
        statistics=_report(selection, excess, excess.fall),
    )


def _largest(above: Array, below: Array, both: float) -> float:
    """Return the largest ratio of magnitudes; x/0 is inf, 0/0 is `both`."""
    ratio = np.where(above > 0.0, np.inf, both)
    np.divide(above, below, out=ratio, where=below > 0.0)
    return float(ratio.max())


def _closest(selection: Selection, excess: Excess, kind: str) -> str:
    """Name the statistic that speaks most against the claim."""
    i = int(np.lexsort((-excess.mean, excess.against))[0])
    told = (
        f"sign {selection.predicted[i]:+.0f}"
        if kind == "order"
        else (f"bound {number(selection.predicted[i])}")
    )
    return (
        f"{selection.observables[i]} at step {selection.steps[i]} "
        f"({number(excess.measured[i])} ± {number(excess.error[i])} measured, {told})"
    )


def _report(selection: Selection, excess: Excess, visible: Array) -> tuple[Statistic, ...]:
    """Return one record a statistic; a one-sided claim has no tolerance."""
    return tuple(
        Statistic(
            observable=selection.observables[i],
            step=selection.steps[i],
            measured=float(excess.measured[i]),
            standard_error=float(excess.error[i]),
            predicted=float(selection.predicted[i]),
            visible_error=float(visible[i]),
            tolerance=nan,
        )
        for i in range(selection.size)
    )
