"""The verdict: one prediction, one run, one p-value."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hzbench.core.contrast import contrasted
from hzbench.core.errors import UserMistakeError
from hzbench.core.prediction import Prediction
from hzbench.core.trace import OK, Trace
from hzbench.core.verdict import Outcome, Verdict
from hzbench.judge.exact import judge_exact
from hzbench.judge.onesided import judge_onesided
from hzbench.judge.rate import judge_rate
from hzbench.judge.select import Selection, select
from hzbench.judge.statistics import Against


def judge(
    trace: Trace,
    prediction: Prediction,
    *,
    level: float,
    tolerance: float = 0.05,
    observables: Sequence[str] | None = None,
    steps: Sequence[int] | None = None,
    against: Against = "any",
    expected: Outcome = "consistent",
    expectation_reason: str = "",
) -> Verdict:
    """Say whether a run agrees with a prediction.

    Exact predictions are tested by Hotelling's T² (Hall's t for one statistic), values that do not
    vary at 1e-9 relative, bounds and signs by Hall's one-sided t, rates by comparing the fit of the
    means with that of the exact curve (see `judge.exact`, `judge.onesided`, `judge.rate`;
    `judge.select` says which numbers are compared).

    Args:
        trace: what was measured.
        prediction: what theory says.
        level: α/K, the probability of a false "violated", fixed before the run.
        tolerance: the error that matters, a fraction of max(|prediction|, standard deviation).
        observables: what to compare instead of the default choice.
        steps: record points to compare instead of the default choice, at most 4.
        against: which error must be visible before agreement counts: in one statistic "alone", or
            in "any" pattern over the statistics that contains it.
        expected: the outcome that the suite expects.
        expectation_reason: why, when it is not "consistent".

    Raises:
        UserMistakeError: a level or tolerance out of range, or nothing to compare.
    """
    if not (0.0 < level < 1.0 and tolerance > 0.0):
        raise UserMistakeError(
            f"got level {level} and tolerance {tolerance}; expected 0 < level < 1, tolerance > 0"
        )
    base = Verdict(
        theorem=prediction.theorem,
        outcome="inconclusive",
        reason="",
        kind=prediction.kind,
        level=level,
        replicas=trace.replicas,
        tolerance=tolerance,
        expected=expected,
        expectation_reason=expectation_reason,
    )
    if not prediction.applies:
        return replace(base, outcome="inapplicable", reason=_failed(prediction))
    failed = int(np.count_nonzero(trace.status != OK))
    if failed:
        return replace(base, reason=f"{failed} of {trace.replicas} replicas diverged")
    if prediction.kind == "rate":
        return judge_rate(base, trace, prediction, observables, steps, against)
    selection = select(contrasted(trace, prediction), prediction, observables, steps)
    reason = _not_finite(selection)
    if reason:
        return replace(base, reason=reason)
    if prediction.kind == "exact":
        return judge_exact(base, selection, against)
    return judge_onesided(base, selection)


def _failed(prediction: Prediction) -> str:
    """Return the assumptions that do not hold, with their numbers."""
    broken = [assumption for assumption in prediction.assumptions if not assumption.holds]
    told = [f"{item.text} ({item.detail})" if item.detail else item.text for item in broken]
    return f"assumed but not so: {'; '.join(told)}"


def _not_finite(selection: Selection) -> str:
    """Return why the selected numbers cannot be compared, empty if they can."""
    bad = ~np.isfinite(selection.values)
    if bad.any():
        count, replicas = int(bad.any(axis=0).sum()), selection.values.shape[1]
        names = sorted({selection.observables[i] for i in np.flatnonzero(bad.any(axis=1))})
        return f"{', '.join(names)} not finite in {count} of {replicas} replicas"
    if not np.isfinite(selection.predicted).all():
        i = int(np.flatnonzero(~np.isfinite(selection.predicted))[0])
        where = f"{selection.observables[i]} at step {selection.steps[i]}"
        return f"theory gives no finite value for {where}"
    return ""
