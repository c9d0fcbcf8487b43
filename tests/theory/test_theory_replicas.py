"""Growth of the fourth moment against quadrature, Monte Carlo and the printed polynomial."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from theory_settings import NetworkFacts, ScheduleFacts, setting, zeroth

from hzbench.core.structure import GradientLaw, Quadratic
from hzbench.theory.fourth_moment import fourth_moment_growth
from hzbench.theory.replicas import (
    gaussian_growth,
    relative_variance,
    replica_plan,
    replicas_for,
    step_growth,
)

FULL = GradientLaw(batch_size="full")
GAUSS = zeroth(directions="gaussian", samples=2)


@pytest.mark.parametrize(("w", "d"), [(0.1, 4), (0.3, 1), (0.02, 30)])
def test_one_direction_by_quadrature(w, d):
    """z = u'e by Gauss-Hermite; |u|² − z² is independent of it, with the moments of χ²."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(40)
    mass = mass / mass.sum()
    first, second = d - 1, (d - 1) * (d + 1)  # E s, E s²
    along, across = (1 - w * nodes**2) ** 2, w**2 * nodes**2
    growth = gaussian_growth(np.array([w]), 0.0, d)
    assert growth.second == pytest.approx(mass @ (along + across * first), rel=1e-12)
    fourth = mass @ (along**2 + 2 * along * across * first + across**2 * second)
    assert growth.fourth == pytest.approx(fourth, rel=1e-12)


def test_many_directions_by_monte_carlo():
    rng, weights, pull, d = np.random.default_rng(2), np.array([0.1, 0.1, 0.05]), 0.15, 3
    u = rng.standard_normal((400_000, 3, d))
    new = (1 - pull) * np.eye(d)[0] - np.einsum("k,rk,rkd->rd", weights, u[:, :, 0], u)
    square = (new**2).sum(1)
    growth = gaussian_growth(weights, pull, d)
    for power, expected in ((1, growth.second), (2, growth.fourth)):
        values = square**power
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))
        assert values.std() / np.sqrt(len(values)) < 0.01 * expected


def isotropic(n, **changes):
    d = 3
    model = Quadratic(
        hessians=np.repeat(0.8 * np.eye(d)[None], n, 0),
        linear=np.zeros((n, d)),
        noise=np.zeros((n, d, d)),
        evaluation_noise=changes.pop("evaluation_noise", 0.0),
    )
    words = {
        "laws": (FULL,) * (n - 1) + (GAUSS,),
        "step_sizes": np.full(n, 0.5),
        "network": NetworkFacts(matrix=np.full((n, n), 1 / n)),
        "initial": np.ones((n, d)),
        "steps": 6,
        "record": (0, 6),
    }
    words |= changes
    laws = words.pop("laws")
    return setting(model, laws, **words)


def test_a_hybrid_run_has_that_relative_variance():
    """Against 200 000 plain runs of all-reduce with a decaying step size."""
    s = isotropic(2, schedule=ScheduleFacts(name="inverse-time", offset=4.0))
    rng, x = np.random.default_rng(5), np.ones((200_000, 3))
    for t in range(6):
        eta = 0.5 / (1 + t / 4.0)
        u = rng.standard_normal((len(x), 2, 3))
        h = 0.8 * x
        g = np.einsum("rkd,rk->rd", u, np.einsum("rkd,rd->rk", u, h)) / 2
        x = x - eta * (h + g) / 2
    square = (x**2).sum(1)
    measured = square.var() / square.mean() ** 2
    assert relative_variance(s) == pytest.approx(measured, rel=0.05)
    assert relative_variance(isotropic(2)) > relative_variance(s)


def all_reduce_squares(order, steps=3, replicas=200_000):
    """|mean|² of plain runs of one gradient and two Gaussian nodes, d = 4, η = 0.3."""
    rng, x = np.random.default_rng(8), np.ones((replicas, 3, 4))
    for _ in range(steps):
        mean = np.repeat(x.mean(1, keepdims=True), 3, 1)
        at = mean if order == "combine-adapt" else x
        u = rng.standard_normal((replicas, 2, 4))
        G = at.copy()
        G[:, 1:] = u * (u * at[:, 1:]).sum(2, keepdims=True)
        moved = (x if order == "adapt-combine" else mean) - 0.3 * G
        average = np.repeat(moved.mean(1, keepdims=True), 3, 1)
        x = average if order == "adapt-combine" else moved
    return (x.mean(1) ** 2).sum(1)


def three_nodes(order):
    model = Quadratic(
        hessians=np.repeat(np.eye(4)[None], 3, 0),
        linear=np.zeros((3, 4)),
        noise=np.zeros((3, 4, 4)),
    )
    return setting(
        model,
        (FULL, *(zeroth(directions="gaussian"),) * 2),
        step_sizes=np.full(3, 0.3),
        network=NetworkFacts(weights="uniform"),
        initial=np.ones((3, 4)),
        order=order,
        steps=3,
        record=(0, 3),
    )


@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt"])
def test_the_planned_replicas_measure_with_the_promised_error(order):
    """A mean over R replicas errs by error/(z_{1−level/2} + z_{0.9}), relatively, as planned."""
    square, given = all_reduce_squares(order), three_nodes(order)
    needed, _ = replica_plan(given)
    error = 0.05 / (stats.norm.isf(0.5e-6) + stats.norm.ppf(0.9))
    assert square.std() / square.mean() / np.sqrt(needed) == pytest.approx(error, rel=0.03)
    values = fourth_moment_growth(given).values
    for name, power in (("mean_distance", 1), ("mean_distance_square", 2)):
        sample = square**power
        allowed = 4 * sample.std() / np.sqrt(len(sample))
        assert abs(values[name][-1] - sample.mean()) < allowed
        assert allowed < 0.05 * sample.mean()


def test_no_plan_where_gradients_are_taken_at_unequal_points():
    """Simultaneous steps leave the nodes apart: the variance is more than twice as large."""
    square, alike = all_reduce_squares("simultaneous"), three_nodes("adapt-combine")
    assert square.var() / square.mean() ** 2 > 2 * relative_variance(alike)
    given = three_nodes("simultaneous")
    assert replica_plan(given) == (0.0, "")
    prediction = fourth_moment_growth(given)
    failed = [a.text for a in prediction.assumptions if not a.holds]
    assert failed == ["all nodes estimate at one point in every step"]
    silent = replace(alike, network=NetworkFacts(weights="uniform", silent_rounds=2))
    assert replica_plan(silent) == (0.0, "")


def test_the_spread_of_the_distance_is_that_of_the_moments():
    prediction = fourth_moment_growth(isotropic(2, schedule=ScheduleFacts(name="cosine")))
    second, fourth = (prediction.values[f"mean_distance{k}"] for k in ("", "_square"))
    spread = prediction.spread["mean_distance"]
    np.testing.assert_allclose(spread**2, fourth - second**2, atol=1e-12)
    relative = relative_variance(isotropic(2, schedule=ScheduleFacts(name="cosine")))
    assert (spread[-1] / second[-1]) ** 2 == pytest.approx(relative)


def test_the_step_is_shared_among_nodes_and_vectors():
    growth = step_growth(isotropic(4), 1.0)
    same = gaussian_growth(np.full(2, 0.5 * 0.8 / 4 / 2), 3 * 0.5 * 0.8 / 4, 3)
    assert growth == same


def test_replicas_give_the_power_they_promise():
    """Power of a normal test at that R, from the normal law."""
    needed, cv, error, level = replicas_for(0.4, 0.05, 1e-4), 0.4, 0.05, 1e-4
    shift = error / (cv / np.sqrt(needed))
    assert stats.norm.sf(stats.norm.isf(level / 2) - shift) == pytest.approx(0.9, abs=1e-6)


def test_a_plan_names_the_numbers():
    s = isotropic(1, laws=(GAUSS,), step_sizes=np.array([0.9]), steps=200, record=(0, 200))
    needed, sentence = replica_plan(s)
    assert needed > 1e9
    assert "step 200" in sentence
    assert f"{needed:.2g} replicas" in sentence


UNKNOWN = [
    {"laws": (FULL, zeroth(directions="sphere"))},
    {"laws": (FULL, zeroth(directions="gaussian", difference="forward"))},
    {"evaluation_noise": 0.1},
    {"momentum": 0.5},
    {"protocol": "pair", "network": NetworkFacts()},
    {"network": NetworkFacts(matrix=np.eye(2))},
    {"initial": np.arange(6.0).reshape(2, 3)},
]


@pytest.mark.parametrize("changes", UNKNOWN)
def test_elsewhere_nothing_is_said(changes):
    assert replica_plan(isotropic(2, **changes)) == (0.0, "")
