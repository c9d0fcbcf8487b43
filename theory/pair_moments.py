"""One tick of the pair protocol on a random affine system: Z to Z+, all edges at once."""

import numpy as np

from hzbench.theory.affine_system import (
    AffineSystem,
    Array,
    Integers,
    LocalSteps,
    node_moments,
    positions,
)


def pair_step(system: AffineSystem, Z: Array, local: LocalSteps) -> Array:
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
        mix[np.ix_(pair, pair)] = _averaging(system)
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
        sides = (system.edges, system.edges[:, ::-1])
        noise = [system.noise(ends[:, 0], _mixed_moments(system, Z, own, ends)) for ends in sides]
    else:
        every = system.noise(np.arange(n), own)
        noise = [every[:, system.edges[:, side]] for side in (0, 1)]
    out = np.zeros((C, E, 2, q, 2, q))
    for side in (0, 1):
        gain = local.gain[system.edges[:, side]]
        block = np.einsum("est,cekl->cesktl", gain, noise[side]).reshape(C, E, q, q)
        out[:, :, side, :, side] = block
    if system.order == "adapt-combine":
        _average_positions(out, p, _averaging(system))
    return out.reshape(C, E, 2 * q, 2 * q)


def _averaging(system: AffineSystem) -> Array:
    """[[1 − w, w], [w, 1 − w]]."""
    w = system.pair_weight
    return np.array([[1.0 - w, w], [w, 1.0 - w]])


def _average_positions(blocks: Array, p: int, mix: Array) -> None:
    """Mix positions of the two sides, on rows and then on columns, in place."""
    blocks[:, :, :, :p] = np.einsum("uv,cevktl->ceuktl", mix, blocks[:, :, :, :p])
    blocks[..., :p] = np.einsum("uv,ceskvl->ceskul", mix, blocks[..., :p])


def _mixed_moments(system: AffineSystem, Z: Array, own: Array, ends: Integers) -> Array:
    """Second moments of ((1 − w) x_i + w x_j, 1) for all ends (i, j), shape [C, E, p+1, p+1]."""
    p, w = system.shape[2], system.pair_weight
    i, j = ends.T
    index = positions(system)
    cross = Z[:, index[i][:, :, None], index[j][:, None, :]]
    mixed = (1 - w) * own[:, i] + w * own[:, j]
    both = w * (1 - w) * (cross + cross.swapaxes(2, 3))
    mixed[:, :, :p, :p] = (1 - w) ** 2 * own[:, i, :p, :p] + w**2 * own[:, j, :p, :p] + both
    return mixed


def _gather(system: AffineSystem, Z: Array, rows: Array, blocks: Array) -> Array:
    C, n, _, q = system.shape
    E, N = len(system.edges), n * q
    i, j = system.edges.T
    p = system.probabilities
    incidence = np.zeros((n, 2 * E))
    incidence[i, 2 * np.arange(E)] = p
    incidence[j, 2 * np.arange(E) + 1] = p
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
