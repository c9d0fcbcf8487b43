"""What all bounds share: their numbers, and assumptions on exchange, run and constants."""

from dataclasses import dataclass
from math import isfinite

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.core.structure import (
    DifferenceLaw,
    GeneralizedLinear,
    GradientLaw,
    Quadratic,
    Separable,
)
from hzbench.theory.checks import (
    assume,
    iterates_move,
    laws_known,
    momentum_zero,
    smoothing_positive,
    step_range,
)
from hzbench.theory.estimator_bounds import EstimatorBounds, estimator_bounds, objective
from hzbench.theory.graphs import GraphError, uniform_pairs
from hzbench.theory.weights import contraction, doubly_stochastic_residual, mixing_matrix

MUTANTS = ("step_over_nodes",)
"""What a bound on progress must refute on an instance on which it is tight enough."""


@dataclass(frozen=True, kw_only=True)
class BoundInputs:
    """Numbers that enter a bound.

    Attributes:
        eta: η, the common step size.
        nodes: n.
        steps: T.
        smoothness: L.
        heterogeneity: ζ².
        gap: f(mean_0) − f*.
        potential: Γ_0.
        contraction: p, E|WY|² ≤ (1 − p)|Y|² on disagreements; 0 if not used.
        oracle: constants of the estimates.
    """

    eta: float
    nodes: int
    steps: int
    smoothness: float
    heterogeneity: float
    gap: float
    potential: float
    contraction: float
    oracle: EstimatorBounds


def bound_inputs(setting: Setting) -> BoundInputs:
    """The numbers of a setting that passed every other assumption of a bound."""
    X, constants = setting.problem.initial, setting.problem.constants
    mean = X.mean(0)
    return BoundInputs(
        eta=step_range(setting)[1],
        nodes=setting.nodes,
        steps=setting.steps,
        smoothness=constants.smoothness,
        heterogeneity=constants.heterogeneity,
        gap=objective(setting, mean) - constants.minimum,
        potential=float(((X - mean) ** 2).sum()) / setting.nodes,
        contraction=round_contraction(setting),
        oracle=estimator_bounds(setting),
    )


def round_contraction(setting: Setting) -> float:
    """The p of the mixing; 0 in the pair protocol, whose bound has its own."""
    n = setting.nodes
    if setting.protocol == "pair":
        return 0.0
    if setting.protocol == "matching":
        return n / (2 * (n - 1)) if n % 2 == 0 else 0.5
    return 1.0 - contraction(mixing_matrix(setting.network, n)) ** 2


def steps_every_round(setting: Setting) -> Assumption:
    """All nodes take their local step in every round."""
    odd = setting.protocol == "matching" and setting.nodes % 2 == 1 and not setting.idle_steps
    return assume(
        "every node steps in every round",
        setting.protocol != "pair" and not odd,
        f"protocol = {setting.protocol}, n = {setting.nodes}, idle_steps = {setting.idle_steps}",
    )


def mixes(setting: Setting) -> Assumption:
    """A round contracts disagreements by a known p > 0."""
    if setting.protocol == "matching":
        fine, detail = setting.network.graph == "complete", f"graph = {setting.network.graph}"
        return assume("W is a uniform matching of all nodes", fine, detail)
    text = "W is doubly stochastic and contracts disagreements (p > 0)"
    if setting.protocol == "pair":
        return assume(text, False, "one pair acts at a tick, not a round of W")
    try:
        W = mixing_matrix(setting.network, setting.nodes)
    except GraphError as error:
        return assume(text, False, str(error))
    residual, p = doubly_stochastic_residual(W), 1.0 - contraction(W) ** 2
    detail = f"largest deviation of a sum = {residual:.3g}, p = {p:.4g}"
    return assume(text, residual < 1e-9 and p > 1e-9, detail)


def plain_exchange(setting: Setting) -> Assumption:
    """Partners average with equal weights, matchings are uniform, a round is one product with W."""
    net = setting.network
    fine = net.pair_weight == 0.5 and net.matching_law == "uniform"
    fine = fine and net.link_failure == 0 and net.acceleration == "none"
    fine = fine and net.exchange_probability == 1
    detail = f"pair weight = {net.pair_weight:g}, matchings {net.matching_law}, "
    detail += f"link failure = {net.link_failure:g}, acceleration = {net.acceleration}, "
    detail += f"exchange probability = {net.exchange_probability:g}"
    return assume("partners average equally and no exchange fails or is accelerated", fine, detail)


def all_pairs(setting: Setting) -> Assumption:
    """Every pair of nodes is drawn with the same probability."""
    text = "all pairs of nodes are equally likely (complete graph, uniform edges)"
    try:
        fine = uniform_pairs(setting.network, setting.nodes)
    except GraphError as error:
        return assume(text, False, str(error))
    detail = f"graph = {setting.network.graph}, edge law = {setting.network.edge_law}"
    return assume(text, fine, detail + ("" if fine else "; no such bound is known there"))


def run_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """Plain adapt-combine steps of one constant size, by estimators with known laws."""
    low, high = step_range(setting)
    return (
        iterates_move(setting),
        assume("adapt, then combine", setting.order == "adapt-combine", f"got {setting.order}"),
        momentum_zero(setting),
        assume(
            "the step size is constant in time",
            setting.schedule.constant,
            f"schedule = {setting.schedule}",
        ),
        assume(
            "all nodes have one positive step size",
            0 < low == high,
            f"from {low:g} to {high:g}",
        ),
        plain_exchange(setting),
        laws_known(setting),
        laws_bounded(setting),
        smoothing_positive(setting),
    )


def last_recorded(setting: Setting) -> Assumption:
    """The last step is a record point."""
    return assume(
        "the last step is recorded",
        setting.steps in setting.record and setting.steps > 0,
        f"T = {setting.steps}, record = {setting.record}",
    )


def laws_bounded(setting: Setting) -> Assumption:
    """Constants are known for gradients and for differences along independent vectors."""
    bad = [i for i, law in enumerate(setting.laws) if law is not None and not _bounded(law)]
    detail = f"no constants are known for the estimators of nodes {bad}" if bad else ""
    return assume(
        "estimates are gradients or differences along independent vectors", not bad, detail
    )


def _bounded(law: object) -> bool:
    independent = isinstance(law, DifferenceLaw) and law.sampling == "iid"
    return isinstance(law, GradientLaw) or independent


def constants_known(setting: Setting) -> tuple[Assumption, ...]:
    """L, noise, heterogeneity and f* hold everywhere, and f can be evaluated."""
    c = setting.problem.constants
    known = len(c.noise) == setting.nodes and all(isfinite(s) for s in c.noise)
    return (
        assume(
            "every f_i is L-smooth",
            isfinite(c.smoothness) and c.smoothness > 0,
            f"L = {c.smoothness:g}",
        ),
        assume(
            "gradient noise is bounded everywhere",
            known and c.noise_holds == "everywhere",
            f"tr Cov per node = {c.noise}, holds {c.noise_holds}",
        ),
        assume(
            "heterogeneity is bounded everywhere",
            isfinite(c.heterogeneity) and c.heterogeneity_holds == "everywhere",
            f"ζ² = {c.heterogeneity:g}, holds {c.heterogeneity_holds}",
        ),
        assume("f* is known", isfinite(c.minimum), f"f* = {c.minimum:g}"),
        assume(
            "f can be evaluated from the declared structure",
            isinstance(setting.problem.structure, Quadratic | GeneralizedLinear | Separable),
            f"structure = {type(setting.problem.structure).__name__}",
        ),
    )
