"""First two moments of a uniform random perfect matching, as a mixing law.

A matching P swaps the two nodes of every pair; the pairs average, W = (1 − w) I + w P.
"""

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.affine_system import Mixing, Scenario

Array = NDArray[np.float64]


def matching_scenarios(n: int, idle_steps: bool, weight: float = 0.5) -> tuple[Scenario, ...]:
    """The scenarios of one round of the matching protocol on n nodes.

    n even: one scenario. n odd: one for each idle node r, each of probability 1/n; the others form
    a uniform perfect matching, and r takes its local step only if `idle_steps`.
    """
    if n % 2 == 0:
        everyone = np.ones(n, dtype=bool)
        return (
            Scenario(probability=1.0, mixing=_mixing(n, np.arange(n), weight), active=everyone),
        )
    scenarios = []
    for idle in range(n):
        members = np.delete(np.arange(n), idle)
        active = np.ones(n, dtype=bool)
        active[idle] = idle_steps
        mixing = _mixing(n, members, weight)
        scenarios.append(Scenario(probability=1.0 / n, mixing=mixing, active=active))
    return tuple(scenarios)


def swapped_moment(M: Array) -> Array:
    """E P M P' over uniform perfect matchings P of an even number of nodes.

    Formula:
        diagonal (i, i): mean of M_kk over k ≠ i; entry (i, j): [M_ji + s_ij/(n−3)]/(n−1), s_ij the
        sum of M_kl over k ≠ l, both outside {i, j}.

    Source:
        own derivation (C5); the first term is the transpose, which matters for blocks.

    Args:
        M: shape [..., n, n].
    """
    n = M.shape[-1]
    on = np.einsum("...ii->...i", M)
    O = M - on[..., None] * np.eye(n)
    cross = O.swapaxes(-1, -2)
    if n > 2:
        touching = O.sum(-1) + O.sum(-2)
        outside = O.sum((-1, -2))[..., None, None] - touching[..., :, None] - touching[..., None, :]
        cross = cross + (outside + O + O.swapaxes(-1, -2)) / (n - 3)
    cross = cross * (1.0 - np.eye(n))
    others = on.sum(-1, keepdims=True) - on
    result: Array = (cross + others[..., None] * np.eye(n)) / (n - 1)
    return result


def _mixing(n: int, members: NDArray[np.int64], weight: float) -> Mixing:
    """Pairs among `members` average; the other nodes keep their value."""
    size = len(members)
    mean = np.eye(n)
    if size < 2:
        return Mixing(mean=mean)
    swap = (np.ones((size, size)) - np.eye(size)) / (size - 1)
    mean[np.ix_(members, members)] = (1 - weight) * np.eye(size) + weight * swap

    def excess(M: Array) -> Array:
        # rows of members against columns of the idle node are linear in P: no excess there
        inner = M[..., members[:, None], members[None, :]]
        out = np.zeros_like(M)
        out[..., members[:, None], members[None, :]] = weight**2 * (
            swapped_moment(inner) - swap @ inner @ swap
        )
        return out

    return Mixing(mean=mean, excess=excess)
