"""Leading order of noise along a path: when one population's loss falls below another's for good.

The idea: estimates of both populations have the mean ∇f, so with one mean step size both follow
noise-free descent, and all that differs is what noise adds. Noise enters as Cov G_i, a mixture of
three shapes Q: that of the data Σ, that of random vectors I, and gg' (theory.md A8); each decays
along its own mean curvature tr(H²Q)/tr(HQ). To leading order in the noise

    E f(x̄_t) − f(x_t) = ½ Σ_{k<t} Σ_Q A_Q(k) Π_{k<s<t} (1 − η̄ a_Q(s))²,
    A_Q(k) = tr(H_k Q_k) Σ_i η_i² c_iQ / n²,

and what matchings have not yet averaged away of the nodes' own noise adds
½ (1 − 1/n) Σ_k Σ_Q c^(t−k) tr(H_k Q_k) Σ_i η_i² c_iQ/n with the same decay, c = E Γ+/Γ.
Populations with other mean step sizes are read off the same path at equal sums of step sizes.
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
        time: when, as a sum of mean step sizes.
        gradient: |∇f|².
        noise: tr Σ of one data sample.
        curvature: tr(HQ) of Q = Σ, I and ∇f∇f', shape [3, K].
        decay: tr(H²Q)/tr(HQ), shape [3, K].
    """

    time: Array
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


def excess(
    path: Path,
    laws: tuple[EstimatorLaw, ...],
    steps: Array,
    dimension: int,
    momentum: float = 0.0,
    silent: int = 0,
) -> Excess:
    """The leading order of noise for one population under uniform matchings.

    Setting and assumptions: unbiased estimates, gradients or directional derivatives along Gaussian
    or spherical vectors; random matchings of all nodes, halves averaged, the idle node steps too;
    noise small enough that H and Q are those of the noise-free path; step sizes small enough that
    the path depends on the sum of mean step sizes only (gradient flow), the same for every node.

    Formula:
        Cov G = Σ/b for gradients; (Σ/b)(1 + (2κ−1)/m) + (κ/m)(|g|² + tr Σ/b) I + ((2κ−1)/m) gg'
        for differences that share their data (A8); c = 1 − ½ n/(n−1) for n even, ½ for n odd, 1 in
        silent rounds. With momentum μ the noise passes a buffer that stays with its node,
        w+ = μ w + (1 − μ) η (a x + ξ), x+ = mix(x − w+): with S = E|x|², C = E<x, w>, V = E|w|² and
        h = (1 − μ) η̄a, V+ = μ²V + 2μh C + h²S + (1 − μ)² E|ηξ|², S+ = c(S − 2(μC + hS) + V+) and
        C+ = c(μC + hS − V+); c serves both, since partners are uniform and deviations sum to 0.
        h is at most 1: a larger ratio of measured traces is no mode of a path that descends.

    Source:
        own derivation (D1 along a path, with the curvature of every shape of noise).

    Args:
        path: what was measured.
        laws: of every node's estimate.
        steps: η of every step and node, shape [T, n].
        dimension: d.
        momentum: μ.
        silent: rounds at the start without exchange.

    Raises:
        ValueError: a law whose covariance has another shape.
    """
    total, n = steps.shape
    eta = steps.mean(axis=1)
    when = elapsed(eta)[:-1]
    gradient, noise = (_between(when, path.time, row) for row in (path.gradient, path.noise))
    curvature = np.array([_between(when, path.time, row) for row in path.curvature])
    decay = np.array([_between(when, path.time, row) for row in path.decay])
    shares = {law: _shape_of(law, gradient, noise, dimension) for law in set(laws)}
    power = np.zeros_like(curvature)  # [3, T], sum over nodes of η_i² tr(H c_Q Q)
    for i, law in enumerate(laws):
        power += steps[:, i] ** 2 * curvature * shares[law]
    drift = np.minimum((1.0 - momentum) * eta * decay, 1.0)  # at most forgotten within a step
    part = 0.5 / n**2 * np.array([[1.0], [n - 1.0]])  # at the mean iterate, and on top of it
    found = np.zeros((2, total + 1))
    S, C, V = np.zeros((3, 2, len(SHAPES)))
    for t in range(total):
        mixed = np.array([[1.0], [1.0 if t < silent else _contraction(n)]])
        kept, h = momentum * (eta[t] / eta[t - 1] if t and eta[t - 1] else 0.0), drift[:, t]
        fresh = (1.0 - momentum) ** 2 * part * power[:, t]
        V = kept**2 * V + 2.0 * kept * h * C + h**2 * S + fresh
        both = kept * C + h * S  # E<x, w> with the new w
        S, C = mixed * (S - 2.0 * both + V), mixed * (both - V)
        found[:, t + 1] = S.sum(axis=1)
    return Excess(mean=found[0], nodes=found[1])


def _between(when: Array, times: Array, values: Array) -> Array:
    """Interpolate what falls like an exponential: on a log scale, unless signs forbid it."""
    if (values > 0).all():
        return np.exp(np.interp(when, times, np.log(values)))
    return np.interp(when, times, values)


def elapsed(steps: Array) -> Array:
    """Σ_{s<t} η_s at t = 0 ... T, the time of gradient flow, from mean step sizes [T]."""
    return np.append(0.0, np.cumsum(steps)).round(12)  # sums of equal numbers are equal


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
