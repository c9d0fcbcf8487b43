import numpy as np
import pytest
from judge_synthetic import squares
from scipy import stats

from hzbench.judge import statistics as tests
from hzbench.judge.statistics import clopper_pearson, hotelling, hotelling_visible


def rejections(draw, repeats, level, shift=0.0):
    count = 0
    for _ in range(repeats):
        values = draw()
        points, replicas = values.shape
        difference = values.mean(axis=1) + shift - 1.0
        count += hotelling(difference, np.cov(values), replicas, np.zeros(points)) <= level
    return count


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_hotelling_keeps_its_level_on_skewed_correlated_columns(level):
    repeats = 1500
    rng = np.random.default_rng(11)
    count = rejections(lambda: squares(rng, 4096, 4), repeats, level)
    low, high = clopper_pearson(count, repeats, 0.999)
    assert low <= level <= high


def test_hotelling_is_student_t_for_one_statistic():
    x = np.random.default_rng(1).normal(0.1, 1.0, 50)
    p = hotelling(np.array([x.mean()]), np.cov(x[None]).reshape(1, 1), 50, np.zeros(1))
    assert p == pytest.approx(stats.ttest_1samp(x, 0.0).pvalue, rel=1e-10)


def test_hotelling_is_the_textbook_formula():
    x = np.random.default_rng(2).normal(0.1, 1.0, (3, 60))
    S, m = np.cov(x), x.mean(axis=1)
    square = 60 * m @ np.linalg.solve(S, m)
    expected = stats.f.sf(square * 57 / (3 * 59), 3, 57)
    assert hotelling(m, S, 60, np.zeros(3)) == pytest.approx(expected, rel=1e-9)


def test_hotelling_does_not_depend_on_units():
    x = np.random.default_rng(3).normal(0.05, 1.0, (3, 200))
    units = np.array([1e-9, 1.0, 1e7])
    p = hotelling(x.mean(axis=1), np.cov(x), 200, np.zeros(3))
    y = x * units[:, None]
    q = hotelling(y.mean(axis=1), np.cov(y), 200, np.zeros(3))
    assert q == pytest.approx(p, rel=1e-8)


def test_dependent_statistics_are_merged():
    x = np.random.default_rng(4).normal(0.02, 1.0, (2, 2000))
    more = np.vstack([x, x[0], 2.0 * x[0] - x[1]])
    p = hotelling(x.mean(axis=1), np.cov(x), 2000, np.zeros(2))
    q = hotelling(more.mean(axis=1), np.cov(more), 2000, np.zeros(4))
    assert tests.directions(np.cov(more)).rank == 2
    assert 1e-4 < p < 1
    assert q == pytest.approx(p, rel=1e-4)


def test_a_broken_linear_relation_is_no_chance():
    x = np.random.default_rng(5).normal(0.0, 1.0, 2000)
    both = np.vstack([x, x])
    shift = both.mean(axis=1) + np.array([0.0, 1e-3])  # 1/22 of a standard error
    assert hotelling(shift, np.cov(both), 2000, np.zeros(2)) == 0.0
    assert hotelling(shift, np.cov(both), 2000, np.full(2, 1e-3)) > 1e-3


@pytest.mark.parametrize("rank", [1, 4, 8])
@pytest.mark.parametrize("level", [0.05, 1e-4, 2.5e-6])
def test_noncentrality_gives_power_nine_tenths(rank, level):
    value = tests.noncentrality(rank, 1600, level)
    critical = stats.f.isf(level, rank, 1600 - rank)
    assert stats.ncf.sf(critical, rank, 1600 - rank, value) == pytest.approx(0.9, abs=1e-8)


def test_noncentrality_of_many_replicas_is_that_of_a_normal_mean():
    expected = (stats.norm.isf(5e-7) + stats.norm.isf(0.1)) ** 2
    assert tests.noncentrality(1, 10**7, 1e-6) == pytest.approx(expected, rel=1e-4)


def shifts(against):
    """Visible shift of statistic 1 of 4 and the pattern over all, skewed columns, R = 4096."""
    S = 0.3**2 * 0.49 ** np.abs(np.subtract.outer(range(4), range(4)))
    size = hotelling_visible(S, 4096, 1e-4, against)[1]
    return S, size * (np.eye(4)[1] if against == "alone" else S[1] / S[1, 1])


@pytest.mark.parametrize("against", ["alone", "any"])
def test_the_visible_shift_is_seen_nine_times_in_ten(against):
    rng, (S, shift) = np.random.default_rng(6), shifts(against)
    colour = np.linalg.cholesky(S)
    count = rejections(lambda: 1.0 + colour @ rng.standard_normal((4, 4096)), 1200, 1e-4, shift)
    low, high = clopper_pearson(count, 1200, 0.999)
    assert low <= 0.9 <= high


@pytest.mark.parametrize("against", ["alone", "any"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_skewness_moves_that_power_by_three_hundredths_at_most(against, sign):
    rng, (_, shift) = np.random.default_rng(8), shifts(against)
    count = rejections(lambda: squares(rng, 4096, 4), 1200, 1e-4, sign * shift)
    assert 0.87 <= count / 1200 <= 0.93


def test_a_shift_of_all_is_not_seen_at_the_size_seen_alone():
    rng, repeats = np.random.default_rng(9), 300
    S = 0.97 * np.ones((4, 4)) + 0.03 * np.eye(4)
    colour = np.linalg.cholesky(S)
    alone, anything = (hotelling_visible(S, 1600, 1e-4, a)[0] for a in ("alone", "any"))

    def draw():
        return 1.0 + colour @ rng.standard_normal((4, 1600))

    assert rejections(draw, repeats, 1e-4, np.full(4, alone)) < 0.05 * repeats
    assert rejections(draw, repeats, 1e-4, np.full(4, 1.02 * anything)) > 0.85 * repeats


def test_visible_shifts_are_the_formulas():
    x = np.random.default_rng(7).normal(size=(3, 40))
    S = np.cov(x) + 0.5
    value = tests.noncentrality(3, 900, 0.01)
    alone, anything = (hotelling_visible(S, 900, 0.01, a) for a in ("alone", "any"))
    np.testing.assert_allclose(alone, np.sqrt(value / (900 * np.diag(np.linalg.inv(S)))))
    np.testing.assert_allclose(anything, np.sqrt(value * np.diag(S) / 900))
    assert np.all(alone < anything)


def test_replicas_until_is_the_smallest():
    def ratio(replicas):
        return 3.0 / np.sqrt(replicas) * (1.0 + 10.0 / replicas)

    least = tests.replicas_until(ratio, 5)
    assert ratio(least) <= 1.0 < ratio(least - 1)
    assert tests.replicas_until(ratio, 1600) == 1600


def test_clopper_pearson_covers():
    n, p = 20, np.linspace(0.01, 0.99, 197)
    covered = np.zeros_like(p)
    for k in range(n + 1):
        low, high = clopper_pearson(k, n, 0.95)
        covered += np.where((low <= p) & (p <= high), stats.binom.pmf(k, n, p), 0.0)
    assert 0.95 <= covered.min() < 0.97


def test_clopper_pearson_of_fifty_nine_detections():
    assert clopper_pearson(59, 59, 0.9)[0] >= 0.95 > clopper_pearson(58, 58, 0.9)[0]
    assert clopper_pearson(59, 59)[1] == 1.0
    assert clopper_pearson(0, 10)[0] == 0.0
