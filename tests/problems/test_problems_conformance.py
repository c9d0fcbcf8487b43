"""What every registered problem must obey, in several parameterisations."""

import numpy as np
import pytest
import torch
from problems_cases import CASES, LIBRARY, NETWORKS, N, Plain, case, minimiser, points, rows

from hzbench.core.registry import entries

ALL = pytest.mark.parametrize("label", list(CASES))
EVERY = pytest.mark.parametrize(
    "label", [*CASES, *(x for x in LIBRARY if x != "blackbox"), *NETWORKS]
)


def test_every_registered_problem_has_cases():
    known = {name for cases in (CASES, LIBRARY, NETWORKS) for name, _ in cases.values()}
    assert known == set(entries("problem"))


@ALL
def test_shapes_and_declared_facts(label):
    problem = case(label)
    assert problem.nodes == N
    assert problem.initial.shape == (N, problem.dimension)
    assert minimiser(problem).shape == (problem.dimension,)
    assert len(problem.constants.noise) == N
    at = rows(3)
    sample = problem.sample(at, 2, 4)
    x = points(problem, 3 * N)
    assert problem.gradients(x, at.node, sample).shape == (3 * N, 4, problem.dimension)
    many = points(problem, 3 * N, 4, 2)
    assert problem.values(many, at.node, sample).shape == (3 * N, 4, 2)
    full = problem.sample(at, "full", 4)
    assert problem.gradients(x, at.node, full).shape == (3 * N, 4, problem.dimension)
    assert problem.values(many, at.node, full).shape == (3 * N, 4, 2)
    assert problem.objective(x).shape == (3 * N,)
    assert problem.objective_gradient(x).shape == (3 * N, problem.dimension)


@ALL
def test_full_values_and_gradients_equal_the_structure(label):
    problem, plain = case(label), Plain(case(label))
    at, many = rows(2), points(case(label), 2 * N, 2, 3)
    full = problem.sample(at, "full", 2)
    values = problem.values(many, at.node, full).numpy()
    gradients = problem.gradients(many[:, 0, 0], at.node, full).numpy()
    for b, node in enumerate(at.node.tolist()):
        expected = [[plain.value(node, x) for x in line] for line in many[b].numpy()]
        assert values[b] == pytest.approx(np.array(expected), rel=1e-11, abs=1e-11)
        expected = plain.gradient(node, many[b, 0, 0].numpy())
        assert gradients[b] == pytest.approx(np.stack([expected] * 2), rel=1e-11, abs=1e-11)


@ALL
@pytest.mark.parametrize("batch_size", [1, 3, "full"])
def test_gradients_equal_central_differences_of_values(label, batch_size):
    problem, d, step = case(label), case(label).dimension, 1e-5
    at = rows(2)
    x = 0.5 * points(problem, 2 * N, seed=1)
    sample = problem.sample(at, batch_size, 2)
    ends = torch.cat([x[:, None] + step * torch.eye(d), x[:, None] - step * torch.eye(d)], dim=1)
    values = problem.values(ends[:, None].expand(-1, 2, -1, -1), at.node, sample)
    differences = (values[..., :d] - values[..., d:]) / (2 * step)
    gradients = problem.gradients(x, at.node, sample)
    scale = 1 + gradients.abs().max()
    assert (gradients - differences).abs().max() < 1e-7 * scale


@ALL
def test_objective_is_the_mean_over_the_nodes(label):
    problem, count = case(label), 6
    x = 2.0 * points(problem, count, seed=2)
    node = torch.arange(N).repeat(count)
    repeated = x.repeat_interleave(N, dim=0)
    full = problem.sample(rows(count), "full", 1)
    values = problem.values(repeated[:, None, None], node, full).reshape(count, N)
    gradients = problem.gradients(repeated, node, full).reshape(count, N, -1)
    torch.testing.assert_close(problem.objective(x), values.mean(1), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(
        problem.objective_gradient(x), gradients.mean(1), rtol=1e-11, atol=1e-11
    )


@ALL
def test_optimum_and_minimum(label):
    problem, plain, best = case(label), Plain(case(label)), minimiser(case(label))
    gradient = np.mean([plain.gradient(node, best) for node in range(N)], axis=0)
    assert np.linalg.norm(gradient) < 1e-12 * max(1.0, problem.constants.smoothness)
    value = np.mean([plain.value(node, best) for node in range(N)])
    assert problem.constants.minimum == pytest.approx(value, rel=1e-12, abs=1e-14)
    at_optimum = torch.from_numpy(best)[None]
    assert float(problem.objective(at_optimum)[0]) == pytest.approx(value, rel=1e-12, abs=1e-14)
    assert 0 <= getattr(problem, "certificate", 0.0) < 1e-20


@EVERY
def test_a_sample_is_the_same_function_in_every_evaluation(label):
    """F(x; sample) − f_i(x) must not depend on which other points are evaluated with it."""
    problem, at = case(label), rows(2)
    sample = problem.sample(at, 2, 3)
    many = points(problem, 2 * N, 3, 4)
    together = problem.values(many, at.node, sample)
    for p in range(4):
        alone = problem.values(many[:, :, p : p + 1], at.node, sample)
        torch.testing.assert_close(alone[..., 0], together[..., p], rtol=1e-12, atol=1e-12)
    again = problem.values(many, at.node, problem.sample(at, 2, 3))
    assert torch.equal(again, together)


@ALL
def test_draws_do_not_depend_on_the_chunking_of_rows(label):
    problem, at = case(label), rows(7)
    whole = drawn(problem.sample(at, 2, 3))
    for part in (torch.arange(3), torch.arange(5, 35, 3), torch.tensor([34])):
        assert same(drawn(problem.sample(at.take(part), 2, 3)), whole[part], label)
    other = drawn(problem.sample(rows(7, step=1), 2, 3))
    assert not torch.equal(other, whole)


@pytest.mark.parametrize(
    "label", ["isotropic", "diagonal", "node-diagonals", "one-dimension", "cosine"]
)
def test_elementwise_results_do_not_depend_on_the_batch(label):
    problem, at = case(label), rows(40)
    x, many = points(problem, 40 * N), points(problem, 40 * N, 3, 2)
    sample = problem.sample(at, 1, 3)
    values = problem.values(many, at.node, sample)
    gradients = problem.gradients(x, at.node, sample)
    for part in (torch.arange(1), torch.arange(3, 120, 7)):
        less = problem.sample(at.take(part), 1, 3)
        assert torch.equal(problem.values(many[part], at.node[part], less), values[part])
        assert torch.equal(problem.gradients(x[part], at.node[part], less), gradients[part])


@EVERY
def test_other_batches_give_the_same_numbers_up_to_rounding(label):
    problem, at = case(label), rows(9)
    x, many = points(problem, 9 * N), points(problem, 9 * N, 2, 2)
    part = torch.tensor([44, 3, 3, 17, 0])
    for batch_size in (2, "full"):
        whole, less = (problem.sample(r, batch_size, 2) for r in (at, at.take(part)))
        torch.testing.assert_close(
            problem.values(many[part], at.node[part], less),
            problem.values(many, at.node, whole)[part],
            rtol=1e-12,
            atol=1e-12,
        )
        torch.testing.assert_close(
            problem.gradients(x[part], at.node[part], less),
            problem.gradients(x, at.node, whole)[part],
            rtol=1e-12,
            atol=1e-12,
        )


@EVERY
def test_float32_is_close_to_float64(label):
    double, single, at = case(label), case(label, "float32"), rows(2)
    x, many = points(double, 2 * N), points(double, 2 * N, 2, 2)
    if label in NETWORKS:  # where runs go: curvature has no bound elsewhere
        x, many = (torch.as_tensor(double.initial)[0] + 0.2 * each for each in (x, many))
    for batch_size in (2, "full"):
        fine, coarse = (p.sample(at, batch_size, 2) for p in (double, single))
        pairs = [
            (double.values(many, at.node, fine), single.values(many.float(), at.node, coarse)),
            (double.gradients(x, at.node, fine), single.gradients(x.float(), at.node, coarse)),
            (double.objective(x), single.objective(x.float())),
            (double.objective_gradient(x), single.objective_gradient(x.float())),
        ]
        if label == "resnet18":  # rounding carries one of its thousands of rectifiers over its kink
            del pairs[1], pairs[-1]
        for exact, rounded in pairs:
            assert rounded.dtype == torch.float32
            assert (exact - rounded).abs().max() < 1e-5 * (1 + exact.abs().max())


@ALL
def test_cost_counts_data_samples(label):
    problem, node = case(label), torch.tensor([0, 3, 3])
    assert problem.batch_cost(node, 7).tolist() == [7, 7, 7]
    members = getattr(problem.structure, "members", [(0,)] * N)
    assert problem.batch_cost(node, "full").tolist() == [len(members[i]) for i in (0, 3, 3)]


def drawn(sample):
    """The tensor of what was drawn."""
    return sample.zeta if hasattr(sample, "zeta") else sample.index


def same(a, b, label):
    """Bitwise, except where a covariance is multiplied in."""
    if label in {"given", "node-hessians"}:
        return torch.allclose(a, b, rtol=1e-13, atol=1e-15)
    return torch.equal(a, b)
