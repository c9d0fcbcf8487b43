"""Exact second moments on the complete graph by classes of equal nodes: O(d K²) a step.

Nodes of one class have the same curvature, offset, noise, step size and start. Random pairs, random
perfect matchings and W = αI + (1−α)J/n treat all nodes alike, so at every step E x_i = u_a,
E x_i² = D_a and E x_i x_j = C_ab depend on the classes a, b of i ≠ j alone, coordinate by
coordinate. K classes of sizes n_a replace n nodes; C_aa is not used where n_a = 1.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.coordinates import Coordinates

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMoments:
    """Moments of K classes in d coordinates.

    Attributes:
        mean: u, shape [K, d].
        square: D, shape [K, d].
        cross: C, shape [K, K, d].
    """

    mean: Array
    square: Array
    cross: Array


def class_labels(nodes: Coordinates) -> Array:
    """The class of every node, 0 ... K−1 in order of appearance, shape [n]."""
    rows = np.hstack(
        [
            nodes.curvature,
            nodes.offset,
            nodes.constant,
            nodes.start,
            np.column_stack([nodes.own, nodes.shared, nodes.steps]),
        ]
    )
    known: dict[bytes, int] = {}
    labels = [known.setdefault((row + 0.0).tobytes(), len(known)) for row in rows]
    return np.array(labels)


def representatives(nodes: Coordinates, labels: Array) -> tuple[Coordinates, Array]:
    """One node of every class, and the sizes of the classes, shape [K]."""
    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    picked = replace(
        nodes,
        curvature=nodes.curvature[first],
        offset=nodes.offset[first],
        constant=nodes.constant[first],
        own=nodes.own[first],
        shared=nodes.shared[first],
        steps=nodes.steps[first],
        start=nodes.start[first],
    )
    return picked, sizes.astype(float)


def certain(points: Array) -> ClassMoments:
    """Moments of certain points, shape [K, d]."""
    return ClassMoments(mean=points, square=points**2, cross=points[:, None] * points[None])


def adapt(kinds: Coordinates, now: ClassMoments, scale: float) -> ClassMoments:
    """Every node takes its own step.

    Formula:
        û = ρu + e, D̂ = ρ²D + 2ρeu + e² + η²N, Ĉ_ab = E(ρ_a x_i + e_a)(ρ_b x_j + e_b) with
        ρ = 1 − ηa, e = ηβ, N = s + α E h² + θ Σ_l E h_l².

    Source:
        own derivation (C1).
    """
    eta = scale * kinds.steps[:, None]
    keep, push = 1.0 - eta * kinds.curvature, eta * kinds.offset
    h = kinds.curvature**2 * now.square - 2 * kinds.curvature * kinds.offset * now.mean
    h = h + kinds.offset**2
    noise = (
        kinds.constant + kinds.own[:, None] * h + kinds.shared[:, None] * h.sum(1, keepdims=True)
    )
    moved = keep * now.mean
    square = keep**2 * now.square + 2 * moved * push + push**2 + eta**2 * noise
    cross = keep[:, None] * keep[None] * now.cross
    cross = cross + moved[:, None] * push[None] + push[:, None] * (moved + push)[None]
    return ClassMoments(mean=moved + push, square=square, cross=cross)


def mix_matrix(sizes: Array, own: float, now: ClassMoments) -> ClassMoments:
    """X+ = WX with W = αI + (1−α)J/n, α = `own`.

    Formula:
        E WMW = α²M + α(1−α)(r_i + r_j)/n + (1−α)² s/n², r the row sums and s the sum of M.

    Source:
        own derivation (C2).
    """
    n, rest = sizes.sum(), 1.0 - own
    rows = _row_sums(sizes, now)
    total = np.tensordot(sizes, rows, axes=1) * rest**2 / n**2
    return ClassMoments(
        mean=own * now.mean + rest * np.tensordot(sizes, now.mean, axes=1) / n,
        square=own**2 * now.square + 2 * own * rest / n * rows + total,
        cross=own**2 * now.cross + own * rest / n * (rows[:, None] + rows[None]) + total,
    )


def mix_matching(sizes: Array, now: ClassMoments) -> ClassMoments:
    """X+ = ½(I + P)X, P a uniform perfect matching of an even number of nodes.

    Formula:
        ¼(M + E[P]M + M E[P] + E PMP) with E P = (J−I)/(n−1) and E PMP as in C5.

    Source:
        own derivation (C5).
    """
    n = float(sizes.sum())
    rows = _row_sums(sizes, now)
    off = rows - now.square
    squares = np.tensordot(sizes, now.square, axes=1)
    swapped = (squares - now.square) / (n - 1)
    apart = now.cross
    if n > 2:
        outside = np.tensordot(sizes, off, axes=1) - 2 * (off[:, None] + off[None]) + 2 * now.cross
        apart = apart + outside / (n - 3)
    # E[P]M + M E[P] off the diagonal: (r_i + r_j − 2 M_ij)/(n−1) with r the full row sums
    both = (rows[:, None] + rows[None] - 2 * now.cross) / (n - 1)
    totals = np.tensordot(sizes, now.mean, axes=1)
    return ClassMoments(
        mean=0.5 * (now.mean + (totals - now.mean) / (n - 1)),
        square=0.25 * (now.square + 2 * off / (n - 1) + swapped),
        cross=0.25 * (now.cross + both + apart / (n - 1)),
    )


def pair_tick(kinds: Coordinates, sizes: Array, now: ClassMoments, scale: float) -> ClassMoments:
    """One tick: a uniform pair adapts and averages, everyone else keeps its value.

    Formula:
        D_a+ = (1 − 2/n) D_a + (2/n) mean_j Z_ij; C_ab+ = p Z_ab + p Σ_{r≠i,j} ½[(R_ab + R_rb) +
        (R_ba + R_ra)] + (1 − p(2n−3)) C_ab, p = 2/(n(n−1)), Z the second moment of an average of
        two adapted nodes and R_ab that of an adapted node of a and one of b at rest.

    Source:
        own derivation (C4, C8b).
    """
    n = float(sizes.sum())
    new = adapt(kinds, now, scale)
    eta = scale * kinds.steps[:, None]
    keep, push = 1.0 - eta * kinds.curvature, eta * kinds.offset
    Z = 0.25 * (new.square[:, None] + new.square[None] + 2 * new.cross)
    R = keep[:, None] * now.cross + push[:, None] * now.mean[None]
    partners = (np.einsum("b,abk->ak", sizes, Z) - np.einsum("aak->ak", Z)) / (n - 1)
    # Σ over r outside {i, j} of R_rb, j of class b
    inside = np.einsum("r,rbk->bk", sizes, R)
    outside = inside[None] - R - np.einsum("bbk->bk", R)[None]
    one_side = 0.5 * ((n - 2) * R + outside)
    p = 2.0 / (n * (n - 1))
    touched = 2.0 / n
    total = np.tensordot(sizes, new.mean, axes=1)
    met = 0.5 * (new.mean + (total - new.mean) / (n - 1))
    return ClassMoments(
        mean=(1 - touched) * now.mean + touched * met,
        square=(1 - touched) * now.square + touched * partners,
        cross=p * (Z + one_side + one_side.swapaxes(0, 1)) + (1 - p * (2 * n - 3)) * now.cross,
    )


def network_mean(sizes: Array, now: ClassMoments) -> tuple[Array, Array]:
    """(E x̄ [d], E x̄² [d]), x̄ the mean over nodes."""
    n = sizes.sum()
    total = np.tensordot(sizes, _row_sums(sizes, now), axes=1)
    return np.tensordot(sizes, now.mean, axes=1) / n, total / n**2


def disagreement(sizes: Array, now: ClassMoments) -> float:
    """Γ as a mean over pairs of nodes, so that equal nodes give exactly zero."""
    n = sizes.sum()
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    gaps = now.square[:, None] + now.square[None] - 2 * now.cross
    return max(float(0.5 * np.einsum("ab,abk->", pairs, gaps) / n**2), 0.0)


def _row_sums(sizes: Array, now: ClassMoments) -> Array:
    """Σ_j E x_i x_j for i of every class, shape [K, d]."""
    result: Array = (
        now.square + np.einsum("b,abk->ak", sizes, now.cross) - np.einsum("aak->ak", now.cross)
    )
    return result
