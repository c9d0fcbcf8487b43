"""Random affine systems: z+ = T_ω z + F_ω ξ with finitely many ω, and their exact second moments.

The idea: z holds everything that the nodes remember, with a 1 at its end; ω is what a round draws
besides the estimates (a coin, an edge, masks); ξ is the noise of the estimates, taken at points
Q_ω z that are themselves affine in z, with a covariance N that is linear in their second moments.
Then Z = E z z' moves by a completely positive map,

    Z+ = Σ_ω p_ω Σ_r w_r (T_r Z T_r' + F_r N_ω(Z) F_r'),

where r = 0 is the mean map (w_0 = 1) and r > 0 are independent perturbations of mean 0 and variance
w_r, such as masks. Every method that is linear in its memory and its estimates is an instance.
"""

from dataclasses import dataclass

import numpy as np

from hzbench.theory.affine_system import Array, NoiseLaw


@dataclass(frozen=True, kw_only=True)
class Map:
    """w (T · T' + F · F').

    Attributes:
        weight: w, 1 or a variance.
        linear: T, shape [C, N+1, N+1].
        gain: F, shape [C, N+1, n, p].
    """

    weight: float
    linear: Array
    gain: Array


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One ω.

    Attributes:
        probability: p_ω.
        query: Q_ω, where every node takes its estimate, shape [C, n, p, N+1].
        maps: the mean map, then the perturbations.
    """

    probability: float
    query: Array
    maps: tuple[Map, ...]


def random_affine_step(outcomes: tuple[Outcome, ...], noise: NoiseLaw, Z: Array) -> Array:
    """Z+ of one round.

    Args:
        outcomes: what a round may draw.
        noise: covariance of every node's estimate at its query.
        Z: E z z', shape [C, N+1, N+1].
    """
    total = np.zeros_like(Z)
    for outcome in outcomes:
        N = noise(np.arange(outcome.query.shape[1]), query_moments(outcome.query, Z))
        for each in outcome.maps:
            moved = each.linear @ Z @ each.linear.swapaxes(1, 2)
            spread = np.einsum("canp,cnpq->canq", each.gain, N).reshape(*Z.shape[:2], -1)
            moved += spread @ each.gain.reshape(spread.shape).swapaxes(1, 2)
            total += outcome.probability * each.weight * moved
    return total


def query_moments(query: Array, Z: Array) -> Array:
    """Second moments of (q_i, 1) of every node, shape [C, n, p+1, p+1]."""
    C, n, _, K = query.shape
    one = np.zeros((C, n, 1, K))
    one[..., -1] = 1.0
    Q = np.concatenate([query, one], axis=2)
    result: Array = Q @ Z[:, None] @ Q.swapaxes(2, 3)
    return result
