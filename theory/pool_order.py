"""Theorem: which of two asynchronous pools has the lower floor, where noise decides (P1)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import CoordinateLaw, DifferenceLaw, GradientLaw, Quadratic
from hzbench.theory.checks import assume, conclude, is_quadratic, of_both
from hzbench.theory.dynamics import quadratic_parts
from hzbench.theory.hybrid_pools import noise_factors
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_schedule import server_assumptions, server_history

Array = NDArray[np.float64]

_APART = 0.25  # floors must differ by this fraction of the reference's
_SMALL = 0.2  # what the rule leaves out must be below this
_FORGOTTEN = 3.0  # time constants of the slowest mode after which the start and the rise are over


@register("theorem", "pool_floor_order", mutants=("ignored_step_size",), protocols=("server",))
def pool_floor_order(setting: Setting) -> Prediction:
    """Which of two pools under asynchronous SGD has the lower floor at one drift a second.

    Setting and assumptions: asynchronous SGD on a fixed clock, the same quadratic at every worker,
    unbiased estimates, one start at the optimum; both pools drift equally fast, Σ η_i/τ_i; steps so
    small that delays and the noise that grows with the gradient change floors by less than the
    margin; long runs.

    Formula:
        sign of V − V', V = Σ η_i² s_i/τ_i, s_i = κ_i σ²: the variance that estimates bring in a
        second. With weights 1 and w, n_1 gradients against the same and n_0 zeroth-order workers of
        throughput x: V/V' = (1 + κ w² x)/(1 + w x)², so they help iff w (κ − x) < 2.

    Guarantee:
        the sign, where floors differ by a quarter.

    Source:
        own derivation (rule P1 of hybrid pools).

    Args:
        setting: the pool, with the other one in `setting.reference`.

    Returns:
        Kind order at the last record step: objective_gap_difference is −1 (this one lower) or +1.

    Example:
        `async`, case `pool-too-few`, step 1500, κ = 12, x = 6, w = 1:
        objective_gap_difference = 1 = 1 if 1*(12 - 6) > 2 else -1.
    """
    assumptions = _assumptions(setting)
    ready = all(each.holds for each in assumptions)
    return conclude(
        "pool_floor_order",
        statement=f"V/V' = {_ratio(setting):.4g}." if ready else "The lower Σ η²κσ²/τ wins.",
        source=Source(locator="own derivation (P1)"),
        kind="order",
        assumptions=assumptions,
        steps=setting.record[-1:],
        compute=lambda: (
            {"objective_gap_difference": np.array([np.sign(_ratio(setting) - 1.0)])},
            {},
        ),
        validity="small steps at a floor that noise makes",
        mutants=("ignored_step_size",),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """What the rule needs of a population.

    Attributes:
        drift: Σ η_i/τ_i.
        variance: Σ η_i² κ_i σ²/τ_i.
        growth: Σ η_i² ω_i/τ_i.
        largest: max η_i.
    """

    drift: float
    variance: float
    growth: float
    largest: float


def pool_of(setting: Setting) -> Pool:
    """The rates of a population; σ² is that of node 0, the same for all."""
    assert setting.clock is not None
    rates = np.array([1.0 / float(total) for total in job_seconds(setting.clock)])
    eta = np.asarray(setting.step_sizes, dtype=float)
    found = [noise_factors(law, setting.problem.dimension) for law in setting.laws if law]
    kappa, omega = (np.array([getattr(f, k) for f in found]) for k in ("factor", "growth"))
    noise = setting.problem.constants.noise[0]
    return Pool(
        drift=float(eta @ rates),
        variance=float(eta**2 @ (rates * kappa)) * noise,
        growth=float(eta**2 @ (rates * omega)),
        largest=float(eta.max()),
    )


def _ratio(setting: Setting) -> float:
    assert setting.reference is not None
    return pool_of(setting).variance / pool_of(setting.reference).variance


def _assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """Those of both pools, and those of the comparison; the second need the first."""
    listed, other = of_both(setting, _of_pool), setting.reference
    if other is None or not all(each.holds for each in listed):
        return (*listed, assume("noise decides", False, "not checked"))
    return (*listed, *_comparable(setting, other))


def _of_pool(setting: Setting) -> list[Assumption]:
    server, clock = setting.server, setting.clock
    plain = server is not None and server.rule == "asgd" and server.adaptive == "none"
    listed = [
        is_quadratic(setting),
        *server_assumptions(setting),
        assume("plain asynchronous SGD", plain and server is not None and not server.fastest),
        assume("a fixed clock", clock is not None and clock.law == "fixed"),
        assume("constant step sizes", setting.schedule.constant, str(setting.schedule)),
        assume("estimates without bias", all(_unbiased(law) for law in setting.laws)),
    ]
    if not all(each.holds for each in listed):
        return listed
    structure = setting.problem.structure
    assert isinstance(structure, Quadratic)
    A, b = quadratic_parts(setting)
    alike = np.ptp(A, axis=0).max() == 0 == np.ptp(b, axis=0).max()
    alike = alike and len(set(setting.problem.constants.noise)) == 1
    quiet = structure.evaluation_noise == 0
    away = np.abs(setting.problem.initial - setting.problem.optimum).max()
    return [
        *listed,
        assume("the same data at every worker", alike and quiet, f"{setting.nodes} workers"),
        assume("the start is the optimum", bool(away < 1e-12), f"{away:.3g} away"),
    ]


def _unbiased(law: object) -> bool:
    if isinstance(law, DifferenceLaw | CoordinateLaw):
        return law.difference != "forward"
    return isinstance(law, GradientLaw)


def _comparable(setting: Setting, other: Setting) -> list[Assumption]:
    mine, theirs = pool_of(setting), pool_of(other)
    drift = abs(mine.drift / theirs.drift - 1.0)
    ratio = mine.variance / theirs.variance
    spectrum = np.linalg.eigvalsh(quadratic_parts(setting)[0][0])
    late = min(_constants(each, spectrum[0]) for each in (setting, other))
    left = max(_left_out(each, spectrum[-1]) for each in (setting, other))
    return [
        assume("both pools drift equally fast", drift < 1e-6, f"{drift:.2g} apart"),
        assume("floors differ by a quarter", abs(ratio - 1.0) > _APART, f"ratio {ratio:.4g}"),
        assume("the floor is reached", late > _FORGOTTEN, f"{late:.3g} time constants"),
        assume("noise decides", left < _SMALL, f"delays and growing noise: {left:.3g}"),
    ]


def _constants(setting: Setting, curvature: float) -> float:
    """2 μ times the drift until the last record step: gaps decay and rise by e to minus that."""
    return float(2.0 * curvature * pool_of(setting).drift * server_history(setting).times[-1])


def _left_out(setting: Setting, curvature: float) -> float:
    """Relative changes of the floor: L D times the longest time an estimate takes, and L G/(2D)."""
    assert setting.clock is not None
    pool, longest = pool_of(setting), float(max(job_seconds(setting.clock)))
    return float(curvature * (pool.drift * longest + pool.growth / (2.0 * pool.drift)))
