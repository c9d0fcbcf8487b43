"""Orderings: levels under the null by simulation, outcomes, crossings, seeds that show nothing."""

import numpy as np
import pytest
from scipy import stats

from hzbench.judge.ordering import crossing, judge_ordering

STEPS = np.arange(5.0)


def runs(gaps, replicas=12, seed=0, rows=5):
    """A run at 0 and others above it by `gaps`; replicas share a large common part."""
    random = np.random.default_rng(seed)
    common = 10 * random.normal(size=(rows, replicas))
    own = common + 0.1 * random.normal(size=(rows, replicas))
    others = {
        f"other {index}": common + gap + 0.1 * random.normal(size=(rows, replicas))
        for index, gap in enumerate(gaps)
    }
    return own, others


def test_pairing_sees_what_means_alone_would_not():
    own, others = runs([0.5, 1.0])
    found = judge_ordering(own, others, 4, STEPS, 1, 0.01)
    assert found.outcome == "consistent"
    unpaired = stats.ttest_ind(own[4], others["other 0"][4])
    assert unpaired.pvalue > 0.1
    expected = stats.ttest_rel(own[4], others["other 0"][4], alternative="less").pvalue
    assert found.pairs["other 0"].confirming == pytest.approx(expected, rel=1e-12)
    assert found.p_value == max(pair.confirming for pair in found.pairs.values())
    interval = stats.ttest_rel(own[4], others["other 1"][4]).confidence_interval(0.95)
    pair = found.pairs["other 1"]
    assert (pair.low, pair.high) == pytest.approx((interval.low, interval.high), rel=1e-12)


def test_one_run_that_is_lower_refutes_the_ordering():
    own, others = runs([0.5, -0.5])
    found = judge_ordering(own, others, 4, STEPS, 1, 0.01)
    assert found.outcome == "violated"
    assert "other 1" in found.reason
    assert found.p_value == pytest.approx(2 * found.pairs["other 1"].against)


def test_above_is_below_turned_round():
    own, others = runs([-0.5])
    assert judge_ordering(own, others, 4, STEPS, -1, 0.01).outcome == "consistent"
    assert judge_ordering(own, others, 4, STEPS, 1, 0.01).outcome == "violated"


def test_equal_runs_one_seed_and_divergence_decide_nothing():
    own, others = runs([0.0])
    assert judge_ordering(own, others, 4, STEPS, 1, 0.01).outcome == "inconclusive"
    same = judge_ordering(own, {"itself": own}, 4, STEPS, 1, 0.01)
    assert same.outcome == "inconclusive"
    single = judge_ordering(own[:, :1], {"b": own[:, :1] + 9}, 4, STEPS, 1, 0.01)
    assert single.outcome == "inconclusive"
    broken = own.copy()
    broken[4, 3] = np.nan
    lost = judge_ordering(broken, {"b": own + 9}, 4, STEPS, 1, 0.01)
    assert (lost.outcome, lost.reason) == ("inconclusive", "a compared replica diverged")


def test_false_alarms_of_both_kinds_stay_at_the_level():
    """Two equal others: violated at most α; one of them lower by nothing: consistent at most α."""
    trials, level = 2000, 0.05
    outcomes = [
        judge_ordering(*runs([0.0, 0.0], replicas=6, seed=seed, rows=1), 0, STEPS[:1], 1, level)
        for seed in range(trials)
    ]
    wrong = sum(found.outcome == "violated" for found in outcomes)
    assert stats.binomtest(wrong, trials, level, alternative="greater").pvalue > 1e-3
    assert wrong > 0.5 * level * trials  # Bonferroni over two that share the own run
    edge = [
        judge_ordering(*runs([0.0, 9.0], replicas=6, seed=seed, rows=1), 0, STEPS[:1], 1, level)
        for seed in range(trials)
    ]
    sure = sum(found.outcome == "consistent" for found in edge)
    assert stats.binomtest(sure, trials, level).pvalue > 1e-3


def test_the_crossing_is_the_step_from_which_the_sign_lasts():
    path = np.array([0.5, -1.0, 0.5, -0.5, -1.0])[:, None]
    noise = 1e-3 * np.random.default_rng(1).normal(size=(5, 20))
    found = crossing(path + noise, STEPS)
    assert (found.step, found.low, found.high) == (3.0, 3.0, 3.0)
    assert crossing(-1 + 0 * noise, STEPS).step == 0.0
    never = crossing(1 + 0 * noise, STEPS)
    assert np.isnan(never.step)
    assert never.low == np.inf
    wide = crossing(path + 2 * noise / 1e-3, STEPS)
    assert wide.low <= 3.0 <= wide.high
    assert wide.low < wide.high
