"""Advance the exact second moments of a random affine system by one step."""

from functools import lru_cache

import numpy as np

from hzbench.theory.affine_system import AffineSystem, Array, LocalSteps, local_steps
from hzbench.theory.pair_moments import pair_step
from hzbench.theory.random_affine import Outcome, random_affine_step
from hzbench.theory.round_moments import scenario_step
from hzbench.theory.updates import outcomes

_RESIDUE = 1e-12


def deviation(square: Array, mean: Array) -> Array:
    """Standard deviation from E x² and E x; 0 where their difference is rounding."""
    variance = square - mean**2
    return np.sqrt(np.where(variance > _RESIDUE * square, variance, 0.0))


def advance(system: AffineSystem, Z: Array, scale: float) -> Array:
    """Z+ after one step (a tick or a round) with step sizes scale · η_i.

    Formula:
        Z+ = Σ_ω p_ω (T_ω Z T_ω' + N_ω(Z)), linear in Z.

    Source:
        own derivation (C1-C5, C13).

    Args:
        system: the network of nodes.
        Z: E z z', shape [C, N+1, N+1].
        scale: the schedule's factor of this step.
    """
    if system.update.rule != "plain":
        return random_affine_step(_cached_outcomes(system, float(scale)), system.noise, Z)
    local = _cached_local(system, float(scale))
    if len(system.edges):
        return pair_step(system, Z, local)
    first, *rest = system.scenarios
    total: Array = first.probability * scenario_step(system, Z, local, first)
    for scenario in rest:
        total += scenario.probability * scenario_step(system, Z, local, scenario)
    return total


@lru_cache(maxsize=8)
def _cached_outcomes(system: AffineSystem, scale: float) -> tuple[Outcome, ...]:
    return outcomes(system, scale)


@lru_cache(maxsize=4)
def _cached_local(system: AffineSystem, scale: float) -> LocalSteps:
    return local_steps(system, scale)
