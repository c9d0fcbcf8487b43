"""Theorem: mean and covariance of the nodes' estimates at fixed iterates."""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import (
    CoordinateLaw,
    DifferenceLaw,
    EstimatorLaw,
    GeneralizedLinear,
    OnePointLaw,
    Quadratic,
    Structure,
)
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.gradients import sample_gradients
from hzbench.theory.oracles import (
    covariance,
    law_constants,
    least_squares_constants,
    quadratic_constants,
)
from hzbench.theory.probe import probe_assumptions, probe_steps
from hzbench.theory.query_moments import coordinate_moments, one_point_moments

Array = NDArray[np.float64]

MUTANTS = (
    "missing_sqrt_d",
    "one_sample_fewer",
    "shared_directions",
    "uniform_tangents",
    "fresh_sample",
    "gaussian_for_sphere",
    "noise_plus_5",
    "forward_for_central",
    "unsigned_coordinate",
    "independent_directions",
    "reused_direction",
)


@register("theorem", "estimator_moments", mutants=MUTANTS)
def estimator_moments(setting: Setting) -> Prediction:
    """Exact mean and covariance of the gradient estimates at fixed iterates.

    Setting and assumptions: the iterates stay at the start and every step draws fresh estimates.
    Quadratics and squared losses with every law, difference and sampling; quadratics with one-point
    and residual estimates; full coordinate differences; the logistic loss with gradients, exact
    directional derivatives and full coordinate differences. Nodes draw independently.

    Formula:
        E G_i = h_i; Cov G_i = c S + (2κ−1) B + κ tr(B) I + γ diag(B) + C with B = r h h' + r' S,
        S the data noise of a batch, r = 1/m for independent vectors and (d−m)/(m(d−1)) for
        orthonormal ones and coordinates without replacement, C = ν²/(4m) E K6 (forward
        differences) + s²/(2ν²m) I (central) or 2s²/(ν²m) I (forward). One-point, residual and
        coordinate estimates: see `theory/query_moments.py`.
        For Ḡ = (1/n) Σ G_i, E|Ḡ|² = |E Ḡ|² + Σ tr Cov G_i/n².

    Guarantee:
        exact, on quadratics and squared losses.

    Source:
        own derivation (A1-A8, A10; the mutants of A4 and A9 break it); Nesterov and Spokoiny 2017
        bound the same quantities.

    Args:
        setting: n nodes in dimension d with moves = False.

    Returns:
        Kind exact at every record step from 1 on: estimate [T', d] with its spread, estimate_square
        and estimate_power [T'].

    Example:
        `core-tight`, case `differences-at-rest`, step 1, at the optimum, d = 16, Gaussian, m = 1,
        batches of 4, noise 0.5, so ω tr Σ:
        estimate_power = 18 = (16 + 2)*16*0.5**2/4.
    """
    steps = probe_steps(setting)
    return conclude(
        "estimator_moments",
        statement="E G = h, Cov G = c S + (2κ−1) B + κ tr(B) I + γ diag B + C, B = r hh' + r' S.",
        source=sources.ESTIMATOR_MOMENTS,
        kind="exact",
        assumptions=(
            *probe_assumptions(setting),
            _moments_closed(setting),
            _first_if_away(setting),
        ),
        steps=steps,
        compute=lambda: _compute(setting, len(steps)),
        validity="any smoothing radius; estimates of different nodes are independent",
        mutants=MUTANTS,
    )


def _moments_closed(setting: Setting) -> Assumption:
    structure = setting.problem.structure
    bad = [i for i, law in enumerate(setting.laws) if not _closed(structure, law)]
    detail = f"{type(structure).__name__} with the estimators of nodes {bad}" if bad else ""
    return assume("the moments of every estimate have a closed form", not bad, detail)


def _first_if_away(setting: Setting) -> Assumption:
    """A given previous iterate is that of the first estimate alone; the next remember x itself."""
    away = any(isinstance(law, OnePointLaw) and law.previous for law in setting.laws)
    return assume(
        "residual estimates with a given previous iterate are judged at step 1 alone",
        not away or probe_steps(setting) == (1,),
        f"record = {setting.record}" if away else "",
    )


def _closed(structure: Structure, law: EstimatorLaw) -> bool:
    if isinstance(structure, Quadratic):
        return True
    if not isinstance(structure, GeneralizedLinear) or isinstance(law, OnePointLaw):
        return structure is None  # its own assumption says so
    differs = isinstance(law, DifferenceLaw) and law.difference != "directional_derivative"
    return structure.loss == "squared" or not differs


def node_moments(setting: Setting, points: Array) -> tuple[Array, Array]:
    """Mean [n, d] and covariance [n, d, d] of every node's estimate at given points.

    Args:
        setting: structure and laws, within the range of `estimator_moments`.
        points: where the nodes are, shape [n, d].
    """
    structure = setting.problem.structure
    laws = law_constants(setting.laws, points.shape[1])
    h, S = sample_gradients(structure, points)
    C = np.zeros_like(S)
    if isinstance(structure, Quadratic):
        C = quadratic_constants(structure, setting.laws)
    elif isinstance(structure, GeneralizedLinear) and structure.loss == "squared":
        C = least_squares_constants(structure, setting.laws)
    noise = covariance(laws, h[:, :, None] * h[:, None, :], S * laws.batch[:, None, None], C)
    for i, law in enumerate(setting.laws):
        if isinstance(law, OnePointLaw) and isinstance(structure, Quadratic):
            h[i], noise[i] = one_point_moments(structure, i, law, points[i])
        elif isinstance(law, CoordinateLaw) and isinstance(
            structure, Quadratic | GeneralizedLinear
        ):
            h[i], noise[i] = coordinate_moments(structure, i, law, points[i])
    return h, noise


def _compute(setting: Setting, count: int) -> tuple[Values, Values]:
    n = setting.nodes
    h, covariances = node_moments(setting, setting.problem.initial)
    mean, total = h.mean(0), covariances.sum(0) / n**2
    power = float((h**2).sum() + np.einsum("nkk->", covariances)) / n
    values = {
        "estimate": np.tile(mean, (count, 1)),
        "estimate_square": np.full(count, mean @ mean + np.trace(total)),
        "estimate_power": np.full(count, power),
    }
    spread = np.sqrt(np.maximum(total.diagonal(), 0.0))
    return values, {"estimate": np.tile(spread, (count, 1))}
