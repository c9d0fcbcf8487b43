"""Stability of servers without noise: closed forms, and the edges of other people's simulations."""

from dataclasses import replace

import numpy as np
import pytest
from test_theory_server_moments import GRADIENTS, alone, given
from theory_servers import ASGD, MALENIA, MINIBATCH, RENNALA, RINGLEADER, TABLE, clock
from theory_settings import quadratic

from hzbench.theory.arrivals import history
from hzbench.theory.server_dynamics import server_moments
from hzbench.theory.server_program import program
from hzbench.theory.server_stability import (
    constant_delay_edge,
    constant_delay_variance,
    log_growth,
    server_radius,
    server_step_limit,
)
from hzbench.theory.stability import second_moment_radius, step_size_limit

SPEEDS = {
    "equal": [1.0] * 8,
    "sqrt": [float(np.sqrt(i + 1)) for i in range(8)],
    "linear": [i + 1.0 for i in range(8)],
    "two": [1.0] * 7 + [20.0],
}


@pytest.mark.parametrize("delay", [0, 1, 3, 7])
def test_constant_delays_by_roots(delay):
    """At the edge z^{D+1} − z^D + a has a root on the unit circle and none outside."""
    edge = constant_delay_edge(delay)
    for a, stable in ((0.999 * edge, True), (1.001 * edge, False)):
        polynomial = np.zeros(delay + 2)
        polynomial[0], polynomial[1] = 1.0, -1.0
        polynomial[-1] += a
        assert (np.abs(np.roots(polynomial)).max() < 1) == stable
    case = equal_workers(delay + 1, 0.5 * edge)
    assert server_step_limit(case)[0] == pytest.approx(2.0, rel=0.01)


def equal_workers(n, step):
    form = alone(n, 1.0, 1.0)
    laws = (GRADIENTS[0],) * n
    return given(
        form, laws, ASGD, clock(*[1.0] * n), 3000, step_sizes=np.full(n, step), record=(3000,)
    )


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_constant_delay_variance(delay):
    a = 0.4 * constant_delay_edge(delay)
    formula = {0: a / (2 - a), 1: (1 + a) * a / ((1 - a) * (2 + a))}
    value = constant_delay_variance(a, delay)
    assert value == pytest.approx(formula.get(delay, value), rel=1e-12)
    spread = server_moments(equal_workers(delay + 1, a)).spread["mean_iterate"][0, 0]
    assert spread**2 == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("server", "speeds", "edge"),
    [
        (ASGD, "equal", 0.209),
        (ASGD, "sqrt", 0.251),
        (ASGD, "two", 0.239),
        (TABLE, "equal", 0.150),
        (TABLE, "sqrt", 0.155),
        (TABLE, "linear", 0.154),
        (TABLE, "two", 0.198),
        (RINGLEADER, "equal", 0.326),
        (RINGLEADER, "linear", 0.436),
        (RINGLEADER, "two", 0.334),
    ],
)
def test_edges_of_eight_workers(server, speeds, edge):
    """Bisections on other simulated traces, given to three digits; the unit is 1/L.

    Left out: Ringleader at √i, where arrivals never repeat and the edge moves with the length of
    the trace (.373 on a short one, .385 on 16000 updates).
    """
    case = given(
        alone(8, 1.0, 0.0),
        (GRADIENTS[0],) * 8,
        server,
        clock(*SPEEDS[speeds]),
        10,
        step_sizes=np.ones(8),
    )
    assert server_step_limit(case)[0] == pytest.approx(edge, rel=0.02)


def test_growth_is_that_of_a_whole_period():
    """τ = i: arrivals repeat after 840 s; edge .704 (bisections of shorter traces say .668)."""
    events = sorted((i * j, i) for i in range(1, 9) for j in range(1, 840 // i + 1))
    run = program(history(clock(*SPEEDS["linear"]), ASGD, 4 * 2283), np.ones(8), np.ones(4 * 2283))
    steps = np.array([0.668, 0.703, 0.706])
    rates = log_growth(run, np.tile(steps[:, None, None, None], (1, 8, 1, 1)))
    for step, rate in zip(steps, rates, strict=True):
        monodromy = np.eye(9)  # of (x, the points of the workers)
        for _, i in events:
            monodromy[0] -= step * monodromy[i]
            monodromy[i] = monodromy[0]
        radius = np.abs(np.linalg.eigvals(monodromy)).max()
        assert rate == pytest.approx(np.log(radius) / len(events), abs=1e-5)
        assert (rate > 0) == (step > 0.704)


@pytest.mark.parametrize("server", [MINIBATCH, MALENIA, RENNALA])
def test_rounds_are_gradient_descent(server):
    """2/L of the weighted Hessian; the radius at a stable step is that of I − γ Σ p_i A_i."""
    rng = np.random.default_rng(4)
    form, _ = quadratic(rng, 3, 2)
    shares = np.array([4, 1, 0]) / 5 if server is RENNALA else np.full(3, 1 / 3)
    A = np.einsum("n,nkl->kl", shares, form.hessians)
    largest = np.linalg.eigvalsh(A)[-1]
    case = given(form, GRADIENTS, server, clock(1, 2, 4), 10, step_sizes=np.full(3, 0.1))
    assert server_step_limit(case)[0] == pytest.approx(2 / largest / 0.1, rel=0.002)
    radius = np.abs(np.linalg.eigvals(np.eye(2) - 0.1 * A)).max()
    assert server_radius(case)[0] == pytest.approx(radius, rel=1e-3)


def test_the_registered_limits_know_servers():
    case = given(alone(2, 1.0, 0.0), GRADIENTS[:2], ASGD, clock(1, 1), 10)
    assert step_size_limit(case) == server_step_limit(case)
    assert second_moment_radius(case) == server_radius(case)
    assert np.isnan(server_step_limit(given(None, GRADIENTS, ASGD, clock(1, 2, 3), 5))[0])


def test_nothing_is_known_of_a_worker_that_hardly_ever_arrives():
    """64 workers of speeds 1, 1/4, 1/9, ...: the slowest takes 4096 s, a window of updates less."""
    form = alone(64, 1.0, 1.0)
    laws = (GRADIENTS[0],) * 64
    slow = clock(*[float((i + 1) ** 2) for i in range(64)])
    case = given(form, laws, ASGD, slow, 100, step_sizes=np.full(64, 0.1), record=(100,))
    assert np.isnan(server_step_limit(case)[0])
    assert np.isnan(server_radius(case)[0])


def test_a_schedule_of_too_many_arrivals_is_not_asked_for(monkeypatch):
    """2000 rounds of 10⁵ estimates, and 2000 of 1003, of which the slowest of four gives one."""

    def never(*_):
        raise AssertionError

    monkeypatch.setattr("hzbench.theory.server_stability.history", never)
    for server, slowest in ((replace(RENNALA, batch=100_000), 2.0), (MALENIA, 1001.0)):
        case = replace(equal_workers(4, 0.1), server=server, clock=clock(1.0, 1.0, 1.0, slowest))
        assert np.isnan(server_radius(case)[0])
