"""Mean losses over all rows and their gradients, against plain numpy row by row."""

import numpy as np
import pytest
import torch
from problems_cases import case, points
from scipy.special import expit, logsumexp

from hzbench.problems import mean_loss as module
from hzbench.problems.losses import LOSSES
from hzbench.problems.mean_loss import SET, Group, mean_loss, mean_softmax_loss
from hzbench.problems.shares import Shares

ROWS, D = 203, 3
RANDOM = np.random.default_rng(3)
FEATURES = RANDOM.standard_normal((ROWS, D))
SIGNS = RANDOM.choice([-1.0, 1.0], ROWS)
CUTS = np.split(np.arange(ROWS - 3), [7, 60, 113])  # two of four nodes hold as many; 3 rows nobody
SHARES = Shares(features=FEATURES, targets=SIGNS, members=tuple(CUTS))
WEIGHTS = np.zeros(ROWS)
for held in CUTS:
    WEIGHTS[held] = 1 / (4 * len(held))


def groups(shares, k=SET):
    """As a logistic problem has them: signs lie in the features."""
    signed = shares.targets[:, None] * shares.features
    return tuple(
        Group(*map(torch.from_numpy, (signed[rows], np.ones((*rows.shape, 1)), weights)))
        for rows, weights in shares.alike(k)
    )


def logistic(x):
    margins = SIGNS * (x @ FEATURES.T)
    values = np.logaddexp(0, -margins) @ WEIGHTS
    return values, -(expit(-margins) * SIGNS * WEIGHTS) @ FEATURES


@pytest.mark.parametrize("k", [1, 8, SET])
def test_rows_that_weigh_alike(k):
    found = SHARES.alike(k)
    seen = np.concatenate([rows.ravel() for rows, _ in found])
    assert sorted(seen.tolist()) == list(range(ROWS - 3))
    for rows, weights in found:
        assert rows.shape[0] in (1, k)
        np.testing.assert_array_equal(WEIGHTS[rows], np.broadcast_to(weights, rows.shape))
    single = sum(rows.size for rows, _ in found if len(rows) == 1)
    assert k == 1 or single == sum(len(rows) % k for rows in (CUTS[0], *CUTS[3:])) + 106 % k


@pytest.mark.parametrize("far", [0.1, 3.0, 40.0, 1e4])
@pytest.mark.parametrize("count", [1, 40, 300])
def test_the_logistic_loss_however_far_its_margins(far, count, monkeypatch):
    """Products of the probabilities of 16 rows leave the numbers of float64 from far = 40 on."""
    x = far * np.random.default_rng(count).standard_normal((count, D))
    values, slopes = logistic(x)
    for tile in (module._TILE, 5 * count * SET):
        monkeypatch.setattr(module, "_TILE", tile)
        found, gradient = mean_loss(torch.from_numpy(x), LOSSES["logistic"](), groups(SHARES))
        np.testing.assert_allclose(found, values, rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=2e-15)


def test_a_replica_that_diverges_is_alone():
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((6, D)))
    alone = mean_loss(x, LOSSES["logistic"](), groups(SHARES))
    x[2], x[4] = torch.nan, torch.inf
    found = mean_loss(x, LOSSES["logistic"](), groups(SHARES))
    rest = [0, 1, 3, 5]
    for a, b in zip(alone, found, strict=True):
        assert torch.equal(a[rest], b[rest])
        assert not b[2].isfinite().any()


@pytest.mark.parametrize("far", [1.0, 1e3])
def test_softmax_however_far_its_margins(far):
    x = far * np.random.default_rng(2).standard_normal((300, 4, D))
    margins = x @ FEATURES.T  # [R, C, N]
    total = logsumexp(margins, axis=1)
    share = np.exp(margins - total[:, None]) * WEIGHTS
    given = map(torch.from_numpy, (x, FEATURES, WEIGHTS))
    found, gradient = mean_softmax_loss(*given)
    np.testing.assert_allclose(found, total @ WEIGHTS, rtol=1e-14)
    np.testing.assert_allclose(gradient, share @ FEATURES, rtol=0, atol=1e-15 * far)


@pytest.mark.parametrize("label", ["logistic", "hinge", "huber", "multinomial", "ridge"])
def test_bits_depend_on_the_block_alone(label):
    problem = case(label)
    x = points(problem, 300)
    value, gradient = problem.objective_and_gradient(x)
    assert torch.equal(problem.objective(x), value)
    assert torch.equal(problem.objective_gradient(x), gradient)
    if label != "ridge":  # known from its optimum, by one product
        first = problem.objective_and_gradient(x[:256])
        assert torch.equal(first[0], value[:256])
        assert torch.equal(first[1], gradient[:256])
