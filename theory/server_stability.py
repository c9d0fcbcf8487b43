"""How far the step sizes of a server's workers may grow before the run without noise diverges."""

from collections.abc import Callable
from math import inf, isfinite, nan, pi, sin

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.arrivals import history, participants
from hzbench.theory.dynamics import diagonalised, eigenbasis, quadratic_parts, unique_minimiser
from hzbench.theory.server_history import NeverError
from hzbench.theory.server_program import Gather, Program, program
from hzbench.theory.server_waits import server_arrivals
from hzbench.theory.stacks import is_diagonal

Array = NDArray[np.float64]
Growth = Callable[[Array], Array]

LONGEST = 4000
_TIMES = 8  # arrivals of every worker without which the growth of a schedule is not known
MOST_WORK = 4e9
MOST_ARRIVALS = 2e6  # of so many updates; more take gigabytes
_CANDIDATES = 16
_MARGIN = 1e-7


def constant_delay_edge(delay: int) -> float:
    """The largest γλ at which x^{k+1} = x^k − γλ x^{k−D} decays.

    Formula:
        2 sin(π/(2(2D + 1))).

    Source:
        own derivation: z^{D+1} − z^D + a has its first root on the unit circle at z = e^{iθ},
        θ = π/(2D + 1). The case of equal workers under ASGD is D = n − 1.

    Args:
        delay: D.
    """
    return 2.0 * sin(pi / (2 * (2 * delay + 1)))


def constant_delay_variance(step: float, delay: int) -> float:
    """Stationary variance of x^{k+1} = x^k − a (x^{k−D} + ξ) with unit noise ξ.

    Formula:
        the corner of P = F P F' + a² e e', F the companion matrix; D = 0: a/(2 − a), D = 1:
        (1 + a) a/((1 − a)(2 + a)).

    Source:
        own derivation; textbook Lyapunov equation.

    Args:
        step: a = γλ below `constant_delay_edge`.
        delay: D.
    """
    F = np.eye(delay + 1, k=-1)
    F[0, 0] += 1.0
    F[0, delay] -= step
    noise = np.zeros_like(F)
    noise[0, 0] = step**2
    return float(solve_discrete_lyapunov(F, noise)[0, 0])


def server_step_limit(setting: Setting) -> tuple[float, str]:
    """The factor on all step sizes up to which the run without noise decays, and its name.

    Setting and assumptions: quadratics and squared losses; a constant schedule. The growth is that
    of the homogeneous recursion over 2000 to 4000 updates of the run's own schedule, from a random
    start; where arrivals have no period there is no spectral radius to ask for.

    Formula:
        sup {c: |x^K| of x^{k+1} = x^k − c Σ W η_i A_i x^v shrinks over the second half}.

    Source:
        own derivation; equal workers: `constant_delay_edge`.

    Args:
        setting: n nodes with a server and a clock.

    Returns:
        (factor, sentence); (nan, reason) if nothing is known. Never raises.
    """
    grows = _growth(setting)
    if grows is None:
        return nan, "no limit is known: no quadratic form and schedule of moderate size"
    limit = first_crossing(grows, 1.0 / setting.nodes / _steepest(setting))
    if not isfinite(limit):
        return nan, "no limit is known: no factor up to 1000 lets the run grow"
    return limit, (
        f"the noise-free limit of this schedule (growth from {limit:.4g} times these step sizes "
        "on); noise that grows with the gradient lowers it"
    )


def server_radius(setting: Setting) -> tuple[float, str]:
    """Growth of |x| per update of the run without noise, at these step sizes; below 1: stable."""
    grows = _growth(setting)
    if grows is None:
        return nan, "no quadratic form and schedule of moderate size"
    rate = float(grows(np.ones(1))[0])
    return float(np.exp(rate)), "the growth per update of the run without noise"


def first_crossing(grows: Growth, unit: float) -> float:
    """The least factor at which growth is positive, to four digits; inf if none is found.

    Args:
        grows: factors [m] -> log growth per update [m].
        unit: a factor at which nothing grows yet, or nearly so.
    """
    low, high = unit / 16, inf
    for _ in range(40):
        tried = low * np.geomspace(1.0, 4.0, _CANDIDATES)
        bad = np.flatnonzero(grows(tried) > _MARGIN)
        if len(bad):
            high = float(tried[bad[0]])
            low = float(tried[max(bad[0] - 1, 0)])
            break
        low *= 4.0
        if low > 1e3 * unit * 16:
            return inf
    for _ in range(3):
        tried = np.geomspace(low, high, _CANDIDATES)
        bad = np.flatnonzero(grows(tried) > _MARGIN)
        first = int(bad[0]) if len(bad) else len(tried) - 1
        low, high = float(tried[max(first - 1, 0)]), float(tried[first])
    return high


def log_growth(run: Program, hessians: Array) -> Array:
    """log|x^k| gained per update over the second half of a run without noise, shape [C].

    Args:
        run: the compiled run, K updates.
        hessians: A_i of C systems, shape [C, n, p, p].
    """
    C, _, p, _ = hessians.shape
    x = np.zeros((C, run.registers, p))
    x[:, 0] = np.random.default_rng(0).normal(size=(C, p))
    sizes = np.empty((len(run.steps), C))
    for k, step in enumerate(run.steps):
        for collect in step.collects:
            kept = 0.0 if collect.first else x[:, collect.register]
            x[:, collect.register] = kept + _slope(hessians, collect.gather, x)
        moved = x[:, step.old] - np.einsum("j,cjk->ck", step.gains, x[:, step.bins])
        for gather in step.gathers:
            moved = moved - _slope(hessians, gather, x)
        x[:, step.new] = moved
        sizes[k] = np.abs(moved).max(1)
    K = len(sizes)
    window = max(1, K // 8)
    early, late = sizes[K // 2 - window : K // 2].max(0), sizes[-window:].max(0)
    rate = np.log(np.maximum(late, 1e-300) / np.maximum(early, 1e-300)) / (K - K // 2)
    return np.where(np.isfinite(late), rate, inf)


def _slope(hessians: Array, gather: Gather, x: Array) -> Array:
    A = np.tensordot(gather.gains, hessians[:, gather.workers], axes=(0, 1))
    return np.asarray((A @ x[:, gather.point, :, None])[..., 0])


def _growth(setting: Setting) -> Growth | None:
    """Growth by factor; None where it is not known or takes long."""
    structure = setting.problem.structure
    rows = isinstance(structure, GeneralizedLinear) and structure.loss == "squared"
    if not (rows or isinstance(structure, Quadratic)) or not setting.schedule.constant:
        return None
    A, _ = quadratic_parts(setting)
    if not unique_minimiser(A).holds or setting.clock is None or setting.server is None:
        return None
    updates = min(LONGEST, max(2000, 100 * setting.nodes))
    if server_arrivals(setting.server, setting.clock, updates)[1] > MOST_ARRIVALS:
        return None
    try:
        found = history(setting.clock, setting.server, updates)
    except NeverError:
        return None
    taking_part = list(participants(setting.clock, setting.server))
    seen = np.bincount(found.workers, minlength=setting.nodes)[taking_part]
    if setting.server.rule in ("asgd", "table", "ringleader") and seen.min() < _TIMES:
        return None  # one late arrival would pass for growth; other rules drop it
    run = program(found, np.asarray(setting.step_sizes, dtype=float), np.ones(updates))
    hessians = _extreme_modes(A)
    C, _, p, _ = hessians.shape
    points, sums = run.rows
    if float(_CANDIDATES * C * p * (points * p + sums)) > MOST_WORK:
        return None

    def grows(factors: Array) -> Array:
        many = np.concatenate([factor * hessians for factor in factors])
        with np.errstate(all="ignore"):
            rates = log_growth(run, many)
            worst: Array = rates.reshape(len(factors), C).max(1)
            return worst

    return grows


def _extreme_modes(A: Array) -> Array:
    """The Hessians in blocks: single coordinates where they decouple, shape [C, n, p, p]."""
    basis = np.eye(A.shape[1]) if is_diagonal(A) else eigenbasis(A)
    if not diagonalised(A, basis):
        return np.asarray(A[None])
    modes = np.einsum("nkk->kn", basis.T @ A @ basis)
    alike = np.unique(modes.round(12), axis=0)
    return np.asarray(alike[:, :, None, None])


def _steepest(setting: Setting) -> float:
    """η_max L."""
    A, _ = quadratic_parts(setting)
    largest = max(float(np.linalg.eigvalsh(each)[-1]) for each in A)
    return float(np.max(setting.step_sizes)) * largest
