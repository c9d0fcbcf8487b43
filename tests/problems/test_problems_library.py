"""The reference library: values and slopes against autograd, and attacks on every constant."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems_cases import LIBRARY, N, case, points, rows
from problems_plain import bend, local, single, slope

from hzbench.problems.row_model import RowProblem

ALL = pytest.mark.parametrize("label", [label for label in LIBRARY if label != "blackbox"])
DATA = pytest.mark.parametrize(
    "label", [label for label in LIBRARY if isinstance(case(label), RowProblem)]
)
SLACK = 1 + 1e-9
NODES = torch.arange(N)


@ALL
def test_values_and_gradients_of_every_node(label):
    problem = case(label)
    full = problem.sample(rows(1), "full", 1)
    for x in points(problem, 4, seed=3):
        found = problem.values(x.expand(N, 1, 1, -1), NODES, full)[:, 0, 0]
        slopes = problem.gradients(x.expand(N, -1), NODES, full)[:, 0]
        for node in range(N):
            f = local(problem, node)
            torch.testing.assert_close(found[node], f(x), rtol=1e-12, atol=1e-12)
            expected = torch.from_numpy(slope(f, x))
            torch.testing.assert_close(slopes[node], expected, rtol=1e-11, atol=1e-11)


@ALL
def test_the_mean_over_the_nodes(label):
    problem, x = case(label), points(case(label), 3, seed=5)
    for point, f, g in zip(x, problem.objective(x), problem.objective_gradient(x), strict=True):
        nodes = [local(problem, node) for node in range(N)]
        assert float(f) == pytest.approx(np.mean([float(h(point)) for h in nodes]), rel=1e-12)
        expected = np.mean([slope(h, point) for h in nodes], axis=0)
        assert g.numpy() == pytest.approx(expected, rel=1e-10, abs=1e-11)


@ALL
def test_the_optimum_and_its_certificate(label):
    """f* is never above what two hundred random descents find, and is attained where declared."""
    problem, c = case(label), case(label).constants
    random = torch.from_numpy(np.random.default_rng(2).standard_normal((200, problem.dimension)))
    assert not (problem.objective(2 * random) < c.minimum - 1e-12).any()
    if not problem.optimum.size:
        assert np.isnan(c.minimum) or "bound" in c.how["minimum"]
        return
    best = torch.from_numpy(problem.optimum)
    mean = [local(problem, node) for node in range(N)]
    assert np.linalg.norm(np.mean([slope(f, best) for f in mean], axis=0)) < 1e-9
    value = np.mean([float(f(best)) for f in mean])
    assert value == pytest.approx(c.minimum, rel=1e-11, abs=1e-13)
    assert np.linalg.eigvalsh(np.mean([bend(f, best) for f in mean], axis=0))[0] > -1e-9


@ALL
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 0.1, 1.0, 6.0]),
    distance=st.sampled_from([1e-3, 0.3, 3.0]),
)
def test_constants_hold_on_random_pairs(label, seed, spread, distance):
    problem, c = case(label), case(label).constants
    random = np.random.default_rng(seed)
    centre = problem.optimum if problem.optimum.size else problem.initial.mean(axis=0)
    x = torch.from_numpy(centre + spread * random.standard_normal(problem.dimension))
    y = x + distance * torch.from_numpy(random.standard_normal(problem.dimension))
    nodes, far = [local(problem, node) for node in range(N)], float((x - y).norm())
    at_x, at_y = (np.array([slope(f, point) for f in nodes]) for point in (x, y))
    rounding = 1e-11 * (1 + np.abs(at_x).max() + np.abs(at_y).max())
    change = np.linalg.norm(at_x - at_y, axis=1).max()
    assert not change > c.smoothness * far * SLACK + rounding
    hessians = [np.array([bend(f, point) for f in nodes]) for point in (x, y)]
    sizes = np.linalg.norm(hessians[0], 2, axis=(1, 2))
    assert not sizes.max() > c.smoothness * SLACK + rounding
    least = np.linalg.eigvalsh(hessians[0].mean(axis=0))[0]
    assert not least < c.strong_convexity - 1e-9 * abs(c.strong_convexity) - rounding
    turn = np.linalg.norm(hessians[0] - hessians[1], 2, axis=(1, 2)).max()
    assert not turn > c.hessian_lipschitz * far * SLACK + rounding
    gap = np.mean([float(f(x)) for f in nodes]) - c.minimum
    square = (at_x.mean(axis=0) ** 2).sum()
    assert not square < 2 * c.polyak_lojasiewicz * gap / SLACK - rounding
    if c.heterogeneity_holds == "everywhere":
        apart = ((at_x - at_x.mean(axis=0)) ** 2).sum(axis=1).mean()
        assert apart <= c.heterogeneity * SLACK + rounding**2


@DATA
def test_single_rows_are_as_smooth_and_as_noisy_as_declared(label):
    problem, c = case(label), case(label).constants
    for x in points(problem, 6, seed=8) * torch.tensor([0.2, 1, 1, 3, 3, 6])[:, None]:
        measured = problem.gradient_noise(x.expand(N, -1), NODES).numpy()
        for node in range(N):
            held = problem.shares.members[node]
            each = [single(problem, row) for row in held[:15]]
            largest = max(np.linalg.norm(bend(f, x), 2) for f in each)
            assert largest <= c.sample_smoothness * SLACK
            if len(held) > 15:
                continue
            slopes = np.array([slope(f, x) for f in each])
            noise = slopes.var(axis=0).sum()
            covariance = problem.gradient_covariance(x[None], NODES[node : node + 1])[0].numpy()
            expected = np.cov(slopes.T, bias=True).reshape(covariance.shape)
            assert covariance == pytest.approx(expected, rel=1e-9, abs=1e-11 * (1 + noise))
            assert measured[node] == pytest.approx(noise, rel=1e-9, abs=1e-12)
            if c.noise_holds == "everywhere":
                assert noise <= c.noise[node] * SLACK + 1e-13


@DATA
def test_noise_and_heterogeneity_at_the_optimum_are_exact(label):
    problem, c = case(label), case(label).constants
    if not problem.optimum.size:
        return
    x = torch.from_numpy(problem.optimum)
    if c.noise_holds == "at the optimum":
        for node in range(N):
            each = [slope(single(problem, row), x) for row in problem.shares.members[node]]
            assert c.noise[node] == pytest.approx(np.var(each, axis=0).sum(), rel=1e-8, abs=1e-14)
    if c.heterogeneity_holds == "at the optimum":
        slopes = np.array([slope(local(problem, node), x) for node in range(N)])
        assert c.heterogeneity == pytest.approx((slopes**2).sum(axis=1).mean(), rel=1e-8, abs=1e-14)


@ALL
def test_every_known_constant_says_how_it_was_obtained(label):
    c = case(label).constants
    for name in ("smoothness", "strong_convexity", "hessian_lipschitz", "sample_smoothness"):
        assert np.isnan(getattr(c, name)) or len(c.how[name]) > 5
    assert np.isnan(c.minimum) or len(c.how["minimum"]) > 5


CLEAN = {"cauchy-clean", "geman-clean", "phase"}
OPEN = {"hinge-clean", "nonconvex", "cauchy", "geman", "phase-noisy", "chain", "chain-scaled"}


@ALL
def test_the_minimum_is_known_where_it_can_be(label):
    """0 at a truth that explains everything; unknown where nothing certifies a minimum."""
    problem, minimum = case(label), case(label).constants.minimum
    assert np.isnan(minimum) == (label in OPEN) == (problem.optimum.size == 0)
    assert label not in CLEAN or minimum == pytest.approx(0, abs=1e-30)


@ALL
def test_no_problem_starts_at_a_point_from_which_nothing_moves(label):
    problem = case(label)
    start = torch.from_numpy(problem.initial)
    assert float(problem.objective_gradient(start).norm(dim=1).min()) > 1e-6
