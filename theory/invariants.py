"""Theorem: what every single step must satisfy, whatever is drawn."""

import numpy as np

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.checks import assume, conclude, recorded
from hzbench.theory.graphs import GraphError
from hzbench.theory.weights import declared_weights, doubly_stochastic_residual

MUTANTS = ("combine_then_adapt", "gossip_weight_48")
MOVES_BY_STEPS = (
    "plain",
    "delayed",
    "control-variate",
    "compressed-exchange",
    "extra",
    "exact-diffusion",
    "second-order",
)
"""Updates whose memory adds up to 0 over nodes, so that Σ x moves by the local steps alone."""


@register("theorem", "step_invariants", mutants=MUTANTS)
def step_invariants(setting: Setting) -> Prediction:
    """Identities that hold at every step of every replica.

    Setting and assumptions: any problem and any estimators. Exchanges average exactly.

    Formula:
        x_i = x_j after i and j adapt and then average; Σ x+ = Σ x − Σ η_i G_i over the nodes that
        step, if columns of W sum to 1, there is no momentum, and what nodes remember adds up to 0
        (all updates but tracking and masked steps); nodes outside the pair keep their x.

    Guarantee:
        exact, of every single run.

    Source:
        own derivation (F4) from Algorithm 1 of Ansaripour et al. 2025.

    Args:
        setting: n nodes.

    Returns:
        Kind exact at the last record step, each 0: pair_disagreement (pair and matching,
        adapt-combine), mass_residual (momentum 0, doubly stochastic W), idle_change (pair).

    Example:
        `quick`, case `invariants-hdo-pair`, step 40: pair_disagreement = 0.
    """
    names = predicted_invariants(setting)
    last = setting.record[-1:]
    assumptions = (
        assume("the iterates move", setting.moves, f"moves = {setting.moves}"),
        recorded(setting),
        assume(
            "an invariant is defined for this protocol, order, momentum and update",
            bool(names),
            f"protocol = {setting.protocol}, order = {setting.order}, "
            f"momentum = {setting.momentum:g}, update = {setting.update.rule}",
        ),
    )
    return conclude(
        "step_invariants",
        statement="Averaged pairs agree, Σ x+ = Σ x − Σ η_i G_i, and idle nodes stay put.",
        source=sources.STEP_INVARIANTS,
        kind="exact",
        assumptions=assumptions,
        steps=last,
        compute=lambda: ({name: np.zeros(1) for name in names}, {}),
        validity="up to rounding, relative to the largest coordinate",
        mutants=_mutants(setting),
    )


def predicted_invariants(setting: Setting) -> tuple[str, ...]:
    """Names of the invariants that this setting must satisfy."""
    names = []
    halves = setting.network.pair_weight == 0.5
    if setting.protocol in {"pair", "matching"} and setting.order == "adapt-combine" and halves:
        names.append("pair_disagreement")
    steps_alone = setting.momentum == 0 and setting.update.rule in MOVES_BY_STEPS
    if steps_alone and _mass_kept(setting).holds:
        names.append("mass_residual")
    if setting.protocol == "pair":
        names.append("idle_change")
    return tuple(names)


def _mass_kept(setting: Setting) -> Assumption:
    text = "W is doubly stochastic"
    if setting.protocol != "matrix":
        return assume(text, True)
    try:
        cycle = declared_weights(setting.network, setting.nodes)
    except GraphError as error:
        return assume(text, False, str(error))
    return assume(text, max(map(doubly_stochastic_residual, cycle)) < 1e-12)


def _mutants(setting: Setting) -> tuple[str, ...]:
    return MUTANTS if "pair_disagreement" in predicted_invariants(setting) else ()
