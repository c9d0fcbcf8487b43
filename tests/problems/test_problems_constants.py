"""Declared constants against random pairs of points, and the noise against its declared law."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems_cases import CASES, EXPLICIT, N, Plain, case, make, minimiser, rows
from scipy.stats import chisquare

from hzbench.core.streams import Rows, replica_keys
from hzbench.problems.row_model import RowSample

ALL = pytest.mark.parametrize("label", list(CASES))
QUADRATICS = [label for label, (name, _) in CASES.items() if name == "quadratic"]
DATA = [label for label, (name, _) in CASES.items() if name in ("ridge", "logistic")]
SLACK = 1 + 1e-9


def pair(problem, seed, spread, distance):
    random = np.random.default_rng(seed)
    x = minimiser(problem) + spread * random.standard_normal(problem.dimension)
    return x, x + distance * random.standard_normal(problem.dimension)


@ALL
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    distance=st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_constants_hold_on_random_pairs(label, seed, spread, distance):
    problem, plain, c = case(label), Plain(case(label)), case(label).constants
    x, y = pair(problem, seed, spread, distance)
    at_x = np.array([plain.gradient(node, x) for node in range(N)])
    at_y = np.array([plain.gradient(node, y) for node in range(N)])
    far, rounding = np.linalg.norm(x - y), 1e-12 * (1 + np.abs(at_x).max())
    assert np.linalg.norm(at_x - at_y, axis=1).max() <= c.smoothness * far * SLACK + rounding
    mean = (at_x - at_y).mean(axis=0) @ (x - y)
    assert mean >= c.strong_convexity * far**2 / SLACK - rounding * far
    for node in range(N):
        change = np.linalg.norm(plain.hessian(node, x) - plain.hessian(node, y), 2)
        assert change <= c.hessian_lipschitz * far * SLACK + rounding
    if c.heterogeneity_holds == "everywhere":
        spread_now = ((at_x - at_x.mean(axis=0)) ** 2).sum(axis=1).mean()
        assert spread_now <= c.heterogeneity * SLACK + rounding**2
    if c.noise_holds == "everywhere":
        noise = [plain.noise(node, x) for node in range(N)]
        assert (np.array(noise) <= np.array(c.noise) * SLACK + 1e-14).all()


@pytest.mark.parametrize("label", [*QUADRATICS, *(x for x in DATA if x.startswith("ridge"))])
def test_constants_of_quadratic_losses_are_exact(label):
    problem, plain, c = case(label), Plain(case(label)), case(label).constants
    hessians = np.stack([plain.hessian(node, problem.optimum) for node in range(N)])
    assert c.smoothness == pytest.approx(np.linalg.eigvalsh(hessians).max(), rel=1e-12)
    least = np.linalg.eigvalsh(hessians.mean(axis=0)).min()
    assert c.strong_convexity == pytest.approx(least, rel=1e-9)
    assert c.hessian_lipschitz == 0
    gradients = np.array([plain.gradient(node, problem.optimum) for node in range(N)])
    assert c.heterogeneity == pytest.approx((gradients**2).sum(axis=1).mean(), abs=1e-12)
    shared = np.ptp(hessians, axis=0).max() < 1e-14
    assert c.heterogeneity_holds == ("everywhere" if shared else "at the optimum")
    noise = [plain.noise(node, problem.optimum) for node in range(N)]
    assert c.noise == pytest.approx(noise, rel=1e-10, abs=1e-14)


def test_the_heterogeneity_bound_needs_both_of_its_terms():
    """Two nodes, one row each, both on the wrong side: ∇f_1 − ∇f tends to −(a_1 + a_2)/2."""
    keys = {"features": [[0.0, 1.0], [1.0, 0.0]], "targets": [-1.0, 1.0], "partition": "sorted"}
    problem = make("logistic", kinds=("first", "zeroth"), standardize=False, **keys)
    plain, x = Plain(problem), np.array([-40.0, 40.0])
    gradients = np.array([plain.gradient(node, x) for node in range(2)])
    seen = ((gradients - gradients.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert seen == pytest.approx(0.5)
    expected = (0.5 * (np.sqrt(0.5) + 1.0)) ** 2
    assert problem.constants.heterogeneity == pytest.approx(expected)


def test_logistic_bounds_are_not_absurdly_loose():
    """Within a factor of the largest value seen; a bound of the wrong power would exceed it."""
    problem, plain, c = case("logistic"), Plain(case("logistic")), case("logistic").constants
    assert problem.constants.strong_convexity == pytest.approx(0.01)
    zero = np.zeros(problem.dimension)
    largest = max(np.linalg.eigvalsh(plain.hessian(node, zero)).max() for node in range(N))
    assert c.smoothness == pytest.approx(largest, rel=1e-12)
    noise = np.array([plain.noise(node, zero) for node in range(N)])
    assert (np.array(c.noise) < 8 * noise).all()
    assert case("logistic-replicated").constants.heterogeneity == 0
    assert case("ridge-replicated").constants.heterogeneity == 0


@pytest.mark.parametrize(
    ("label", "batch_size"), [("diagonal", 1), ("given", 1), ("node-hessians", 4), ("rotated", 3)]
)
def test_quadratic_sample_noise_has_the_declared_covariance(label, batch_size):
    """Every entry of the covariance, as a z score of at most 4.5 (200,000 draws a node)."""
    problem, count = case(label), 100
    at = rows(2000)
    zeta = problem.sample(at, batch_size, count).zeta.reshape(2000, N, count, -1).numpy()
    for node in range(N):
        draws = zeta[:, node].reshape(-1, problem.dimension)
        declared = problem.structure.noise[node] / batch_size
        error = draws.T @ draws / len(draws) - declared
        sd = np.sqrt((np.outer(np.diag(declared), np.diag(declared)) + declared**2) / len(draws))
        assert (np.abs(error) <= 4.5 * sd + 1e-15).all()
        assert (np.abs(draws.mean(axis=0)) <= 4.5 * np.sqrt(np.diag(declared) / len(draws))).all()
    for other in (zeta[:, 1], zeta[:, 0, ::-1]):  # nodes and samples are independent
        cross = (zeta[:, 0, :, 0] * other[..., 0]).mean()
        scale = np.sqrt(problem.structure.noise[0, 0, 0] * problem.structure.noise[1, 0, 0])
        assert abs(cross) <= 4.5 * scale / batch_size / np.sqrt(2000 * count / 2)


@pytest.mark.parametrize("label", DATA)
def test_single_rows_average_to_the_full_gradient(label):
    problem, plain = case(label), Plain(case(label))
    x = torch.from_numpy(problem.optimum + 0.3)[None]
    for node in range(N):
        members = torch.from_numpy(problem.structure.members[node])
        every = RowSample(count=len(members), index=members[None, :, None])
        singles = problem.gradients(x, torch.tensor([node]), every)[0].numpy()
        penalty = problem.structure.regularization * x.numpy()
        assert singles == pytest.approx(plain.single(node, x[0].numpy()) + penalty, abs=1e-12)
        full = problem.gradients(x, torch.tensor([node]), RowSample(count=1, index=None))[0, 0]
        assert singles.mean(axis=0) == pytest.approx(full.numpy(), rel=1e-10, abs=1e-11)
        batch = RowSample(count=1, index=members[None, None, :2])
        mean = problem.gradients(x, torch.tensor([node]), batch)[0, 0].numpy()
        assert mean == pytest.approx(singles[:2].mean(axis=0), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("label", ["ridge-raw", "logistic-raw", "logistic"])
def test_minibatches_draw_the_rows_of_the_node_uniformly(label):
    problem, at = case(label), rows(1000)
    index = problem.sample(at, 3, 4).index.reshape(1000, N, -1).numpy()
    for node in range(N):
        members = problem.structure.members[node]
        found, counts = np.unique(index[:, node], return_counts=True)
        assert set(found) <= set(members.tolist())
        every = np.zeros(len(members))
        every[np.searchsorted(np.sort(members), found)] = counts
        assert len(members) == 1 or chisquare(every).pvalue > 1e-3
    equal = (index[:, 0, 0] == index[:, 0, 1]).mean()  # with replacement, independent
    share = 1 / len(problem.structure.members[0])
    assert abs(equal - share) < 4.5 * np.sqrt(share * (1 - share) / 1000) + 1e-12


@pytest.mark.parametrize("batch_size", ["full", 5])
def test_no_noise_no_draw(batch_size):
    problem = make("quadratic", dimension=3)
    assert problem.sample(rows(2), batch_size, 3).zeta is None
    noisy = make("quadratic", dimension=3, noise=0.1)
    assert noisy.sample(rows(2), "full", 3).zeta is None


def test_blocks_change_no_result(monkeypatch):
    for label in ("logistic", "ridge", "logistic-replicated"):
        problem, at = case(label), rows(6)
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((6 * N, problem.dimension)))
        many = x[:, None, None].expand(-1, 2, 3, -1)
        for batch_size in (3, "full"):
            sample = problem.sample(at, batch_size, 2)
            values = problem.values(many, at.node, sample)
            gradients = problem.gradients(x, at.node, sample)
            objective = problem.objective(x)
            with monkeypatch.context() as patch:
                patch.setattr("hzbench.problems.row_model._BLOCK", 500)
                for a, b in (
                    (problem.values(many, at.node, sample), values),
                    (problem.gradients(x, at.node, sample), gradients),
                    (problem.objective(x), objective),
                ):
                    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_covariances_that_are_only_semidefinite():
    flat = np.ones((3, 3))
    problem = make("quadratic", hessian=EXPLICIT["hessian"], noise_covariance=flat)
    zeta = problem.sample(rows(50), 1, 2).zeta
    torch.testing.assert_close(zeta[..., 0], zeta[..., 1])
    torch.testing.assert_close(zeta[..., 0], zeta[..., 2])


def test_rows_of_one_node_only():
    """The grouped products must not need every node to occur."""
    for label in ("node-hessians", "logistic", "ridge"):
        problem = case(label)
        node = torch.full((4,), 3)
        at = Rows(keys=replica_keys(0, range(4)), replica=torch.arange(4), node=node, step=0 * node)
        x = torch.ones(4, problem.dimension, dtype=torch.float64)
        got = problem.gradients(x, node, problem.sample(at, "full", 1))[:, 0].numpy()
        expected = Plain(problem).gradient(3, x[0].numpy())
        assert got == pytest.approx(np.stack([expected] * 4), abs=1e-12)
