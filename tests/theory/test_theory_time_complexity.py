"""Times in closed form: enumeration of subsets, spectra, exact floors, and published numbers."""

from itertools import combinations
from math import log

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from test_theory_server_moments import given
from theory_servers import ASGD, clock
from theory_settings import FIRST, zeroth

from hzbench.core.structure import CoordinateLaw, GradientLaw, OnePointLaw, Quadratic
from hzbench.theory import hybrid_pools as pools
from hzbench.theory import time_complexity as times
from hzbench.theory.server_dynamics import server_moments

SPEEDS = {
    "two": [1.0] * 29 + [20.0] * 3,
    "linear": [i + 1.0 for i in range(32)],
    "sqrt": [float(np.sqrt(i + 1)) for i in range(32)],
}


def subsets(n):
    return [list(s) for m in range(1, n + 1) for s in combinations(range(n), m)]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_set_of_workers_is_the_best_of_all_sets(seed):
    rng = np.random.default_rng(seed)
    tau, nu, R = rng.uniform(0.5, 9, 6), rng.uniform(1, 30, 6), rng.uniform(0, 40)
    best = min((len(s) + R) / (1 / tau[s]).sum() for s in subsets(6))
    assert times.homogeneous_time(tau, R) == pytest.approx(best)
    m = times.fastest_workers(tau, R)
    fast = np.sort(tau)[:m]
    assert (m + R) / (1 / fast).sum() == pytest.approx(best)
    best = min(tau[s].max() + 1 / (1 / (tau * nu)[s]).sum() for s in subsets(6))
    assert pools.equilibrium_time_homogeneous(tau, nu) == pytest.approx(best)
    links = rng.uniform(0, 9, 6)
    reach = np.maximum(tau, links)
    best = min(max(reach[s].max(), R / (1 / tau[s]).sum()) for s in subsets(6))
    assert times.homogeneous_time_with_links(tau, links, R) == pytest.approx(best)


def test_worked_examples():
    tau = (1.0, 3.0)
    assert times.minibatch_time(tau, 4) == 9
    assert times.heterogeneous_time(tau, 4) == 7
    assert times.homogeneous_time(tau, 1) == 2
    assert times.fastest_workers(tau, 1) == 1
    assert times.asgd_time(tau, 4) == pytest.approx(4.5)
    assert times.homogeneous_time_with_links((1, 1), (0, 10), 4) == 4
    assert times.heterogeneous_time_with_links((1, 1), (0, 10), 4) == 10
    assert times.noise_slope(lambda R: 1 + R, 1, 1, 1 / 3) == pytest.approx(log(2) / log(3))
    assert times.ringleader_round_bound(tau) == 6
    assert times.malenia_round_bound(tau, 4) == 7
    assert times.rennala_round_bound(tau, 4) == pytest.approx(4.5)
    assert times.ringmaster_time_bound(tau, 4) == pytest.approx(9)
    assert pools.equilibrium_time_homogeneous(tau, (4, 6)) == 5
    assert pools.equilibrium_time_heterogeneous(tau, (4, 6)) == 8.5
    assert pools.pool_time_ratio(3, 12) == 2.3125
    assert pools.break_even_ratio(2 / 3, 10, 1) == pytest.approx(20 / 3)
    assert pools.zeroth_order_alone(11, 0.5) == 11
    assert pools.zeroth_order_alone(11, 1.0) == np.inf
    assert pools.straggler_switch(12, 0.5, 100) == pytest.approx(31.6228, abs=1e-4)
    assert pools.straggler_switch(1.5, 0.5, 100) == 0
    assert pools.straggler_switch(12, 1.0, 100) == np.inf


@pytest.mark.parametrize(
    ("time", "speeds", "slope"),
    [
        (times.minibatch_time, "two", 1.56),
        (times.heterogeneous_time, "two", 1.24),
        (times.heterogeneous_time, "linear", 1.48),
        (times.heterogeneous_time, "sqrt", 1.52),
        (times.asgd_time, "linear", 1.56),
    ],
)
def test_slopes_of_the_design_notes(time, speeds, slope):
    tau = SPEEDS[speeds]
    told = times.tridiagonal_slope(lambda R: time(tau, R), 1.0, 0.01, 0.001)
    assert told == pytest.approx(slope, abs=0.005)


def test_the_tridiagonal_quadratic_takes_two_thirds_without_noise():
    """Gradient descent in the eigenbasis: how many steps until |∇f|² <= ε, over three decades."""
    d = 4000
    lam = np.sin(np.pi * np.arange(1, d + 1) / (2 * (d + 1))) ** 2
    weight = 2 / (d + 1) * np.sin(np.pi * np.arange(1, d + 1) / (d + 1)) ** 2  # <e_1, v>²
    steps = []
    for target in (1e-3, 1e-6):
        low, high = 1.0, 1e7
        while high / low > 1.001:
            middle = np.sqrt(low * high)
            size = float((weight * (1 - 0.5 * lam) ** (2 * middle)).sum())
            low, high = (middle, high) if size > target else (low, middle)
        steps.append(low)
    slope = log(steps[1] / steps[0]) / log(1e3)
    assert slope == pytest.approx(
        times.tridiagonal_slope(lambda R: 1.0 + R, 0, 1e-3, 1e-6), abs=0.01
    )


def test_ratio_predictions_of_the_design_notes():
    for speeds, minibatch, asgd in (
        ("two", 6.03, 0.0550),
        ("linear", 1.88, 0.246),
        ("sqrt", 1.45, 0.569),
    ):
        tau = SPEEDS[speeds]
        whole = times.minibatch_time(tau, 1000)
        assert whole / times.heterogeneous_time(tau, 1000) == pytest.approx(minibatch, abs=0.006)
        assert times.asgd_time(tau, 1000) / whole == pytest.approx(asgd, rel=0.003)


@pytest.mark.parametrize("law", ["gaussian", "sphere", "rademacher", "coordinate"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
def test_noise_factors_by_simulation(law, data):
    rng = np.random.default_rng(3)
    d, m, R = 5, 3, 100_000
    if law == "gaussian":
        u = rng.normal(size=(R, m, d))
    elif law == "rademacher":
        u = rng.choice([-1.0, 1.0], size=(R, m, d))
    elif law == "sphere":
        u = rng.normal(size=(R, m, d))
        u *= np.sqrt(d) / np.linalg.norm(u, axis=2, keepdims=True)
    else:
        u = np.sqrt(d) * np.eye(d)[rng.integers(0, d, (R, m))]
        u *= rng.choice([-1.0, 1.0], size=(R, m, 1))
    told = pools.noise_factors(zeroth(directions=law, samples=m, data=data), d)
    h = np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    noise = rng.normal(size=(R, m if data == "fresh" else 1, d))
    for gradient, expected in ((h, told.growth * (h @ h)), (noise, told.factor * d)):
        g = (u * (u * gradient).sum(2, keepdims=True)).mean(1)
        error = g - (h if gradient is h else 0.0)
        squares = (error**2).sum(1)
        assert squares.mean() == pytest.approx(expected, abs=5 * squares.std() / np.sqrt(R))


def test_noise_factors_of_the_rest():
    gaussian = pools.noise_factors(zeroth(directions="gaussian", samples=4, batch_size=2), 10)
    assert gaussian.growth == pytest.approx(11 / 4)
    assert gaussian.factor == pytest.approx(15 / 4 / 2)
    assert pools.noise_factors(GradientLaw(batch_size=4), 10).factor == 0.25
    full = CoordinateLaw(difference="central", smoothing=0.1, batch_size="full")
    assert pools.noise_factors(full, 10).factor == 0
    one = OnePointLaw(directions="sphere", samples=1, smoothing=0.1, batch_size=1, baseline="none")
    with pytest.raises(TypeError, match="expected a gradient or differences"):
        pools.noise_factors(one, 10)


@pytest.mark.parametrize(("x", "kappa"), [(0.5, 12.0), (20.0, 3.0)])
def test_the_best_weight_is_the_minimum(x, kappa):
    found = minimize_scalar(lambda w: pools.pool_time_ratio(x, kappa, w), bounds=(0, 1))
    assert found.x == pytest.approx(pools.best_weight(kappa), abs=1e-4)
    assert found.fun == pytest.approx(1 / (1 + x / kappa), rel=1e-6)


def test_unweighted_helpers_break_even_where_told():
    d, m, c1 = 10, 2, 0.3
    kappa = (d + m + 1) / m
    ratio = pools.break_even_ratio(c1, d, m)
    assert pools.pool_time_ratio(ratio / (c1 * m), kappa) == pytest.approx(1.0)
    assert pools.pool_time_ratio(1.01 * ratio / (c1 * m), kappa) < 1


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_pool_ratio_by_exact_floors(weight):
    """P1 as γ → 0: ASGD pools at the optimum; same floor, time per unit of drift."""
    d, n1, n0, c = 3, 2, 6, 0.5
    law = zeroth(directions="gaussian", samples=2)
    kappa, x, gamma = pools.noise_factors(law, d).factor, n0 / (c * n1), 2e-4

    def floor(laws, seconds, steps):
        n = len(laws)
        form = Quadratic(
            hessians=np.repeat(np.eye(d)[None], n, 0),
            linear=np.zeros((n, d)),
            noise=np.repeat(np.eye(d)[None], n, 0),
        )
        K = 6000
        case = given(
            form,
            laws,
            ASGD,
            clock(*seconds),
            K,
            step_sizes=np.array(steps) * 10,
            record=(K,),
            initial=np.zeros((n, d)),
        )
        return server_moments(case).values["mean_distance"][0]

    alone = floor((FIRST,) * n1, [1.0] * n1, [gamma] * n1)
    mixed = floor(
        (FIRST,) * n1 + (law,) * n0,
        [1.0] * n1 + [c] * n0,
        [gamma] * n1 + [weight * gamma] * n0,
    )
    measured = mixed / alone / (1 + weight * x)
    assert measured == pytest.approx(pools.pool_time_ratio(x, kappa, weight), rel=0.02)
