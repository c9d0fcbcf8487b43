"""Theorem: exact second moments of a run on quadratics, at every record step."""

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import Quadratic
from hzbench.theory import sources
from hzbench.theory.checks import (
    assume,
    buildable,
    conclude,
    is_quadratic,
    matchings_known,
    moments_close,
    recorded,
    smoothing_positive,
)
from hzbench.theory.dynamics import (
    affordable,
    exact_observables,
    quadratic_parts,
    unique_minimiser,
)
from hzbench.theory.graphs import edge_law
from hzbench.theory.mixing_laws import mixing_phases
from hzbench.theory.push_sum import sums_of
from hzbench.theory.stacks import is_diagonal

MUTANTS = (
    "step_size_plus_5",
    "missing_sqrt_d",
    "one_sample_fewer",
    "shared_directions",
    "fresh_sample",
    "self_pairs",
    "one_endpoint",
    "ignored_step_size",
    "gaussian_for_sphere",
    "noise_plus_5",
    "forward_for_central",
    "talking_warmup",
)

VALIDITY = (
    "any step sizes, stable or not; nodes draw directions, data and evaluation noise independently "
    "of each other and of the schedule of exchanges"
)


@register("theorem", "quadratic_dynamics", mutants=MUTANTS)
def quadratic_dynamics(setting: Setting) -> Prediction:
    """Exact means of the gap, the disagreement and the gradient of a run on quadratics.

    Setting and assumptions: f_i(x) = ½ x'A_i x − b_i'x with any symmetric A_i and a positive
    definite mean; gradients with noise N(0, Σ_i); all direction laws, all differences, full
    coordinate differences, mixed populations; pair, matching and matrix protocols in all three
    orders, with a coin or pauses too; any step sizes, schedule and momentum; gradient tracking,
    EXTRA, exact diffusion, second-order gossip, push-sum, delays, control variates, and (diagonal
    A_i) masks of steps and exchanges.

    Formula:
        Z_t = E z z', z all that the nodes remember (x_i, v_i, trackers, past iterates, ...), obeys
        Z+ = Σ_ω p_ω (T_ω Z T_ω' + N_ω(Z)), ω the exchange and masks, T_ω its affine map, N_ω the
        covariance of the estimates: c S + r [(2κ−1) B + κ tr(B) I + γ diag B] + C with
        B = E hh' + S.
        With x̄ the mean and Ā the mean Hessian, E f(x̄) − f* = ½ tr(Ā E(x̄−x*)(x̄−x*)').

    Guarantee:
        exact, at every step.

    Source:
        own derivation (C1-C5 and C13 with the noise of A8) for Algorithm 1 of Ansaripour et al.
        2025.

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at all record steps: objective_gap, consensus_potential, node_distance,
        gradient_norm [T'], mean_iterate [T', d] with its spread.

    Example:
        `hdo-errata`, case `bias-of-one-in-four`, step 160, n = 4, one node with forward coordinate
        differences, ν = 2, late:
        mean_iterate[0] = -0.25 = -(1/4)*2.0/2.
    """
    return conclude(
        "quadratic_dynamics",
        statement="The second moment of the iterates obeys Z+ = Σ p_ω (T_ω Z T_ω' + N_ω(Z)).",
        source=sources.QUADRATIC_DYNAMICS,
        kind="exact",
        assumptions=dynamics_assumptions(setting, is_quadratic(setting), moments_close(setting)),
        steps=setting.record,
        compute=lambda: exact_observables(setting),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


def dynamics_assumptions(
    setting: Setting, structure: Assumption, laws: Assumption
) -> tuple[Assumption, ...]:
    """The assumptions of an exact recursion, in their fixed order; `structure` comes first.

    Args:
        setting: the run.
        structure: that every f_i is a quadratic form.
        laws: that enough is known of the estimates.
    """
    listed = (
        structure,
        assume("the iterates move", setting.moves, f"moves = {setting.moves}"),
        update_known(setting),
        laws,
        smoothing_positive(setting),
        recorded(setting),
        matchings_known(setting),
        buildable("the network can be rebuilt from its words", lambda: network_parts(setting)),
        sums_of(setting),
    )
    if not structure.holds:
        skipped = "not checked: needs the quadratic form"
        return (*listed, assume("f has one minimiser", False, skipped))
    A, _ = quadratic_parts(setting)
    return (*listed, unique_minimiser(A), affordable(setting, A))


def update_known(setting: Setting) -> Assumption:
    """Memory and masks fit the recursion: a matrix without failing links, decoupled coordinates."""
    text = "what nodes remember or drop leaves the recursion closed"
    update, network = setting.update, setting.network
    if update.rule == "plain":
        return assume(text, True)
    if setting.protocol != "matrix" or network.link_failure:
        detail = f"protocol = {setting.protocol}, link failure = {network.link_failure:g}"
        return assume(
            text, False, f"{detail}; such an update needs a W that is fixed or drawn whole"
        )
    if update.rule == "push-sum" and network.exchange_probability < 1:
        return assume(
            text, False, "under a coin push-sum weights are random, and X divides by them"
        )
    if 0 < update.kept < setting.problem.dimension and not coordinates_decouple(setting):
        return assume(text, False, "masks of coordinates need quadratics with diagonal Hessians")
    return assume(text, True, f"update = {update.rule}")


def coordinates_decouple(setting: Setting) -> bool:
    """Whether every Hessian of a Quadratic is diagonal."""
    structure = setting.problem.structure
    return isinstance(structure, Quadratic) and is_diagonal(structure.hessians)


def network_parts(setting: Setting) -> object:
    """What the protocol needs of the network.

    Raises:
        GraphError: it cannot be rebuilt.
    """
    if setting.protocol == "pair":
        return edge_law(setting.network, setting.nodes)
    return mixing_phases(setting)
