"""Numbers of a paper: two one-sided tests against scipy's, error rates by plain Monte Carlo."""

import numpy as np
import pytest
from scipy import stats

from hzbench.judge.reading import judge_reading, mean_of

VALUES = np.array([0.31, 0.28, 0.35, 0.30])


def test_mean_and_interval():
    found = mean_of(VALUES)
    expected = stats.ttest_1samp(VALUES, 0.0).confidence_interval(0.95)
    assert found.measured == pytest.approx(VALUES.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    alone = mean_of(VALUES[:1])
    assert alone.measured == VALUES[0]
    assert np.isnan([alone.standard_error, alone.low, alone.high]).all()


@pytest.mark.parametrize(
    ("printed", "tolerance"), [(0.3, 0.1), (0.3, 0.02), (0.0, 0.2), (0.5, 0.1)]
)
def test_p_values_are_those_of_one_sided_t_tests(printed, tolerance):
    low = stats.ttest_1samp(VALUES, printed - tolerance, alternative="greater")
    high = stats.ttest_1samp(VALUES, printed + tolerance, alternative="less")
    within = max(low.pvalue, high.pvalue)
    outside = 2 * min(1 - low.pvalue, 1 - high.pvalue)
    found = judge_reading(VALUES, printed, tolerance, 0.05)
    if outside <= 0.05:
        assert (found.outcome, found.p_value) == ("violated", pytest.approx(outside))
    else:
        outcome = "consistent" if within <= 0.05 else "inconclusive"
        assert (found.outcome, found.p_value) == (outcome, pytest.approx(within))


def test_all_three_outcomes_occur():
    told = {(0.3, 0.1): "consistent", (0.3, 0.02): "inconclusive", (0.0, 0.2): "violated"}
    for (printed, tolerance), outcome in told.items():
        assert judge_reading(VALUES, printed, tolerance, 0.05).outcome == outcome
    assert judge_reading(-VALUES, 0.0, 0.2, 0.05).outcome == "violated"


@pytest.mark.parametrize("values", [[0.3], [0.3, np.nan], [np.inf, 0.3]])
def test_one_seed_or_a_diverged_one_decides_nothing(values):
    found = judge_reading(np.array(values), 0.3, 0.1, 0.05)
    assert found.outcome == "inconclusive"


def test_equal_seeds_are_compared_as_numbers():
    same = np.full(3, 0.25)
    assert judge_reading(same, 0.0, 0.5, 1e-9).outcome == "consistent"
    assert judge_reading(same, 0.0, 0.125, 1e-9).outcome == "violated"
    assert judge_reading(same, 0.0, 0.25, 1e-9).outcome == "inconclusive"  # on the edge


@pytest.mark.parametrize(
    ("truth", "wrong"), [(0.2, "consistent"), (-0.2, "consistent"), (0.2, "violated")]
)
def test_on_the_edge_of_the_tolerance_each_error_keeps_its_level(truth, wrong):
    """A number on the edge counts as both: 2000 experiments of five seeds, level 0.1."""
    draws = truth + 0.05 * np.random.default_rng(5).standard_normal((2000, 5))
    found = [judge_reading(row, 0.0, 0.2, 0.1).outcome for row in draws]
    level = 0.1 if wrong == "consistent" else 0.05  # half of it on either side
    assert stats.binomtest(found.count(wrong), 2000, level).pvalue > 1e-3
