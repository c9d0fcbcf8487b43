"""Times to a target on curves whose answer is known."""

from math import inf, log

import numpy as np
import pytest

from hzbench.judge.target_time import lowest_level, target_time, time_ratio, time_to_target

SECONDS = np.arange(0.0, 201.0)


def test_a_decreasing_curve_arrives_where_it_crosses():
    means = np.exp(-SECONDS / 20)
    assert time_to_target(SECONDS, means, 0.01) == np.ceil(20 * log(100))


def test_one_that_leaves_within_a_tenth_of_the_time_does_not_count():
    means = np.where(SECONDS < 50, 1.0, 0.1)
    means[55] = 1.0  # 10 % of 50 s is 5 s: up to and including second 55
    assert time_to_target(SECONDS, means, 0.5) == 56
    means[55], means[56] = 0.1, 1.0
    assert time_to_target(SECONDS, means, 0.5) == 50


def test_never_reached_and_reached_too_late_to_tell_are_never():
    assert time_to_target(SECONDS, 1 + 0 * SECONDS, 0.5) == inf
    late = np.where(SECONDS < 185, 1.0, 0.1)  # 1.1 · 185 > 200
    assert time_to_target(SECONDS, late, 0.5) == inf
    assert time_to_target(SECONDS, np.where(SECONDS < 180, 1.0, 0.1), 0.5) == 180


def test_the_start_counts_and_nan_does_not():
    assert time_to_target(SECONDS, 0 * SECONDS, 0.5) == 0
    assert time_to_target(SECONDS, np.full(201, np.nan), 0.5) == inf


def test_every_column_by_itself_as_a_plain_loop_says():
    random = np.random.default_rng(3)
    seconds = np.sort(random.random(60)) * 100
    curves = np.abs(random.normal(size=(60, 50)).cumsum(axis=0)) + 0.1

    def plain(curve):
        for j, t in enumerate(seconds):
            window = [v for s, v in zip(seconds, curve, strict=True) if t <= s <= 1.1 * t]
            if seconds[-1] >= 1.1 * t and curve[j] <= 1.5 and max(window) <= 1.5:
                return t
        return inf

    expected = [plain(curve) for curve in curves.T]
    assert len(set(expected)) > 5
    assert time_to_target(seconds, curves, 1.5).tolist() == expected


def test_the_floor_is_the_lowest_target_that_is_reached():
    random = np.random.default_rng(5)
    curve = 0.3 + np.exp(-SECONDS / 15) + 0.05 * random.random(201)
    floor = float(lowest_level(SECONDS, curve))
    assert time_to_target(SECONDS, curve, floor) < inf
    assert time_to_target(SECONDS, curve, floor * (1 - 1e-9)) == inf


def decays(rate, random, replicas=64, points=400):
    """Replicas of exp(−rate t) times chi-square noise of 20 degrees of freedom."""
    seconds = np.geomspace(1, 1000, points)
    noise = random.chisquare(20, (points, replicas)) / 20
    return seconds, np.exp(-rate * seconds)[:, None] * noise


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(7)
    inside = 0
    for _ in range(100):
        seconds = np.geomspace(20, 300, 400)
        scale = random.chisquare(20, 64) / 20  # one factor a replica: smooth curves
        found = target_time(seconds, np.exp(-seconds / 20)[:, None] * scale, 0.01)
        inside += found.low <= 20 * log(100) * 1.01 and found.high >= 20 * log(100) * 0.99
    assert 88 <= inside <= 100


def test_a_ratio_of_two_and_its_sign():
    random = np.random.default_rng(11)
    fast, slow = decays(0.04, random), decays(0.02, random)
    found = time_ratio(fast, slow, 0.01, 0.05)
    assert found.low < 0.5 < found.high
    assert found.outcome == "faster"
    assert time_ratio(slow, fast, 0.01, 0.05).outcome == "slower"
    assert time_ratio(fast, fast, 0.01, 0.05).outcome == "undecided"


def test_one_that_never_arrives_gives_a_bound():
    random = np.random.default_rng(13)
    fast = decays(0.04, random)
    never = fast[0], np.ones((400, 64))
    found = time_ratio(fast, never, 0.01, 0.05)
    assert found.low == 0
    assert found.outcome == "faster"
    assert found.ratio == pytest.approx(
        time_to_target(fast[0], fast[1].mean(axis=1), 0.01) * 1.1 / 1000, rel=1e-9
    )
    assert time_ratio(never, fast, 0.01, 0.05).high == inf
    assert np.isnan(time_ratio(never, never, 0.01, 0.05).ratio)
