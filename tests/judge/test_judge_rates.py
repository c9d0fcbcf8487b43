"""Fits against polyfit, curve_fit, finite differences and the bootstrap; verdicts on rates."""

import numpy as np
import pytest
from judge_synthetic import make_trace, predict
from scipy.optimize import curve_fit

from hzbench.core.errors import HzbenchError, UserMistakeError
from hzbench.judge import judge
from hzbench.judge.fits import fit, interval, replica_values

STEPS = (1, 2, 4, 8, 16, 32, 64, 100)
GRID = np.array(STEPS, dtype=float)
LEVEL = 1e-4


def curve(rate=0.07, scale=5.0, floor=0.2):
    return scale * np.exp(-rate * GRID) + floor


def bent():
    """No exact exponential: residuals that do not vanish."""
    return curve() * (1 + 0.1 * np.sin(GRID))


def replicas(rng, means, count, cv=0.4):
    """Skewed, correlated over steps, with these means: [T, count]."""
    z = np.cumsum(rng.standard_normal((len(means), count)), axis=0)
    z /= np.sqrt(np.arange(1, len(means) + 1))[:, None]
    return means[:, None] * (1 + cv * (z**2 - 1) / np.sqrt(2))


def test_power_slope_is_that_of_polyfit():
    fitted = fit("power", GRID, bent())
    assert fitted.value == pytest.approx(np.polyfit(np.log(GRID), np.log(bent()), 1)[0], rel=1e-12)


def test_floor_rate_recovers_an_exact_curve():
    for rate in (0.002, 0.07, 0.9):
        assert fit("floor", GRID, curve(rate)).value == pytest.approx(rate, rel=1e-8)


def test_floor_rate_is_that_of_a_general_least_squares():
    def model(t, r, c, f):
        return c * np.exp(-r * t) + f

    found = curve_fit(model, GRID, bent(), p0=(0.05, 4.0, 0.1), sigma=bent(), xtol=1e-14)[0]
    assert fit("floor", GRID, bent()).value == pytest.approx(found[0], rel=1e-6)


@pytest.mark.parametrize("kind", ["power", "floor"])
def test_gradient_is_the_finite_difference(kind):
    weights, means, step = bent() ** -2, bent(), 1e-6
    gradient = fit(kind, GRID, means, weights).gradient
    for t in range(len(GRID)):
        ahead, behind = means.copy(), means.copy()
        ahead[t] *= 1 + step
        behind[t] *= 1 - step
        slope = fit(kind, GRID, ahead, weights).value - fit(kind, GRID, behind, weights).value
        assert gradient[t] == pytest.approx(slope / (2 * step * means[t]), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("kind", ["power", "floor"])
def test_interval_is_as_wide_as_the_bootstrap_over_replicas(kind):
    rng = np.random.default_rng(3)
    values, weights = replicas(rng, curve(), 2000, cv=0.2), curve() ** -2
    low, high = interval(kind, GRID, values, weights=weights)
    again = [
        fit(kind, GRID, values[:, rng.integers(2000, size=2000)].mean(1), weights).value
        for _ in range(300)
    ]
    assert high - low == pytest.approx(2 * 1.96 * np.std(again), rel=0.15)
    assert low < fit(kind, GRID, curve()).value < high


def test_replica_values_have_the_mean_of_the_linearised_fit():
    rng = np.random.default_rng(5)
    values, fitted = replicas(rng, curve(), 50), fit("floor", GRID, curve())
    each = replica_values(fitted, curve(), values)
    shift = fitted.gradient @ (values.mean(1) - curve())
    assert each.mean() == pytest.approx(fitted.value + shift)


def judged(kind, measured, exact, **words):
    trace = make_trace({"objective_gap": measured}, steps=STEPS)
    prediction = predict({"objective_gap": np.zeros(1)}, kind="rate", steps=STEPS, fit=kind)
    prediction.values["objective_gap"][:] = exact
    return judge(trace, prediction, level=LEVEL, **words)


@pytest.mark.parametrize("kind", ["power", "floor"])
def test_verdicts(kind):
    rng = np.random.default_rng(8)
    good = judged(kind, replicas(rng, curve(), 4096), curve())
    assert good.outcome == "consistent"
    assert good.statistics[0].predicted == fit(kind, GRID, curve()).value
    assert good.statistics[0].tolerance == pytest.approx(0.05 * abs(good.statistics[0].predicted))
    assert "at 95 %" in good.reason
    bad = judged(kind, replicas(rng, curve(rate=0.076), 4096), curve())
    assert bad.outcome == "violated"
    refit = fit(kind, GRID, curve(rate=0.076), curve() ** -2).value
    assert bad.reason.startswith("the fits disagree: ")
    assert bad.statistics[0].measured == pytest.approx(refit, rel=0.02)


def test_an_asymptotic_exponent_would_be_wrong():
    """1/(t + 10) has the exponent −1 and, on this grid, the slope −0.5."""
    exact = 1 / (GRID + 10)
    fitted = fit("power", GRID, exact)
    assert -0.6 < fitted.value < -0.4
    rng = np.random.default_rng(2)
    assert judged("power", replicas(rng, exact, 4096), exact).outcome == "consistent"
    asymptotic = GRID**-1.0
    assert judged("power", replicas(rng, exact, 4096), asymptotic).outcome == "violated"


def test_a_common_factor_changes_no_rate():
    rng = np.random.default_rng(9)
    values = 1.3 * replicas(rng, curve(), 4096)
    assert judged("power", values, curve()).outcome == "consistent"


@pytest.mark.parametrize("kind", ["power", "floor"])
def test_runs_without_noise_are_compared_at_rounding(kind):
    def certain(means):
        return judged(kind, np.repeat(means[:, None], 3, axis=1), curve())

    same = certain(curve())
    assert (same.outcome, same.kind) == ("consistent", "invariant")
    assert certain(curve(rate=0.07 * (1 + 1e-5))).outcome == "violated"


def test_values_that_fall_to_rounding_carry_it_into_the_fit():
    """At 5e-15 of the first value the last one is all rounding: no fit of it is exact to 1e-9."""
    exact = np.exp(-0.33 * GRID)
    off = np.repeat((exact + 1e-17)[:, None], 3, axis=1)
    whole = judged("power", off, exact)
    assert whole.outcome == "inconclusive"
    assert whole.tolerance == pytest.approx(1e-13 * exact[0] / exact[-1])
    assert "the curve falls too far; fit fewer steps" in whole.reason
    assert judged("power", off, exact, steps=STEPS[:6]).outcome == "consistent"
    bent_down = np.repeat((exact * GRID**0.01)[:, None], 3, axis=1)
    assert judged("power", bent_down, exact, steps=STEPS[:6]).outcome == "violated"


def test_few_replicas_decide_nothing():
    rng = np.random.default_rng(1)
    verdict = judged("power", replicas(rng, curve(), 1000), curve())
    assert verdict.outcome == "inconclusive"
    assert verdict.replicas_needed == 1600


def test_mistakes():
    rng = np.random.default_rng(1)
    values = replicas(rng, curve(), 1600)
    with pytest.raises(UserMistakeError, match="at least 4"):
        judged("floor", values, curve(), steps=(1, 2, 4))
    with pytest.raises(UserMistakeError, match="expected scalars"):
        judged("floor", values, curve(), observables=["mean_iterate"])
    with pytest.raises(UserMistakeError, match="positive ones"):
        judged("power", values, curve() - 1)
    with pytest.raises(HzbenchError, match="without a fit"):
        judged(None, values, curve())
