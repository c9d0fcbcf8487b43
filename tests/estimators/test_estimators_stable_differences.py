"""Differences without cancellation: right at radii where the difference of two values is noise."""

import numpy as np
import pytest
import torch
from mpmath import mp, mpf

from hzbench.core.problem import Placement
from hzbench.core.registry import find
from hzbench.core.streams import Rows, replica_keys
from hzbench.estimators.zeroth_order import ZerothOrder

NODES, D = 2, 3
_random = np.random.default_rng(5)
FEATURES = _random.standard_normal((8, D)).tolist()
REAL, SIGNS = _random.standard_normal(8).tolist(), np.resize([1.0, -1.0, -1.0], 8).tolist()
COUNTS = np.resize([0.0, 2.0, 5.0, 1.0], 8).tolist()
CLASSES = np.resize([0.0, 2.0, 1.0], 8).tolist()
POINTS = torch.tensor([[3.0, -2.0, 4.0], [5.0, 1.0, -3.0]], dtype=torch.float64)
CASES = {
    "quadratic": ("quadratic", {"dimension": D, "noise": 0.3, "heterogeneity": 1.0}),
    "rotated": ("quadratic", {"dimension": D, "rotation": True, "noise": 0.3}),
    "ridge": ("ridge", {"features": FEATURES, "targets": REAL}),
    "logistic": ("logistic", {"features": FEATURES, "targets": SIGNS}),
    "huber": ("huber", {"features": FEATURES, "targets": REAL}),
    "smoothed_hinge": ("smoothed_hinge", {"features": FEATURES, "targets": SIGNS, "width": 20.0}),
    "smooth_lasso": ("smooth_lasso", {"features": FEATURES, "targets": REAL}),
    "nonconvex_logistic": ("nonconvex_logistic", {"features": FEATURES, "targets": SIGNS}),
    "cauchy": ("cauchy", {"features": FEATURES, "targets": REAL}),
    "geman_mcclure": ("geman_mcclure", {"features": FEATURES, "targets": REAL}),
    "multinomial": ("multinomial", {"features": FEATURES, "targets": CLASSES}),
    "poisson": ("poisson", {"features": FEATURES, "targets": COUNTS}),
    "phase_retrieval": ("phase_retrieval", {"features": FEATURES, "targets": np.abs(REAL)}),
}
ALL = pytest.mark.parametrize("label", list(CASES))


def problem_of(label):
    name, keys = CASES[label]
    return find("problem", name).target(**keys).build(Placement(kinds=("zeroth",) * NODES))


class Values:
    """The same problem without its differences: what an estimator sees of it."""

    def __init__(self, problem):
        self.nodes, self.dimension = problem.nodes, problem.dimension
        self.evaluation_noise = problem.evaluation_noise
        self.sample, self.values = problem.sample, problem.values
        self.gradients, self.batch_cost = problem.gradients, problem.batch_cost


def start(problem):
    """Both nodes' points; a multinomial model has one such vector a class."""
    return torch.cat([POINTS, -POINTS.roll(1, 1), 0.5 * POINTS], dim=1)[:, : problem.dimension]


def rows():
    node = torch.arange(NODES)
    keys = replica_keys(3, range(1)).expand(NODES, -1)
    return Rows(keys=keys, replica=0 * node, node=node, step=0 * node)


def estimate(problem, **keys):
    found = ZerothOrder(directions="gaussian", samples=3, **keys)
    return found.estimate(problem, start(problem), rows(), keys.get("batch", 2)).gradient


@ALL
@pytest.mark.parametrize("difference", ["central", "forward"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
def test_a_tiny_radius_gives_the_directional_derivative(label, difference, data):
    """At ν = 1e-13 a difference of values keeps about two digits; this one keeps eleven."""
    keys = {"difference": difference, "data": data, "smoothing": 1e-13}
    problem = problem_of(label)
    exact = estimate(problem, difference="directional_derivative", data=data)
    size = exact.abs().max()
    assert (estimate(problem, **keys) - exact).abs().max() < 1e-11 * size
    assert (estimate(Values(problem), **keys) - exact).abs().max() > 1e-4 * size


@ALL
@pytest.mark.parametrize("difference", ["central", "forward"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
def test_a_usual_radius_gives_what_values_give(label, difference, data):
    keys = {"difference": difference, "data": data, "smoothing": 0.5}
    problem = problem_of(label)
    plain = estimate(Values(problem), **keys)
    torch.testing.assert_close(estimate(problem, **keys), plain, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("difference", ["central", "forward"])
def test_the_noise_of_calls_stays_the_same(difference):
    component = find("problem", "quadratic").target(dimension=D, evaluation_noise=0.4)
    problem = component.build(Placement(kinds=("zeroth",) * NODES))
    for data in ("shared", "fresh"):
        keys = {"difference": difference, "data": data, "smoothing": 0.1}
        plain = estimate(Values(problem), **keys)
        torch.testing.assert_close(estimate(problem, **keys), plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e-6, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize("batch", [3, "full"])
def test_changes_of_the_multinomial_loss_against_ninety_digits(size, batch):
    """Within 1e-13 of Σ_c p_c |s_c| and of the change itself, s the steps less the true class's."""
    mp.dps = 90
    problem, at = problem_of("multinomial"), rows()
    random = np.random.default_rng(7)
    x = torch.from_numpy(random.standard_normal((NODES, 1, 1, problem.dimension)))
    v = size * torch.from_numpy(random.standard_normal((NODES, 1, 4, problem.dimension)))
    sample = problem.sample(at, batch, 1)
    found = problem.directional_difference(x, v, at.node, sample)
    a, y = problem.shares.features, problem.shares.targets.astype(int)

    def loss(W, row):
        z = [sum(mpf(w) * mpf(t) for w, t in zip(line, a[row], strict=True)) for line in W]
        return mp.log(sum(mp.exp(each - z[y[row]]) for each in z))

    for node in range(NODES):
        held = problem.shares.members[node] if batch == "full" else sample.index[node, 0].tolist()
        for p in range(4):
            W, V = (t.view(3, -1).tolist() for t in (x[node, 0, 0], v[node, 0, p]))
            ends = [
                [mpf(w) + mpf(u) for w, u in zip(*lines, strict=True)]
                for lines in zip(W, V, strict=True)
            ]
            change = sum(loss(ends, row) - loss(W, row) for row in held) / len(held)
            square = [
                sum(t * t for line in M for t in line) / 2
                for M in (ends, [[mpf(w) for w in line] for line in W])
            ]
            wanted = float(change + mpf(problem.regularization) * (square[0] - square[1]))
            scale = np.abs(a[held]).sum(axis=1).mean() * float(v[node, 0, p].abs().max())
            assert abs(float(found[node, 0, p]) - wanted) <= 1e-14 * scale + 1e-13 * abs(wanted)


LOSSES = {  # in 90 digits, from the formulas of the documentation
    "squared": lambda m, y, _: (m - y) ** 2 / 2,
    "logistic": lambda m, y, _: mp.log(1 + mp.exp(-y * m)),
    "huber": lambda m, y, w: (m - y) ** 2 / 2 if abs(m - y) <= w else w * abs(m - y) - w * w / 2,
    "smoothed-hinge": lambda m, y, w: (
        mpf(0)
        if y * m >= 1
        else ((1 - y * m) ** 2 / (2 * w) if 1 - y * m <= w else 1 - y * m - w / 2)
    ),
    "pseudo-huber": lambda m, y, w: w * (mp.sqrt((m - y) ** 2 + w * w) - w),
    "cauchy": lambda m, y, w: w * w / 2 * mp.log(1 + ((m - y) / w) ** 2),
    "geman-mcclure": lambda m, y, w: (m - y) ** 2 / 2 / (1 + ((m - y) / w) ** 2),
    "poisson": lambda m, y, _: mp.exp(m) - y * m,
    "phase": lambda m, y, _: (m * m - y) ** 2 / 4,
}


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e-6, 1e-2, 1.0, 30.0])
def test_changes_of_losses_against_ninety_digits(name, size):
    """Within 1e-13 of the sizes that enter: |φ'(m) δ| and the change itself."""
    from hzbench.problems.losses import LOSSES as OURS

    assert set(OURS) == set(LOSSES)
    mp.dps, width = 90, 0.7
    loss, random = OURS[name](width=width), np.random.default_rng(1)
    y = {"signs": [1.0, -1.0], "real": [0.3, -2.0]}.get(loss.targets, [0.0, 3.0])
    for m in [0.0, 0.3, 1.0, *(6 * random.standard_normal(8)), 40.0, -40.0]:
        for target in y:
            for delta in (size, -size):
                given = (torch.tensor(v, dtype=torch.float64) for v in (m, delta, target))
                found = float(loss.change(*given))
                plain = [
                    LOSSES[name](mpf(at), mpf(target), mpf(width)) for at in (m, mpf(m) + delta)
                ]
                wanted = float(plain[1] - plain[0])
                slope = float(loss.slope(torch.tensor(m).double(), torch.tensor(target).double()))
                rounding = 2e-16 * abs(m - target) * size  # of the margin itself
                bound = 1e-13 * (abs(wanted) + abs(slope * delta)) + 4 * rounding
                assert abs(found - wanted) <= bound, (m, target, delta, found, wanted)
