"""Exact second moments in the eigenbasis of a symmetric W: O(d n) a step.

With one step size and one diagonal Hessian for all nodes, a fixed symmetric W = VΛV' moves mode
j of coordinate k, y_jk = v_j'x_k, by a factor of its own. The noise is diagonal over nodes, not
over modes, and depends on single nodes; still E y_jk² alone is closed in two cases: the noise does
not grow with the gradient, or all nodes grow alike and W is walk-regular (every power of W has
a constant diagonal, as on vertex-transitive graphs), so that only the mean noise counts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import Order
from hzbench.theory.coordinates import Coordinates
from hzbench.theory.remember import by_content

Array = NDArray[np.float64]
_SAME = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class ModeSystem:
    """n modes of d coordinates; mode 0 is the mean times sqrt(n).

    Attributes:
        values: λ, shape [n].
        curvature: a, shape [d].
        offset: V'β, shape [n, d].
        start: V'x_0, shape [n, d].
        noise: the part of Σ_i V_ij² N_ik that is constant, shape [n, d].
        own: α; shared: θ; step: η.
        order: order of mixing and stepping.
    """

    values: Array
    curvature: Array
    offset: Array
    start: Array
    noise: Array
    own: float
    shared: float
    step: float
    order: Order


@by_content(2)
def eigenmodes(W: Array) -> tuple[Array, Array]:
    """λ and V of a symmetric W with W1 = 1, the constant vector first, shapes [n] and [n, n]."""
    n = len(W)
    values, vectors = np.linalg.eigh(W + 8.0 / n)
    values, vectors = values[::-1].copy(), vectors[:, ::-1].copy()
    values[0] -= 8.0
    vectors[:, 0] = 1.0 / np.sqrt(n)
    for each in (values, vectors):
        each.flags.writeable = False  # shared by all who ask
    return values, vectors


def walk_regular(values: Array, vectors: Array) -> bool:
    """Whether the projector on every eigenspace has a constant diagonal."""
    order = np.argsort(values)
    cuts = np.flatnonzero(np.diff(values[order]) > 1e-8) + 1
    for space in np.split(order, cuts):
        weight = (vectors[:, space] ** 2).sum(1)
        if float(np.ptp(weight)) > _SAME:
            return False
    return True


def mode_system(nodes: Coordinates, W: Array, order: Order) -> ModeSystem | None:
    """The system of a setting, or None where single modes are not closed."""
    alike = (nodes.curvature == nodes.curvature[0]).all() and (nodes.steps == nodes.steps[0]).all()
    if not alike or float(np.abs(W - W.T).max()) > 1e-12:
        return None
    values, vectors = eigenmodes(W)
    weights = vectors.T**2
    if nodes.own.any() or nodes.shared.any():
        same = np.ptp(nodes.own) == 0 and np.ptp(nodes.shared) == 0
        if not same or not walk_regular(values, vectors):
            return None
        weights = np.full_like(weights, 1.0 / len(W))
    return ModeSystem(
        values=values,
        curvature=nodes.curvature[0],
        offset=vectors.T @ nodes.offset,
        start=vectors.T @ nodes.start,
        noise=weights @ nodes.constant,
        own=float(nodes.own[0]),
        shared=float(nodes.shared[0]),
        step=float(nodes.steps[0]),
        order=order,
    )


def mode_step(system: ModeSystem, mean: Array, square: Array, scale: float) -> tuple[Array, Array]:
    """(E y, E y²) after one round, each of shape [n, d].

    Formula:
        y+ = λ(ρy + ηβ̃ − η·noise), combine-adapt with λ first, simultaneous with λ − ηa for λρ;
        ρ = 1 − ηa, noise of variance s̃ + α h̄ + θ Σ_l h̄_l, h̄ the mean of E h² over nodes.

    Source:
        own derivation (C2, C3).
    """
    eta, lam = scale * system.step, system.values[:, None]
    if system.order == "combine-adapt":
        mean, square = lam * mean, lam**2 * square
    n, a = len(mean), system.curvature
    h = a**2 * square.sum(0) - 2 * a * (system.offset * mean).sum(0) + (system.offset**2).sum(0)
    noise = system.noise + (system.own * h + system.shared * h.sum()) / n
    keep = lam - eta * a if system.order == "simultaneous" else 1.0 - eta * a
    push = eta * system.offset
    moved = keep * mean
    square = keep**2 * square + 2 * moved * push + push**2 + eta**2 * noise
    mean = moved + push
    if system.order == "adapt-combine":
        return lam * mean, lam**2 * square
    return mean, square
