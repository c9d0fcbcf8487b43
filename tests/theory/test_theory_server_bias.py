"""The bias of servers under heterogeneity, against long exact recursions with small steps."""

from dataclasses import replace

import numpy as np
import pytest
from test_theory_server_moments import GRADIENTS, given
from theory_servers import (
    ASGD,
    FASTEST,
    MALENIA,
    MINIBATCH,
    RENNALA,
    RINGLEADER,
    RINGMASTER,
    TABLE,
    clock,
)
from theory_settings import quadratic

from hzbench.core.structure import Quadratic
from hzbench.theory.arrivals import history
from hzbench.theory.server_bias import server_bias, worker_shares
from hzbench.theory.server_dynamics import server_moments


def case_of(server, step=0.004, steps=3000, tau=(1, 2, 4), **changes):
    form, _ = quadratic(np.random.default_rng(12), 3, 2, noise=0.0)
    words = {"step_sizes": np.full(3, step), "record": (steps,)}
    return given(form, GRADIENTS, server, clock(*tau), steps, **(words | changes))


@pytest.mark.parametrize("server", [ASGD, RENNALA, RINGMASTER])
def test_small_steps_settle_at_the_bias(server):
    """Unequal Hessians: exact as γ → 0, so 5 % at γ = .004."""
    case = case_of(server)
    told, sentence = server_bias(case)
    found = server_moments(case).values["gradient_norm"][0]
    assert told == pytest.approx(found, rel=0.05)
    assert told > 1e-3
    assert "weigh unequally" in sentence


@pytest.mark.parametrize("server", [TABLE, RINGLEADER, MALENIA, MINIBATCH])
def test_equal_weights_have_no_bias(server):
    case = case_of(server, step=0.04, steps=1000)
    assert server_bias(case) == (0.0, "")
    assert server_moments(case).values["gradient_norm"][0] < 1e-9
    assert worker_shares(case)[0] == pytest.approx(1 / 3)


def test_shares_by_hand():
    """ASGD: 1/τ over Σ 1/τ; a smaller step size of one worker counts."""
    assert worker_shares(case_of(ASGD))[0] == pytest.approx(np.array([4, 2, 1]) / 7, rel=1e-14)
    halved, _ = worker_shares(case_of(ASGD, step_sizes=np.array([1.0, 2.0, 4.0])))
    assert halved == pytest.approx(1 / 3, rel=1e-14)
    assert worker_shares(case_of(FASTEST))[0] == pytest.approx(np.array([2, 1, 0]) / 3, rel=1e-14)
    assert worker_shares(case_of(RENNALA))[0] == pytest.approx([0.8, 0.2, 0.0], abs=1e-15)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_asgd_on_a_fixed_clock_has_the_exact_bias(scale):
    """Pulls of 0.1/0.7 and 0.15/0.9: shares 6/13 and 7/13, so (b_1 − b_2)²/26²; however small."""
    form = Quadratic(
        hessians=np.ones((2, 1, 1)),
        linear=scale * np.array([[1.0], [-1.0]]),
        noise=np.zeros((2, 1, 1)),
    )
    case = given(form, GRADIENTS, ASGD, clock(0.7, 0.9), 5, step_sizes=np.array([0.1, 0.15]))
    case = replace(case, nodes=2)
    assert worker_shares(case)[0] == pytest.approx([6 / 13, 7 / 13], rel=1e-14)
    assert server_bias(case)[0] == pytest.approx((scale / 13) ** 2, rel=1e-12)


def test_a_bias_too_small_to_count_is_told():
    """Speeds of 1 and 1.0001: no count of 2000 updates tells those from equal ones."""
    case = case_of(ASGD, tau=(1, 1, 1.0001))
    bias, _ = server_bias(case)
    form = case.problem.structure
    p = np.array([1, 1, 1 / 1.0001])
    p /= p.sum()
    x = np.linalg.solve(np.einsum("n,nkl->kl", p, form.hessians), p @ form.linear)
    slope = form.hessians.mean(0) @ x - form.linear.mean(0)
    assert bias == pytest.approx(slope @ slope, rel=1e-6)
    assert 0 < bias < 1e-6


def test_equal_data_or_speeds_have_no_bias():
    same = Quadratic(hessians=np.ones((3, 1, 1)), linear=np.ones((3, 1)), noise=np.zeros((3, 1, 1)))
    assert server_bias(given(same, GRADIENTS, ASGD, clock(1, 2, 4), 5))[0] == 0
    assert server_bias(case_of(ASGD, tau=(1, 1, 1)))[0] == 0
    assert np.isnan(server_bias(given(None, GRADIENTS, ASGD, clock(1, 2, 4), 5))[0])


def test_a_target_below_the_bias_is_never_reached():
    """However far the start: (9/7)² at shares 4/7, 2/7, 1/7 and b = 3, 0, −3."""
    for start, told in ((1.0, True), (1000.0, False)):
        form = Quadratic(
            hessians=np.ones((3, 1, 1)),
            linear=np.array([[3.0], [0.0], [-3.0]]),
            noise=np.zeros((3, 1, 1)),
        )
        case = given(form, GRADIENTS, ASGD, clock(1, 2, 4), 5, step_sizes=np.full(3, 0.1))
        case = replace(case, problem=replace(case.problem, initial=np.full((3, 1), start)))
        bias, plain = server_bias(case)
        assert bias == pytest.approx((9 / 7) ** 2, rel=1e-12)
        assert bool(plain) == told
        assert server_bias(case, 2.0) == (bias, plain)
        assert server_bias(case, 0.5)[1].startswith("E|∇f|² = 0.5 is never reached: workers have")


def test_a_bias_without_a_number():
    unknown = given(None, GRADIENTS, ASGD, clock(1, 2, 4), 5, step_sizes=np.full(3, 0.1))

    def case_with(zeta, server, tau=(1, 2, 4)):
        constants = replace(unknown.problem.constants, heterogeneity=zeta)
        problem = replace(unknown.problem, constants=constants)
        return replace(unknown, problem=problem, server=server, clock=clock(*tau))

    for zeta in (1.0, np.nan):
        bias, sentence = server_bias(case_with(zeta, ASGD))
        assert np.isnan(bias)
        assert "is not known for this problem" in sentence
        assert sentence.startswith("workers have" if zeta == 1 else "workers may have")
    assert server_bias(case_with(0.0, ASGD))[1] == ""
    assert server_bias(case_with(1.0, RINGLEADER))[1] == ""
    assert server_bias(case_with(1.0, ASGD, (1, 1, 1)))[1] == ""


@pytest.mark.parametrize("batch", [100, 4000])
def test_rounds_of_memoryless_workers_are_counted_to_within_their_error(batch):
    """Restarts cost such workers nothing, so arrivals are a Poisson process: shares are 1/τ."""
    server = replace(RENNALA, batch=batch)
    case = replace(case_of(server), clock=clock(1, 2, 4, law="exponential", seed=5))
    shares, error = worker_shares(case)
    assert np.abs(shares - np.array([4, 2, 1]) / 7).sum() < 3 * error
    assert 0 < error < 0.15


def test_long_rounds_are_not_counted_one_by_one(monkeypatch):
    """Of 10⁵ estimates and more; one is enough where all are alike, none with equal weights."""
    asked = []

    def counting(clock, server, updates):
        asked.append(updates * max(1, server.batch))
        return history(clock, server, updates)

    monkeypatch.setattr("hzbench.theory.server_bias.history", counting)
    shares, _ = worker_shares(case_of(replace(RENNALA, batch=100_000)))
    served = sorted((t * j, i) for i, t in enumerate((1, 2, 4)) for j in range(1, 10**5 // t + 1))
    counted = np.bincount([i for _, i in served[: 10**5]])
    assert shares == pytest.approx(counted / 10**5, abs=1e-12)
    slow = replace(RENNALA, batch=10_000)
    worker_shares(replace(case_of(slow), clock=clock(1, 2, 4, law="uniform", spread=0.5)))
    assert max(asked) <= 100_000
    for server in (MALENIA, RINGLEADER, TABLE, MINIBATCH):
        case = replace(case_of(server), clock=clock(1, 2, 40_000, law="exponential"))
        assert worker_shares(case)[0] == pytest.approx(1 / 3)
    assert len(asked) == 2
