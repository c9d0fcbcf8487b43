"""Parameters from theory: worked numbers, and the guarantee that they are made for."""

import numpy as np
import pytest
from test_theory_server_moments import given
from theory_servers import MALENIA_ALL, RINGLEADER, clock
from theory_settings import FIRST

from hzbench.core.server_facts import ServerFacts
from hzbench.core.structure import Quadratic
from hzbench.theory import server_parameters as theory
from hzbench.theory.arrivals import history
from hzbench.theory.server_dynamics import server_moments


def test_worked_examples():
    assert theory.batch_of(1, 0.3) == 4
    assert theory.batch_of(1, 0.3, workers=7) == 7
    assert theory.batch_of(0.3, 0.1) == 3  # not 4 by the last bit of .3/.1
    assert theory.batch_of(0, 0.1) == 1
    assert theory.delay_threshold(1, 0.3) == 4
    assert theory.round_step(2, 1, 0.1, 4) == pytest.approx(0.1)
    assert theory.round_step(2, 0, 0.1, 4) == 0.5
    assert theory.ringmaster_step(2, 1, 0.1, 10) == pytest.approx(0.0125)
    assert theory.ringmaster_step(2, 0, 0.1, 1) == 0.25
    assert theory.ringleader_step(2, 1, 0.1, 4, 2) == pytest.approx(0.01)
    assert theory.ringleader_step(2, 0, 0.1, 4, 2) == pytest.approx(1 / 64)
    assert theory.harmonic_batch_bound((1, 1, 1, 13)) == 1.625
    assert theory.employed((1.0, 3.0), 1, 1) == 1
    assert theory.delay_cap(2, 0.01) == pytest.approx(12.5)
    assert theory.updates_needed(1, 0.01, 0.1) == 4000
    with pytest.raises(ValueError, match="expected ε > 0"):
        theory.batch_of(1, 0)


@pytest.mark.parametrize("seed", range(20))
def test_the_harmonic_batch_of_ringleader(seed):
    rng = np.random.default_rng(seed)
    tau = np.exp(rng.normal(size=int(rng.integers(2, 9)))).round(3)
    n = len(tau)
    found = history(clock(*tau), RINGLEADER, 10 * n)
    weights = [found.weights[found.offsets[k] : found.offsets[k + 1]].sum() for k in range(10 * n)]
    assert 1 / max(weights) >= theory.harmonic_batch_bound(tau) * (1 - 1e-12)


@pytest.mark.parametrize(
    ("name", "noise"), [("ringleader", 0.5), ("ringleader", 0.0), ("rennala", 0.5), ("all", 0.5)]
)
def test_the_guarantee_holds(name, noise):
    """Exact E|∇f|², averaged over K updates, is at most ε, on a quadratic with L = 1."""
    target, tau, d = 0.2, (1.0, 2.0, 5.0), 3
    form = Quadratic(
        hessians=np.repeat(np.diag([1.0, 0.3, 0.05])[None], 3, 0),
        linear=np.zeros((3, d)) if name == "rennala" else np.array([[1.0] * d, [0] * d, [-1] * d]),
        noise=np.repeat(noise / d * np.eye(d)[None], 3, 0),
    )
    start = np.array([1.0, 2.0, 3.0])
    batch = theory.batch_of(noise, target)
    server = {
        "ringleader": RINGLEADER,
        "rennala": ServerFacts(rule="collect", batch=batch),
        "all": MALENIA_ALL,
    }[name]
    bound = theory.harmonic_batch_bound(tau)
    step = {
        "ringleader": theory.ringleader_step(1.0, noise, target, 3, bound),
        "rennala": theory.round_step(1.0, noise, target, batch),
        "all": theory.round_step(1.0, noise, target, 3),
    }[name]
    gap = 0.5 * float(np.array([1.0, 0.3, 0.05]) @ start**2)
    K = theory.updates_needed(gap, step, target)
    case = given(
        form,
        (FIRST,) * 3,
        server,
        clock(*tau),
        K,
        step_sizes=np.full(3, step),
        initial=np.tile(start, (3, 1)),
    )
    assert server_moments(case).values["gradient_norm"][:-1].mean() <= target
