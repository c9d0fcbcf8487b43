"""Theorems: noise-free runs against the worst case over their whole class of functions."""

import numpy as np

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear, GradientLaw, Quadratic
from hzbench.theory import sources
from hzbench.theory.bound_checks import last_recorded, plain_exchange
from hzbench.theory.checks import assume, conclude, iterates_move, momentum_zero, step_range
from hzbench.theory.convex_bounds import all_convex
from hzbench.theory.graphs import GraphError
from hzbench.theory.hdo_constants import node_convexity, silent_calls
from hzbench.theory.weights import contraction, mixing_matrix
from hzbench.theory.worst_case import TOLERANCE, Program, WorstCase, obstacle, worst_case

VALIDITY = (
    "every f of the class in every dimension; tight for the class, not for one f; values carry "
    f"{TOLERANCE:g} for the solver"
)

MUTANTS = ("step_size_plus_2",)


@register("theorem", "worst_case_gradient_descent", mutants=MUTANTS)
def worst_case_gradient_descent(setting: Setting) -> Prediction:
    """Worst optimality gap of gradient descent over all L-smooth μ-strongly convex f.

    Setting and assumptions: exact gradients, all nodes start at one point and average fully after
    every step, so that the mean does gradient descent on f; every f_i convex.

    Formula:
        f(x̄_T) − f* ≤ v(ηL, μ/L, T) L|x_0 − x*|², v the value of a semidefinite program.

    Guarantee:
        upper bound; tight over the class, not for one f.

    Source:
        Drori and Teboulle 2014; Taylor, Hendrickx and Glineur 2017; PEPit (Goujaud et al. 2024).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: objective_gap.

    Example:
        `core-tight`, case `worst-case-attained`, step 5, η = 1.9/L, T = 5; f = x²/2 attains it:
        objective_gap = 0.174357 = 1.0001*0.5*(1.9 - 1)**10.
    """
    exact = (_averages_fully(setting), _exact_gradients(setting))
    return _worst(setting, "worst_case_gradient_descent", "gradient-descent", exact, 0.0)


@register("theorem", "worst_case_noisy_descent", mutants=MUTANTS)
def worst_case_noisy_descent(setting: Setting) -> Prediction:
    """Worst optimality gap of gradient descent whose gradients are off by at most ε.

    Setting and assumptions: as for `worst_case_gradient_descent`, but in dimension 1 with central
    or forward differences along ±1, which are off by at most Lν/2, whatever the sign.

    Formula:
        f(x̄_T) − f* ≤ v(ηL, μ/L, T, ε/(L|x_0−x*|)) L|x_0 − x*|², ε the mean of Lν_i/2.

    Guarantee:
        upper bound; tight over the class, not for one f.

    Source:
        as for `worst_case_gradient_descent`; inexact gradients: de Klerk, Glineur and Taylor 2017.

    Args:
        setting: n nodes, d = 1.

    Returns:
        Kind upper at step T: objective_gap.

    Example:
        `core-tight`, case `worst-case-noisy-nearly`, step 5: objective_gap = 0.223333.
    """
    bounded = (_averages_fully(setting), _bounded_differences(setting), silent_calls(setting))
    error = setting.problem.constants.smoothness * _mean_radius(setting) / 2
    return _worst(setting, "worst_case_noisy_descent", "noisy-descent", bounded, error)


@register("theorem", "worst_case_decentralized_descent", mutants=MUTANTS)
def worst_case_decentralized_descent(setting: Setting) -> Prediction:
    """Worst optimality gap of decentralized gradient descent with a fixed W, n ≤ 8.

    Setting and assumptions: exact gradients, X+ = W(X − ηG(X)) with the W of a graph family, all
    nodes start at one point, every f_i L-smooth and μ-strongly convex, (1/n) Σ|∇f_i(x*)|² ≤ ζ².

    Formula:
        f(x̄_T) − f* ≤ v(W, ηL, μ/L, T, ζ/(L|x_0−x*|)) L|x_0 − x*|².

    Guarantee:
        upper bound; tight over the class, not for one f.

    Source:
        as for `worst_case_gradient_descent`; decentralized methods: Colla and Hendrickx 2023.

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: objective_gap.

    Example:
        `core-tight`, case `worst-case-decentralized-nearly`, step 3: objective_gap = 0.266003.
    """
    constants = setting.problem.constants
    exact = (
        assume("W is fixed", setting.protocol == "matrix", f"protocol = {setting.protocol}"),
        assume(
            "W comes from a graph family without parameters",
            setting.network.matrix is None and not setting.network.graph_parameters,
            f"graph = {setting.network.graph}, weights = {setting.network.weights}",
        ),
        _exact_gradients(setting),
        assume("ζ is known", bool(np.isfinite(constants.heterogeneity))),
    )
    spread = float(np.sqrt(constants.heterogeneity))
    return _worst(
        setting, "worst_case_decentralized_descent", "decentralized-descent", exact, spread
    )


def _worst(
    setting: Setting,
    theorem: str,
    program: Program,
    extra: tuple[Assumption, ...],
    disturbance: float,
) -> Prediction:
    common = (*extra, *_run_assumptions(setting))
    ready = all(assumption.holds for assumption in common)
    case = scaled_case(setting, program, disturbance) if ready else None
    reason = obstacle(case) if case else "not checked: an assumption above fails"
    listed = (*common, assume("the worst case is cached or can be solved for", not reason, reason))

    def compute() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        assert case is not None
        scale = setting.problem.constants.smoothness * _start(setting) ** 2
        return {"objective_gap": np.array([(1 + TOLERANCE) * worst_case(case) * scale])}, {}

    return conclude(
        theorem,
        statement="f(x̄_T) − f* is at most the worst case of the class.",
        source=sources.WORST_CASE,
        kind="upper",
        assumptions=listed,
        steps=(setting.steps,),
        compute=compute,
        validity=VALIDITY,
        mutants=MUTANTS,
    )


def scaled_case(setting: Setting, program: Program, disturbance: float) -> WorstCase:
    """The case of a setting, scaled to L = 1 and |x_0 − x*| = 1."""
    L, fixed = setting.problem.constants.smoothness, program == "decentralized-descent"
    return WorstCase(
        program=program,
        step=step_range(setting)[1] * L,
        steps=setting.steps,
        condition=node_convexity(setting) / L,
        disturbance=disturbance / (L * _start(setting)),
        nodes=setting.nodes if fixed else 1,
        graph=setting.network.graph if fixed else "",
        weights=setting.network.weights if fixed else "",
    )


def _start(setting: Setting) -> float:
    return float(np.linalg.norm(setting.problem.initial[0] - setting.problem.optimum))


def _run_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    low, high = step_range(setting)
    X, L = setting.problem.initial, setting.problem.constants.smoothness
    known = setting.problem.optimum.size > 0
    return (
        iterates_move(setting),
        assume("adapt, then combine", setting.order == "adapt-combine", f"got {setting.order}"),
        momentum_zero(setting),
        assume(
            "the step size is constant in time",
            setting.schedule.constant,
            f"schedule = {setting.schedule}",
        ),
        assume("all nodes have one positive step size", 0 < low == high, f"{low:g} to {high:g}"),
        plain_exchange(setting),
        assume("all nodes start at one point", bool((X[0] == X).all())),
        assume("every f_i is L-smooth", bool(np.isfinite(L) and L > 0), f"L = {L:g}"),
        assume("x* is known and is not the start", known and _start(setting) > 0),
        all_convex(setting),
        last_recorded(setting),
    )


def _averages_fully(setting: Setting) -> Assumption:
    text = "all nodes average fully after every step"
    if setting.protocol != "matrix":
        return assume(text, False, f"protocol = {setting.protocol}")
    try:
        slem = contraction(mixing_matrix(setting.network, setting.nodes))
    except GraphError as error:
        return assume(text, False, str(error))
    return assume(text, slem < 1e-12, f"|W − J/n| = {slem:.3g}")


def _exact_gradients(setting: Setting) -> Assumption:
    bad = [
        i
        for i, law in enumerate(setting.laws)
        if not (isinstance(law, GradientLaw) and _noise_free(setting, law.batch_size, i))
    ]
    return assume("every estimate is the exact gradient", not bad, f"not so at nodes {bad}")


def _bounded_differences(setting: Setting) -> Assumption:
    bad = [
        i
        for i, law in enumerate(setting.laws)
        if not (
            isinstance(law, DifferenceLaw)
            and law.difference != "directional_derivative"
            and law.directions != "gaussian"
            and law.smoothing > 0
            and _noise_free(setting, law.batch_size, i)
        )
    ]
    return assume(
        "every estimate is a difference along ±1 without noise (d = 1)",
        setting.problem.dimension == 1 and not bad,
        f"d = {setting.problem.dimension}, not so at nodes {bad}",
    )


def _noise_free(setting: Setting, batch_size: int | str, node: int) -> bool:
    noise = setting.problem.constants.noise
    silent = len(noise) == setting.nodes and noise[node] == 0
    known = isinstance(setting.problem.structure, Quadratic | GeneralizedLinear)
    return known and (batch_size == "full" or silent)


def _mean_radius(setting: Setting) -> float:
    radii = [law.smoothing if isinstance(law, DifferenceLaw) else 0.0 for law in setting.laws]
    return float(np.mean(radii))
