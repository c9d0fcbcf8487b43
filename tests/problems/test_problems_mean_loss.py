"""Mean losses over all rows and their gradients, against plain numpy row by row."""

import numpy as np
import pytest
import torch
from problems_cases import case, make, points
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
ROUNDING = {torch.float64: 4e-15, torch.float32: 2e-6}
LOGISTIC = LOSSES["logistic"]()


def groups(shares, k=SET):
    """As a logistic problem has them: signs lie in the features."""
    signed = -shares.targets[:, None] * shares.features
    return tuple(
        Group(*map(torch.from_numpy, (signed[rows], -np.ones((*rows.shape, 1)), weights)))
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


INTEGERS = np.random.default_rng(5).integers(-4, 5, (400, D)).astype(float)
NORMAL = np.array([3.0, -1.0, 2.0])
BESIDE = INTEGERS[INTEGERS @ NORMAL != 0]  # margins of the normal are 1 or more
SIDES = Shares(
    features=BESIDE,
    targets=np.sign(BESIDE @ NORMAL),
    members=tuple(np.split(np.arange(len(BESIDE)), [5, 150])),
)
POINTS = {
    "right": 20 * NORMAL,
    "nearly": 3 * NORMAL,  # some sets of rows have products below 2, some above
    "mixed": NORMAL - [4.0, -2.0, 0.0],
    "far": 30 * NORMAL - [90.0, -60.0, 0.0],
    "wrong": -500 * NORMAL,
}


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("kind", POINTS)
def test_logistic_losses_keep_their_digits(kind, dtype):
    """Margins are integers, so exact; all points at once, as one may not change another."""
    x = torch.from_numpy(np.stack([POINTS[kind], *POINTS.values()])).to(dtype)
    margins = (SIDES.targets * (BESIDE @ POINTS[kind])).astype(np.longdouble)
    losses, pulls = np.logaddexp(0, -margins), -SIDES.targets / (1 + np.exp(margins))
    pulls = SIDES.row_weights * pulls
    for some in (x, x[:1]):
        rows = (Group(*(part.to(dtype) for part in group)) for group in groups(SIDES))
        found, slope = (each[0].double().numpy() for each in mean_loss(some, LOGISTIC, (*rows,)))
        np.testing.assert_allclose(found, losses @ SIDES.row_weights, rtol=ROUNDING[dtype])
        error = np.abs(slope - (pulls @ BESIDE).astype(float))
        assert (error <= ROUNDING[dtype] * (np.abs(pulls) @ np.abs(BESIDE))).all()
    if kind == "right":
        assert losses.max() < 1e-8


@pytest.mark.parametrize("dtype", ROUNDING)
def test_the_objective_of_separable_signs_at_its_optimum(dtype):
    told = {"features": BESIDE, "targets": SIDES.targets, "regularization": 1e-8}
    problem = make("logistic", str(dtype).removeprefix("torch."), **told)
    x, rows = problem.optimum, problem.shares
    losses = np.logaddexp(0, -rows.targets * (rows.features @ x).astype(np.longdouble))
    least = losses @ rows.row_weights + 5e-9 * x @ x
    assert least < 1e-3
    value = problem.objective(torch.from_numpy(x).to(dtype)[None])
    np.testing.assert_allclose(value.item(), float(least), rtol=10 * ROUNDING[dtype])


def test_a_replica_that_diverges_is_alone():
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((6, D)))
    alone = mean_loss(x, LOSSES["logistic"](), groups(SHARES))
    x[2], x[4] = torch.nan, torch.inf
    found = mean_loss(x, LOSSES["logistic"](), groups(SHARES))
    rest = [0, 1, 3, 5]
    for a, b in zip(alone, found, strict=True):
        assert torch.equal(a[rest], b[rest])
        assert not b[2].isfinite().any()


CLASSES = 4
TRUTH = np.random.default_rng(6).integers(-3, 4, (CLASSES, D)).astype(float)
ORDERED = np.sort(INTEGERS @ TRUTH.T, axis=1)
APART = INTEGERS[ORDERED[:, -1] > ORDERED[:, -2]]  # margins of the truth are apart by 1 or more
BEST = (APART @ TRUTH.T).argmax(1)
SHIFTED = TRUTH + np.random.default_rng(7).integers(-2, 3, TRUTH.shape)
SOFTMAX = {"right": 20 * TRUTH, "mixed": SHIFTED, "far": 30 * SHIFTED, "wrong": -500 * TRUTH}


def softmax_rows(x):
    """Loss and excess of every row: [N] and [N, C], to 64 bits."""
    z = (APART @ x.T).astype(np.longdouble)
    true = np.arange(CLASSES) == BEST[:, None]
    rest = z - z[true][:, None]
    top = np.maximum(rest.max(1, keepdims=True), 0)
    power = np.where(true, 0, np.exp(rest - top))
    one, others = np.exp(-top[:, 0]), power.sum(1)
    wrong = top[:, 0] > 0
    loss = np.where(wrong, top[:, 0] + np.log(one + others), np.log1p(others))
    return loss, np.where(true, -others[:, None], power) / (one + others)[:, None]


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("kind", SOFTMAX)
def test_softmax_losses_keep_their_digits(kind, dtype, monkeypatch):
    """Margins are integers, so exact: losses of 1e-9 and of 1e4, and rows of both kinds."""
    x = SOFTMAX[kind]
    losses, excess = softmax_rows(x)
    weights = np.random.default_rng(8).integers(1, 9, len(APART)) / 2.0**11
    rows = (torch.from_numpy(each).to(dtype) for each in (x[None].repeat(300, 0), APART, weights))
    points, features, w = rows
    pulls = excess * weights[:, None]
    for tile in (module._TILE, 300 * CLASSES * 7):
        monkeypatch.setattr(module, "_TILE", tile)
        found, slope = mean_softmax_loss(points, features, torch.from_numpy(BEST), w)
        np.testing.assert_allclose(found.double(), losses @ weights, rtol=ROUNDING[dtype])
        error = np.abs(slope.double().numpy() - (pulls.T @ APART).astype(float))
        assert (error <= ROUNDING[dtype] * (np.abs(pulls).T @ np.abs(APART))).all()
    if kind == "right":
        assert losses.max() < 1e-8


@pytest.mark.parametrize("far", [1.0, 1e3])
def test_softmax_however_far_its_margins(far):
    x = far * np.random.default_rng(2).standard_normal((300, 4, D))
    classes = np.random.default_rng(4).integers(0, 4, ROWS)
    margins = x @ FEATURES.T  # [R, C, N]
    total = logsumexp(margins, axis=1)
    share = np.exp(margins - total[:, None])
    share[:, classes, np.arange(ROWS)] -= 1
    losses = total - margins[:, classes, np.arange(ROWS)]
    x, features, weights = map(torch.from_numpy, (x, FEATURES, WEIGHTS))
    found, gradient = mean_softmax_loss(x, features, torch.from_numpy(classes), weights)
    np.testing.assert_allclose(found, losses @ WEIGHTS, rtol=1e-14)
    np.testing.assert_allclose(gradient, (share * WEIGHTS) @ FEATURES, rtol=0, atol=1e-15 * far)


def test_a_replica_that_diverges_is_alone_in_a_softmax():
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((6, CLASSES, D)))
    rows = torch.from_numpy(APART), torch.from_numpy(BEST), torch.ones(len(APART)).double()
    alone = mean_softmax_loss(x, *rows)
    x[2], x[4] = torch.nan, torch.inf
    found = mean_softmax_loss(x, *rows)
    for a, b in zip(alone, found, strict=True):
        assert torch.equal(a[[0, 1, 3, 5]], b[[0, 1, 3, 5]])
        assert not b[[2, 4]].isfinite().any()


@pytest.mark.parametrize("regularization", [1e-2, 1e-6])
def test_the_objective_of_separable_classes_at_its_optimum_in_float32(regularization):
    """The least of it is known from float64: 1.06e-3 with the smaller ridge."""
    problem = make("multinomial", "float32", data="digits", regularization=regularization)
    value = problem.objective(torch.from_numpy(problem.optimum).float()[None])
    np.testing.assert_allclose(value.item(), problem.constants.minimum, rtol=2e-6)


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
