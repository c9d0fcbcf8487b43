"""Zeroth-order estimates against their formula, written out with numpy, and by enumeration."""

from itertools import product

import numpy as np
import pytest
import torch
from estimators_cases import (
    DIFFERENCES,
    LAWS,
    expected_square_of,
    injected,
    many_rows,
    problem_of,
    rows_of,
)

from hzbench.estimators.zeroth_order import ZerothOrder

RIDGE = {"data": "diabetes"}
LOGISTIC = {"data": "breast_cancer"}


def full_loss(structure, node, x):
    """f_i written out: the mean loss over the node's rows plus ½ λ|x|²."""
    members = structure.members[node]
    scores, y = structure.features[members] @ x, structure.targets[members]
    squared = structure.loss == "squared"
    losses = (scores - y) ** 2 / 2 if squared else np.logaddexp(0, -y * scores)
    return losses.mean() + structure.regularization / 2 * (x @ x)


def full_gradient(structure, node, x):
    """Its gradient."""
    members = structure.members[node]
    A, y = structure.features[members], structure.targets[members]
    scores = A @ x
    slope = scores - y if structure.loss == "squared" else -y / (1 + np.exp(y * scores))
    return A.T @ slope / len(members) + structure.regularization * x


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("name", "parameters"), [("ridge", RIDGE), ("logistic", LOGISTIC)])
def test_estimates_are_their_formula(name, parameters, law, difference):
    problem = problem_of(name, nodes=3, **parameters)
    rows, nu, m = rows_of(6, nodes=3), 0.03, 4
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(6, problem.dimension)) / 3)
    estimator = ZerothOrder(directions=law, difference=difference, samples=m, smoothing=nu)
    found = estimator.estimate(problem, x, rows, "full").gradient.numpy()
    for row in range(6):
        vectors = estimator.draw(rows, problem.dimension)[row].numpy()
        at, node = x[row].numpy(), int(rows.node[row])
        each = [slope(difference, problem.structure, node, at, u, nu) * u for u in vectors]
        np.testing.assert_allclose(found[row], np.mean(each, axis=0), rtol=1e-9, atol=1e-10)


def slope(difference, structure, node, at, u, nu):
    """D(u), as the docstring prints it."""
    if difference == "directional_derivative":
        return full_gradient(structure, node, at) @ u
    ahead, here, behind = (full_loss(structure, node, at + k * nu * u) for k in (1, 0, -1))
    return (ahead - behind) / (2 * nu) if difference == "central" else (ahead - here) / nu


def all_directions(law, d):
    if law == "rademacher":
        return np.array(list(product((-1.0, 1.0), repeat=d)))
    return d**0.5 * np.concatenate([np.eye(d), -np.eye(d)])


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("law", ["rademacher", "coordinate"])
def test_every_direction_averages_to_the_gradient_of_a_quadratic(law, d, difference):
    problem = problem_of(dimension=d, rotation=True, nodes=1)
    each = all_directions(law, d)
    pairs = np.array(list(product(each, repeat=2)))  # m = 2: every ordered pair, equally likely
    estimator = injected(torch.from_numpy(pairs), difference=difference, smoothing=0.7)
    x = torch.linspace(-1, 2, d, dtype=torch.float64).expand(len(pairs), d)
    found = estimator.estimate(problem, x, rows_of(len(pairs)), "full").gradient
    exact = problem.structure.hessians[0] @ x[0].numpy() - problem.structure.linear[0]
    np.testing.assert_allclose(found.mean(0), exact, atol=1e-12)
    # Cov G = (1/m) Cov(u D), by enumeration over single vectors
    h, H, nu = exact, problem.structure.hessians[0], 0.7
    curve = np.array([nu / 2 * u @ H @ u for u in each]) if difference == "forward" else 0.0
    single = each * (each @ h + curve)[:, None]
    covariance = np.cov(single.T, bias=True) / 2
    np.testing.assert_allclose(np.cov(found.numpy().T, bias=True), covariance, atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_estimates_are_unbiased_on_quadratics(law, difference):
    problem = problem_of(dimension=3, noise=0.5)
    estimator = ZerothOrder(directions=law, difference=difference, samples=2, smoothing=0.5)
    x = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64).expand(20_000, 3)
    found = estimator.estimate(problem, x, many_rows(20_000), 1).gradient
    exact = torch.from_numpy(problem.structure.hessians[0] @ x[0].numpy())
    scores = (found.mean(0) - exact) / (found.std(0) / 20_000**0.5)
    assert scores.abs().max() < 4.5


@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("smoothing", [1.0, 1e-3])
def test_both_evaluations_see_one_sample_so_the_noise_is_linear(smoothing, difference, data):
    d, m, count, b = 3, 4, 50, 2
    problem = problem_of(dimension=d, noise_covariance=[[2, 1, 0], [1, 2, 0], [0, 0, 1]])
    rows = rows_of(count)
    estimator = ZerothOrder(
        directions="rademacher", difference=difference, samples=m, smoothing=smoothing, data=data
    )
    x = torch.ones(count, d, dtype=torch.float64)
    found = estimator.estimate(problem, x, rows, b).gradient
    zeta = problem.sample(rows, b, m if data == "fresh" else 1).zeta.expand(count, m, d)
    assert zeta.std() > 0.3
    u, H = estimator.draw(rows, d), torch.from_numpy(np.array(problem.structure.hessians[0]))
    slope = ((x @ H)[:, None] + zeta) * u
    curve = smoothing / 2 * ((u @ H) * u).sum(-1) if difference == "forward" else 0.0
    expected = ((slope.sum(-1) + curve)[:, :, None] * u).mean(1)
    assert torch.allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("difference", ["central", "forward"])
@pytest.mark.parametrize(("name", "parameters"), [("ridge", RIDGE), ("logistic", LOGISTIC)])
def test_minibatch_noise_does_not_grow_as_the_smoothing_shrinks(name, parameters, difference):
    problem = problem_of(name, nodes=2, **parameters)
    rows = rows_of(200, nodes=2)
    x = torch.full((200, problem.dimension), 0.1, dtype=torch.float64)
    wide, narrow, limit = (
        ZerothOrder(difference=kind, smoothing=nu, data="fresh", samples=2)
        .estimate(problem, x, rows, 3)
        .gradient
        for kind, nu in ((difference, 1e-3), (difference, 1e-5), ("directional_derivative", 1.0))
    )
    scale = limit.abs().max()
    assert (narrow - limit).abs().max() < 1e-3 * scale
    assert (wide - limit).abs().max() < 1e-1 * scale


def test_fresh_data_averages_noise_that_shared_data_keeps():
    d, m, count = 2, 16, 20_000
    problem = problem_of(dimension=d, noise=1.0, initial=0.0)
    x = torch.zeros(count, d, dtype=torch.float64)  # the gradient is 0: only noise is left
    for data, expected in (("shared", d * (1 + (d - 1) / m)), ("fresh", d * d / m)):
        estimator = ZerothOrder(directions="rademacher", samples=m, data=data)
        found = estimator.estimate(problem, x, many_rows(count), 1).gradient
        mean, error = expected_square_of(found)
        assert abs(mean - expected) < 4 * error, data


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_evaluation_noise_has_the_declared_variance(difference, m):
    d, s, nu, count = 4, 0.2, 0.5, 20_000
    problem = problem_of(dimension=d, evaluation_noise=s, spectrum="isotropic", smoothness=1.0)
    estimator = ZerothOrder(directions="rademacher", difference=difference, samples=m, smoothing=nu)
    x = torch.zeros(count, d, dtype=torch.float64)  # the optimum
    found = estimator.estimate(problem, x, many_rows(count), 1).gradient
    expected = {
        "central": d * s**2 / (2 * nu**2 * m),
        "forward": d * ((nu * d / 2) ** 2 + 2 * s**2 / nu**2) / m,
        "directional_derivative": 0.0,
    }[difference]
    mean, error = expected_square_of(found)
    assert abs(mean - expected) <= 4 * error
    assert (found == 0).all() == (difference == "directional_derivative")


def test_one_base_evaluation_serves_all_vectors_of_a_forward_difference():
    d, s, nu, count = 2, 1.0, 1.0, 20_000
    problem = problem_of(dimension=d, evaluation_noise=s, spectrum="isotropic")
    u = torch.tensor([[[1.0, 1.0], [1.0, 1.0]]], dtype=torch.float64).expand(count, 2, d)
    for data, variance in (("shared", 1.5), ("fresh", 1.0)):  # of mean(e_1, e_2) − base(s)
        estimator = injected(u, difference="forward", smoothing=nu, data=data)
        x = torch.zeros(count, d, dtype=torch.float64)
        found = estimator.estimate(problem, x, many_rows(count), 1).gradient[:, 0]
        spread = float(found.var())
        assert abs(spread - variance * s**2) < 4 * variance * (2 / count) ** 0.5
