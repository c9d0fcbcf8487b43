"""How long exact moments take at n = 256, d = 1000, T = 100: `make bench`.

The same code is compared with the dense recursion at n = 8 beside every timing.
"""

import numpy as np
import pytest
from bench_tools import alternated, tell

from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts, ProblemFacts, Setting
from hzbench.core.structure import DifferenceLaw, GradientLaw, Quadratic
from hzbench.theory.dynamics import build_model, observables
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

pytestmark = pytest.mark.benchmark

STEPS = 100
SECONDS = 20.0  # generous: on one idle core each takes about one


def problem(n, d):
    """One diagonal Hessian for all nodes, in read-only views, as the product declares it."""
    return Quadratic(
        hessians=np.broadcast_to(np.diag(np.linspace(0.1, 1.0, d)), (n, d, d)),
        linear=np.zeros((n, d)),
        noise=np.broadcast_to(0.01 * np.eye(d), (n, d, d)),
    )


def population(name, n, d):
    """hybrid: a quarter of the nodes first-order, complete graph; otherwise equal nodes, ring."""
    law = DifferenceLaw(
        directions="sphere",
        difference="central",
        samples=max(1, d // 2),
        smoothing=0.1,
        batch_size=1,
        data="shared",
    )
    first = n // 4 if name != "matrix" else 0
    return Setting(
        nodes=n,
        problem=ProblemFacts(
            dimension=d,
            constants=Constants(),
            structure=problem(n, d),
            optimum=np.zeros(d),
            initial=np.ones((n, d)),
        ),
        laws=(GradientLaw(batch_size=1),) * first + (law,) * (n - first),
        kinds=("first",) * first + ("zeroth",) * (n - first),
        step_sizes=np.full(n, 0.1),
        protocol=name,
        network=NetworkFacts(graph="ring" if name == "matrix" else "complete"),
        steps=STEPS,
        record=(0, STEPS // 2, STEPS),
    )


@pytest.mark.parametrize("name", ["pair", "matching", "matrix"])
def test_exact_moments_at_scale(benchmark, name):
    from hzbench.theory.commuting import reduction

    small = population(name, 8, 6)
    dense, _ = observables(small, build_model(small))
    values = reduction(small).observables()[0]
    for key, expected in dense.items():
        assert values[key] == pytest.approx(expected, rel=1e-10, abs=1e-13)
    large = population(name, 256, 1000)
    prediction = benchmark.pedantic(quadratic_dynamics, (large,), rounds=1)
    assert prediction.applies
    assert np.isfinite(prediction.values["objective_gap"]).all()
    seconds = alternated(lambda: quadratic_dynamics(large), repeats=3)[0]
    assert seconds.max() < SECONDS
    row = f"exact moments, {name}, n=256, d=1000, T={STEPS}: a prediction"
    tell(benchmark, row, seconds, unit="s")
