"""What is special to the separable problem: global minima, sharp constants, its noise."""

import numpy as np
import pytest
import torch
from problems_cases import N, Plain, case, make, minimiser, rows

TERMS = ("exponential", "cosine", "quartic")


@pytest.mark.parametrize("label", TERMS)
def test_the_optimum_is_a_global_minimum(label):
    """Coordinate by coordinate on a grid that covers several periods."""
    problem = case(label)
    d = problem.dimension
    grid = np.linspace(-15, 15, 4001)
    for k in range(d):
        x = np.tile(minimiser(problem), (len(grid), 1))
        x[:, k] = grid
        gap = problem.objective(torch.from_numpy(x)).numpy() - problem.constants.minimum
        assert gap.min() > -1e-12
        assert gap.min() < 1e-3  # the grid comes close to a minimiser


def test_cosine_constants_are_attained():
    problem, plain = case("cosine"), Plain(case("cosine"))
    c, a = problem.structure.coefficients, problem.structure.rates
    node, k = np.unravel_index(np.argmax(np.abs(c) * a**2), c.shape)
    x = np.zeros(4)
    assert np.abs(plain.hessian(node, x)).max() == pytest.approx(problem.constants.smoothness)
    least = min(
        np.diag(np.mean([plain.hessian(i, np.pi * s / a) for i in range(N)], 0)).min()
        for s in (0, 1)
    )
    assert least == pytest.approx(problem.constants.strong_convexity)
    node, k = np.unravel_index(np.argmax(np.abs(c * a**3)), c.shape)
    turn, step = np.full(4, np.pi / 2 / a[k]), 1e-5
    ends = [plain.hessian(node, turn + s * np.eye(4)[k]) for s in (-step / 2, step / 2)]
    slope = np.abs(ends[1] - ends[0]).max() / step
    assert slope == pytest.approx(problem.constants.hessian_lipschitz, rel=1e-6)


def test_cosine_heterogeneity_is_attained_at_a_corner():
    problem, plain = case("cosine"), Plain(case("cosine"))
    a = problem.structure.rates
    corners = np.stack(np.meshgrid(*[[-1, 1]] * 4), -1).reshape(-1, 4) * np.pi / 2 / a
    seen = []
    for x in corners:
        gradients = np.array([plain.gradient(i, x) for i in range(N)])
        seen.append(((gradients - gradients.mean(0)) ** 2).sum(1).mean())
    assert max(seen) == pytest.approx(problem.constants.heterogeneity, rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_noise_has_the_declared_variances(batch_size):
    problem, at = case("exponential"), rows(2000)
    zeta = problem.sample(at, batch_size, 5).zeta.reshape(2000, N, 5, 3).numpy()
    for node in range(N):
        draws = zeta[:, node].reshape(-1, 3)
        declared = np.array([0.01, 0.0, 0.09]) / batch_size
        error = (draws**2).mean(0) - declared
        assert (np.abs(error) <= 4.5 * declared * np.sqrt(2 / len(draws))).all()
        assert (np.abs(draws.mean(0)) <= 4.5 * np.sqrt(declared / len(draws))).all()
    cross = (zeta[..., 0] * zeta[..., 2]).mean()
    assert abs(cross) < 4.5 * 0.03 / batch_size / np.sqrt(zeta[..., 0].size)
    assert problem.gradient_noise(torch.zeros(1, 3), torch.tensor([2])).tolist() == [
        pytest.approx(0.1)
    ]
    assert problem.sample(at, "full", 1).zeta is None


def test_defaults_have_their_optimum_at_zero_or_in_every_trough():
    for term in ("exponential", "quartic"):
        problem = make("separable", term=term, dimension=2, rates=2.0, coefficients=3.0)
        np.testing.assert_allclose(problem.optimum, 0.0, atol=1e-15)
    waves = make("separable", dimension=2, rates=2.0, coefficients=3.0)
    assert waves.optimum.size == 0  # one in every period
    assert waves.constants.minimum == pytest.approx(-6)
