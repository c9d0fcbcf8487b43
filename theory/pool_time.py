"""Theorem: which of two pools is ahead at one time, by exact moments; rules P2 and P3."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory.checks import assume, conclude, of_both
from hzbench.theory.dynamics import quadratic_parts
from hzbench.theory.hybrid_pools import noise_factors, straggler_switch, zeroth_order_alone
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_dynamics import moment_assumptions, observables
from hzbench.theory.server_schedule import server_history
from hzbench.theory.stacks import minimiser

Array = NDArray[np.float64]

MUTANTS = ("ignored_step_size",)
_APART = 0.1  # values must differ by this fraction of the larger
_TOGETHER = 0.02  # the runs must end within this fraction of their time


@register("theorem", "pool_time_order", mutants=MUTANTS, protocols=("server",))
def pool_time_order(setting: Setting) -> Prediction:
    """Which of two pools has the lower E|∇f|² at the same time, whatever limits it.

    Setting and assumptions: those of `server_moments` for the run and for its reference, which end
    at the same simulated time (within 2 %); the two exact values differ by a tenth.

    Formula:
        sign of E|∇f(x_T)|² − E|∇f(x'_T')|², both from the exact recursion. Beside it, in the
        statement, the rules of thumb that hybrid pools have. P2 (one function, no noise): zeroth-
        order workers alone beat gradients iff c(1 + ω/n0) < 1, so n0 > cω/(1 − c). P3 (different
        data): the slowest worker should leave gradients iff n > n* =
        sqrt((cκ_e − 1)/(1 − c) σ²/ε), here with ε the lower of the two values.

    Guarantee:
        exact sign of a difference of exact means. The rules are not: with tuned steps and ε = 0.01
        P2's crossing is at 2.2 to 3.6 times its n0 on spectra that take many steps, and nowhere on
        isotropic ones, where one gradient step is enough; P3's is at 0.75 to 1.6 n* (measured by
        `docs/pool_crossings.py`).

    Source:
        own derivation (P2, P3).

    Args:
        setting: the pool, with the other one in `setting.reference`.

    Returns:
        Kind order at the last record step: gradient_norm_difference is −1 (this one lower) or +1.

    Example:
        `async`, case `alone-isotropic`, step 20, f = ½|x|², so that one gradient step of length 1
        ends at the optimum; P2 says −1, since 15 > 0.3*11/(1 - 0.3):
        gradient_norm_difference = 1 = -1 if (1 - 1)**2 > 0 else 1.
    """
    found: list[float] = []
    assumptions = _assumptions(setting, found)
    return conclude(
        "pool_time_order",
        statement=_statement(setting, found),
        source=Source(locator="own derivation (P2, P3)"),
        kind="order",
        assumptions=assumptions,
        steps=setting.record[-1:],
        compute=lambda: (
            {"gradient_norm_difference": np.array([np.sign(found[0] - found[1])])},
            {},
        ),
        validity="any steps and rules of a server; the sign is that of exact means",
        mutants=MUTANTS,
    )


def _assumptions(setting: Setting, found: list[float]) -> tuple[Assumption, ...]:
    """Those of both pools, then those of the comparison; the exact values go to `found`."""
    listed, other = of_both(setting, moment_assumptions), setting.reference
    if other is None or not all(each.holds for each in listed):
        return (*listed, assume("both end at one time, apart", False, "not checked"))
    mine, theirs = (float(server_history(each).times[-1]) for each in (setting, other))
    together = abs(mine - theirs) <= _TOGETHER * max(mine, theirs)
    found += [float(observables(each)[0]["gradient_norm"][-1]) for each in (setting, other)]
    apart = abs(found[0] - found[1]) > _APART * max(found)
    return (
        *listed,
        assume("both end at one time", together, f"{mine:.4g} s and {theirs:.4g} s"),
        assume("the exact values differ by a tenth", apart, f"{found[0]:.4g} and {found[1]:.4g}"),
    )


def _statement(setting: Setting, found: list[float]) -> str:
    if not found or setting.reference is None:
        return "The pool with the lower exact E|∇f|² at that time is ahead."
    rule = rule_of(setting, setting.reference)
    told = f" {rule}" if rule else ""
    return f"E|∇f|² is {found[0]:.4g}, and {found[1]:.4g} of the reference.{told}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A worker as the rules see it.

    Attributes:
        zeroth: whether it has no gradients.
        seconds: of one estimate, links included.
        growth: ω.
        factor: κ.
    """

    zeroth: bool
    seconds: float
    growth: float
    factor: float


def rule_of(setting: Setting, other: Setting) -> str:
    """What P2 or P3 says of a pool against a reference; empty where neither speaks."""
    mine, theirs = _kinds(setting), _kinds(other)
    silent = setting.problem.constants.noise[0] == 0
    if silent and len({*mine}) == len({*theirs}) == 1 and mine[0].zeroth and not theirs[0].zeroth:
        return _alone(mine, theirs[0])
    changed = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b]
    slowest = max(range(len(theirs)), key=lambda i: theirs[i].seconds)
    switched = changed == [slowest] and mine[slowest].zeroth and len(mine) == len(theirs)
    if silent or not switched or any(each.zeroth for each in theirs):
        return ""
    return _switch(setting, other, mine[slowest], mine[slowest].seconds / theirs[slowest].seconds)


def _alone(mine: list[Kind], gradient: Kind) -> str:
    """P2."""
    cost = mine[0].seconds / gradient.seconds
    least = zeroth_order_alone(mine[0].growth, cost)
    verdict = "they win" if len(mine) > least else "gradients win"
    return f"Rule P2: n0 = {len(mine)} against {least:.4g}, so {verdict}."


def _switch(setting: Setting, other: Setting, slow: Kind, cost: float) -> str:
    """P3, at the level of E|∇f|² that the better of the two has reached."""
    A, b = quadratic_parts(setting)
    i = int(np.flatnonzero([kind == "zeroth" for kind in setting.kinds])[0])
    own = A[i] @ minimiser(A, b) - b[i]
    noise = setting.problem.constants.noise[0]
    reached = min(float(observables(s)[0]["gradient_norm"][-1]) for s in (setting, other))
    least = straggler_switch(
        slow.factor + slow.growth * float(own @ own) / noise, cost, noise / reached
    )
    if not isfinite(least):
        return ""
    verdict = "switch" if setting.nodes > least else "stay"
    return (
        f"Rule P3: n = {setting.nodes} against n* = {least:.4g} at ε = {reached:.3g}, so {verdict}."
    )


def _kinds(setting: Setting) -> list[Kind]:
    assert setting.clock is not None
    found = []
    totals = job_seconds(setting.clock)
    for law, kind, total in zip(setting.laws, setting.kinds, totals, strict=True):
        assert law is not None
        factors = noise_factors(law, setting.problem.dimension)
        found.append(
            Kind(
                zeroth=kind == "zeroth",
                seconds=float(total),
                growth=factors.growth,
                factor=factors.factor,
            )
        )
    return found
