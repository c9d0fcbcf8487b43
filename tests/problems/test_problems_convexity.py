"""Curvature within rounding of 0 is 0: no problem takes its last bits for strong convexity."""

import numpy as np
import pytest
from problems_cases import EXPLICIT, N, make

from hzbench.core.errors import SpecError
from hzbench.problems.convexity import least_curvature

SEEDS = range(40)
FLAT = {"label_noise": 0.1, "rows": 5, "dimension": 6}


def test_rows_that_do_not_span_give_no_strong_convexity_whatever_the_seed():
    for seed in SEEDS:
        keys = {"planted": FLAT, "regularization": 0.0, "sparsity": 0.3, "instance_seed": seed}
        c = make("smooth_lasso", **keys).constants
        assert c.strong_convexity == 0
        assert np.isnan([c.polyak_lojasiewicz, c.minimum]).all()


def test_constant_pixels_give_none_either():
    c = make("smooth_lasso", data="digits", regularization=0.0).constants
    assert c.strong_convexity == 0
    assert np.isnan(c.minimum)


@pytest.mark.parametrize("factor", [0.15, 0.3, 0.7, 1.1])
def test_a_penalty_that_undoes_another_leaves_none(factor):
    """κ Σ x²/(1 + x²) bends down by κ/2 at most, which λ = κ/2 undoes."""
    rows = {"features": EXPLICIT["features"], "targets": EXPLICIT["signs"]}
    c = make("nonconvex_logistic", **rows, nonconvexity=factor, regularization=factor / 2).constants
    assert c.strong_convexity == 0
    assert np.isnan(c.minimum)


def test_the_smallest_true_curvature_stays():
    c = make("smooth_lasso", planted=FLAT, regularization=1e-9).constants
    assert c.strong_convexity == pytest.approx(1e-9, rel=1e-5)
    assert c.polyak_lojasiewicz == c.strong_convexity
    c = make("logistic", regularization=1e-13, planted={"rows": 9, "dimension": 2}).constants
    assert c.strong_convexity == 1e-13


@pytest.mark.parametrize("seed", range(20))
def test_the_same_rule_refuses_singular_least_squares_and_quadratics(seed):
    random = np.random.default_rng(seed)
    rows = random.standard_normal((N, N + 1))
    keys = {"features": rows, "targets": np.ones(N), "regularization": 0.0, "standardize": False}
    with pytest.raises(SpecError, match="got a least-squares Hessian with the eigenvalue 0;"):
        make("ridge", **keys)
    with pytest.raises(SpecError, match="whose mean has the eigenvalue 0;"):
        make("quadratic", hessian=rows.T @ rows)
    assert least_curvature(rows.T @ rows) == 0
    assert least_curvature(-rows.T @ rows) < -0.1
    assert least_curvature(rows.T @ rows, 1e-6) == pytest.approx(1e-6, rel=1e-6)
