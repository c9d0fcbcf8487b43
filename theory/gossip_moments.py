"""Theorems: mean contraction of the disagreement when nodes only average."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.checks import (
    assume,
    buildable,
    conclude,
    exchanges_always,
    iterates_move,
    matchings_known,
)
from hzbench.theory.graphs import GraphError, uniform_pairs
from hzbench.theory.mixing_laws import gossip_phases, mean_moment, mean_square
from hzbench.theory.weights import declared_weights, doubly_stochastic_residual

Array = NDArray[np.float64]

MUTANTS = (
    "self_pairs",
    "ignored_pair_weight",
    "favoured_edge",
    "dropped_link_weight",
    "ignored_coin",
    "one_peer_stuck",
    "one_exchange_fewer",
    "lazy_weights",
    "torus_over_five",
)
MOST_WORK = 2e10


@register("theorem", "gossip_contraction", mutants=MUTANTS)
def gossip_contraction(setting: Setting) -> Prediction:
    """Exact mean of the disagreement under pure averaging.

    Setting and assumptions: all step sizes 0. Pairs with any edge law and weight on any graph;
    matchings, uniform or of a law that can be listed; any doubly stochastic W, varying with a
    period, with failing links, or accelerated by Chebyshev's polynomial or a memory.

    Formula:
        M+ = E W M W', E Γ = tr M/n, M_0 = YY', Y = X − mean. One pair: E Γ_1 = Γ_0 −
        (2w(1−w)/n) Σ_e p_e |x_i − x_j|²; on the complete graph E Γ_t = c^t Γ_0 with c = 1 −
        4w(1−w)/(n−1) for pairs. Links that fail: E WMW' = E W · M · E W' + q(1−q) Σ_e w_e² L_e M
        L_e. Second order: every eigenvalue λ of W carries p_{t+1} = γ λ p_t + (1−γ) p_{t−1},
        p_0 = p_{−1} = 1.

    Guarantee:
        exact, for every start.

    Source:
        Boyd et al. 2006, section II; own derivation (B5-B12).

    Args:
        setting: n nodes; X is the start.

    Returns:
        Kind exact: consensus_potential at all record steps.

    Example:
        `quick`, case `gossip-pair-complete`, step 6, n = 8, Γ_0 = 7.7036213:
        consensus_potential = 3.055021 = 7.7036213*(1 - 1/7)**6.
    """
    return conclude(
        "gossip_contraction",
        statement="E Γ_t follows M+ = E W M W' under pure averaging; on K_n it is c^t Γ_0.",
        source=sources.GOSSIP_CONTRACTION,
        kind="exact",
        assumptions=(*_assumptions(setting), _affordable(setting)),
        steps=setting.record,
        compute=lambda: ({"consensus_potential": _values(setting)}, {}),
        validity="every start; exchanges drawn independently of each other",
        mutants=_mutants(setting),
    )


@register("theorem", "gossip_rate", mutants=("lazy_weights",))
def gossip_rate(setting: Setting) -> Prediction:
    """Upper bound of the disagreement under pure averaging: the worst start.

    Setting and assumptions: as `gossip_contraction`, for a law that is the same in every step.

    Formula:
        E Γ_t ≤ c^t Γ_0, c the largest eigenvalue of E W'W − J/n: 1 − 2w(1−w) λ_2(Σ_e p_e L_e) for
        pairs and matchings, |W − J/n|² for a fixed W, 1/T_K(1/ρ)² for Chebyshev's polynomial at
        ρ = |W − J/n|. Equality after one step from an eigenvector of c.

    Guarantee:
        upper bound; tight from an eigenvector of c, after one step.

    Source:
        Boyd et al. 2006, theorem 3; own derivation (B5-B9, B12).

    Args:
        setting: n nodes; X is the start.

    Returns:
        Kind upper: consensus_potential at all record steps.

    Example:
        `core-gossip`, case `gossip-rate-ring`, step 40, ring of 8, w = 0.3, Γ_0 = 7.7036213:
        consensus_potential = 2.208307 = 7.7036213*(1 - 0.42*(2 - 2*cos(2*pi/8))/8)**40.
    """
    listed = (*_assumptions(setting), iterates_move(setting))
    law = buildable("every step has the same law of W", lambda: mean_square(setting))
    return conclude(
        "gossip_rate",
        statement="E Γ_t ≤ c^t Γ_0, c the largest eigenvalue of E W'W − J/n.",
        source=sources.GOSSIP_CONTRACTION,
        kind="upper",
        assumptions=(*listed, law),
        steps=setting.record,
        compute=lambda: ({"consensus_potential": _bounds(setting)}, {}),
        validity="every start",
        mutants=("lazy_weights",) if setting.protocol == "matrix" else (),
    )


def contraction_factor(setting: Setting) -> float:
    """The largest eigenvalue of E W'W − J/n: E Γ_{t+1} ≤ c E Γ_t from every state.

    Raises:
        GraphError: the network cannot be rebuilt, or its law varies.
    """
    n = setting.nodes
    values = np.linalg.eigvalsh(mean_square(setting) - np.full((n, n), 1.0 / n))
    return float(max(values[-1], 0.0))


def second_order_polynomials(values: Array, rate: float, steps: int) -> Array:
    """p_0 ... p_T at every eigenvalue of W, shape [T+1, k].

    Formula:
        p_{t+1} = γ λ p_t + (1−γ) p_{t−1}, p_0 = p_{−1} = 1, γ = 2/(1 + sqrt(1−ρ²)); |p_t| decays
        like (γ−1)^(t/2) = (ρ/(1 + sqrt(1−ρ²)))^t for |λ| ≤ ρ.

    Source:
        Ghosh, Muthukrishnan, Schultz 1998; own derivation (B12).
    """
    gamma = 2.0 / (1.0 + sqrt(1.0 - rate**2))
    found = [np.ones_like(values), np.ones_like(values)]
    for _ in range(steps):
        found.append(gamma * values * found[-1] + (1.0 - gamma) * found[-2])
    return np.array(found[1:])


def _assumptions(setting: Setting) -> tuple[Assumption, ...]:
    largest = float(np.abs(setting.step_sizes).max(initial=0.0))
    return (
        _only_exchanges(setting),
        exchanges_always(setting),
        assume("all step sizes are 0", largest == 0, f"largest step size = {largest:g}"),
        matchings_known(setting),
        buildable("the network can be rebuilt from its words", lambda: _parts(setting)),
        _stochastic(setting),
        assume("a step is recorded", bool(setting.record), f"record = {setting.record}"),
    )


def _only_exchanges(setting: Setting) -> Assumption:
    moves = setting.moves and setting.update.rule in ("plain", "second-order")
    detail = f"moves = {setting.moves}, update = {setting.update.rule}"
    text = "the iterates move by exchanges, perhaps with a memory of the last one"
    return assume(text, moves, detail)


def _remembers(setting: Setting) -> bool:
    return setting.protocol == "matrix" and setting.update.rule == "second-order"


def _parts(setting: Setting) -> object:
    if _remembers(setting):
        return _modes(setting)
    return gossip_phases(setting)


def _modes(setting: Setting) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of a fixed symmetric W."""
    cycle = declared_weights(setting.network, setting.nodes)
    network = setting.network
    fixed = len(cycle) == 1 and not network.link_failure and network.exchange_probability == 1
    if not fixed or float(np.abs(cycle[0] - cycle[0].T).max()) > 1e-9:
        raise GraphError("second-order gossip is solved for a fixed symmetric W only")
    values, vectors = np.linalg.eigh(cycle[0])
    return values, vectors


def _stochastic(setting: Setting) -> Assumption:
    text = "W is doubly stochastic"
    if setting.protocol != "matrix" or not buildable("", lambda: _parts(setting)).holds:
        return assume(text, True)
    cycle = declared_weights(setting.network, setting.nodes)
    residual = max(map(doubly_stochastic_residual, cycle))
    return assume(text, residual < 1e-9, f"largest deviation of a sum = {residual:.3g}")


def _affordable(setting: Setting) -> Assumption:
    last = setting.record[-1] if setting.record else 0
    cost = 0.0 if _homogeneous(setting) else 4.0 * last * setting.nodes**3
    detail = f"{cost:.2g} multiplications (at most {MOST_WORK:.2g})"
    return assume("the exact recursion is affordable", cost <= MOST_WORK, detail)


def _homogeneous(setting: Setting) -> bool:
    """Whether every state contracts by the same factor: pairs and matchings on K_n."""
    if setting.protocol == "matching":
        return setting.network.matching_law == "uniform"
    try:
        return setting.protocol == "pair" and uniform_pairs(setting.network, setting.nodes)
    except GraphError:
        return False


def _values(setting: Setting) -> Array:
    Y = setting.problem.initial - setting.problem.initial.mean(0)
    n, wanted = setting.nodes, set(setting.record)
    if _homogeneous(setting):
        times = np.array(setting.record)
        result: Array = (Y**2).sum() / n * _common_factor(setting) ** times
        return result
    if _remembers(setting):
        values, vectors = _modes(setting)
        power = ((vectors.T @ Y) ** 2).sum(1) / n
        steps = second_order_polynomials(values, setting.update.rate, setting.record[-1])
        second: Array = (steps[list(setting.record)] ** 2) @ power
        return second
    phases, M, found = gossip_phases(setting), Y @ Y.T, []
    for t in range(setting.record[-1] + 1):
        if t in wanted:
            found.append(float(np.trace(M)) / n)
        M = mean_moment(phases[t % len(phases)], M)
    return np.array(found)


def _common_factor(setting: Setting) -> float:
    """E Γ_{t+1}/E Γ_t on the complete graph.

    Formula:
        pairs 1 − 4w(1−w)/(n−1); matchings 1 − 2w(1−w) n/(n−1) for n even, 1 − 2w(1−w) for n odd.

    Source:
        own derivation (B6, B7, B9).
    """
    n, w = setting.nodes, setting.network.pair_weight
    if setting.protocol == "pair":
        return 1.0 - 4 * w * (1 - w) / (n - 1)
    return 1.0 - 2 * w * (1 - w) * (n / (n - 1) if n % 2 == 0 else 1.0)


def _bounds(setting: Setting) -> Array:
    Y = setting.problem.initial - setting.problem.initial.mean(0)
    start = float((Y**2).sum()) / setting.nodes
    result: Array = start * contraction_factor(setting) ** np.array(setting.record)
    return result


def _mutants(setting: Setting) -> tuple[str, ...]:
    network = setting.network
    named = {
        "self_pairs": setting.protocol == "pair",
        "ignored_pair_weight": network.pair_weight != 0.5 and setting.protocol != "matrix",
        "favoured_edge": setting.protocol == "matching",
        "dropped_link_weight": network.link_failure > 0,
        "ignored_coin": network.exchange_probability < 1,
        "one_peer_stuck": network.weights == "one-peer-exponential",
        "one_exchange_fewer": network.acceleration == "chebyshev" and network.rounds > 1,
        "lazy_weights": setting.protocol == "matrix",
        "torus_over_five": setting.protocol == "matrix" and network.graph == "torus",
    }
    return tuple(name for name in MUTANTS if named[name])
