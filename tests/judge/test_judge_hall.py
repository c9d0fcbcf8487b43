import dataclasses

import numpy as np
import pytest
from scipy import stats

from hzbench.judge import hall
from hzbench.judge.statistics import clopper_pearson

REPEATS = 6000


@pytest.fixture(scope="module")
def samples():
    """6000 runs of 400 replicas of the square of a normal: mean 1, skewness 2.8."""
    return hall.summarize(np.random.default_rng(21).standard_normal((REPEATS, 400)) ** 2)


def inside(mask, rate):
    low, high = clopper_pearson(int(mask.sum()), mask.size, 0.999)
    return low <= rate <= high


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_both_sides_keep_their_level(samples, level):
    above, below = hall.p_values(samples, np.ones(REPEATS))
    assert inside(above <= level, level)
    assert inside(below <= level, level)
    assert inside(hall.two_sided(samples, np.ones(REPEATS)) <= level, level)


def test_student_would_not(samples):
    t = (samples.mean - 1.0) / samples.standard_error
    assert not inside(stats.t.cdf(t, 399) <= 0.01, 0.01)


@pytest.fixture(scope="module")
def population():
    """The law of the samples, by its quantiles."""
    values = stats.chi2(1).ppf((np.arange(100_000) + 0.5) / 100_000)[None]
    return dataclasses.replace(hall.summarize(values), replicas=400)


@pytest.mark.parametrize("tail", [0.025, 0.001])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_visible_shift_is_seen_nine_times_in_ten(samples, population, tail, sign):
    rise, fall = hall.visible(population, tail)
    size = rise[0] if sign > 0 else -fall[0]
    above, below = hall.p_values(samples, np.full(REPEATS, 1.0 - size))
    assert inside((above if sign > 0 else below) <= tail, 0.9)


def test_a_rise_of_right_skewed_data_is_seen_sooner_than_a_fall(population):
    rise, fall = hall.visible(population, 0.001)
    assert 1.3 * rise[0] < fall[0]


def test_without_skewness_it_is_student():
    x = np.array([[-3.0, -1.0, 0.5, 1.5, 0.5, -1.0, 2.5, 0.0]])
    x = np.hstack([x, -x]) + 0.3
    expected = stats.ttest_1samp(x[0], 0.0)
    sample = hall.summarize(x)
    assert hall.two_sided(sample, np.zeros(1))[0] == pytest.approx(expected.pvalue, rel=1e-12)
    rise, fall = hall.visible(sample, 0.05)
    assert fall[0] == pytest.approx(rise[0])


def test_the_visible_shift_of_many_normal_replicas_is_the_textbook_one():
    x = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)[None]
    rise, _ = hall.visible(hall.summarize(x), 1e-6)
    expected = (stats.norm.isf(1e-6) + stats.norm.isf(0.1)) / np.sqrt(100_000)
    assert rise[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("bend", [0.0, 1e-9, 0.05, -0.4, 3.0])
def test_the_inverse_inverts(bend):
    y = np.linspace(-9.0, 9.0, 41)
    a = np.full_like(y, bend)
    t = hall.inverse(y, a)
    assert np.all(np.diff(t) > 0.0)
    np.testing.assert_allclose(hall.transform(t, a), y, atol=1e-12)


def test_mirrored_data_mirror_the_p_values(samples):
    mirrored = dataclasses.replace(samples, mean=-samples.mean, standardized=-samples.standardized)
    above, below = hall.p_values(samples, np.ones(REPEATS))
    other_above, other_below = hall.p_values(mirrored, -np.ones(REPEATS))
    np.testing.assert_allclose(other_above, below)
    np.testing.assert_allclose(other_below, above)
