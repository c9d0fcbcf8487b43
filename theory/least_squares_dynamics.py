"""Theorem: exact second moments of a run on least squares with minibatches of real rows."""

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear
from hzbench.theory import sources
from hzbench.theory.checks import assume, conclude, moments_close
from hzbench.theory.dynamics import build_model, observables
from hzbench.theory.quadratic_dynamics import MUTANTS as QUADRATIC
from hzbench.theory.quadratic_dynamics import VALIDITY, dynamics_assumptions

# the noise is that of drawing rows: no key of the problem scales it
_OTHERS = ("noise_plus_5", "talking_warmup")  # planted where f_i is a quadratic with its own noise
MUTANTS = (*(name for name in QUADRATIC if name not in _OTHERS), "ignored_batch_size")


@register("theorem", "least_squares_dynamics", mutants=MUTANTS)
def least_squares_dynamics(setting: Setting) -> Prediction:
    """Exact means of the gap, the disagreement and the gradient of a run on least squares.

    Setting and assumptions: f_i(x) = mean_j ½(a_j'x − y_j)² + (λ/2)|x|² over the rows that node i
    holds; batches of b rows with replacement or the full data; all direction laws and differences,
    mixed populations, all protocols and orders, any step sizes, schedule and momentum.

    Formula:
        Z+ = Σ_ω p_ω (T_ω Z T_ω' + N_ω(Z)) with data noise S_i = (mean_j B_j Z_i B_j' − E h h')/b,
        B_j = [a_j a_j' + λI, −a_j y_j], Z_i the second moment of (x_i, 1). Forward differences add
        ν²/(4m) E K6(A_batch), E K6(A_batch) = K6(A) + (mean_j K6(A_j) − K6(A))/b.

    Guarantee:
        exact, at every step.

    Source:
        own derivation (C12) for Algorithm 1 of Ansaripour et al. 2025.

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at all record steps: objective_gap, consensus_potential, node_distance,
        gradient_norm [T'], mean_iterate [T', d] with its spread.

    Example:
        `quick`, case `diabetes-hdo-matching`, step 25: objective_gap = 0.0233665.
    """
    return conclude(
        "least_squares_dynamics",
        statement="Z+ = Σ p_ω (T_ω Z T_ω' + N_ω(Z)), data noise (mean_j B_j Z_i B_j' − E hh')/b.",
        source=sources.LEAST_SQUARES_DYNAMICS,
        kind="exact",
        assumptions=dynamics_assumptions(
            setting, is_least_squares(setting), moments_close(setting)
        ),
        steps=setting.record,
        compute=lambda: observables(setting, build_model(setting)),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


def is_least_squares(setting: Setting) -> Assumption:
    """Every f_i is a declared squared loss on rows."""
    structure = setting.problem.structure
    text = "every f_i is a declared squared loss on rows that its node holds"
    if not isinstance(structure, GeneralizedLinear):
        return assume(text, False, f"structure = {type(structure).__name__}")
    empty = [i for i, members in enumerate(structure.members) if len(members) == 0]
    detail = f"loss = {structure.loss}" + (f", no rows at nodes {empty}" if empty else "")
    return assume(text, structure.loss == "squared" and not empty, detail)
