"""Functions of eight lanes against mpmath: dense grids, and every end of the range of float64."""

import mpmath
import numpy as np
import pytest
from numba import njit

from hzbench.core.lane_functions import exp, logistic_changes, logistic_slopes
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
def changes(m, delta, y, out):
    for k in range(0, len(m), 8):
        n = len(m) - k
        found = logistic_changes(load(m, (k,), n), load(delta, (k,), n), load(y, (k,), n))
        store(out, (k,), n, found)


def change(m, delta, y):
    """By lanes, for columns of one length."""
    m, delta, y = (np.array(each, dtype=float) for each in np.broadcast_arrays(m, delta, y))
    out = np.empty(len(m))
    changes(m, delta, y, out)
    return out


def exact_change(m, delta, y):
    ratio = (1 + mpmath.exp(-y * (m + delta))) / (1 + mpmath.exp(-y * m))
    return mpmath.log(ratio)


def points(largest, count=2400):
    """Margins and steps that are not above `largest`, half of the steps small."""
    random = np.random.default_rng(5)
    m = random.choice([-1.0, 1.0], count) * 2.0 ** random.uniform(-20, 9, count)
    small = largest * 2.0 ** -random.uniform(0, 40, count // 2)
    delta = np.concatenate([small, random.uniform(0, largest, count - count // 2)])
    return m, delta * random.choice([-1.0, 1.0], count), random.choice([-1.0, 1.0], count)


@pytest.mark.parametrize("largest", [0.3465, 0.4, 3.0, 400.0])
def test_changes_of_the_logistic_loss(largest):
    """Steps above ½ ln 2, in lanes with smaller ones: m + δ is rounded and 1 − e^−|δ| >= 0.29."""
    m, delta, y = points(largest)
    with mpmath.workdps(400):
        exact = np.array(
            [float(exact_change(*map(mpmath.mpf, row))) for row in zip(m, delta, y, strict=True)]
        )
    found = ulps(change(m, delta, y), exact)
    near = np.abs(delta) < 0.3465
    assert found[near].max() <= 4
    assert (found <= 10 + 3.5 * np.abs(m + delta)).all()


def test_a_change_does_not_depend_on_its_neighbours():
    m, delta, y = points(1.0, 800)
    alone = np.concatenate([change(*row) for row in zip(m[:, None], delta, y, strict=True)])
    assert (alone == change(m, delta, y)).all()


def test_changes_of_a_run_that_diverged():
    """Of infinite margins the limit; nan where the loss has none."""
    inf, nan = np.inf, np.nan
    m = [nan, 0.0, inf, -inf, -inf, 0.0, 0.0, -inf, 5.0, -5.0, 0.0, 1e300]
    delta = [0.1, nan, 0.1, 0.1, 3.0, inf, -inf, inf, 1e308, 1e308, 0.0, -1e308]
    ln2, small = np.log(2.0), np.log1p(np.exp(-5.0))
    expected = [nan, nan, 0, -0.1, -3, -ln2, inf, nan, -small, -5 - small, 0, 1e308 - 1e300]
    np.testing.assert_allclose(change(m, delta, 1.0), expected, rtol=1e-15)
    np.testing.assert_array_equal(
        change(m, delta, 1.0), change(np.negative(m), np.negative(delta), -1.0)
    )


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
