"""Fixed points of the mean against iterating it, and bias bounds against exact expectations."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from theory_settings import FIRST, NetworkFacts, setting, zeroth

from hzbench.core.structure import GeneralizedLinear
from hzbench.theory.estimator_bounds import row_bias_bound
from hzbench.theory.fixed_points import fixed_point, fixed_point_known, hessians

D, N, ETA = 3, 4, 0.1
RING = NetworkFacts(graph="ring")
CIRCLE = (np.eye(N) + np.roll(np.eye(N), 1, 0) + np.roll(np.eye(N), -1, 0)) / 3


def model(loss, members, spread=1.0, seed=5):
    rng = np.random.default_rng(seed)
    rows = 4 * N
    features = np.tile(rng.normal(size=(4, D)), (N, 1)) + spread * rng.normal(size=(rows, D))
    targets = rng.normal(size=rows) if loss == "squared" else rng.choice([-1.0, 1.0], rows)
    return GeneralizedLinear(
        features=features, targets=targets, members=members, loss=loss, regularization=0.2
    )


def gradient(structure, node, x):
    """∇f_i(x) by its definition."""
    a = structure.features[structure.members[node]]
    y = structure.targets[structure.members[node]]
    slope = a @ x - y if structure.loss == "squared" else -y / (1 + np.exp(y * (a @ x)))
    return (a * slope[:, None]).mean(0) + structure.regularization * x


def population(loss, same=False, spread=1.0, **changes):
    own = np.array_split(np.arange(4 * N), N)
    structure = model(loss, tuple([np.arange(4 * N)] * N if same else own), spread)

    def slope(x):
        return np.mean([gradient(structure, i, x) for i in range(N)], 0)

    x = np.zeros(D)
    for _ in range(2_000):
        x = x - 0.1 * slope(x)
    words = {"step_sizes": np.full(N, ETA), "optimum": x, "network": RING} | changes
    return setting(structure, (FIRST,) * N, **words)


def settle(given, W, order):
    """The run without noise, to the end: (x̄, queries)."""
    structure = given.problem.structure
    X = np.zeros((N, D))
    for _ in range(2_000):
        at = W @ X if order == "combine-adapt" else X
        G = np.array([gradient(structure, i, x) for i, x in enumerate(at)])
        X = {
            "adapt-combine": W @ (X - ETA * G),
            "combine-adapt": at - ETA * G,
            "simultaneous": W @ X - ETA * G,
        }[order]
    return X.mean(0), W @ X if order == "combine-adapt" else X


@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
def test_squared_losses_settle_where_iterating_ends(order):
    given = population("squared", order=order)
    mean, queries = settle(given, CIRCLE, order)
    found = fixed_point(given)
    np.testing.assert_allclose(found.mean, mean, atol=1e-10)
    np.testing.assert_allclose(found.queries, queries, atol=1e-10)
    assert np.abs(mean - given.problem.optimum).max() > 1e-2


def test_logistic_losses_settle_there_to_first_order():
    errors = []
    for spread in (0.4, 0.2):
        given = population("logistic", spread=spread)
        structure = given.problem.structure
        repeated = replace(structure, targets=np.tile(structure.targets[:4], N))

        def value(x, structure=repeated):
            margins = structure.targets * (structure.features @ x)
            return np.logaddexp(0, -margins).mean() + 0.1 * x @ x

        best = minimize(value, np.zeros(D), method="BFGS", tol=1e-11).x
        given = replace(given, problem=replace(given.problem, structure=repeated, optimum=best))
        _, queries = settle(given, CIRCLE, "adapt-combine")
        moved = np.abs(queries - best).max()
        errors.append(np.abs(fixed_point(given).queries - queries).max() / moved)
    assert errors[1] < 0.7 * errors[0] < 0.05


def test_hessians_are_slopes_of_gradients():
    given = population("logistic")
    x, step = given.problem.optimum, 1e-5
    for i, A in enumerate(hessians(given)):
        slopes = [
            (
                gradient(given.problem.structure, i, x + step * e)
                - gradient(given.problem.structure, i, x - step * e)
            )
            / (2 * step)
            for e in np.eye(D)
        ]
        np.testing.assert_allclose(A, slopes, atol=1e-8)


def test_matchings_settle_where_their_mean_does():
    given = population("squared", protocol="matching", network=NetworkFacts())
    W = np.mean(list(matchings()), 0)
    mean, queries = settle(given, W, "adapt-combine")
    np.testing.assert_allclose(fixed_point(given).mean, mean, atol=1e-10)
    np.testing.assert_allclose(fixed_point(given).queries, queries, atol=1e-10)


def matchings():
    """Averaging matrices of the perfect matchings of four nodes."""
    for partner in ((1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)):
        yield 0.5 * (np.eye(N) + np.eye(N)[list(partner)])


@pytest.mark.parametrize(
    "changes",
    [{"network": NetworkFacts()}, {"network": NetworkFacts(), "order": "combine-adapt"}],
)
def test_a_full_average_leaves_the_mean_at_the_optimum(changes):
    given = population("squared", **changes)
    np.testing.assert_array_equal(fixed_point(given).mean, given.problem.optimum)
    np.testing.assert_allclose(
        settle(given, np.full((N, N), 1 / N), changes.get("order", "adapt-combine"))[0],
        given.problem.optimum,
        atol=1e-10,
    )


def test_what_is_not_known():
    odd = replace(population("squared"), protocol="matching")
    odd = replace(odd, network=NetworkFacts(matching_law="greedy"))
    assert not fixed_point_known(odd).holds
    pairs = replace(population("squared"), protocol="pair")
    assert "pair" in fixed_point_known(pairs).detail
    same = replace(population("squared", same=True), protocol="pair")
    assert fixed_point_known(same).holds
    np.testing.assert_array_equal(fixed_point(same).mean, same.problem.optimum)


@pytest.mark.parametrize("nu", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("directions", ["gaussian", "sphere", "rademacher", "coordinate"])
def test_bias_bounds_hold_and_are_not_idle(directions, nu):
    """The exact bias at many points: by quadrature along a row, or by enumeration of u."""
    structure = model("logistic", tuple(np.array_split(np.arange(4 * N), N)))
    law = zeroth(directions=directions, smoothing=nu)
    bound = max(row_bias_bound(structure, i, law) for i in range(N))
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, D)) * 2
    worst = max(
        np.linalg.norm(mean_estimate(structure, i, x, directions, nu) - gradient(structure, i, x))
        / row_bias_bound(structure, i, law)
        for x in points
        for i in range(N)
    )
    assert bound > 0
    assert 0.05 < worst <= 1.0


def mean_estimate(structure, node, x, directions, nu):
    """E G of a central difference."""
    if directions in {"gaussian", "sphere"}:
        a = structure.features[structure.members[node]]
        y = structure.targets[structure.members[node]]
        lengths = np.linalg.norm(a, axis=1)
        if directions == "gaussian":
            t, weight = np.polynomial.hermite_e.hermegauss(60)
        else:  # a point of the ball of radius sqrt(D), D = 3: density ∝ 1 − t²/3 along a line
            t, weight = np.polynomial.legendre.leggauss(60)
            weight, t = weight * (1 - t**2), t * np.sqrt(D)
        margins = (y * (a @ x))[:, None] + nu * lengths[:, None] * t
        slope = -y * ((1 / (1 + np.exp(margins))) @ weight) / weight.sum()
        return (a * slope[:, None]).mean(0) + structure.regularization * x
    if directions == "rademacher":
        us = [np.array(s) for s in itertools.product([-1.0, 1.0], repeat=D)]
    else:
        us = [np.sqrt(D) * sign * e for e in np.eye(D) for sign in (-1, 1)]
    value = [(loss(structure, node, x + nu * u) - loss(structure, node, x - nu * u)) for u in us]
    return np.mean([v / (2 * nu) * u for v, u in zip(value, us, strict=True)], 0)


def loss(structure, node, x):
    """f_i(x)."""
    a = structure.features[structure.members[node]]
    y = structure.targets[structure.members[node]]
    return np.logaddexp(0, -y * (a @ x)).mean() + structure.regularization / 2 * x @ x
