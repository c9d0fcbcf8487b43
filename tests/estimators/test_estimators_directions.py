"""Laws of the random vectors: E u = 0, E uu' = I, and what each law alone promises."""

import numpy as np
import pytest
import torch
from estimators_cases import LAWS, many_rows

from hzbench.estimators.zeroth_order import DIRECTIONS, ZerothOrder

ROWS = 20_000


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("law", LAWS)
def test_vectors_have_mean_zero_and_identity_covariance(law, d):
    m = 2
    u = DIRECTIONS[law](many_rows(ROWS), m, d)
    assert u.shape == (ROWS, m, d)
    flat = u.reshape(ROWS, m * d).numpy()  # the m vectors are independent too
    mean = flat.mean(0) / (flat.std(0) / ROWS**0.5)
    assert np.abs(mean).max() < 4.5
    products = flat[:, :, None] * flat[:, None, :]
    error = np.abs(products.mean(0) - np.eye(m * d))
    assert (error <= 4.5 * products.std(0) / ROWS**0.5 + 1e-12).all()


@pytest.mark.parametrize(
    ("law", "fourth"),
    [("gaussian", 7 * 9), ("sphere", 49), ("rademacher", 49), ("coordinate", 49)],
)
def test_length_to_the_fourth_tells_the_laws_apart(law, fourth):
    u = DIRECTIONS[law](many_rows(ROWS), 1, 7)[:, 0]
    lengths = u.square().sum(-1) ** 2
    if law == "gaussian":
        assert abs(float(lengths.mean()) - fourth) < 4 * float(lengths.std()) / ROWS**0.5
    else:
        assert torch.allclose(lengths, torch.tensor(float(fourth), dtype=torch.float64))


def test_a_sphere_in_one_dimension_is_a_fair_sign():
    u = DIRECTIONS["sphere"](many_rows(ROWS), 1, 1)
    assert (u.abs() == 1).all()
    assert abs(float(u.mean())) * ROWS**0.5 < 4


def test_coordinate_vectors_are_uniform_over_signed_axes():
    d = 5
    u = DIRECTIONS["coordinate"](many_rows(ROWS), 1, d)[:, 0]
    assert ((u != 0).sum(-1) == 1).all()
    assert torch.allclose(u.abs().sum(-1), torch.tensor(d**0.5, dtype=torch.float64))
    counts = torch.cat([(u > 0).sum(0), (u < 0).sum(0)]).double()
    expected = ROWS / (2 * d)
    assert float(((counts - expected) ** 2 / expected).sum()) < 33.7  # χ²(9) at 1e-4


def test_rademacher_vectors_take_every_pattern():
    u = DIRECTIONS["rademacher"](many_rows(ROWS), 1, 3)[:, 0]
    patterns, counts = u.unique(dim=0, return_counts=True)
    assert len(patterns) == 8
    expected = ROWS / 8
    assert float(((counts - expected) ** 2 / expected).sum()) < 29.9  # χ²(7) at 1e-4


@pytest.mark.parametrize("law", LAWS)
def test_more_samples_keep_the_first_ones(law):
    few, many = (ZerothOrder(directions=law, samples=m).draw(many_rows(50), 4) for m in (2, 5))
    assert torch.equal(few, many[:, :2])
