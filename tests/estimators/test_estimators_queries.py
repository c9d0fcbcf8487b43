"""Orthogonal vectors, one-point, residual and coordinate estimates against their formulas."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from estimators_cases import LAWS, many_rows, problem_of, rows_of
from pydantic import ValidationError
from test_estimators_calls import Spy
from test_estimators_zeroth_order import full_loss

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.core.streams import Purpose, normals
from hzbench.estimators.coordinate_difference import CoordinateDifference
from hzbench.estimators.directions import orthonormal, without_replacement
from hzbench.estimators.one_point import OnePoint, ResidualFeedback
from hzbench.estimators.zeroth_order import ZerothOrder
from hzbench.harness.build import build

RIDGE = {"data": "diabetes"}
ROWS = 20_000


def points(problem, count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, problem.dimension)) / 3)


@pytest.mark.parametrize("draw", [orthonormal, without_replacement])
@pytest.mark.parametrize(("m", "d"), [(1, 1), (3, 5), (5, 5)])
def test_vectors_are_orthogonal_with_the_right_length(draw, m, d):
    u = draw(rows_of(50), m, d)
    assert u.shape == (50, m, d)
    product = u @ u.mT
    assert (product - d * torch.eye(m)).abs().max() < 1e-12 * d


def test_haar_columns_have_the_moments_of_the_orthogonal_group():
    """Rotating or flipping columns changes no moment: E Q_ij Q_kl Q_pq Q_rs of O(d), d = 4."""
    d = 4
    q = orthonormal(many_rows(ROWS), d, d).mT.numpy() / np.sqrt(d)  # columns are vectors
    exact = {  # Collins & Śniady 2006: Weingarten calculus at degree 4
        ((0, 0),) * 4: 3 / (d * (d + 2)),
        ((0, 0), (0, 0), (0, 1), (0, 1)): 1 / (d * (d + 2)),
        ((0, 0), (0, 0), (1, 1), (1, 1)): (d + 1) / (d * (d - 1) * (d + 2)),
        ((0, 0), (1, 1), (0, 1), (1, 0)): -1 / (d * (d - 1) * (d + 2)),
        ((0, 0), (1, 1), (2, 2), (3, 3)): 0.0,
        ((0, 0),): 0.0,
        ((2, 3),): 0.0,
        ((0, 0), (1, 1)): 0.0,
    }
    for entries, value in exact.items():
        seen = np.prod([q[:, i, j] for i, j in entries], axis=0)
        assert abs(seen.mean() - value) < 4.5 * seen.std() / ROWS**0.5, entries


def test_coordinates_without_replacement_are_uniform():
    u = without_replacement(many_rows(ROWS), 2, 4).numpy()
    index = np.abs(u).argmax(-1)
    sign = np.take_along_axis(u, index[:, :, None], 2)[:, :, 0] > 0
    cells = [(i, j, s, t) for i, j in permutations(range(4), 2) for s in (0, 1) for t in (0, 1)]
    seen = index[:, 0] * 100 + index[:, 1] * 10 + sign[:, 0] * 2 + sign[:, 1]
    counts = np.array([(seen == i * 100 + j * 10 + s * 2 + t).sum() for i, j, s, t in cells])
    assert counts.sum() == ROWS
    expected = ROWS / len(cells)
    assert ((counts - expected) ** 2 / expected).sum() < 93.2  # χ²(47) at 1e-4


@pytest.mark.parametrize("sampling", ["orthonormal", "without_replacement"])
def test_all_orthogonal_vectors_give_the_gradient_of_a_quadratic(sampling):
    problem = problem_of(dimension=4, rotation=True)
    law = "sphere" if sampling == "orthonormal" else "coordinate"
    estimator = ZerothOrder(directions=law, sampling=sampling, samples=4, smoothing=0.3)
    x = points(problem, 9)
    found = estimator.estimate(problem, x, rows_of(9), "full").gradient.numpy()
    exact = x.numpy() @ problem.structure.hessians[0] - problem.structure.linear[0]
    np.testing.assert_allclose(found, exact, atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_one_point_estimates_are_their_formula(law):
    problem, rows, nu, m = problem_of("ridge", nodes=3, **RIDGE), rows_of(6, nodes=3), 0.3, 4
    x = points(problem, 6)
    estimator = OnePoint(directions=law, samples=m, smoothing=nu)
    found = estimator.estimate(problem, x, rows, "full").gradient.numpy()
    vectors = estimator.draw(rows, 1, problem.dimension)[:, 0].numpy()
    for row in range(6):
        at, node = x[row].numpy(), int(rows.node[row])
        each = [u * full_loss(problem.structure, node, at + nu * u) / nu for u in vectors[row]]
        np.testing.assert_allclose(found[row], np.mean(each, axis=0), rtol=1e-9)


@pytest.mark.parametrize("away", [False, True])
def test_residual_feedback_is_its_formula(away):
    problem, rows, nu, m = problem_of("ridge", nodes=3, **RIDGE), rows_of(6, nodes=3), 0.3, 2
    x, d = points(problem, 6), problem.dimension
    before = np.linspace(-1, 1, d)
    estimator = ResidualFeedback(samples=m, smoothing=nu, previous=tuple(before) if away else ())
    found = estimator.estimate(problem, x, rows, "full").gradient.numpy()
    u, v = estimator.draw(rows, 2, d).numpy().transpose(1, 0, 2, 3)
    for row in range(6):
        at, node = x[row].numpy(), int(rows.node[row])
        last = before if away else at
        f = partial(full_loss, problem.structure, node)
        each = [
            a * (f(at + nu * a) - f(last + nu * b)) / nu
            for a, b in zip(u[row], v[row], strict=True)
        ]
        np.testing.assert_allclose(found[row], np.mean(each, axis=0), rtol=1e-9, atol=1e-12)


def test_the_two_queries_share_neither_vectors_nor_data():
    problem, rows = problem_of(dimension=3, noise=0.7), rows_of(40)
    estimator = ResidualFeedback(samples=2, smoothing=0.5)
    u, v = estimator.draw(rows, 2, 3).unbind(1)
    flat = torch.cat([u, v], 1).reshape(-1, 3)
    assert len(flat.unique(dim=0)) == 160
    x = torch.ones(40, 3, dtype=torch.float64)
    zeta = 0.7 * normals(rows, Purpose.DATA, 6).view(40, 2, 1, 3)
    found, plain = (estimator.estimate(problem, x, rows, batch).gradient for batch in (1, "full"))
    noise = (zeta * (x[:, None, None] + 0.5 * torch.stack([u, v], 1))).sum(-1)
    expected = ((noise[:, 0] - noise[:, 1])[:, :, None] * u).mean(1) / 0.5
    assert torch.allclose(found - plain, expected)


@pytest.mark.parametrize("difference", ["central", "forward"])
def test_coordinate_differences_are_their_formula(difference):
    problem, rows, nu = problem_of("ridge", nodes=3, **RIDGE), rows_of(6, nodes=3), 0.2
    x, d = points(problem, 6), problem.dimension
    estimator = CoordinateDifference(difference=difference, smoothing=nu)
    found = estimator.estimate(problem, x, rows, "full").gradient.numpy()
    for row in range(6):
        at, node = x[row].numpy(), int(rows.node[row])
        f = partial(full_loss, problem.structure, node)
        for k, e in enumerate(nu * np.eye(d)):
            low = f(at - e) if difference == "central" else f(at)
            slope = (f(at + e) - low) / (2 * nu if difference == "central" else nu)
            assert found[row, k] == pytest.approx(slope, rel=1e-9, abs=1e-11)


def test_a_forward_coordinate_difference_shares_its_base_noise():
    problem, rows = problem_of(dimension=2, evaluation_noise=0.4), rows_of(ROWS // 4)
    x = torch.ones(len(rows), 2, dtype=torch.float64)
    forward = CoordinateDifference(difference="forward", smoothing=0.5)
    g = forward.estimate(problem, x, rows, "full").gradient.numpy()
    got, declared = np.cov(g.T), 0.64 * (np.eye(2) + 1)
    spread = np.sqrt((declared**2 + np.outer(np.diag(declared), np.diag(declared))) / len(g))
    assert (np.abs(got - declared) < 4.5 * spread).all()


@pytest.mark.parametrize("batch_size", [1, 3, "full"])
@pytest.mark.parametrize(
    ("estimator", "each", "drawn"),
    [
        (OnePoint(samples=4), 4, 1),
        (ResidualFeedback(samples=4), 8, 2),
        (CoordinateDifference(), 20, 1),
        (CoordinateDifference(difference="forward"), 11, 1),
        (ZerothOrder(sampling="orthonormal", samples=4), 8, 1),
    ],
)
def test_calls_count_what_is_evaluated(estimator, each, drawn, batch_size):
    spy = Spy(problem_of("ridge", nodes=3, **RIDGE))
    rows = rows_of(7, nodes=3)
    x = torch.zeros(7, spy.dimension, dtype=torch.float64)
    calls = estimator.estimate(spy, x, rows, batch_size).calls
    held = [len(spy.structure.members[node]) for node in rows.node.tolist()]
    batch = held if batch_size == "full" else [batch_size] * 7
    assert spy.evaluations == each
    assert spy.counts == [drawn]
    assert {name: count.tolist() for name, count in calls.items()} == {
        "function_calls": [each * b for b in batch]
    }


def test_vectors_that_depend_follow_one_law():
    with pytest.raises(ValidationError, match="expected directions 'sphere'"):
        ZerothOrder(sampling="orthonormal", directions="gaussian")
    with pytest.raises(ValidationError, match="expected directions 'coordinate'"):
        ZerothOrder(sampling="without_replacement")


def spec_of(estimator, **changes):
    table = {
        "problem": {"name": "quadratic", "dimension": 3},
        "nodes": [{"count": 2, "estimator": estimator}],
        "method": "probe",
    }
    return Spec.parse(table | changes)


@pytest.mark.parametrize(
    ("estimator", "changes", "words"),
    [
        ({"name": "zeroth_order", "sampling": "orthonormal", "samples": 4}, {}, "at most d = 3"),
        ({"name": "residual_feedback", "previous": [1.0]}, {}, "expected d = 3"),
    ],
)
def test_mistakes_are_found_before_anything_runs(estimator, changes, words):
    with pytest.raises(SpecError, match=words):
        build(spec_of(estimator, **changes))


def test_combinations_that_make_sense_are_built():
    for estimator in ("residual_feedback", {"name": "residual_feedback", "previous": [1, 2, 3]}):
        build(spec_of(estimator))
    for estimator in ("one_point", "residual_feedback", "coordinate_difference"):
        build(spec_of(estimator, method="hdo"))
