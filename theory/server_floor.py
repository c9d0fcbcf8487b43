"""Theorem: where rounds of a server settle, biased or not, and how far they scatter there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GradientLaw, Quadratic
from hzbench.theory import sources
from hzbench.theory.arrivals import participants
from hzbench.theory.checks import Values, assume, conclude, is_quadratic
from hzbench.theory.clocks import Chains
from hzbench.theory.dynamics import quadratic_parts, unique_minimiser
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_rounds import collect_round
from hzbench.theory.server_schedule import server_assumptions
from hzbench.theory.stacks import minimiser

Array = NDArray[np.float64]

MUTANTS = ("arithmetic_for_harmonic", "noise_plus_5", "scalar_noise")
SETTLED = 1e-11


@register("theorem", "server_floor", mutants=MUTANTS, protocols=("server",))
def server_floor(setting: Setting) -> Prediction:
    """Exact limit of Rennala, Malenia and minibatch rounds: its bias and its spread.

    Setting and assumptions: f_i(x) = ½ x'A_i x − b_i'x with gradients; a fixed clock, so that all
    rounds are alike; rounds of `collect`; constant step sizes below the stability limit; record
    points at which nothing is left of the start.

    Formula:
        with s_i = η_i b_i/Σ b (sum) or η_i/n (otherwise) and q_i = s_i²/b_i:
        x_∞ = (Σ s_i A_i)⁻¹ Σ s_i b_i, and the covariance P solves P = M P M + Σ q_i Σ_i,
        M = I − Σ s_i A_i. One curvature λ and equal steps: the variance is γ v/(λ(2 − γλ)).
        Rennala weighs workers by their arrivals, so it settles away from x* by
        A⁻¹ Σ (p_i − 1/n) b_i, p_i = b_i/Σ b, however small the steps are.

    Guarantee:
        exact.

    Source:
        own derivation; that unweighted arrivals bias asynchronous methods under heterogeneity is
        known (Mishchenko et al. 2022; Tyurin and Richtárik 2023).

    Args:
        setting: n nodes with a server and a fixed clock, in dimension d.

    Returns:
        Kind exact at the record steps beyond the transient: objective_gap, gradient_norm,
        mean_distance [T'], mean_iterate [T', d] with its spread.

    Example:
        `async`, case `rennala-bias`, step 200, A = 1, b = (3, 0, −3), τ = (1, 2, 4), S = 5, so four
        gradients of worker 1 and one of worker 2 a round:
        mean_iterate[0] = 2.4 = (4*3 + 1*0)/5.
    """
    assumptions = _assumptions(setting)
    steps = _settled_steps(setting) if all(each.holds for each in assumptions) else ()
    last = setting.record[-1] if setting.record else 0
    settled = assume(
        "some record point lies beyond the transient", bool(steps), f"last record point = {last}"
    )
    return conclude(
        "server_floor",
        statement="Rounds settle at (Σ s_i A_i)⁻¹ Σ s_i b_i with covariance P = M P M + Σ q_i Σ_i.",
        source=sources.SERVER_FLOOR,
        kind="exact",
        assumptions=(*assumptions, settled),
        steps=steps,
        compute=lambda: _values(setting, len(steps)),
        validity="stable step sizes; s_i b_i of workers without arrivals are 0",
        mutants=MUTANTS,
    )


def _assumptions(setting: Setting) -> tuple[Assumption, ...]:
    laws = [i for i, law in enumerate(setting.laws) if not isinstance(law, GradientLaw)]
    listed = (
        is_quadratic(setting),
        assume("every estimator is a gradient", not laws, f"others at nodes {laws}"),
        assume("constant step sizes", setting.schedule.constant, str(setting.schedule)),
        assume("a fixed clock", setting.clock is not None and setting.clock.law == "fixed"),
        assume("a server that collects rounds", _rule(setting) == "collect", _rule(setting)),
        *server_assumptions(setting),
    )
    if not all(each.holds for each in listed):
        return (*listed, assume("the rounds contract", False, "not checked"))
    radius = _radius(rounds_of(setting).contraction)
    A, _ = quadratic_parts(setting)
    return (
        *listed,
        assume("the rounds contract", radius < 1, f"spectral radius {radius:.6g}"),
        unique_minimiser(A),
    )


def _rule(setting: Setting) -> str:
    return setting.server.rule if setting.server is not None else "no server"


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """One round as an affine map with noise, x+ = M x + c + noise.

    Attributes:
        contraction: M = I − Σ s_i A_i, shape [d, d].
        offset: c = Σ s_i b_i, shape [d].
        noise: Σ q_i Σ_i, shape [d, d].
    """

    contraction: Array
    offset: Array
    noise: Array

    @property
    def limit(self) -> Array:
        """Where the mean settles, shape [d]."""
        return np.asarray(np.linalg.solve(np.eye(len(self.offset)) - self.contraction, self.offset))

    @property
    def covariance(self) -> Array:
        """The stationary covariance, shape [d, d]."""
        return np.asarray(solve_discrete_lyapunov(self.contraction, self.noise))


def rounds_of(setting: Setting) -> Rounds:
    """The round of a setting that `server_floor` accepts."""
    form = setting.problem.structure
    assert isinstance(form, Quadratic)
    shares, squares = round_weights(setting)
    batch = np.array([_per_batch(law) for law in setting.laws])
    return Rounds(
        contraction=np.eye(setting.problem.dimension)
        - np.einsum("n,nkl->kl", shares, form.hessians),
        offset=shares @ form.linear,
        noise=np.einsum("n,nkl->kl", squares * batch, form.noise),
    )


def round_weights(setting: Setting) -> tuple[Array, Array]:
    """(s_i, q_i): sums of the weights of worker i's estimates in a round and of their squares."""
    assert setting.server is not None
    assert setting.clock is not None
    taking_part = participants(setting.clock, setting.server)
    jobs = dict.fromkeys(taking_part, 0)
    order = collect_round(Chains(setting.clock), setting.server, taking_part, 0, jobs).order
    counts = np.bincount(order, minlength=setting.nodes).astype(float)
    here = counts > 0
    if setting.server.collection == "sum":
        shares = counts / counts.sum()
    else:
        shares = here / len(taking_part)
    shares = shares * setting.step_sizes
    squares = np.divide(shares**2, counts, out=np.zeros_like(shares), where=here)
    return shares, squares


def asgd_limit(setting: Setting) -> Array:
    """Where vanilla ASGD computes on average over a period, on one common Hessian.

    Formula:
        A⁻¹ Σ p_i b_i, p_i ∝ η_i/τ_i: increments of x telescope over a period, and worker i's
        estimates are taken every τ_i seconds. The gradient of f there is Σ (1/n − p_i) b_i.

    Source:
        own derivation, for any stable step size; fixed clocks.

    Args:
        setting: common A, rule asgd.

    Returns:
        Shape [d].
    """
    form, clock = setting.problem.structure, setting.clock
    assert isinstance(form, Quadratic)
    assert clock is not None
    rates = np.asarray(setting.step_sizes) / np.array([float(t) for t in job_seconds(clock)])
    result: Array = np.linalg.solve(form.hessians[0], rates / rates.sum() @ form.linear)
    return result


def _per_batch(law: object) -> float:
    size = getattr(law, "batch_size", "full")
    return 0.0 if size == "full" else 1.0 / float(size)


def _radius(matrix: Array) -> float:
    return float(np.abs(np.linalg.eigvalsh(matrix)).max())


def _settled_steps(setting: Setting) -> tuple[int, ...]:
    """Record steps at which the start has shrunk to `SETTLED` of it."""
    radius = _radius(rounds_of(setting).contraction)
    return tuple(k for k in setting.record if radius**k <= SETTLED)


def _values(setting: Setting, count: int) -> tuple[Values, Values]:
    form = setting.problem.structure
    assert isinstance(form, Quadratic)
    now, A = rounds_of(setting), form.hessians.mean(0)
    apart = now.limit - minimiser(form.hessians, form.linear)
    covariance = now.covariance
    second = covariance + np.outer(apart, apart)
    values = {
        "objective_gap": np.full(count, 0.5 * np.trace(A @ second)),
        "gradient_norm": np.full(count, np.trace(A @ A @ second)),
        "mean_distance": np.full(count, np.trace(second)),
        "mean_iterate": np.tile(now.limit, (count, 1)),
    }
    spread = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    return values, {"mean_iterate": np.tile(spread, (count, 1))}
