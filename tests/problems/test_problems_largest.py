"""Bounds on the largest eigenvalue of wide data against dense algebra."""

import tracemalloc

import numpy as np
import pytest

from hzbench.problems import largest
from hzbench.problems.largest import how, lanczos_bound, largest_eigenvalue
from hzbench.problems.linear_constants import LinearFacts
from hzbench.problems.losses import LOSSES
from hzbench.problems.shares import Shares

SPECTRA = {
    "flat": np.ones(300),
    "close": np.concatenate([[1.0, 0.9999], np.linspace(0, 0.99, 298)]),
    "power law": np.arange(1, 301.0) ** -2,
    "one": np.append(1.0, np.zeros(299)),
    "half": np.repeat([1.0, 0.5], 150),
}


def dense(rows, weights):
    return float(np.linalg.eigvalsh((rows.T * weights) @ rows / len(rows))[-1])


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (40, 40)])
def test_small_data_are_exact(shape):
    random = np.random.default_rng(1)
    rows, weights = random.normal(size=shape), random.uniform(size=shape[0])
    assert largest_eigenvalue(rows, weights) == pytest.approx(dense(rows, weights), rel=1e-12)
    assert how(*shape) == "exact"


@pytest.mark.parametrize("name", list(SPECTRA))
def test_the_bound_is_above_and_near(name):
    """Spectra without a gap too, in random bases; never below, and as near as it says."""
    spectrum = SPECTRA[name]
    for seed in range(5):
        basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(300, 300)))[0]
        matrix = (basis * spectrum) @ basis.T
        for steps in (60, 120):
            bound = lanczos_bound(lambda v, matrix=matrix: matrix @ v, 300, steps)
            assert 1.0 <= bound <= 1.0 + largest._excess(300, steps) + 1e-9


def test_the_margin_is_needed():
    """After few steps what Lanczos found lies below; the margin of so many steps covers it."""
    matrix = np.diag(np.linspace(0, 1, 4000))
    bound = lanczos_bound(lambda v: matrix @ v, 4000, 40)
    found = bound / (1 + largest._excess(4000, 40))
    assert found < 1.0 - 1e-4
    assert bound > 1.0


def test_few_steps_bound_nothing():
    assert lanczos_bound(lambda v: np.arange(500.0) * v, 500, 10) == np.inf


def test_wide_data_are_bounded_without_a_square_matrix(monkeypatch):
    monkeypatch.setattr(largest, "SMALL", 50)
    random = np.random.default_rng(2)
    rows = random.normal(size=(120, 30_000)) * np.linspace(0.1, 2, 120)[:, None]
    weights = random.uniform(size=120)
    tracemalloc.start()
    bound = largest_eigenvalue(rows, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    scaled = rows * np.sqrt(weights / 120)[:, None]
    exact = float(np.linalg.eigvalsh(scaled @ scaled.T)[-1])
    assert exact <= bound * (1 + 1e-12)
    assert bound <= 1.02 * exact
    assert peak < 3 * 8 * 160 * 30_000
    assert how(*rows.shape).startswith("bound by 160 steps of Lanczos, 0.8% above")


def test_linear_models_declare_it(monkeypatch):
    """L of logistic regression on wide data: ¼ of the bound of the worst node, plus λ."""
    random = np.random.default_rng(3)
    features = random.normal(size=(40, 90))
    members = tuple(np.array_split(np.arange(40), 4))
    shares = Shares(features=features, targets=np.sign(random.normal(size=40)), members=members)
    exact = max(dense(features[rows], np.full(len(rows), 0.25)) for rows in members) + 0.1
    facts = LinearFacts(shares=shares, loss=LOSSES["logistic"](), regularization=0.1)
    assert facts.smoothness == pytest.approx(exact, rel=1e-12)
    monkeypatch.setattr(largest, "SMALL", 5)
    again = LinearFacts(shares=shares, loss=LOSSES["logistic"](), regularization=0.1)
    assert again.smoothness == pytest.approx(exact, rel=1e-9)  # ten steps exhaust ten rows
