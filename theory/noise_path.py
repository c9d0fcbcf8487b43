"""Leading order of noise along a path: when one population's loss falls below another's for good.

The idea: estimates of both populations have the mean ∇f, so with one mean step size both follow
noise-free descent, and all that differs is what noise adds. Noise enters as Cov G_i, a mixture of
three shapes Q: that of the data Σ, that of random vectors I, and gg' (theory.md A8); each decays
along its own mean curvature tr(H²Q)/tr(HQ). To leading order in the noise

    E f(x̄_t) − f(x_t) = ½ Σ_{k<t} Σ_Q A_Q(k) Π_{k<s<t} (1 − η̄ a_Q(s))²,
    A_Q(k) = tr(H_k Q_k) Σ_i η_i² c_iQ / n²,

and what matchings have not yet averaged away of the nodes' own noise adds
½ (1 − 1/n) Σ_k Σ_Q c^(t−k) tr(H_k Q_k) Σ_i η_i² c_iQ/n with the same decay, c = E Γ+/Γ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.structure import DifferenceLaw, EstimatorLaw, GradientLaw
from hzbench.theory.directions import direction_moments
from hzbench.theory.oracles import averaging, batch_factor

Array = NDArray[np.float64]
SHAPES = ("data", "vectors", "signal")


@dataclass(frozen=True, kw_only=True)
class Path:
    """What was measured at K points of a noise-free path, shape [K] unless said otherwise.

    Attributes:
        steps: when.
        gradient: |∇f|².
        noise: tr Σ of one data sample.
        curvature: tr(HQ) of Q = Σ, I and ∇f∇f', shape [3, K].
        decay: tr(H²Q)/tr(HQ), shape [3, K].
    """

    steps: Array
    gradient: Array
    noise: Array
    curvature: Array
    decay: Array


@dataclass(frozen=True, kw_only=True)
class Excess:
    """What noise adds to the loss at steps 0 ... T, shape [T+1] each.

    Attributes:
        mean: at the mean iterate.
        nodes: besides, on average over the nodes.
    """

    mean: Array
    nodes: Array

    @property
    def total(self) -> Array:
        """Of the average node."""
        return self.mean + self.nodes


def excess(path: Path, laws: tuple[EstimatorLaw, ...], steps: Array, dimension: int) -> Excess:
    """The leading order of noise for one population under uniform matchings.

    Setting and assumptions: unbiased estimates, gradients or directional derivatives along Gaussian
    or spherical vectors; random matchings of all nodes, halves averaged, the idle node steps too;
    noise small enough that H and Q are those of the noise-free path.

    Formula:
        Cov G = Σ/b for gradients; (Σ/b)(1 + (2κ−1)/m) + (κ/m)(|g|² + tr Σ/b) I + ((2κ−1)/m) gg'
        for differences that share their data (A8); c = 1 − ½ n/(n−1) for n even, ½ for n odd.

    Source:
        own derivation (D1 along a path, with the curvature of every shape of noise).

    Args:
        path: what was measured.
        laws: of every node's estimate.
        steps: η of every step and node, shape [T, n].
        dimension: d.

    Raises:
        ValueError: a law whose covariance has another shape.
    """
    total, n = steps.shape
    when = np.arange(total)
    at = {
        "gradient": np.interp(when, path.steps, path.gradient),
        "noise": np.interp(when, path.steps, path.noise),
    }
    curvature = np.array([np.interp(when, path.steps, row) for row in path.curvature])
    decay = np.array([np.interp(when, path.steps, row) for row in path.decay])
    shares = {law: _shape_of(law, at["gradient"], at["noise"], dimension) for law in set(laws)}
    power = np.zeros_like(curvature)  # [3, T], sum over nodes of η_i² tr(H c_Q Q)
    for i, law in enumerate(laws):
        power += steps[:, i] ** 2 * curvature * shares[law]
    keep = (1.0 - steps.mean(axis=1) * decay) ** 2
    found = np.zeros((2, total + 1))
    mean, own = np.zeros(len(SHAPES)), np.zeros(len(SHAPES))
    mixed = _contraction(n)
    for t in range(total):
        mean = keep[:, t] * mean + 0.5 * power[:, t] / n**2
        own = mixed * (keep[:, t] * own + 0.5 * (1.0 - 1.0 / n) * power[:, t] / n)
        found[:, t + 1] = mean.sum(), own.sum()
    return Excess(mean=found[0], nodes=found[1])


def _contraction(n: int) -> float:
    """E Γ+/Γ of one uniform matching that averages halves; 0 for a node alone."""
    if n == 1:
        return 0.0
    return 1.0 - 0.5 * (n / (n - 1) if n % 2 == 0 else 1.0)


def _shape_of(law: EstimatorLaw, gradient: Array, noise: Array, d: int) -> Array:
    """Coefficients of Σ, I and gg' in Cov G, shape [3, T]."""
    zero = np.zeros_like(gradient)
    if isinstance(law, GradientLaw):
        return np.array([zero + batch_factor(law.batch_size), zero, zero])
    known = isinstance(law, DifferenceLaw) and law.directions in ("gaussian", "sphere")
    if not isinstance(law, DifferenceLaw) or not known or law.data != "shared":
        raise ValueError(f"got {law}; expected shared data and Gaussian or spherical vectors")
    kappa, r = direction_moments(law.directions, d).kappa, averaging(law, d)
    c, along = batch_factor(law.batch_size), (2 * kappa - 1) * r
    return np.array([c * (1 + along) + zero, kappa * r * (gradient + c * noise), along + zero])
