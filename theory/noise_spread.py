"""How much of every node's noise reaches every other node, and what growing noise then adds.

Noise that grows with |∇f_i(x_i)|² grows with the disagreement of the nodes, not only with the
distance of their mean: the slower the exchange mixes, the more.
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.theory.checks import assume, step_range
from hzbench.theory.graphs import GraphError
from hzbench.theory.weights import mixing_matrix

Array = NDArray[np.float64]
_TERMS = 400
_MATCHING_TERMS = 4_000
_WORK = 2e9  # multiplications
_ROUNDING = 1e-12


def spread_known(setting: Setting) -> Assumption:
    """The exchange is a non-negative matrix or a perfect matching, after or before the step."""
    text = "nodes step before or after they average, with weights that are not negative"
    n, network = setting.nodes, setting.network
    if setting.order == "simultaneous":
        return assume(text, False, f"order = {setting.order}")
    if setting.protocol == "matching":
        uniform = network.matching_law == "uniform" and network.graph == "complete"
        return assume(text, n % 2 == 0 and uniform, f"{network.matching_law} matchings, n = {n}")
    try:
        least = float(mixing_matrix(network, n).min())
    except GraphError as error:
        return assume(text, False, str(error))
    return assume(text, least >= -_ROUNDING, f"least weight = {least:.3g}")


def finite_step_factor(setting: Setting, noise: Array, growth: Array) -> float:
    """The most that finite steps multiply the floor (η/4) Σs_i/n² by; inf where they may diverge.

    Formula:
        2/(2 − ηL) · (1 + Στ_iH_i/Σs_i) with H = K(s + diag(τ) H) from `spread_gain`, H_i the most
        that E|∇f_i(x_i)|² is about the fixed point. W = J/n: 2/(2 − ηL(1 + Στ_i/n²)), which
        f = (L/2)|x − x*|² attains.

    Source:
        own derivation (C6, and C7 as a sum over time).

    Args:
        setting: the exchange, one step size η and L.
        noise: s_i at the fixed point, shape [n].
        growth: τ_i, shape [n].
    """
    edge = step_range(setting)[1] * setting.problem.constants.smoothness
    if not edge < 1:
        return inf
    if not growth.any():
        return 2.0 / (2.0 - edge)
    gain = spread_gain(setting, edge)
    loop = gain * growth
    if float(np.abs(np.linalg.eigvals(loop)).max()) >= 1:
        return inf
    H = np.linalg.solve(np.eye(len(noise)) - loop, gain @ noise)
    return float(2.0 / (2.0 - edge) * (1.0 + growth @ H / noise.sum()))


def spread_gain(setting: Setting, edge: float) -> Array:
    """K: the most that the noise of node r adds to E|∇f_i(x_i)|², shape [n, n].

    Formula:
        curvature a adds Σ_k c_k (ηa)²(1 − ηa)^{2k}, c_k = E[(W_{k+1} ... W_1)_ir²], to a unit of
        noise. Of c_k the part 1/n² gives ηa/(n²(2 − ηa)), the most at a = L; what is above it gives
        at most what the worst a ≤ L of every k does, ηa = min(ηL, 1/(k + 1)).

    Source:
        own derivation.

    Args:
        setting: the exchange, within `spread_known`.
        edge: ηL < 1.
    """
    n, network = setting.nodes, setting.network
    if setting.protocol == "matching":
        above = _matching_excess(n, network.pair_weight, edge)
    else:
        above = _matrix_excess(mixing_matrix(network, n), edge)
    result: Array = above + edge / (n**2 * (2.0 - edge))
    return result


def _weights(k: Array, edge: float) -> Array:
    """Max over ηa ≤ ηL of (ηa)²(1 − ηa)^{2k}."""
    worst = np.minimum(edge, 1.0 / (k + 1.0))
    result: Array = worst**2 * (1.0 - worst) ** (2 * k)
    return result


def _rest(first: int, edge: float) -> float:
    """Σ of the weights from k = `first` on; those beyond 10⁶ add up to less than 10⁻⁶."""
    return float(_weights(np.arange(first, 1e6), edge).sum()) + 1e-6


def _matrix_excess(W: Array, edge: float) -> Array:
    """The sum above 1/n²; where cut off, with the largest entry, which powers of W never raise."""
    n = len(W)
    terms = max(1, min(_TERMS, int(_WORK / n**3)))
    power, total = W, np.zeros_like(W)
    for weight in _weights(np.arange(float(terms)), edge):
        total = total + weight * np.maximum(power**2 - 1.0 / n**2, 0.0)
        power = W @ power
    left = max(float(power.max()) ** 2 - 1.0 / n**2, 0.0)
    result: Array = total + _rest(terms, edge) * left
    return result


def _matching_excess(n: int, w: float, edge: float) -> Array:
    """The same for perfect matchings: of c = W_k ... W_1 e_r, E c_r², E Σc_i², E c_r are closed."""
    own, every, mean, total = 1.0, 1.0, 1.0, np.zeros(2)
    for weight in _weights(np.arange(float(_MATCHING_TERMS)), edge):
        own = (
            (1 - w) ** 2 * own
            + w**2 * (every - own) / (n - 1)
            + 2 * w * (1 - w) * (mean - own) / (n - 1)
        )
        every = ((1 - w) ** 2 + w**2) * every + 2 * w * (1 - w) * (1 - every) / (n - 1)
        mean = (1 - w) * mean + w * (1 - mean) / (n - 1)
        squares = np.array([own, (every - own) / (n - 1)])
        total += weight * np.maximum(squares - 1.0 / n**2, 0.0)
    result: Array = np.full((n, n), total[1]) + (total[0] - total[1]) * np.eye(n)
    return result
