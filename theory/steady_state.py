"""Theorems: what a long run on quadratics settles in, in closed form, at its last record step.

Each checks its assumptions one after another and stops at the first that fails. The last one is
that the start is forgotten, for which the exact recursion is run to the last record step.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import steady_forms
from hzbench.theory.checks import conclude
from hzbench.theory.mode_moments import eigenmodes, walk_regular
from hzbench.theory.steady_checks import (
    Case,
    Check,
    all_reduce,
    basic,
    chain,
    common_hessian,
    fixed_matrix,
    forgotten,
    isotropic,
    one_kind,
    one_step,
    traces,
    uniform_pairs,
)
from hzbench.theory.steady_forms import Spread
from hzbench.theory.weights import mixing_matrix

Array = NDArray[np.float64]

MUTANTS = ("step_size_plus_5", "noise_plus_5")
_EXACT = 1e-10  # what a noise-free run must have forgotten: values are compared at 1e-9
_ROUNDING = 1e-24  # of η|β|²: a Γ that is nothing but rounding
VALIDITY = "constant step sizes within the stability limit, at a step where the start is forgotten"


@register("theorem", "all_reduce_floor", mutants=MUTANTS)
def all_reduce_floor(setting: Setting) -> Prediction:
    """Steady state of all-reduce: gap, gradient, distance and the bias of weighting.

    Setting and assumptions: W = J/n after the step; one Hessian for all nodes with coordinates that
    decouple; any spectrum, mixed populations, any step sizes per node, any linear terms.

    Formula:
        Var x̄_k = Q_k(σ_k + ΘH)/a_k², H = ΣQσ/(1 − ΘΣQ); isotropic with one step size:
        E f − f* = ηΣs_i/n²/(2[2 − ηa(1 + Στ_i/n²)]). E x̄ − x* = Ση_iβ_i/(aΣη_i).

    Guarantee:
        exact, once the start is forgotten.

    Source:
        own derivation (C6, C6b, D6).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at the last record step: objective_gap, gradient_norm, node_distance [1] and
        mean_iterate [1, d] with its spread.

    Example:
        `core-hybrid`, case `floor-all-reduce`, step 40, n = 3 + 5, η = 0.2, a = 1, s_1 = 4, s_0 =
        19.5, τ = 3.75:
        objective_gap = 0.0982503 = 0.2*(3*4 + 5*19.5)/64/(2*(2 - 0.2*(1 + 5*3.75/64))).
    """
    case = Case(setting)
    checks = (*basic(case), *all_reduce(case), common_hessian(case))
    last = ("the second moment is bounded, and not zero", lambda: _all_reduce_values(case))
    return _conclude(
        "all_reduce_floor",
        "E f(x̄) − f* → ηΣs/n²/(2[2 − ηa(1 + Στ/n²)]) (isotropic, one step size; C6b otherwise).",
        case,
        (*checks, last),
    )


@register("theorem", "mixing_floor", mutants=MUTANTS)
def mixing_floor(setting: Setting) -> Prediction:
    """Steady state of decentralized SGD with any symmetric doubly stochastic W and mixed nodes.

    Setting and assumptions: adapt-combine with a fixed W; f_i = (a/2)|x − x*|² for all nodes, so
    that only noise differs between them; one step size.

    Formula:
        E|x_i|² = (I − K diag τa²)⁻¹ K s, K_ir = Σ_jl η²λ_jλ_l/(1 − λ_jλ_lρ²) V_ij V_il V_rj V_rl;
        stable iff |ρ| < 1 and the spectral radius of K diag(τa²) is below 1.

    Guarantee:
        exact, once the start is forgotten.

    Source:
        own derivation (C7).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at the last record step: objective_gap, consensus_potential, node_distance,
        gradient_norm, shape [1].

    Example:
        `core-hybrid`, case `floor-ring-hybrid`, step 40: objective_gap = 0.1009371.
    """
    case = Case(setting)

    def form() -> Spread:
        noise, growth = traces(case)
        W = mixing_matrix(setting.network, setting.nodes)
        return steady_forms.mixing(case.curvature, case.step, noise, growth, W)

    return _conclude(
        "mixing_floor",
        "E|x_i|² → (I − K diag τa²)⁻¹ K s with K built from the eigenpairs of W.",
        case,
        (*basic(case), *fixed_matrix(case), *isotropic(case), _bounded(case, form)),
    )


@register("theorem", "transitive_floor", mutants=MUTANTS)
def transitive_floor(setting: Setting) -> Prediction:
    """Steady state of decentralized SGD with equal nodes on a vertex-transitive graph.

    Setting and assumptions: those of `mixing_floor`, one law for all nodes, and a W whose powers
    have constant diagonals.

    Formula:
        R = (1/n) Σ_j η²λ_j²/(1 − λ_j²ρ²), E|x_i|² = sR/(1 − τa²R), N = s + τa²E|x_i|²,
        Γ = (N/n) Σ_{j≥2} η²λ_j²/(1 − λ_j²ρ²), E|x̄|² = Nη²/(n(1−ρ²)).

    Guarantee:
        exact, once the start is forgotten.

    Source:
        own derivation (C7b).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at the last record step: the observables of `mixing_floor`.

    Example:
        `core-hybrid`, case `floor-hypercube-equal`, step 40, n = 8, λ = 1, ±1/2, 0, η = 0.2, s =
        21, τ = 4.25:
        node_distance = 0.455038 = 21/(8/(0.04/0.36 + 4*0.01/0.84) - 4.25).
    """
    case = Case(setting)

    def regular() -> tuple[bool, str]:
        modes = eigenmodes(mixing_matrix(setting.network, setting.nodes))
        return walk_regular(*modes), f"graph = {setting.network.graph}"

    def form() -> Spread:
        noise, growth = traces(case)
        values, _ = eigenmodes(mixing_matrix(setting.network, setting.nodes))
        return steady_forms.transitive(
            case.curvature, case.step, float(noise[0]), float(growth[0]), values
        )

    checks = (
        *basic(case),
        *fixed_matrix(case),
        ("all powers of W have constant diagonals", regular),
        *isotropic(case),
        one_kind(case),
        _bounded(case, form),
    )
    statement = "E|x_i|² → sR/(1 − τa²R), R = (1/n)Σ η²λ²/(1 − λ²ρ²)."
    return _conclude("transitive_floor", statement, case, checks)


@register("theorem", "complete_floor", mutants=MUTANTS)
def complete_floor(setting: Setting) -> Prediction:
    """Steady state of equal nodes on the complete graph, by random pairs or perfect matchings.

    Setting and assumptions: f_i = (a/2)|x − x*|², one law, one step size with ηa ≤ 1; uniform pairs
    or perfect matchings of an even number of nodes.

    Formula:
        E|x_i|² = D = η²s/(2 − ρ²(1+r) − η²a²τ), E<x_i, x_j> = rD; pairs r = 1/(1 + 2(n−2)ηa),
        matchings r = 1/(1 + (n−2)(1−ρ²)). Small steps: D → ηs/(2na), the linear speed-up.

    Guarantee:
        exact, once the start is forgotten.

    Source:
        own derivation (C8).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at the last record step: the observables of `mixing_floor`.

    Example:
        `core-hybrid`, case `floor-pairs-equal`, step 110, n = 6 in pairs, η = 0.2, a = 1, s = 19, τ
        = 3.75, r = 1/2.6:
        node_distance = 0.7885076 = 0.04*19/(2 - 0.64*(1 + 1/2.6) - 0.04*3.75).
    """
    case = Case(setting)

    def protocol() -> tuple[bool, str]:
        even = setting.protocol == "matching" and setting.nodes % 2 == 0
        return even or setting.protocol == "pair", f"{setting.protocol}, n = {setting.nodes}"

    def moderate() -> tuple[bool, str]:
        edge = case.step * case.curvature
        return edge <= 1.0, f"ηa = {edge:.4g}"

    def form() -> Spread:
        noise, growth = traces(case)
        words = case.curvature, case.step, float(noise[0]), float(growth[0]), setting.nodes
        return steady_forms.complete(*words, matching=setting.protocol == "matching")

    checks = (
        *basic(case),
        ("random pairs, or perfect matchings of an even number of nodes", protocol),
        uniform_pairs(case),
        *isotropic(case),
        one_kind(case),
        ("ηa is at most 1", moderate),
        _bounded(case, form),
    )
    statement = "E|x_i|² → η²s/(2 − ρ²(1+r) − η²a²τ), E<x_i, x_j> = r E|x_i|²."
    return _conclude("complete_floor", statement, case, checks)


@register("theorem", "hybrid_pair_floor", mutants=MUTANTS)
def hybrid_pair_floor(setting: Setting) -> Prediction:
    """Steady state of two kinds of nodes that average in random pairs on the complete graph.

    Setting and assumptions: f_i = (a/2)|x − x*|², two laws, one step size, uniform pairs.

    Formula:
        the fixed point of the five moments D_1, D_0, C_11, C_10, C_00 of one tick; stable iff the
        spectral radius of their map is below 1.

    Guarantee:
        exact, once the start is forgotten.

    Source:
        own derivation (C8b) for Algorithm 1 of Ansaripour et al. 2025.

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at the last record step: the observables of `mixing_floor`.

    Example:
        `core-hybrid`, case `floor-pairs-hybrid`, step 110: objective_gap = 0.1359196.
    """
    case = Case(setting)

    def form() -> Spread:
        noise, growth = traces(case)
        first = (noise == noise[0]) & (growth == growth[0])
        counts = np.array([first.sum(), (~first).sum()])
        other = int(np.argmin(first))
        return steady_forms.hybrid_pair(
            case.curvature,
            case.step,
            (float(noise[0]), float(noise[other])),
            (float(growth[0]), float(growth[other])),
            counts,
        )

    def two() -> tuple[bool, str]:
        kinds = len(set(zip(*(row.tolist() for row in traces(case)), strict=True)))
        return kinds == 2, f"{kinds} kinds of noise"

    checks = (
        *basic(case),
        ("random pairs", lambda: (setting.protocol == "pair", setting.protocol)),
        uniform_pairs(case),
        *isotropic(case),
        ("there are two kinds of nodes", two),
        _bounded(case, form),
    )
    statement = "The fixed point of D_1, D_0, C_11, C_10, C_00 under one tick."
    return _conclude("hybrid_pair_floor", statement, case, checks)


@register("theorem", "heterogeneity_floor", mutants=("step_size_plus_5",))
def heterogeneity_floor(setting: Setting) -> Prediction:
    """Disagreement that unequal functions alone sustain, without noise.

    Setting and assumptions: exact gradients, one Hessian, one step size, a fixed symmetric W,
    adapt-combine.

    Formula:
        mode j of W: y_j = λ_jηβ_j/(1 − λ_jρ), Γ = (1/n) Σ_{j≥2} |y_j|²; the mean is unbiased.

    Guarantee:
        exact, once the start is forgotten.

    Source:
        own derivation (C9).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at the last record step: consensus_potential and node_distance, shape [1].

    Example:
        `core-hybrid`, case `floor-heterogeneity`, step 160: consensus_potential = 0.1108309.
    """
    case = Case(setting, forgotten=_EXACT)

    def silent() -> tuple[bool, str]:
        nodes = case.nodes
        largest = max(float(np.abs(each).max()) for each in (nodes.floor_noise, nodes.growth))
        return largest == 0, f"largest noise = {largest:.3g}"

    def bounded() -> tuple[bool, str]:
        edge = case.step * float(case.nodes.curvature.max())
        W = mixing_matrix(setting.network, setting.nodes)
        x = steady_forms.heterogeneity(case.nodes, W)
        gamma = float(((x - x.mean(0)) ** 2).sum() / setting.nodes)
        case.values = {"consensus_potential": np.array([gamma]), "node_distance": np.array([gamma])}
        return edge < 2, f"ηL = {edge:.4g}"

    def apart() -> tuple[bool, str]:
        gamma = float(case.values["consensus_potential"][0])
        pulled = float((case.step * case.nodes.offset**2).sum(1).mean())
        detail = f"Γ = {gamma:.3g}: W averages fully, or all f_i share one minimiser"
        return gamma > _ROUNDING * pulled, "" if gamma > _ROUNDING * pulled else detail

    checks = (
        *basic(case),
        *fixed_matrix(case),
        common_hessian(case),
        one_step(case),
        ("estimates are exact", silent),
        ("the first moment is bounded: ηL < 2", bounded),
        ("nodes settle apart", apart),
    )
    statement = "Γ → (1/n) Σ_{j≥2} |λ_jηβ_j/(1 − λ_jρ)|²."
    return _conclude("heterogeneity_floor", statement, case, checks)


def _conclude(theorem: str, statement: str, case: Case, checks: Sequence[Check]) -> Prediction:
    last = ("the start is forgotten, by the exact recursion", lambda: forgotten(case))
    return conclude(
        theorem,
        statement=statement,
        source=Source(locator="own derivation (C6-C9)"),
        kind="exact",
        assumptions=chain((*checks, last)),
        steps=case.setting.record[-1:],
        compute=lambda: (case.values, case.spread),
        validity=VALIDITY,
        mutants=MUTANTS if theorem != "heterogeneity_floor" else MUTANTS[:1],
    )


def _bounded(case: Case, form: Callable[[], Spread]) -> Check:
    def bounded() -> tuple[bool, str]:
        found, a = form(), case.curvature
        case.values = {
            "objective_gap": np.array([0.5 * a * found.mean]),
            "consensus_potential": np.array([found.consensus]),
            "node_distance": np.array([found.node]),
            "gradient_norm": np.array([a**2 * found.mean]),
        }
        return found.stable and found.node > 0, f"{found.reach:.4g} must be below 1"

    return "the second moment is bounded, and not zero", bounded


def _all_reduce_values(case: Case) -> tuple[bool, str]:
    nodes = case.nodes
    found = steady_forms.all_reduce(nodes)
    a, square = nodes.curvature[0], found.variance + found.mean**2
    scalars = {
        "objective_gap": 0.5 * a @ square,
        "node_distance": square.sum(),
        "gradient_norm": a**2 @ square,
    }
    case.values = {name: np.array([float(value)]) for name, value in scalars.items()}
    shown = found.mean if nodes.basis is None else nodes.basis @ found.mean
    case.values = {**case.values, "mean_iterate": (nodes.optimum + shown)[None]}
    if nodes.basis is None:
        case.spread = {"mean_iterate": np.sqrt(np.maximum(found.variance, 0.0))[None]}
    fine = found.stable and bool(found.variance.max() > 0)
    return fine, f"{found.reach[0]:.4g} and {found.reach[1]:.4g} must be below 1"
