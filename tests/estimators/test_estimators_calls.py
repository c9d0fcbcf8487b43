"""Oracle calls: what is counted is what is evaluated; populations mix kinds; exact gradients."""

import pytest
import torch
from estimators_cases import DIFFERENCES, many_rows, problem_of, rows_of

from hzbench.core.streams import Purpose, normals
from hzbench.engine.population import Group, Population
from hzbench.estimators.first_order import Gradient
from hzbench.estimators.zeroth_order import ZerothOrder


class Spy:
    """A problem that counts the evaluations it is asked for, per row."""

    def __init__(self, problem):
        self.problem, self.evaluations, self.counts = problem, 0, []

    def __getattr__(self, name):
        return getattr(self.problem, name)

    def sample(self, rows, batch_size, count):
        self.counts.append(count)
        return self.problem.sample(rows, batch_size, count)

    def values(self, points, node, sample):
        self.evaluations += points.shape[1] * points.shape[2]
        return self.problem.values(points, node, sample)

    def directional_difference(self, points, offsets, node, sample):
        self.evaluations += points.shape[1] * (points.shape[2] + offsets.shape[2])
        return self.problem.directional_difference(points, offsets, node, sample)


CALLS = {  # difference, data -> evaluations for m = 5
    ("central", "shared"): 10,
    ("central", "fresh"): 10,
    ("forward", "shared"): 6,
    ("forward", "fresh"): 10,
}


@pytest.mark.parametrize("batch_size", [1, 3, "full"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_calls_count_what_is_evaluated(difference, data, batch_size):
    spy = Spy(problem_of("ridge", nodes=3, data="diabetes"))
    rows = rows_of(7, nodes=3)
    x = torch.zeros(7, spy.dimension, dtype=torch.float64)
    estimator = ZerothOrder(difference=difference, samples=5, data=data)
    calls = estimator.estimate(spy, x, rows, batch_size).calls
    held = [len(spy.structure.members[node]) for node in rows.node.tolist()]
    batch = held if batch_size == "full" else [batch_size] * 7
    kind, each = "function_calls", CALLS.get((difference, data))
    if difference == "directional_derivative":
        kind, each = "derivative_calls", 5
        assert spy.evaluations == 0
    else:
        assert spy.evaluations == each
    assert {name: count.tolist() for name, count in calls.items()} == {
        kind: [each * b for b in batch]
    }
    assert spy.counts == [5 if data == "fresh" else 1]


@pytest.mark.parametrize("batch_size", [1, 4, "full"])
def test_gradients_count_their_batch(batch_size):
    problem = problem_of("logistic", nodes=2, data="breast_cancer")
    rows = rows_of(4, nodes=2)
    x = torch.zeros(4, problem.dimension, dtype=torch.float64)
    calls = Gradient().estimate(problem, x, rows, batch_size).calls
    held = [len(problem.structure.members[node]) for node in (0, 1, 0, 1)]
    expected = held if batch_size == "full" else [batch_size] * 4
    assert {name: count.tolist() for name, count in calls.items()} == {"gradient_calls": expected}


def test_a_gradient_is_exact_or_has_the_noise_of_its_batch():
    problem = problem_of(dimension=2, noise=[0.5, 2.0])
    count = 20_000
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64).expand(count, 2)
    rows = many_rows(count)
    exact = Gradient().estimate(problem, x, rows, "full").gradient
    assert torch.allclose(
        exact, x * torch.from_numpy(problem.structure.hessians[0].diagonal().copy())
    )
    for b in (1, 4):
        noise = Gradient().estimate(problem, x, rows, b).gradient - exact
        scaled = normals(rows, Purpose.DATA, 2) * torch.tensor([0.5, 2.0]) / b**0.5
        assert torch.allclose(noise, scaled)
        variance = noise.var(0) * b / torch.tensor([0.25, 4.0])
        assert (variance - 1).abs().max() < 4 * (2 / count) ** 0.5


def test_minibatch_gradients_average_to_the_full_one():
    problem = problem_of("ridge", nodes=2, data="diabetes")
    count = 20_000
    x = torch.full((count, problem.dimension), 0.3, dtype=torch.float64)
    rows = many_rows(count)
    full = Gradient().estimate(problem, x[:1], rows.take(torch.arange(1)), "full").gradient[0]
    single, five = (Gradient().estimate(problem, x, rows, b).gradient for b in (1, 5))
    for found in (single, five):
        assert ((found.mean(0) - full) / (found.std(0) / count**0.5)).abs().max() < 4.5
    assert torch.allclose(single.var(0) / five.var(0), torch.tensor(5.0).double(), rtol=0.12)


def test_a_population_gives_every_row_its_own_estimator():
    problem = problem_of(dimension=3, nodes=5, noise=0.3, heterogeneity=1.0)
    estimators = (Gradient(), ZerothOrder(samples=2), ZerothOrder(difference="forward"))
    ends = ((0, 2, 4), (2, 3, 1), (3, 5, 2))
    groups = tuple(
        Group(first=a, last=b, estimator=e, batch_size=size)
        for (a, b, size), e in zip(ends, estimators, strict=True)
    )
    rows = rows_of(23, nodes=5)
    rows = rows.take(torch.argsort(rows.node, stable=True))
    x = torch.randn(23, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    population = Population(groups=groups)
    shares = population.shares(rows.node.numpy())
    found = population.estimate(problem, x, rows, x[:, :0], shares)
    for row in range(23):
        one = torch.tensor([row])
        group = next(g for g in groups if g.first <= int(rows.node[row]) < g.last)
        own = group.estimator.estimate(problem, x[one], rows.take(one), group.batch_size)
        assert torch.allclose(found.gradient[row], own.gradient[0], atol=1e-14)
        for name, calls in found.calls.items():
            assert int(calls[row]) == int(own.calls.get(name, torch.zeros(1))[0])


def test_nodes_replicas_and_steps_draw_their_own_directions():
    problem = problem_of(dimension=3, nodes=4)
    x = torch.ones(8, 3, dtype=torch.float64)
    first = ZerothOrder().estimate(problem, x, rows_of(8, nodes=4), "full").gradient
    later = ZerothOrder().estimate(problem, x, rows_of(8, nodes=4, step=1), "full").gradient
    assert len(torch.cat([first, later]).unique(dim=0)) == 16
