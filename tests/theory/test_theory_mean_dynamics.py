"""The mean of runs with one-point and residual estimates, against every outcome of every draw."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core.setting import NetworkFacts, UpdateFacts
from hzbench.core.structure import GeneralizedLinear, OnePointLaw, Separable
from hzbench.theory.mean_dynamics import mean_dynamics
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

NU = 0.7
VECTORS = {
    "rademacher": [np.array(u) for u in product((-1.0, 1.0), repeat=2)],
    "coordinate": [s * np.sqrt(2) * e for s in (-1, 1) for e in np.eye(2)],
}


def law(directions, baseline):
    return OnePointLaw(
        directions=directions, samples=1, smoothing=NU, batch_size=1, baseline=baseline
    )


def samples(structure, node):
    """The values of every data sample as functions of the point."""
    if not isinstance(structure, GeneralizedLinear):
        A, b = structure.hessians[node], structure.linear[node]
        return [lambda p, s=s: 0.5 * p @ A @ p - b @ p + s * p.sum() for s in (-0.5, 0.5)]
    rows = [(structure.features[j], structure.targets[j]) for j in structure.members[node]]
    lam = structure.regularization
    return [lambda p, a=a, y=y: 0.5 * (a @ p - y) ** 2 + lam / 2 * p @ p for a, y in rows]


def exact(structure, node, x):
    """The gradient, as the mean over samples of central differences (exact on quadratics)."""
    return np.mean(
        [[(F(x + e) - F(x - e)) / 2 for e in np.eye(2)] for F in samples(structure, node)],
        axis=0,
    )


def expected(structure, given, W, steps):
    """E X of node 0 with gradients and node 1 with the law, over all its queries."""
    each = given.laws[1]
    queries = list(product(VECTORS[each.directions], samples(structure, 1)))
    total, paths = 0.0, 0
    for drawn in product(queries, repeat=steps + 1):  # the first is that of the start
        x = given.problem.initial.copy()
        u, F = drawn[0]
        before = F(x[1] + NU * u)
        for u, F in drawn[1:]:
            value = F(x[1] + NU * u)
            change = value - before if each.baseline == "residual" else value
            before = value
            G = np.array([exact(structure, 0, x[0]), change * u / NU])
            x = W @ (x - given.step_sizes[:, None] * G)
        total, paths = total + x.mean(0), paths + 1
    return total / paths


ROWS = GeneralizedLinear(
    features=np.array([[1.0, 0.3], [-0.5, 1.2], [0.8, -0.9], [0.2, 0.7]]),
    targets=np.array([0.5, -1.0, 2.0, 0.3]),
    members=(np.array([0, 1]), np.array([2, 3])),
    loss="squared",
    regularization=0.1,
)


@pytest.mark.parametrize("protocol", ["matrix", "pair"])
@pytest.mark.parametrize("baseline", ["none", "residual"])
@pytest.mark.parametrize("directions", VECTORS)
@pytest.mark.parametrize("rows", [False, True])
def test_the_mean_is_that_of_all_outcomes(rows, directions, baseline, protocol):
    structure = ROWS if rows else quadratic(np.random.default_rng(5), 2, 2)[0]
    W = np.array([[0.7, 0.3], [0.3, 0.7]])
    words = {"network": NetworkFacts(matrix=W)} if protocol == "matrix" else {}
    given = setting(structure, (FIRST, law(directions, baseline)), protocol=protocol, **words)
    W = W if protocol == "matrix" else np.full((2, 2), 0.5)
    prediction = mean_dynamics(given)
    assert set(prediction.values) == {"mean_iterate"}
    assert not prediction.spread
    found = prediction.values["mean_iterate"][2]
    np.testing.assert_allclose(found, expected(structure, given, W, 2), rtol=1e-12, atol=1e-13)
    assert not quadratic_dynamics(given).applies


@pytest.mark.parametrize("rule", ["plain", "tracking", "delayed"])
def test_estimates_with_equal_means_share_the_mean_of_the_run(rule):
    """Of 5 nodes and momentum: residual nodes move on average as exact differences do."""
    structure = quadratic(np.random.default_rng(6), 5, 3)[0]
    update = UpdateFacts(rule=rule, delay=2 if rule == "delayed" else 0)
    words = {"update": update, "momentum": 0.3, "network": NetworkFacts(graph="ring")}
    words |= {"steps": 9}
    noisy = setting(structure, (FIRST, *[law("rademacher", "residual")] * 4), **words)
    plain = setting(structure, (FIRST, *[zeroth(directions="rademacher")] * 4), **words)
    np.testing.assert_allclose(
        mean_dynamics(noisy).values["mean_iterate"],
        quadratic_dynamics(plain).values["mean_iterate"],
        rtol=1e-11,
    )


def test_where_the_mean_does_not_close_it_says_so():
    bent = Separable(
        term="cosine",
        coefficients=np.ones((2, 2)),
        rates=np.ones(2),
        linear=np.zeros((2, 2)),
        noise=np.zeros((2, 2)),
    )
    laws = (FIRST, law("rademacher", "residual"))
    assert not mean_dynamics(setting(bent, laws)).applies
    structure = quadratic(np.random.default_rng(5), 2, 2)[0]
    for changes in ({"moves": False}, {"laws": (FIRST, None)}, {"record": ()}):
        given = replace(setting(structure, laws), **changes)
        assert not mean_dynamics(given).applies
