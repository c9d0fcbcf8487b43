"""The collapsed sum over Gaussian vectors has the law of the sum written out."""

import numpy as np
import pytest
import torch
from estimators_cases import many_rows, problem_of, rows_of
from pydantic import ValidationError
from scipy import stats

from hzbench.estimators.zeroth_order import ZerothOrder, collapsed

WORDS = {"directions": "gaussian", "difference": "directional_derivative"}
D, COUNT = 4, 40_000


def samples(m, seed=0):
    """Draws of (1/m) Σ u <u, g> by the product and, from numpy, by the formula."""
    g = np.array([1.0, -2.0, 0.5, 0.0])
    rows = torch.from_numpy(np.tile(g, (COUNT, 1)))
    ours = collapsed(rows, many_rows(COUNT, seed), m).numpy()
    u = np.random.default_rng(seed).normal(size=(COUNT, m, D))
    return g, ours, ((u @ g)[:, :, None] * u).mean(axis=1)


@pytest.mark.parametrize("m", [1, 2, 7])
def test_mean_and_covariance_are_those_of_independent_vectors(m):
    g, ours, _ = samples(m)
    error = ours.std(axis=0, ddof=1) / np.sqrt(COUNT)
    assert np.abs((ours.mean(axis=0) - g) / error).max() < 4
    expected = (g @ g * np.eye(D) + np.outer(g, g)) / m
    products = (ours - g)[:, :, None] * (ours - g)[:, None, :]
    spread = products.std(axis=0, ddof=1) / np.sqrt(COUNT)
    assert np.abs((products.mean(axis=0) - expected) / spread).max() < 4.5


@pytest.mark.parametrize("m", [1, 2, 7])
def test_laws_of_projections_lengths_and_products_agree(m):
    g, ours, plain = samples(m, seed=1)
    unit = g / np.linalg.norm(g)
    other = np.array([0.3, 0.1, -0.2, 0.9])
    looks = [
        lambda x: x @ unit,
        lambda x: x @ other,
        lambda x: np.linalg.norm(x, axis=1),
        lambda x: (x @ unit) * (x @ other),
        lambda x: np.linalg.norm(x - np.outer(x @ unit, unit), axis=1),
    ]
    p_values = [stats.ks_2samp(look(ours), look(plain)).pvalue for look in looks]
    assert min(p_values) > 1e-3


def test_one_vector_keeps_length_and_projection_together():
    """m = 1: G = u <u, g>, so |G|² = |u|² <u, g>² and <G, e> = |g| <u, e>² >= 0."""
    g, ours, _ = samples(1)
    along = ours @ (g / np.linalg.norm(g))
    assert (along >= 0).all()
    assert (np.linalg.norm(ours, axis=1) >= along - 1e-12).all()


def test_the_estimator_declares_independent_vectors_and_counts_as_many_calls():
    problem, rows = problem_of("quadratic", nodes=3, dimension=5), rows_of(6, nodes=3)
    x = torch.ones(6, 5, dtype=torch.float64)
    ours, plain = (ZerothOrder(**WORDS, samples=9, sampling=s) for s in ("collapsed", "iid"))
    assert ours.law(2) == plain.law(2)
    counts = [each.estimate(problem, x, rows, 2).calls for each in (ours, plain)]
    assert counts[0].keys() == counts[1].keys()
    for name, calls in counts[0].items():
        torch.testing.assert_close(calls, counts[1][name])
    assert ours.mistakes(5, True) == []


def test_no_gradient_gives_no_estimate():
    found = collapsed(torch.zeros(3, 6, dtype=torch.float64), rows_of(3), 4)
    assert (found == 0).all()


@pytest.mark.parametrize(
    "change", [{"directions": "sphere"}, {"difference": "central"}, {"data": "fresh"}]
)
def test_other_laws_have_no_such_form(change):
    with pytest.raises(ValidationError, match="got sampling 'collapsed'"):
        ZerothOrder(**WORDS | change, sampling="collapsed")
