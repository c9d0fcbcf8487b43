"""Where servers settle: closed forms by hand, and long exact recursions."""

from dataclasses import replace

import numpy as np
import pytest
from test_theory_server_moments import GRADIENTS, alone, given
from theory_servers import ASGD, MALENIA, MALENIA_ALL, MINIBATCH, RENNALA, RINGLEADER, TABLE, clock
from theory_settings import quadratic, zeroth

from hzbench.core.structure import GradientLaw
from hzbench.theory.server_dynamics import server_moments
from hzbench.theory.server_floor import asgd_limit, server_floor
from hzbench.theory.server_schedule import server_history


def settled(server, laws=None, **changes):
    form, _ = quadratic(np.random.default_rng(3), 3, 2)
    laws = laws or (
        GradientLaw(batch_size=1),
        GradientLaw(batch_size=3),
        GradientLaw(batch_size="full"),
    )
    words = {"step_sizes": np.array([0.2, 0.3, 0.25]), "record": (10, 900)}
    return given(form, laws, server, clock(1, 2, 4), 900, **(words | changes))


@pytest.mark.parametrize("server", [MINIBATCH, MALENIA, MALENIA_ALL, RENNALA])
def test_the_recursion_settles_there(server):
    """Unequal Hessians, noise, batches and steps; the recursion knows nothing of limits."""
    case = settled(server)
    limit, long = server_floor(case), server_moments(case)
    assert limit.applies
    assert limit.steps == (900,)
    for name, values in limit.values.items():
        np.testing.assert_allclose(values[0], long.values[name][-1], rtol=1e-9, err_msg=name)
    spread = long.spread["mean_iterate"][-1]
    np.testing.assert_allclose(limit.spread["mean_iterate"][0], spread, rtol=1e-9)


def test_rennala_is_biased_and_malenia_is_not():
    """A = 1, b = (3, 0, −3), rounds of (4, 1, 0) arrivals: 12/5 instead of 0."""
    form = alone(3, 1.0, 0.5, offsets=[3, 0, -3])
    for server, point in ((RENNALA, 2.4), (MALENIA, 0.0), (MINIBATCH, 0.0)):
        case = given(form, GRADIENTS, server, clock(1, 2, 4), 200, step_sizes=np.full(3, 0.3))
        answer = server_floor(case)
        np.testing.assert_allclose(answer.values["mean_iterate"][-1], [point], atol=1e-12)


@pytest.mark.parametrize("server", [TABLE, RINGLEADER])
def test_tables_settle_at_the_optimum(server):
    form, _ = quadratic(np.random.default_rng(8), 3, 2)
    case = given(
        form, GRADIENTS, server, clock(1, 2, 4), 1000, step_sizes=np.full(3, 0.1), record=(1000,)
    )
    optimum = np.linalg.solve(form.hessians.mean(0), form.linear.mean(0))
    found = server_moments(case).values["mean_iterate"][0]
    np.testing.assert_allclose(found, optimum, rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.05, 0.4])
def test_asgd_computes_at_its_own_limit_on_average(gamma):
    """τ = (1, 2, 4): over a period of 4 s, the points that estimates are taken at."""
    rng = np.random.default_rng(6)
    form, _ = quadratic(rng, 3, 2, common=True, noise=0.0)
    steps = gamma * np.array([1.0, 0.5, 0.8])
    record = tuple(range(2000, 2015))
    case = given(form, GRADIENTS, ASGD, clock(1, 2, 4), 2015, step_sizes=steps, record=record)
    x = dict(zip(record, server_moments(case).values["mean_iterate"], strict=True))
    told = server_history(case)
    period = [s for s in range(2003, 2014) if s < 2003 + 7]  # seven arrivals in 4 s
    weights = steps[told.workers[period]]
    points = np.array([x[v] for v in told.versions[period]])
    np.testing.assert_allclose(weights @ points / weights.sum(), asgd_limit(case), rtol=1e-9)
    p = np.array([4 * 1.0, 2 * 0.5, 0.8])
    shares = p / p.sum()
    np.testing.assert_allclose(form.hessians[0] @ asgd_limit(case), shares @ form.linear)


def test_what_does_not_apply_says_why():
    assert not server_floor(settled(ASGD)).applies
    assert not server_floor(settled(RENNALA, record=(10,))).applies
    assert not server_floor(settled(RENNALA, step_sizes=np.full(3, 9.0))).applies
    assert not server_floor(settled(RENNALA, laws=(zeroth(), *GRADIENTS[1:]))).applies
    flat = settled(RENNALA).problem.structure
    flat = replace(flat, hessians=flat.hessians * np.array([1, 1, -3])[:, None, None])
    assert not server_floor(given(flat, GRADIENTS, RENNALA, clock(1, 2, 4), 900)).applies
    random = clock(1, 2, 4, law="exponential")
    assert not server_floor(settled(RENNALA, clock=random)).applies
