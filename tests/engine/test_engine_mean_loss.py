"""f and its gradient as runs of kernels record them, against plain numpy over all rows."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from hzbench.core.objective import LOGISTIC, objective
from hzbench.core.spec import Spec
from hzbench.engine.fused import mean_loss
from hzbench.engine.fused.mean_loss import evaluator
from hzbench.harness import simulate as simulation
from hzbench.harness.build import build
from hzbench.harness.simulate import simulate
from hzbench.problems.linear_model import LinearModel

RIDGE = 0.3
PARTITIONS = {
    "uneven": np.split(np.arange(57), [1, 12, 23]),  # rows 57 ... 59 lie with nobody
    "shared": [np.arange(60)] * 3,
    "overlapping": [np.arange(40), np.arange(25, 60)],
}


class Rows:
    """A problem known by its compiled form alone."""

    def __init__(self, partition, d=5):
        random = np.random.default_rng(d)
        self.features = random.standard_normal((60, d))
        self.targets = random.choice([-1.0, 1.0], 60)
        self.members = PARTITIONS[partition]
        self.ridge = RIDGE

    def compiled(self):
        counts = np.array([len(rows) for rows in self.members])
        return objective(
            LOGISTIC,
            features=self.features,
            targets=self.targets,
            flat=np.concatenate(self.members),
            starts=np.cumsum(counts) - counts,
            counts=counts,
            regularization=self.ridge,
        )

    def plain(self, x):
        """(1/n) Σ f_i and its gradient, node by node."""
        values, slopes = [], []
        for rows in self.members:
            margins = self.targets[rows] * (x @ self.features[rows].T)
            values.append(np.logaddexp(0, -margins).mean(1))
            pulls = expit(-margins) * self.targets[rows]
            slopes.append(-pulls @ self.features[rows] / len(rows))
        value = np.mean(values, axis=0) + RIDGE / 2 * (x**2).sum(1)
        return value, np.mean(slopes, axis=0) + RIDGE * x


def some_points(count, d=5, far=1.0):
    return far * torch.from_numpy(np.random.default_rng(count).standard_normal((count, d)))


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("far", [0.1, 3.0, 1e3])
@pytest.mark.parametrize("count", [1, 8, 21])
def test_equals_plain_numpy(partition, far, count):
    """Margins up to 1e4, where probabilities are 0 in float64 and losses straight lines."""
    problem, x = Rows(partition), some_points(count, far=far)
    value, gradient = evaluator(problem)(x)
    expected = problem.plain(x.numpy())
    np.testing.assert_allclose(value, expected[0], rtol=2e-15)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-15, atol=2e-15)


NORMAL = np.array([3.0, -1.0, 2.0])
POINTS = {
    "right": 20 * NORMAL,
    "nearly": 3 * NORMAL,
    "mixed": NORMAL - [4.0, -2.0, 0.0],
    "far": 30 * NORMAL - [90.0, -60.0, 0.0],
    "wrong": -500 * NORMAL,
}


def separable():
    """Rows of integers, of which the normal knows the sides; no ridge."""
    problem, rows = Rows("uneven"), np.random.default_rng(5).integers(-4, 5, (90, 3)).astype(float)
    problem.features = rows[rows @ NORMAL != 0]
    problem.targets = np.sign(problem.features @ NORMAL)
    problem.members = np.split(np.arange(len(problem.features)), [3, 30])
    problem.ridge = 0.0
    return problem


@pytest.mark.parametrize("kind", POINTS)
def test_losses_keep_their_digits(kind):
    """Of exact margins: losses of 1e-9 beside rows of zeros that fill a set up, and of 1e4."""
    problem, x = separable(), POINTS[kind]
    margins = (problem.targets * (problem.features @ x)).astype(np.longdouble)
    weights = np.concatenate([np.full(len(rows), 1 / len(rows)) for rows in problem.members]) / 3
    losses, pulls = np.logaddexp(0, -margins), -weights * problem.targets / (1 + np.exp(margins))
    value, slope = evaluator(problem)(torch.from_numpy(np.stack([*POINTS.values(), x])))
    np.testing.assert_allclose(value[-1], float(losses @ weights), rtol=2e-15)
    error = np.abs(slope[-1].numpy() - (pulls @ problem.features).astype(float))
    assert (error <= 2e-15 * (np.abs(pulls) @ np.abs(problem.features))).all()
    if kind == "right":
        assert losses.max() < 1e-8


@pytest.mark.parametrize("tiles", [1, 3])
def test_lines_that_are_long_and_rows_in_parts(tiles):
    """More numbers than all replicas read at once, and lengths that no lane divides."""
    d = 1 + 4096 // tiles
    problem, x = Rows("uneven", d), some_points(9, d, 0.02)
    value, gradient = evaluator(problem)(x)
    expected = problem.plain(x.numpy())
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-14, atol=1e-14)


def test_a_replica_has_the_same_bits_in_any_company(monkeypatch):
    problem, x = Rows("overlapping"), some_points(21)
    evaluate = evaluator(problem)
    value, gradient = evaluate(x)
    monkeypatch.setattr(mean_loss, "threads", lambda: 3)
    for part in (slice(0, 21), slice(3, 4), slice(5, 16)):
        alone = evaluate(x[part])
        assert torch.equal(alone[0], value[part])
        assert torch.equal(alone[1], gradient[part])
    x[4], x[7] = torch.nan, torch.inf
    beside = evaluate(x)
    rest = [k for k in range(21) if k not in (4, 7)]
    assert torch.equal(beside[0][rest], value[rest])
    assert torch.equal(beside[1][rest], gradient[rest])
    assert not beside[0][[4, 7]].isfinite().any()


def spec_of(problem, gossip="pair"):
    return Spec.parse(
        {
            "problem": {"name": problem, "planted": {"rows": 45, "dimension": 3}, "initial": 2.0},
            "nodes": [{"count": 4}],
            "network": {"graph": "complete", "gossip": gossip},
            "method": {"name": "asgd" if gossip == "server" else "hdo", "step_size": 0.1},
            "run": {"steps": 20, "replicas": 5, "record": [0, 7, 20]},
        }
    )


@pytest.mark.parametrize("gossip", ["pair", "server"])
def test_runs_of_kernels_record_it(gossip, monkeypatch):
    asked = []
    found = mean_loss._mean_loss
    monkeypatch.setattr(mean_loss, "_mean_loss", lambda *given: asked.append(1) or found(*given))
    names = ("objective_gap", "gradient_norm", "path_objective_gap")
    spec = spec_of("logistic", gossip)
    by = {engine: simulate(spec, names, engine=engine).columns for engine in ("torch", "fused")}
    for name in names:
        np.testing.assert_allclose(by["fused"][name], by["torch"][name], rtol=1e-11, atol=1e-13)
    assert len(asked) == 21  # once a step that is looked at


def test_other_problems_keep_their_own(monkeypatch):
    class Extended(LinearModel):
        pass

    logistic, ridge = (build(spec_of(name)).problem for name in ("logistic", "ridge"))
    assert evaluator(logistic) is evaluator(logistic)
    x = torch.randn(3, logistic.dimension, dtype=torch.float64)
    for problem in (Extended(**vars(logistic)), ridge):
        monkeypatch.setattr(mean_loss, "_mean_loss", None)
        value, gradient = evaluator(problem)(x)
        np.testing.assert_allclose(value, problem.objective(x), rtol=1e-13)
        np.testing.assert_allclose(gradient, problem.objective_gradient(x), rtol=1e-12)


DENSE = {"name": "quadratic", "dimension": 33, "rotation": True, "heterogeneity": 0.5}
RECORDED = {
    "quadratic": {"name": "quadratic", "dimension": 33, "heterogeneity": 0.5},
    "dense": DENSE,
    "ridge": {"name": "ridge", "planted": {"rows": 70, "dimension": 13}},
    "logistic": {"name": "logistic", "planted": {"rows": 70, "dimension": 13}},
}


@pytest.mark.parametrize("problem", RECORDED.values(), ids=RECORDED)
def test_what_kernels_record_has_the_same_bits_beside_any_others(problem, monkeypatch):
    """Blocks cut by memory, and the last block of more replicas."""
    names = ("objective", "objective_gap", "gradient_norm", "node_distance", "mean_distance")
    table = {
        "problem": problem,
        "nodes": [{"count": 3}],
        "method": {"name": "hdo", "step_size": 0.1},
    }

    def columns(replicas):
        run = {"steps": 6, "replicas": replicas}
        return simulate(Spec.parse(table | {"run": run}), names, engine="fused").columns

    whole, more = columns(11), columns(265)
    for name, values in whole.items():
        assert np.array_equal(values, more[name][:, :11]), name
    for size in (1, 3, 7):
        monkeypatch.setattr(simulation, "fitting", lambda *_, size=size: size)
        for name, values in columns(11).items():
            assert np.array_equal(values, whole[name]), (name, size)
        for name, values in columns(265).items():
            assert np.array_equal(values[:, 256:], more[name][:, 256:]), (name, size)
