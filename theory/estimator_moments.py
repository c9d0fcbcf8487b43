"""Theorem: mean and covariance of the nodes' estimates at fixed iterates."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear, Quadratic
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude, laws_known, smoothing_positive
from hzbench.theory.oracles import (
    covariance,
    law_constants,
    least_squares_constants,
    quadratic_constants,
)

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
)


@register("theorem", "estimator_moments", mutants=MUTANTS)
def estimator_moments(setting: Setting) -> Prediction:
    """Exact mean and covariance of the gradient estimates at fixed iterates.

    Setting and assumptions: the iterates stay at the start and every step draws fresh estimates.
    Quadratics and squared losses with every law and difference; the logistic loss with gradients
    and exact directional derivatives. Nodes draw independently.

    Formula:
        E G_i = h_i; Cov G_i = c S + r [(2κ−1) B + κ tr(B) I + γ diag(B)] + C with B = h h' + S,
        S the data noise of a batch, r = 1/m, C = ν²/(4m) E K6 (forward differences) + s²/(2ν²m) I
        (central) or 2s²/(ν²m) I (forward). For Ḡ = (1/n) Σ G_i, E|Ḡ|² = |E Ḡ|² + Σ tr Cov G_i/n².

    Source:
        own derivation (A1-A3, A8); Nesterov and Spokoiny 2017 bound the same quantities.

    Args:
        setting: n nodes in dimension d with moves = False.

    Returns:
        Kind exact at every record step from 1 on: estimate [T', d] with its spread, estimate_square
        and estimate_power [T'].
    """
    steps = tuple(t for t in setting.record if t >= 1)
    return conclude(
        "estimator_moments",
        statement="E G = h, Cov G = c S + [(2κ−1) B + κ tr(B) I + γ diag B]/m + C, B = hh' + S.",
        source=sources.ESTIMATOR_MOMENTS,
        kind="exact",
        assumptions=_assumptions(setting, steps),
        steps=steps,
        compute=lambda: _compute(setting, len(steps)),
        validity="any smoothing radius; estimates of different nodes are independent",
        mutants=MUTANTS,
    )


def _assumptions(setting: Setting, steps: tuple[int, ...]) -> tuple[Assumption, ...]:
    structure = setting.problem.structure
    idle = setting.protocol == "matching" and setting.nodes % 2 == 1 and not setting.idle_steps
    return (
        assume("the iterates stay at the start", not setting.moves, f"moves = {setting.moves}"),
        assume(
            "every node draws an estimate at every step",
            setting.protocol != "pair" and not idle,
            f"protocol = {setting.protocol}, n = {setting.nodes}",
        ),
        assume(
            "the structure of every f_i is declared",
            structure is not None,
            f"structure = {type(structure).__name__}",
        ),
        laws_known(setting),
        smoothing_positive(setting),
        _moments_closed(setting),
        assume("a step after the start is recorded", bool(steps), f"record = {setting.record}"),
    )


def _moments_closed(setting: Setting) -> Assumption:
    structure = setting.problem.structure
    logistic = isinstance(structure, GeneralizedLinear) and structure.loss == "logistic"
    finite = [i for i, law in enumerate(setting.laws) if logistic and _finite_difference(law)]
    detail = f"finite differences of the logistic loss at nodes {finite}" if finite else ""
    return assume("the mean of every estimate has a closed form", not finite, detail)


def _finite_difference(law: object) -> bool:
    return isinstance(law, DifferenceLaw) and law.difference != "directional_derivative"


def node_moments(setting: Setting, points: Array) -> tuple[Array, Array]:
    """Mean [n, d] and covariance [n, d, d] of every node's estimate at given points.

    Args:
        setting: structure and laws, within the range of `estimator_moments`.
        points: where the nodes are, shape [n, d].
    """
    structure = setting.problem.structure
    laws = law_constants(setting.laws, points.shape[1])
    if isinstance(structure, Quadratic):
        h = np.einsum("nkl,nl->nk", structure.hessians, points) - structure.linear
        S, C = structure.noise, quadratic_constants(structure, setting.laws)
    elif isinstance(structure, GeneralizedLinear):
        h, S = _row_moments(structure, points)
        C = np.zeros_like(S)
        if structure.loss == "squared":
            C = least_squares_constants(structure, setting.laws)
    else:
        raise TypeError(f"got {type(structure).__name__}; expected a declared structure")
    batch_noise = S * laws.batch[:, None, None]
    return h, covariance(laws, h[:, :, None] * h[:, None, :], batch_noise, C)


def _row_moments(structure: GeneralizedLinear, points: Array) -> tuple[Array, Array]:
    """Mean and covariance of one row's gradient at every node."""
    means, covariances = [], []
    for members, x in zip(structure.members, points, strict=True):
        a, y = structure.features[members], structure.targets[members]
        slope = a @ x - y if structure.loss == "squared" else -y * expit(-y * (a @ x))
        g = a * slope[:, None] + structure.regularization * x
        means.append(g.mean(0))
        centred = g - g.mean(0)
        covariances.append(centred.T @ centred / len(g))
    return np.array(means), np.array(covariances)


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
