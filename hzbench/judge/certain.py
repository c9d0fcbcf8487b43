"""Values that do not vary: every replica is compared with the prediction, at rounding."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.verdict import Statistic, Verdict
from hzbench.judge.select import MOST_STATISTICS, Selection
from hzbench.judge.wording import number, subject

Array = NDArray[np.float64]


def judge_certain(base: Verdict, certain: Selection) -> Verdict:
    """Compare the replica farthest from the prediction (p = 1 or 0; reports the worst eight)."""
    distance = np.abs(certain.values - certain.predicted[:, None])
    measured = certain.values[np.arange(certain.size), np.argmax(distance, axis=1)]
    slack = certain.rounding.slack(measured, certain.predicted)
    excess = distance.max(axis=1) / slack
    agree = bool(np.all(excess <= 1.0))
    worst = np.argsort(-excess, kind="stable")[:MOST_STATISTICS].tolist()
    return replace(
        base,
        outcome="consistent" if agree else "violated",
        reason=_agreement(certain) if agree else _mismatch(certain, measured, worst[0]),
        kind="invariant",
        method="deterministic",
        p_value=1.0 if agree else 0.0,
        tolerance=certain.rounding.relative,
        visible_error=certain.rounding.relative,
        statistics=tuple(_report(certain, measured, slack, i) for i in sorted(worst)),
    )


def _agreement(certain: Selection) -> str:
    count = f"{certain.size} value{'s' if certain.size > 1 else ''}"
    granted = number(certain.rounding.relative)
    return f"{count} of {subject(certain)} agree to rounding ({granted} relative)"


def _mismatch(certain: Selection, measured: Array, i: int) -> str:
    where = f"{certain.observables[i]} at step {certain.steps[i]}"
    told = f"{measured[i]:.10g} measured, {certain.predicted[i]:.10g} predicted"
    return f"{where} should be the same in every replica and is off by more than rounding: {told}"


def _report(certain: Selection, measured: Array, slack: Array, i: int) -> Statistic:
    """Return the record of one value; what it can see and what matters is rounding."""
    return Statistic(
        observable=certain.observables[i],
        step=certain.steps[i],
        measured=float(measured[i]),
        standard_error=0.0,
        predicted=float(certain.predicted[i]),
        visible_error=float(slack[i]),
        tolerance=float(slack[i]),
    )
