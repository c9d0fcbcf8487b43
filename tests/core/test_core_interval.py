"""Intervals of means: printed quantiles of Student's t, and how often they hold the truth."""

import numpy as np
import pytest

from hzbench.core.interval import interval_errors


@pytest.mark.parametrize(
    ("replicas", "printed"), [(2, 12.706), (3, 4.303), (6, 2.571), (17, 2.120), (10**6, 1.960)]
)
def test_quantiles_are_those_of_printed_tables(replicas, printed):
    assert interval_errors(replicas) == pytest.approx(printed, abs=6e-4)


def test_a_run_alone_has_no_interval():
    assert np.isnan(interval_errors(1))
    assert np.isnan(interval_errors(0))


def test_three_seeds_hold_the_truth_at_the_rate_that_is_stated():
    """At 1.96 errors three normal seeds would hold it 81 times in 100."""
    trials = 40_000
    drawn = np.random.default_rng(3).normal(size=(trials, 3))
    held = np.abs(drawn.mean(1)) <= interval_errors(3) * drawn.std(1, ddof=1) / np.sqrt(3)
    assert abs(held.mean() - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / trials)
