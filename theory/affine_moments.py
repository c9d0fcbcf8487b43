"""Exact first and second moments of a random affine system on a network.

The idea: the whole state is z = (y_1, ..., y_n, 1), y_i = (x_i, v_i) (v_i only with momentum), and the
carried object is Z = E z z'. One step of any protocol is a mixture of scenarios (probability, affine
map, additive noise whose covariance is linear in Z), so Z ↦ Z+ is linear and exact. Coordinates that
do not interact except through the size of the noise are carried as C separate blocks of dimension p:
C = d, p = 1 if all Hessians are diagonal, C = 1, p = d in general. Z has shape [C, N+1, N+1] with N = nq
and q = p or 2p; the last row holds the mean, the corner the mass 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import Order

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

NoiseLaw = Callable[[Integers, Array], Array]
"""(nodes [B], second moments of (x_i, 1) [C, B, p+1, p+1]) -> covariance of G_i, [C, B, p, p]."""


@dataclass(frozen=True, kw_only=True)
class LocalSteps:
    """Every node's own step y+ = P y + c − k ⊗ (noise of G).

    Attributes:
        linear: P, shape [C, n, q, q].
        offset: c, shape [C, n, q].
        gain: outer products k k' of the noise's gains on (x, v), shape [n, s, s], s = 1 or 2.
    """

    linear: Array
    offset: Array
    gain: Array


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """A random mixing matrix W through its first two moments.

    Attributes:
        mean: E W, shape [n, n].
        excess: M ↦ E W M W' − E W · M · E W' on [..., n, n]; None if W is fixed.
    """

    mean: Array
    excess: Callable[[Array], Array] | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way a round may go: its probability, its mixing and who steps (shape [n])."""

    probability: float
    mixing: Mixing
    active: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class AffineSystem:
    """The network of nodes, ready to advance Z.

    Attributes:
        hessians: A_i, shape [C, n, p, p].
        linear: b_i, shape [C, n, p] (coordinates shifted so that the optimum is 0).
        noise: covariance of every node's estimate.
        step_sizes: base step sizes, shape [n].
        momentum: m.
        order: order of mixing and stepping.
        scenarios: the round's mixture (matrix and matching).
        edges: pairs of the pair protocol, shape [E, 2]; empty otherwise.
        probabilities: of the pairs, shape [E].
    """

    hessians: Array
    linear: Array
    noise: NoiseLaw
    step_sizes: Array
    momentum: float
    order: Order
    scenarios: tuple[Scenario, ...] = ()
    edges: Integers
    probabilities: Array

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, n, p, q)."""
        C, n, p = self.linear.shape
        return C, n, p, p * (1 if self.momentum == 0 else 2)

    def start(self, points: Array) -> Array:
        """Z of a certain start: points of shape [C, n, p], velocities 0."""
        C, n, p, q = self.shape
        z = np.zeros((C, n * q + 1))
        z[:, :-1].reshape(C, n, q)[:, :, :p] = points
        z[:, -1] = 1.0
        result: Array = z[:, :, None] * z[:, None, :]
        return result

    def advance(self, Z: Array, scale: float) -> Array:
        """One step with step sizes scale · η_i."""
        local = _cached_local(self, float(scale))
        if len(self.edges):
            return _pair_step(self, Z, local)
        parts = [s.probability * _scenario_step(self, Z, local, s) for s in self.scenarios]
        return np.sum(parts, axis=0) if len(parts) > 1 else parts[0]


def positions(system: AffineSystem) -> Integers:
    """Index of x_ik in z, shape [n, p]."""
    _, n, p, q = system.shape
    return np.arange(n)[:, None] * q + np.arange(p)[None, :]


def local_steps(system: AffineSystem, scale: float) -> LocalSteps:
    """P, c and gains of every node.

    Formula:
        v+ = m v + (1−m) G, x+ = x − η v+, G = A x − b + noise.

    Source:
        the contract of `Setting.momentum`.
    """
    C, n, p, q = system.shape
    eta = scale * system.step_sizes
    fresh = 1.0 - system.momentum
    eye = np.eye(p)
    P = np.zeros((C, n, q, q))
    c = np.zeros((C, n, q))
    P[:, :, :p, :p] = eye - fresh * eta[None, :, None, None] * system.hessians
    c[:, :, :p] = fresh * eta[None, :, None] * system.linear
    gains = fresh * eta[:, None]
    if q > p:
        P[:, :, :p, p:] = -system.momentum * eta[:, None, None] * eye
        P[:, :, p:, :p] = fresh * system.hessians
        P[:, :, p:, p:] = system.momentum * eye
        c[:, :, p:] = -fresh * system.linear
        gains = np.column_stack([gains[:, 0], np.full(n, -fresh)])
    return LocalSteps(linear=P, offset=c, gain=gains[:, :, None] * gains[:, None, :])


@lru_cache(maxsize=4)
def _cached_local(system: AffineSystem, scale: float) -> LocalSteps:
    return local_steps(system, scale)


def _scenario_step(system: AffineSystem, Z: Array, local: LocalSteps, scenario: Scenario) -> Array:
    mix = _mixing_map(system, scenario.mixing.mean)
    step = _stepping_map(system, local, scenario.active)
    if system.order == "adapt-combine":
        Z = step @ Z @ step.swapaxes(1, 2) + _node_noise(system, Z, local, scenario.active)
        return mix @ Z @ mix.T + _excess(system, Z, scenario.mixing)
    if system.order == "combine-adapt":
        Z = mix @ Z @ mix.T + _excess(system, Z, scenario.mixing)
        return step @ Z @ step.swapaxes(1, 2) + _node_noise(system, Z, local, scenario.active)
    both = mix + step - np.eye(len(mix))
    moved: Array = both @ Z @ both.swapaxes(1, 2)
    return (
        moved + _excess(system, Z, scenario.mixing) + _node_noise(system, Z, local, scenario.active)
    )


def _mixing_map(system: AffineSystem, W: Array) -> Array:
    """W on the positions, identity on velocities and on the constant, shape [N+1, N+1]."""
    _, n, p, q = system.shape
    T = np.eye(n * q + 1)
    index = positions(system)
    for k in range(p):
        T[np.ix_(index[:, k], index[:, k])] = W
    return T


def _stepping_map(system: AffineSystem, local: LocalSteps, active: NDArray[np.bool_]) -> Array:
    C, n, _, q = system.shape
    T = np.zeros((C, n * q + 1, n * q + 1))
    T[:, -1, -1] = 1.0
    for i in range(n):
        block = slice(i * q, (i + 1) * q)
        T[:, block, block] = local.linear[:, i] if active[i] else np.eye(q)
        T[:, block, -1] = local.offset[:, i] if active[i] else 0.0
    return T


def node_moments(system: AffineSystem, Z: Array) -> Array:
    """Second moments of (x_i, 1) of every node, shape [C, n, p+1, p+1]."""
    index = positions(system)
    last = np.full((len(index), 1), Z.shape[1] - 1)
    own = np.hstack([index, last])
    result: Array = Z[:, own[:, :, None], own[:, None, :]]
    return result


def _node_noise(
    system: AffineSystem, Z: Array, local: LocalSteps, active: NDArray[np.bool_]
) -> Array:
    C, n, _, q = system.shape
    noise = system.noise(np.arange(n), node_moments(system, Z))
    noise = noise * active[None, :, None, None]
    blocks = np.einsum("nst,cnkl->cnsktl", local.gain, noise).reshape(C, n, q, q)
    out = np.zeros_like(Z)
    index = np.arange(n)[:, None] * q + np.arange(q)[None, :]
    out[:, index[:, :, None], index[:, None, :]] = blocks
    return out


def _excess(system: AffineSystem, Z: Array, mixing: Mixing) -> Array | float:
    if mixing.excess is None:
        return 0.0
    index = positions(system)
    blocks = Z[:, index.T[:, None, :, None], index.T[None, :, None, :]]
    out = np.zeros_like(Z)
    out[:, index.T[:, None, :, None], index.T[None, :, None, :]] = mixing.excess(blocks)
    return out


def _pair_step(system: AffineSystem, Z: Array, local: LocalSteps) -> Array:
    """Mixture over all edges at once: only the rows and columns of an edge's two nodes change."""
    C, n, _, q = system.shape
    E, N = len(system.edges), n * q
    index = (system.edges[:, :, None] * q + np.arange(q)).reshape(E, 2 * q)
    wide = np.hstack([index, np.full((E, 1), N)])
    T = _edge_maps(system, local)
    rows = T @ Z[:, wide]
    blocks = np.take_along_axis(
        rows, np.broadcast_to(wide[None, :, None], (C, E, 2 * q, 2 * q + 1)), 3
    )
    blocks = blocks @ T.swapaxes(2, 3) + _edge_noise(system, Z, local)
    outside = np.ones((E, N + 1))
    np.put_along_axis(outside, index, 0.0, axis=1)
    rows = rows * outside[None, :, None, :]
    return _gather(system, Z, rows, blocks)


def _edge_maps(system: AffineSystem, local: LocalSteps) -> Array:
    """The affine map of an edge's (y_i, y_j, 1), without its last row, shape [C, E, 2q, 2q+1]."""
    C, _, p, q = system.shape
    E = len(system.edges)
    mix = np.eye(2 * q)
    for k in range(p):
        pair = [k, q + k]
        mix[np.ix_(pair, pair)] = 0.5
    P = np.zeros((C, E, 2 * q, 2 * q))
    c = np.empty((C, E, 2 * q, 1))
    for side in (0, 1):
        block = slice(side * q, (side + 1) * q)
        P[:, :, block, block] = local.linear[:, system.edges[:, side]]
        c[:, :, block, 0] = local.offset[:, system.edges[:, side]]
    if system.order == "adapt-combine":
        return np.concatenate([mix @ P, mix @ c], axis=3)
    if system.order == "combine-adapt":
        return np.concatenate([P @ mix, c], axis=3)
    return np.concatenate([mix + P - np.eye(2 * q), c], axis=3)


def _edge_noise(system: AffineSystem, Z: Array, local: LocalSteps) -> Array:
    """Covariance that the two estimates of an edge add to (y_i, y_j), shape [C, E, 2q, 2q]."""
    C, n, p, q = system.shape
    E = len(system.edges)
    own = node_moments(system, Z)
    if system.order == "combine-adapt":
        own = _mixed_moments(system, Z, own)
        noise = [system.noise(system.edges[:, side], own) for side in (0, 1)]
    else:
        every = system.noise(np.arange(n), own)
        noise = [every[:, system.edges[:, side]] for side in (0, 1)]
    out = np.zeros((C, E, 2, q, 2, q))
    for side in (0, 1):
        gain = local.gain[system.edges[:, side]]
        block = np.einsum("est,cekl->cesktl", gain, noise[side]).reshape(C, E, q, q)
        out[:, :, side, :, side] = block
    if system.order == "adapt-combine":
        _average_positions(out, p)
    return out.reshape(C, E, 2 * q, 2 * q)


def _average_positions(blocks: Array, p: int) -> None:
    """Average positions over the two sides, on rows and then on columns, in place."""
    blocks[:, :, :, :p] = blocks[:, :, :, :p].mean(axis=2, keepdims=True)
    blocks[..., :p] = blocks[..., :p].mean(axis=4, keepdims=True)


def _mixed_moments(system: AffineSystem, Z: Array, own: Array) -> Array:
    """Second moments of ((x_i + x_j)/2, 1) for every edge, shape [C, E, p+1, p+1]."""
    p = system.shape[2]
    i, j = system.edges.T
    index = positions(system)
    cross = Z[:, index[i][:, :, None], index[j][:, None, :]]
    mixed = 0.5 * (own[:, i] + own[:, j])
    square = own[:, i, :p, :p] + own[:, j, :p, :p] + cross + cross.swapaxes(2, 3)
    mixed[:, :, :p, :p] = 0.25 * square
    return mixed


def _gather(system: AffineSystem, Z: Array, rows: Array, blocks: Array) -> Array:
    C, n, _, q = system.shape
    E, N = len(system.edges), n * q
    i, j = system.edges.T
    p = system.probabilities
    incidence = np.zeros((n, E, 2))
    incidence[i, np.arange(E), 0] = p
    incidence[j, np.arange(E), 1] = p
    incidence = incidence.reshape(n, 2 * E)
    out = _kept(system, incidence.sum(1)) * Z
    changed = (incidence @ rows.reshape(C, 2 * E, q * (N + 1))).reshape(C, N, N + 1)
    out[:, :N] += changed
    out[:, :, :N] += changed.swapaxes(1, 2)
    blocks = blocks.reshape(C, E, 2, q, 2, q)
    inner = np.zeros((C, n, n, q, q))
    inner[:, i, j] = p[:, None, None] * blocks[:, :, 0, :, 1]
    inner[:, j, i] = p[:, None, None] * blocks[:, :, 1, :, 0]
    same = np.stack([blocks[:, :, 0, :, 0], blocks[:, :, 1, :, 1]], axis=2).reshape(C, 2 * E, q * q)
    inner[:, np.arange(n), np.arange(n)] = (incidence @ same).reshape(C, n, q, q)
    out[:, :N, :N] += inner.transpose(0, 1, 3, 2, 4).reshape(C, N, N)
    return out


def _kept(system: AffineSystem, touched: Array) -> Array:
    """Probability that an entry of Z is untouched by the tick, shape [N+1, N+1]."""
    _, n, _, q = system.shape
    i, j = system.edges.T
    keep = 1.0 - touched[:, None] - touched[None, :]
    keep[i, j] += system.probabilities
    keep[j, i] += system.probabilities
    keep[np.arange(n), np.arange(n)] = 1.0 - touched
    out = np.ones((n * q + 1, n * q + 1))
    out[:-1, :-1] = np.kron(keep, np.ones((q, q)))
    out[:-1, -1] = out[-1, :-1] = np.repeat(1.0 - touched, q)
    return out
