"""Functions of eight lanes against mpmath: dense grids, and every end of the range of float64."""

import mpmath
import numpy as np
import pytest
from numba import njit

from hzbench.core.lane_functions import exp, logistic_slopes
from hzbench.core.masked_lanes import lane, load, pack, store, total, totals

TINY = 5e-324
LARGEST = np.finfo(float).max


def compiled(function):
    """What takes lanes, as a function of one array."""

    @njit(error_model="numpy")
    def run(x, out):
        for k in range(0, len(x), 8):
            store(out, (k,), len(x) - k, function(load(x, (k,), len(x) - k)))

    def call(x):
        out = np.empty(len(x))
        run(np.asarray(x, dtype=float), out)
        return out

    return call


def exactly(function, *columns):
    """A function of mpmath, its values rounded to float64."""
    with mpmath.workdps(50):
        return np.array(
            [float(function(*map(mpmath.mpf, row))) for row in zip(*columns, strict=True)]
        )


def ulps(found, expected):
    """Units in the last place between two arrays that are infinite at the same places."""
    assert (np.isfinite(found) == np.isfinite(expected)).all()
    rest = np.isfinite(expected)
    assert (found[~rest] == expected[~rest]).all()
    return np.abs(found[rest] - expected[rest]) / np.spacing(np.abs(expected[rest]))


def wide(seed, count=4000):
    """Numbers of any size and either sign, and the ends of the range."""
    random = np.random.default_rng(seed)
    some = random.choice([-1.0, 1.0], count) * 2.0 ** random.uniform(-60, 12, count)
    return np.concatenate([some, [0.0, TINY, -TINY, LARGEST, -LARGEST]])


def margins():
    return np.concatenate([wide(1), np.linspace(-800, 760, 6001), np.linspace(-1, 1, 2001)])


powers = compiled(exp)


def test_exp_is_within_an_ulp():
    x = np.concatenate([margins(), np.random.default_rng(2).uniform(-746, -700, 2000)])
    assert ulps(powers(x), exactly(mpmath.exp, x)).max() <= 1


def test_exp_at_the_ends_of_float64():
    top, bottom = np.log(LARGEST), -745.1332191019411  # e^bottom is above half the least number
    x = [0.0, -0.0, np.inf, -np.inf, np.nan, top, np.nextafter(top, 800), bottom]
    expected = [1.0, 1.0, np.inf, 0.0, np.nan, float(mpmath.exp(top)), np.inf, TINY]
    np.testing.assert_array_equal(powers(x), expected)
    assert powers([np.nextafter(bottom, -800)])[0] == 0.0
    assert not np.signbit(powers([-np.inf, -800.0])).any()


@njit(error_model="numpy")
def slopes(m, y, out):
    for k in range(0, len(m), 8):
        n = len(m) - k
        store(out, (k,), n, logistic_slopes(load(m, (k,), n), load(y, (k,), n)))


@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_slopes_of_the_logistic_loss(y):
    """They end as 0, a subnormal number earlier than the exact ones."""
    m = margins()
    out = np.empty(len(m))
    slopes(m, np.full(len(m), y), out)
    exact = exactly(lambda each: -y / (1 + mpmath.exp(y * each)), m)
    normal = np.abs(exact) >= np.finfo(float).tiny
    assert ulps(out[normal], exact[normal]).max() <= 2
    assert np.abs(out[~normal]).max() < 1e-307


@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_slopes_of_a_run_that_diverged(y):
    out = np.empty(3)
    slopes(np.array([np.inf, -np.inf, np.nan]), np.full(3, y), out)
    np.testing.assert_array_equal(-y * out, [0.0, 1.0, np.nan] if y > 0 else [1.0, 0.0, np.nan])


@njit(error_model="numpy")
def sums(a, out):
    """Row 0: all totals at once; row 1: one by one; row 2: the lanes of row 0 packed again."""
    found = totals(
        load(a, (0, 0), 8),
        load(a, (1, 0), 8),
        load(a, (2, 0), 8),
        load(a, (3, 0), 8),
        load(a, (4, 0), 8),
        load(a, (5, 0), 8),
        load(a, (6, 0), 8),
        load(a, (7, 0), 8),
    )
    store(out, (0, 0), 8, found)
    for k in range(8):
        out[1, k] = total(load(a, (k, 0), 8))
        out[2, k] = lane(found, k)
    p = out[2]
    store(out, (3, 0), 8, pack(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]))


def test_eight_totals_at_once_are_those_one_by_one():
    a, out = np.random.default_rng(3).standard_normal((8, 8)), np.empty((4, 8))
    sums(a, out)
    np.testing.assert_allclose(out[0], a.sum(axis=1), rtol=1e-14)
    assert (out == out[1]).all()
