"""Theorem: where servers without rounds settle, biased or not, at any stable step size."""

from functools import reduce
from itertools import pairwise
from math import ceil, log, nan

import numpy as np
from numpy.typing import NDArray

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
from hzbench.theory.server_schedule import server_assumptions
from hzbench.theory.server_stability import server_radius

Array = NDArray[np.float64]

MUTANTS = ("ignored_step_size", "stale_counted_twice")
SETTLED = 1e-13
TABLES = ("table", "ringleader")


@register("theorem", "server_limit", mutants=MUTANTS, protocols=("server",))
def server_limit(setting: Setting) -> Prediction:
    """Exact limit of asynchronous SGD and of tables under heterogeneity, without rounds.

    Setting and assumptions: f_i(x) = ½ x'A_i x − b_i'x with gradients; constant step sizes at which
    the run without noise decays; record points at which nothing is left of the start.
    Asynchronous SGD: one common A, a fixed clock, and whole periods of Σ_i lcm(τ)/τ_i updates
    between a record point and the one before. Tables (IA²SGD, Ringleader ASGD): any A_i and clock.

    Formula:
        asynchronous SGD: over a period the increments of x telescope, so the points that estimates
        were taken at, weighted by η_i, average to A⁻¹ Σ p_i b_i, p_i ∝ η_i/τ_i, at any step size;
        |∇f|² there is |Σ (p_i − 1/n) b_i|² and does not shrink with the step. Tables weigh all
        workers alike: x settles at (Σ η_i A_i)⁻¹ Σ η_i b_i, the optimum for one η.

    Guarantee:
        exact means.

    Source:
        own derivation; the bias is known (Mishchenko et al. 2022; Tyurin and Richtárik 2023).

    Args:
        setting: n nodes with a server and a clock, in dimension d.

    Returns:
        Kind exact at the record steps beyond the transient: used_point for asynchronous SGD,
        mean_iterate for tables [T', d].

    Example:
        `async`, case `asgd-bias`, step 420, A = 1, b = (3, 0, −3), τ = (1, 2, 4), so that seven
        updates are a period: used_point[0] = 1.285714 = (4*3 + 2*0 - 3)/7.
    """
    listed, radius = _assumptions(setting)
    ready = all(each.holds for each in listed)
    first = _first(radius) if ready else 0
    steps = _steps(setting, first) if ready else ()
    told = f"nothing is left of it from step {first} on" if ready else "not checked"
    late = assume(
        "a record point (and for ASGD its period) lies beyond the start", bool(steps), told
    )
    return conclude(
        "server_limit",
        statement="Points that estimates are taken at average to (Σ p_i A_i)⁻¹ Σ p_i b_i.",
        source=sources.SERVER_LIMIT,
        kind="exact",
        assumptions=(*listed, late),
        steps=steps,
        compute=lambda: (_values(setting, len(steps)), {}),
        validity="any stable step sizes",
        mutants=MUTANTS,
    )


def _assumptions(setting: Setting) -> tuple[tuple[Assumption, ...], float]:
    """The assumptions, and the growth per update of the run without noise where it was asked."""
    laws = [i for i, law in enumerate(setting.laws) if not isinstance(law, GradientLaw)]
    server, rule = setting.server, _rule(setting)
    adaptive = "none" if server is None else server.adaptive
    listed = (
        is_quadratic(setting),
        assume("every estimator is a gradient", not laws, f"others at nodes {laws}"),
        assume("constant step sizes", setting.schedule.constant, str(setting.schedule)),
        assume("asynchronous SGD, or a table", rule in ("asgd", *TABLES), rule),
        assume("steps that do not follow delays", adaptive == "none", adaptive),
        *server_assumptions(setting),
    )
    if not all(each.holds for each in listed):
        return listed, nan
    A, _ = quadratic_parts(setting)
    clock = setting.clock
    assert clock is not None
    alike = rule in TABLES or (clock.law == "fixed" and np.ptp(A, axis=0).max() == 0)
    radius = server_radius(setting)[0]
    checked = (
        *listed,
        unique_minimiser(A),
        assume("one Hessian and a fixed clock, where workers weigh unequally", alike, clock.law),
        assume("the run without noise decays", radius < 1, f"growth per update {radius:.6g}"),
    )
    return checked, radius


def _steps(setting: Setting, first: int) -> tuple[int, ...]:
    """Record steps beyond the transient, for asynchronous SGD those that close periods."""
    if _rule(setting) in TABLES:
        return tuple(step for step in setting.record if step >= first)
    period = period_of(setting)
    pairs = pairwise(setting.record)
    return tuple(k for before, k in pairs if before >= first and (k - before) % period == 0)


def _first(radius: float) -> int:
    """The update from which on `SETTLED` of the start is left."""
    return ceil(log(SETTLED) / log(max(radius, SETTLED)))


def period_of(setting: Setting) -> int:
    """Updates of asynchronous SGD until the order of arrivals repeats: Σ_i lcm(τ)/τ_i."""
    assert setting.clock is not None
    assert setting.server is not None
    unit = Chains(setting.clock).ticks_per_second
    taking_part = participants(setting.clock, setting.server)
    ticks = [int(job_seconds(setting.clock)[i] * unit) for i in taking_part]
    whole = reduce(np.lcm, np.array(ticks, dtype=object))
    return int(sum(whole // tick for tick in ticks))


def shares(setting: Setting) -> Array:
    """p_i ∝ η_i/τ_i under asynchronous SGD, ∝ η_i where a table weighs workers alike, [n]."""
    assert setting.clock is not None
    assert setting.server is not None
    weighed = np.zeros(setting.nodes)
    taken = list(participants(setting.clock, setting.server))
    weighed[taken] = np.asarray(setting.step_sizes, dtype=float)[taken]
    if _rule(setting) == "asgd":
        weighed /= np.array([float(total) for total in job_seconds(setting.clock)])
    return np.asarray(weighed / weighed.sum())


def _values(setting: Setting, count: int) -> Values:
    form = setting.problem.structure
    assert isinstance(form, Quadratic)
    p = shares(setting)
    point = np.linalg.solve(np.einsum("n,nkl->kl", p, form.hessians), p @ form.linear)
    name = "used_point" if _rule(setting) == "asgd" else "mean_iterate"
    return {name: np.tile(point, (count, 1))}


def _rule(setting: Setting) -> str:
    return setting.server.rule if setting.server is not None else "no server"
