"""How far all step sizes may be scaled before a run diverges."""

from collections.abc import Callable
from math import inf, isfinite, nan

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.affine_moments import advance
from hzbench.theory.affine_system import CONSERVED, AffineSystem
from hzbench.theory.checks import matchings_known, moments_close, smoothing_positive
from hzbench.theory.dynamics import (
    build_model,
    choose_form,
    quadratic_parts,
    scenario_count,
    state_size,
    unique_minimiser,
)
from hzbench.theory.graphs import GraphError
from hzbench.theory.push_sum import settled
from hzbench.theory.server_stability import server_radius, server_step_limit
from hzbench.theory.stacks import eigenvalue_range

Array = NDArray[np.float64]
Period = tuple[AffineSystem, ...]

MOST_WORK = 6e6
_TOLERANCE = 1e-6


@register("limit", "step_size")
def step_size_limit(setting: Setting) -> tuple[float, str]:
    """The largest factor below which scaled step sizes keep the run stable, and its name.

    Setting and assumptions: a constant schedule; on quadratics and squared losses of moderate size
    the exact second-moment recursion, with one crossing of the stability limit; otherwise gradient
    descent on an L-smooth function.

    Formula:
        sup {c: spectral radius of Z ↦ Z+ (over one period of W) at step sizes c η_i is below 1}, or
        2/(η_max L).

    Source:
        own derivation (C1-C5, C12, C13).

    Args:
        setting: n nodes.

    Returns:
        (factor, sentence); (nan, reason) if nothing is known. Never raises.
    """
    largest = float(np.max(setting.step_sizes, initial=0.0))
    if not setting.moves or largest <= 0:
        return inf, "no node moves, so no step size is too large"
    if setting.server is not None:
        return server_step_limit(setting)
    if _quadratic_form(setting) and not unique_minimiser(quadratic_parts(setting)[0]).holds:
        return nan, "no limit is known: f has no unique minimiser to be stable at"
    if _recursion_fits(setting):
        scale = _smoothness(setting) * largest
        limit = _of_period(setting, lambda period: mean_square_limit(period, scale))
        if limit == 0.0:
            return 0.0, _expansion(setting)
        if isfinite(limit):
            return limit, (
                "the mean-square limit of the exact second-moment recursion "
                f"(spectral radius 1 at {limit:.4g} times these step sizes)"
            )
    L = _smoothness(setting)
    if isfinite(L) and L > 0:
        limit = 2.0 / (largest * L)
        return limit, (
            f"the deterministic limit 2/L of gradient descent (L = {L:.4g}); noise that grows with "
            "the gradient lowers it"
        )
    return nan, "no limit is known: the smoothness of f is not declared"


@register("limit", "spectral_radius")
def second_moment_radius(setting: Setting) -> tuple[float, str]:
    """Spectral radius of the exact second-moment recursion at these step sizes; below 1: stable.

    One eigenvalue, where `step_size_limit` searches for the factor at which it is 1.

    Source:
        own derivation (C1-C5, C12, C13).

    Args:
        setting: n nodes.

    Returns:
        (radius, sentence); (nan, reason) if the recursion does not apply or is large.
    """
    if setting.server is not None:
        return server_radius(setting)
    if not (setting.moves and setting.step_sizes.any() and _recursion_fits(setting)):
        return nan, "no exact second-moment recursion of moderate size applies"
    radius = _of_period(setting, lambda period: spectral_radius(period, 1.0))
    return radius, "the spectral radius of the exact second-moment recursion"


def _of_period(setting: Setting, number: Callable[[Period], float]) -> float:
    """A number of the affine systems of one period; nan where they cannot be built or solved."""
    try:
        model = build_model(setting)
        period = (model.system, *model.later)
        return number(settled(period) if model.system.update.rule == "push-sum" else period)
    except (GraphError, ArpackError, np.linalg.LinAlgError, ValueError):
        return nan


def _expansion(setting: Setting) -> str:
    if setting.update.rule == "plain":
        return "the averaging itself expands: |W − J/n| > 1, whatever the step sizes"
    return "the exchange itself expands disagreement in mean square, whatever the step sizes"


def mean_square_limit(period: Period, edge: float) -> float:
    """The factor at which the spectral radius of the second-moment map is 1; nan if not found.

    0 if it is above 1 at any factor, as with a W that expands.

    Args:
        period: the affine systems of one period of W.
        edge: η_max L, which sets the scale of the search.
    """
    high = 2.0 / edge
    while spectral_radius(period, high) < 1.0:
        high *= 1.5
        if high * edge > 1e3:
            return nan
    low = high / 4
    while spectral_radius(period, low) >= 1.0:
        high, low = low, low / 4
        if low * edge < 1e-6:
            return 0.0 if spectral_radius(period, low) > 1.0 + 1e-3 else nan
    return float(brentq(lambda c: spectral_radius(period, c) - 1.0, low, high, rtol=1e-5))


def spectral_radius(period: Period, factor: float) -> float:
    """Spectral radius of the linear part of Z ↦ Z+ over one period at scaled step sizes.

    The map keeps positive semidefinite Z, so its largest eigenvalue is real and positive, and the
    iteration starts inside the cone. Sums that the method conserves are projected out: they are 0,
    and would be eigenvalues 1.
    """
    C, n, _, q = period[0].shape
    N, free = n * q, _free_subspace(period[0])

    def apply(flat: Array) -> Array:
        Z = np.zeros((C, N + 1, N + 1))
        blocks = flat.reshape(C, N, N)
        Z[:, :N, :N] = 0.5 * (blocks + blocks.swapaxes(1, 2))  # keeps to symmetric Z
        for system in period:
            Z = advance(system, Z, factor)
        result: Array = (free @ Z[:, :N, :N] @ free).ravel()
        return result

    start = np.tile((np.eye(N) + 0.1).ravel(), C)
    if start.size <= 16:
        columns = [apply(unit) for unit in np.eye(start.size)]
        return float(np.abs(np.linalg.eigvals(np.array(columns).T)).max())
    operator = LinearOperator((start.size, start.size), matvec=apply, dtype=np.float64)
    value = eigs(
        operator, k=1, which="LM", v0=apply(start), tol=_TOLERANCE, return_eigenvectors=False
    )
    return float(np.abs(value[0]))


def _free_subspace(system: AffineSystem) -> Array:
    """The projection that removes the node mean of every conserved slot, shape [N, N]."""
    _, n, p, _ = system.shape
    keep = [slot not in CONSERVED for slot in system.slots]
    mean = np.kron(np.full((n, n), 1.0 / n), np.diag(np.repeat(np.logical_not(keep), p)))
    result: Array = np.eye(len(mean)) - mean
    return result


def _recursion_fits(setting: Setting) -> bool:
    if not _quadratic_form(setting):
        return False
    checks = (moments_close(setting), smoothing_positive(setting), matchings_known(setting))
    if not all(check.holds for check in checks):
        return False
    A, _ = quadratic_parts(setting)
    form, d = choose_form(setting, A), A.shape[1]
    blocks = 1 if form == "general" else d
    count = scenario_count(setting)
    return 4.0 * blocks * count * state_size(setting, form, d) ** 3 <= MOST_WORK


def _quadratic_form(setting: Setting) -> bool:
    structure = setting.problem.structure
    if isinstance(structure, GeneralizedLinear):
        return structure.loss == "squared" and min(map(len, structure.members)) > 0
    return isinstance(structure, Quadratic)


def _smoothness(setting: Setting) -> float:
    """L of the declared constants, or of the quadratic form."""
    L = setting.problem.constants.smoothness
    if isfinite(L) or not _quadratic_form(setting):
        return L
    A, _ = quadratic_parts(setting)
    return eigenvalue_range(A)[1]
