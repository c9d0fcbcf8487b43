"""Rate predictions: the number fitted to the means equals the one fitted to the exact curve.

Under the prediction the first-order difference of the two fits, linearised at the exact curve, is a
mean over replicas whose expectation is exactly 0: the test is that of an exact prediction. What is
reported as measured is the fit of the measured means.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import HzbenchError, UserMistakeError
from hzbench.core.observable import OBSERVABLES
from hzbench.core.prediction import Fit, Prediction
from hzbench.core.trace import Trace
from hzbench.core.verdict import Statistic, Verdict
from hzbench.judge import fits
from hzbench.judge.exact import judge_exact
from hzbench.judge.rounding import Rounding, rounding_of
from hzbench.judge.select import MOST_STATISTICS, Selection
from hzbench.judge.statistics import Against
from hzbench.judge.wording import number

Array = NDArray[np.float64]
_WORDS = {"power": "slope of {}", "floor": "rate of {}"}


def judge_rate(
    base: Verdict,
    trace: Trace,
    prediction: Prediction,
    observables: Sequence[str] | None,
    steps: Sequence[int] | None,
    against: Against,
) -> Verdict:
    """Judge a rate prediction.

    Raises:
        UserMistakeError: too few common steps, or an observable that is not scalar.
        HzbenchError: the prediction does not say what to fit.
    """
    points = window(trace, prediction, steps)
    names = scalars(trace, prediction, observables)
    selection = rate_selection(trace, prediction, names, points)
    verdict = _seeing(judge_exact(base, selection, against), base.tolerance)
    kind = _kind(prediction)
    grid = np.array(points, dtype=float)
    shown, told = [], []
    for name, statistic in zip(names, verdict.statistics, strict=False):
        measured = np.stack([trace.at(name, point) for point in points])
        weights = _curve(prediction, name, points) ** -2.0
        shown.append(_refitted(statistic, kind, grid, measured, weights))
        low, high = fits.interval(kind, grid, measured, weights=weights)
        told.append(
            f"{_WORDS[kind].format(name)} in [{number(low)}, {number(high)}] at 95 %, "
            f"{number(statistic.predicted)} predicted"
        )
    return replace(verdict, statistics=tuple(shown), reason=_reason(verdict, told))


def _seeing(verdict: Verdict, tolerance: float) -> Verdict:
    """Agreement at rounding counts only where rounding hides nothing that matters."""
    hidden = verdict.kind == "invariant" and verdict.tolerance > tolerance
    if not hidden or verdict.outcome == "violated":
        return verdict
    reason = f"{verdict.reason}, which hides what matters: the curve falls too far; fit fewer steps"
    return replace(verdict, outcome="inconclusive", reason=reason)


def _reason(verdict: Verdict, told: list[str]) -> str:
    """The sentence of the test; a rejection names the fits, not their linearisation."""
    if verdict.outcome == "violated":
        p_value, level = number(verdict.p_value), number(verdict.level)
        return f"the fits disagree: {'; '.join(told)}; p = {p_value} ≤ {level}"
    return f"{verdict.reason} ({'; '.join(told)})" if told else verdict.reason


def rate_selection(
    trace: Trace, prediction: Prediction, names: Sequence[str], points: Sequence[int]
) -> Selection:
    """One statistic an observable: the linearised fit of every replica against that of theory."""
    grid, kind = np.array(points, dtype=float), _kind(prediction)
    values, predicted = [], []
    for name in names:
        exact = _curve(prediction, name, points)
        fitted = fits.fit(kind, grid, exact)
        measured = np.stack([trace.at(name, point) for point in points])
        values.append(fits.replica_values(fitted, exact, measured))
        predicted.append(fitted.value)
    size, rounding = len(names), _rounding(trace, prediction, names, points)
    fitted_values = np.array(values)
    spans = np.ptp(fitted_values, axis=1)
    still = spans <= rounding_of(trace).relative * np.abs(fitted_values).max(axis=1)
    return Selection(
        observables=tuple(_WORDS[kind].format(name) for name in names),
        steps=(points[-1],) * size,
        values=fitted_values,
        predicted=np.array(predicted),
        spread=np.full(size, np.nan),
        unit=np.zeros(size),  # the error that matters is a fraction of the number itself
        certain=still & (trace.replicas > 1),
        rounding=rounding,
    )


def _rounding(
    trace: Trace, prediction: Prediction, names: Sequence[str], points: Sequence[int]
) -> Rounding:
    """What rounding may do to a fit of values that do not vary.

    Its smallest value carries the residue of its largest one.
    """
    rounding = rounding_of(trace)
    curves = [_curve(prediction, name, points) for name in names]
    span = max(float(curve.max() / curve.min()) for curve in curves)
    return replace(rounding, relative=max(rounding.relative, rounding.residue * span))


def window(trace: Trace, prediction: Prediction, wanted: Sequence[int] | None) -> list[int]:
    """The positive record points that both hold, or those asked for."""
    common = {step for step in prediction.steps if step > 0} & set(trace.steps.tolist())
    chosen = sorted(common if wanted is None else set(wanted))
    least = fits.LEAST_POINTS[_kind(prediction)]
    if not set(chosen) <= common or len(chosen) < least:
        raise UserMistakeError(
            f"got record points {chosen} for a fit; expected at least {least} of {sorted(common)}; "
            "record more steps"
        )
    return chosen


def scalars(trace: Trace, prediction: Prediction, wanted: Sequence[str] | None) -> list[str]:
    """The scalar observables to fit, at most 8, in the order of the vocabulary."""
    known = [name for name in OBSERVABLES if name in prediction.values and name in trace.columns]
    scalar = [name for name in known if trace.columns[name].ndim == 2]
    missing = sorted(set(wanted or ()) - set(scalar))
    if missing or not scalar:
        raise UserMistakeError(
            f"got observables {missing or sorted(prediction.values)} for a fit; expected scalars "
            f"among {scalar}; correct them"
        )
    return [name for name in scalar if wanted is None or name in wanted][:MOST_STATISTICS]


def _curve(prediction: Prediction, name: str, points: Sequence[int]) -> Array:
    rows = [prediction.steps.index(point) for point in points]
    return np.asarray(prediction.values[name], dtype=np.float64)[rows]


def _kind(prediction: Prediction) -> Fit:
    if prediction.fit is None:
        raise HzbenchError(
            f"got the rate prediction {prediction.theorem} without a fit; expected power or floor; "
            "set Prediction.fit"
        )
    return prediction.fit


def _refitted(
    statistic: Statistic, kind: Fit, grid: Array, measured: Array, weights: Array
) -> Statistic:
    """The statistic with the fit of the measured means in place of its linearisation."""
    fitted = fits.fit(kind, grid, measured.mean(axis=1), weights)
    return replace(statistic, measured=fitted.value)
