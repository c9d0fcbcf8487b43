"""Path averages and curves against a deterministic run in plain numpy."""

import numpy as np
import pytest
from theory_settings import NetworkFacts, quadratic, setting

from hzbench.core.structure import GradientLaw
from hzbench.theory.rates import decay_rate, decay_slope, path_dynamics

FULL = GradientLaw(batch_size="full")
W = np.array([[0.5, 0.3, 0.2], [0.3, 0.6, 0.1], [0.2, 0.1, 0.7]])
T = 12


def chosen(**changes):
    model, _ = quadratic(np.random.default_rng(4), 3, 2, noise=0.0)
    words = {"steps": T, "network": NetworkFacts(matrix=W), "record": tuple(range(T + 1))}
    return setting(model, (FULL,) * 3, initial=np.full((3, 2), 9.0), **(words | changes))


def plain_run(setting):
    """States X_0 ... X_T of X+ = W(X − D G)."""
    A, b = setting.problem.structure.hessians, setting.problem.structure.linear
    x, states = setting.problem.initial, []
    for _ in range(T + 1):
        states.append(x)
        gradient = np.einsum("nkl,nl->nk", A, x) - b
        x = W @ (x - setting.step_sizes[:, None] * gradient)
    return states


def gap(setting, x):
    A, b = setting.problem.structure.hessians.mean(0), setting.problem.structure.linear.mean(0)
    best = np.linalg.solve(A, b)
    offset = x.mean(0) - best
    return 0.5 * offset @ A @ offset


def test_path_average():
    s = chosen(record=(0, T))
    A, b = s.problem.structure.hessians.mean(0), s.problem.structure.linear.mean(0)
    norms = [((A @ x.mean(0) - b) ** 2).sum() for x in plain_run(s)[:T]]
    found = path_dynamics(s)
    assert found.steps == (T,)
    assert found.values["path_gradient_norm"][0] == pytest.approx(np.mean(norms), rel=1e-12)


def test_the_curve_is_that_of_the_run():
    s = chosen()
    for theorem, fit in ((decay_rate, "floor"), (decay_slope, "power")):
        found = theorem(s)
        assert found.applies
        assert found.fit == fit
        assert found.steps == tuple(range(1, T + 1))
        gaps = [gap(s, x) for x in plain_run(s)[1:]]
        assert found.values["objective_gap"] == pytest.approx(gaps, rel=1e-9)


def test_what_has_no_path_or_fit():
    for bad, theorem, text in (
        (chosen(record=(0, 3)), path_dynamics, "last step"),
        (chosen(record=(0, 2, 5)), decay_rate, "four positive"),
        (chosen(step_sizes=np.zeros(3)), decay_slope, "factor 3"),
        (chosen(moves=False), path_dynamics, "move"),
    ):
        found = theorem(bad)
        assert not found.values
        assert any(text in a.text for a in found.assumptions if not a.holds)
