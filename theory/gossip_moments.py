"""Theorem: mean contraction of the disagreement when nodes only average."""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.checks import (
    assume,
    buildable,
    complete_if_matching,
    conclude,
    iterates_move,
)
from hzbench.theory.graphs import Edges, GraphError, edge_law, uniform_pairs
from hzbench.theory.weights import doubly_stochastic_residual, mixing_matrix

Array = NDArray[np.float64]

MUTANTS = ("self_pairs",)


@register("theorem", "gossip_contraction", mutants=MUTANTS)
def gossip_contraction(setting: Setting) -> Prediction:
    """Exact mean of the disagreement under pure averaging.

    Setting and assumptions: all step sizes 0. Pairs with full averaging on any graph, uniform
    matchings of all nodes, or a fixed doubly stochastic W.

    Formula:
        one pair: E Γ_1 = Γ_0 − (1/2n) Σ_e p_e |x_i − x_j|², i.e. E W'W = I − ½ Σ p_e L_e; on the
        complete graph E Γ_t = (1 − 1/(n−1))^t Γ_0; matchings E Γ_t = c^t Γ_0, c = (n−2)/(2(n−1))
        for n even, ½ for n odd; fixed W: Γ_t = |W^t (X − mean)|²/n.

    Source:
        Boyd et al. 2006, section II; own derivation (B5, B7-B9).

    Args:
        setting: n nodes; X is the start.

    Returns:
        Kind exact: consensus_potential at all record steps; in the pair protocol on other graphs
        than the complete one at steps 0 and 1 only.
    """
    steps = predicted_steps(setting)
    return conclude(
        "gossip_contraction",
        statement="E Γ_t = c^t Γ_0 under pure averaging, c = 1 − 1/(n−1) for pairs on K_n.",
        source=sources.GOSSIP_CONTRACTION,
        kind="exact",
        assumptions=_assumptions(setting, steps),
        steps=steps,
        compute=lambda: ({"consensus_potential": _values(setting, steps)}, {}),
        validity="every start; pairs drawn independently of each other",
        mutants=MUTANTS if setting.protocol == "pair" else (),
    )


def predicted_steps(setting: Setting) -> tuple[int, ...]:
    """All record steps, or those at most 1 for pairs on an incomplete graph."""
    if setting.protocol != "pair" or _pairs_uniform(setting):
        return setting.record
    return tuple(t for t in setting.record if t <= 1)


def _pairs_uniform(setting: Setting) -> bool:
    try:
        return uniform_pairs(setting.network, setting.nodes)
    except GraphError:
        return False


def _assumptions(setting: Setting, steps: tuple[int, ...]) -> tuple[Assumption, ...]:
    largest = float(np.abs(setting.step_sizes).max(initial=0.0))
    return (
        iterates_move(setting),
        assume("all step sizes are 0", largest == 0, f"largest step size = {largest:g}"),
        complete_if_matching(setting),
        buildable("the network can be rebuilt from its words", lambda: _parts(setting)),
        _stochastic(setting),
        assume("a step with a prediction is recorded", bool(steps), f"record = {setting.record}"),
    )


def _parts(setting: Setting) -> object:
    if setting.protocol == "pair":
        return edge_law(setting.network, setting.nodes)
    if setting.protocol == "matrix":
        return mixing_matrix(setting.network, setting.nodes)
    return None


def _stochastic(setting: Setting) -> Assumption:
    text = "W is doubly stochastic"
    if setting.protocol != "matrix" or not buildable("", lambda: _parts(setting)).holds:
        return assume(text, True)
    residual = doubly_stochastic_residual(mixing_matrix(setting.network, setting.nodes))
    return assume(text, residual < 1e-9, f"largest deviation of a sum = {residual:.3g}")


def _values(setting: Setting, steps: tuple[int, ...]) -> Array:
    X = setting.problem.initial
    Y = X - X.mean(0)
    times = np.array(steps)
    start = float((Y**2).sum()) / setting.nodes
    if setting.protocol == "matrix":
        W = mixing_matrix(setting.network, setting.nodes)
        powers = [np.linalg.matrix_power(W, t) @ Y for t in steps]
        return np.array([float((Z**2).sum()) / setting.nodes for Z in powers])
    if setting.protocol == "pair" and not _pairs_uniform(setting):
        edges, probabilities = edge_law(setting.network, setting.nodes)
        dropped: Array = start - np.minimum(times, 1) * _first_drop(X, edges, probabilities)
        return dropped
    result: Array = start * contraction_factor(setting) ** times
    return result


def _first_drop(X: Array, edges: Edges, probabilities: Array) -> float:
    """Γ_0 − E Γ_1 = (1/2n) Σ_e p_e |x_i − x_j|²."""
    i, j = np.array(edges).T
    squares = ((X[i] - X[j]) ** 2).sum(1)
    return float(probabilities @ squares) / (2 * len(X))


def contraction_factor(setting: Setting) -> float:
    """E Γ_{t+1}/E Γ_t for pairs on the complete graph and for matchings.

    Formula:
        1 − 1/(n−1); (n−2)/(2(n−1)) for n even; ½ for n odd.

    Source:
        own derivation (B7, B9).
    """
    n = setting.nodes
    if setting.protocol == "pair":
        return 1.0 - 1.0 / (n - 1)
    return (n - 2) / (2.0 * (n - 1)) if n % 2 == 0 else 0.5
