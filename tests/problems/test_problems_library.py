"""The reference library: values and slopes against autograd, and attacks on every constant."""

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems_cases import LIBRARY, N, case, make, points, rows
from problems_plain import bend, local, single, slope

from hzbench.core.registry import find
from hzbench.harness.measurable import lacking
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
        assert np.isnan(c.minimum) or "several minimisers" in c.how["minimum"]
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
SEVERAL = {"phase", "factorization", "factorization-full", "sensing"}  # minimisers
OPEN = {"hinge-clean", "nonconvex", "cauchy", "geman", "phase-noisy", "chain", "chain-scaled"}


@ALL
def test_the_minimum_is_known_where_it_can_be(label):
    """0 at a truth that explains everything; unknown where nothing certifies a minimum."""
    problem, minimum = case(label), case(label).constants.minimum
    assert np.isnan(minimum) == (label in OPEN)
    assert (problem.optimum.size == 0) == (label in OPEN or label in SEVERAL)
    assert label not in CLEAN or minimum == pytest.approx(0, abs=1e-30)


def descend(problem, start):
    """A local minimiser by L-BFGS on the objective alone."""

    def both(x):
        at = torch.from_numpy(x)[None]
        return float(problem.objective(at)[0]), problem.objective_gradient(at)[0].numpy()

    return scipy.optimize.minimize(both, start, jac=True, tol=1e-14).x


@pytest.mark.parametrize("label", sorted(SEVERAL))
def test_a_minimum_with_several_minimisers_is_attained_at_them(label):
    """Descents reach f* at points apart; so no x* is declared, and no distance to it."""
    problem, random = case(label), np.random.default_rng(5)
    ends = [descend(problem, random.standard_normal(problem.dimension)) for _ in range(12)]
    gaps = problem.objective(torch.from_numpy(np.array(ends))).numpy() - problem.constants.minimum
    best = [x for x, gap in zip(ends, gaps, strict=True) if gap < 1e-9]
    assert gaps.min() > -1e-12
    assert max(np.linalg.norm(x - best[0]) for x in best) > 0.1
    assert {"node_distance", "mean_distance"} <= set(lacking(problem))


@pytest.mark.parametrize("name", ["huber", "cauchy", "geman_mcclure"])
def test_rows_that_do_not_span_leave_the_minimiser_open(name):
    """f is 0 all along the null space of the rows, so x* is none of these points."""
    keys = {"planted": {"rows": 6, "dimension": 10}, "regularization": 0.0}
    problem = make(name, **keys)
    assert problem.optimum.size == 0
    assert problem.constants.minimum == 0
    assert "one of several minimisers" in problem.constants.how["minimum"]
    truth = find("problem", name).target(**keys).planted.draw("real", 0)[2]
    along = scipy.linalg.null_space(problem.shares.features) @ np.ones(4)
    values = problem.objective(torch.from_numpy(truth + np.outer([0, 1, -7], along)))
    assert float(values.max()) < 1e-24
    assert "node_distance" in lacking(problem)
    assert "objective_gap" not in lacking(problem)
    enough = make(name, planted={"rows": 30, "dimension": 10}, regularization=0.0)
    assert enough.optimum == pytest.approx(
        find("problem", name)
        .target(planted={"rows": 30, "dimension": 10})
        .planted.draw("real", 0)[2]
    )


@ALL
def test_no_problem_starts_at_a_point_from_which_nothing_moves(label):
    problem = case(label)
    start = torch.from_numpy(problem.initial)
    assert float(problem.objective_gradient(start).norm(dim=1).min()) > 1e-6
