"""False-alarm rates of the judge against binomial and normal theory."""

import numpy as np
import pytest
from judge_synthetic import make_trace, predict, squares
from scipy import stats

from hzbench.core.prediction import Contrast
from hzbench.judge.calibrate import (
    block_p_values,
    false_alarms,
    resampled_p_values,
    statistics_of,
)

STEPS = (10, 20)


def pool_of(replicas, seed=1, shift=0.0, points=2):
    """Independent normal columns of mean 1 and standard deviation 0.3."""
    values = 1 + 0.3 * np.random.default_rng(seed).standard_normal((points, replicas))
    steps = STEPS[:points]
    trace = make_trace({"objective_gap": values}, steps=steps)
    exact = predict({"objective_gap": np.full(1, 1.0 + shift)}, steps=steps)
    return statistics_of(trace, exact)


def test_blocks_of_normal_replicas_have_the_p_values_of_hotelling():
    """T² by a solve of the textbook formula, and uniform over blocks."""
    pool = pool_of(300 * 200)
    found = block_p_values(pool, 200)
    assert len(found) == 300
    assert stats.kstest(found, "uniform").pvalue > 0.001
    cut = pool.values[:, 200:400]
    away = cut.mean(axis=1) - 1.0
    square = 200 * away @ np.linalg.solve(np.cov(cut), away)
    assert found[1] == pytest.approx(stats.f.sf(square * 198 / (2 * 199), 2, 198), rel=1e-6)


def test_one_normal_column_has_the_p_values_of_student_up_to_skewness():
    pool = pool_of(40 * 2000, points=1)
    found = block_p_values(pool, 2000)
    student = [stats.ttest_1samp(cut, 1.0).pvalue for cut in np.split(pool.values[0], 40)]
    assert found == pytest.approx(student, abs=0.05)


def test_a_leftover_block_is_not_used():
    assert len(block_p_values(pool_of(1999), 500)) == 3


def test_resamples_are_judged_against_the_mean_of_the_pool():
    """A prediction that is wrong for the pool changes nothing."""
    right, wrong = pool_of(20_000), pool_of(20_000, shift=5.0)
    found = resampled_p_values(right, 400, 300, seed=4)
    assert (found == resampled_p_values(wrong, 400, 300, seed=4)).all()
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_skewed_columns_are_rejected_at_their_level():
    rng = np.random.default_rng(6)
    trace = make_trace({"objective_gap": squares(rng, 50_000)})
    pool = statistics_of(trace, predict({"objective_gap": 1.0}), steps=(40,))
    rate = false_alarms(resampled_p_values(pool, 1600, 4000, seed=1), 0.05, rates=1)
    assert rate.low < 0.05 < rate.high


def test_a_wrong_prediction_raises_alarms():
    rate = false_alarms(block_p_values(pool_of(20 * 1000, shift=0.05), 1000), 0.01, rates=12)
    assert rate.rate > 0.8
    assert not rate.kept


def test_intervals_are_binomial():
    rate = false_alarms(np.r_[np.full(7, 0.01), np.full(93, 0.5)], 0.02, rates=5)
    test = stats.binomtest(7, 100)
    ordinary, joint = (test.proportion_ci(c, "exact") for c in (0.95, 0.99))
    assert (rate.low, rate.high) == pytest.approx((ordinary.low, ordinary.high))
    assert rate.least == pytest.approx(joint.low)
    assert rate.kept == (joint.low <= 0.02)
    assert false_alarms(np.ones(50), 0.01, rates=1).kept


def test_contrasts_and_rates_are_known():
    rng = np.random.default_rng(3)
    steps = (1, 2, 4, 8)
    means = 3.0 / (np.arange(4) + 1)
    values = means[:, None] * squares(rng, 2000, points=4)
    vector = np.stack([values[:, :, None][..., 0]] * 2, axis=-1)
    trace = make_trace({"objective_gap": values, "probe_sums": vector}, steps=steps)
    rate = predict({"objective_gap": np.zeros(1)}, kind="rate", steps=steps, fit="power")
    rate.values["objective_gap"][:] = means
    chosen = statistics_of(trace, rate)
    assert chosen.values.shape == (1, 2000)
    contrast = Contrast(
        source="probe_sums", coefficients=np.array([1.0, -2.0]), scale=np.array([0.0, 4.0])
    )
    zero = predict({"martingale_mean": 0.0}, steps=steps, contrasts={"martingale_mean": contrast})
    chosen = statistics_of(trace, zero, steps=(8,))
    assert chosen.values[0] == pytest.approx(-values[3] / (4 * values[3].mean()))
    assert chosen.unit.tolist() == [1.0]
    assert np.isnan(chosen.spread).all()
