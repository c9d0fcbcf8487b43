"""Where servers are pulled when workers have different data and arrive unequally often."""

from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.arrivals import history
from hzbench.theory.dynamics import quadratic_parts, unique_minimiser
from hzbench.theory.server_history import History, NeverError
from hzbench.theory.server_limit import TABLES
from hzbench.theory.server_limit import shares as shares_in_the_limit
from hzbench.theory.server_schedule import bin_sums
from hzbench.theory.stacks import minimiser

Array = NDArray[np.float64]

UPDATES = 2000
MOST_ARRIVALS = 50_000  # in rounds that are counted
LEAST_ROUNDS = 4
_SMALL = 1e-3
_ROUNDING = 1e-12
_INSTEAD = (
    "take a method that weighs all workers alike (ringleader, malenia, ia2sgd, minibatch_sgd), or "
    "give all of them the same data"
)


@register("limit", "bias")
def server_bias(setting: Setting, target: float | None = None) -> tuple[float, str]:
    """The part of |∇f|² that no small step size removes, and why it is there.

    Setting and assumptions: quadratics and squared losses; any rule and clock of a server. The
    share p_i of worker i in the weights is exact for rules that weigh all workers alike and, on a
    fixed clock, for vanilla ASGD and Rennala. Elsewhere it is counted over the later half of 2000
    updates, which is right up to one update a worker, and up to chance where times are drawn; or of
    fewer rounds, at most 50,000 estimates, right up to what their two halves differ by.

    Formula:
        |∇f(x_p)|² with x_p = (Σ p_i A_i)⁻¹ Σ p_i b_i; common A: |Σ (p_i − 1/n) b_i|². Vanilla
        ASGD on a fixed clock has p_i ∝ η_i/τ_i, Rennala b_i/Σ b; tables, Malenia and minibatch have
        1/n and no bias.

    Source:
        own derivation (the limit γ → 0; exact for `server_floor`'s rounds at any γ).

    Args:
        setting: n nodes with a server and a clock.
        target: ε of E|∇f|²; None: none is asked for.

    Returns:
        (|∇f|², sentence): 0 within what so many updates tell of shares, nan where it is not known.
        The sentence is "" unless the bias keeps the server from ε, or is above 0.1 % of |∇f|² at
        the start, or is not known on different data. Never raises.
    """
    try:
        shares, error = worker_shares(setting)
    except NeverError:
        return nan, ""
    found = _pull(setting, shares, error)
    if found is None:
        return nan, _unknown(setting, shares, error)
    bias, start = found
    if target is not None and bias > target:
        return bias, (
            f"E|∇f|² = {target:g} is never reached: {_unequal(shares)}, and |∇f|² tends to "
            f"{bias:.3g} as steps get small; {_INSTEAD}"
        )
    if bias <= _SMALL * start:
        return bias, ""
    return bias, (
        f"{_unequal(shares)}: |∇f|² tends to {bias:.3g}, not to 0, as steps get small; {_INSTEAD}"
    )


def _pull(setting: Setting, shares: Array, error: float) -> tuple[float, float] | None:
    """|∇f|² at x_p and at the start; None where x_p is not known.

    Args:
        error: Σ |error of p_i|.
    """
    if not _quadratic(setting):
        return None
    A, b = quadratic_parts(setting)
    mean, pulled = A.mean(0), np.einsum("n,nkl->kl", shares, A)
    if not (unique_minimiser(A).holds and np.linalg.eigvalsh(pulled)[0] > 0):
        return None
    settled = np.linalg.solve(pulled, shares @ b)
    own = A @ settled - b  # ∇f_i(x_p)
    bias = float(np.sum(own.mean(0) ** 2))
    if bias <= max(error**2 * float((own**2).sum(1).max()), 1e-18):
        bias = 0.0
    start = mean @ (setting.problem.initial[0] - minimiser(A, b))
    return bias, float(start @ start)


def _unequal(shares: Array, have: str = "have") -> str:
    return (
        f"workers {have} different data, and their estimates weigh unequally (shares of "
        f"{shares.min():.3g} to {shares.max():.3g} instead of {1 / len(shares):.3g})"
    )


def _unknown(setting: Setting, shares: Array, error: float) -> str:
    """What can be said where no number is known."""
    heterogeneity = setting.problem.constants.heterogeneity
    if heterogeneity == 0 or np.abs(shares - 1 / len(shares)).sum() <= error:
        return ""
    have = "may have" if isnan(heterogeneity) else "have"
    return (
        f"{_unequal(shares, have)}: the server settles where Σ p_i ∇f_i = 0, which is not where "
        f"∇f = 0; how large |∇f|² stays is not known for this problem; {_INSTEAD}"
    )


def worker_shares(setting: Setting) -> tuple[Array, float]:
    """p_i, the share of worker i in all weights times step sizes, [n], and Σ |error of p_i|.

    Raises:
        NeverError: a server that does not get that far, or none at all.
    """
    server, clock = setting.server, setting.clock
    if server is None or clock is None or not np.any(setting.step_sizes):
        raise NeverError("no server that moves")
    fixed = clock.law == "fixed"
    alike = server.rule in TABLES or (server.rule == "collect" and server.collection != "sum")
    vanilla = server.rule == "asgd" and server.adaptive == "none"
    if alike or (vanilla and fixed):
        return shares_in_the_limit(setting), _ROUNDING
    if server.rule != "collect":
        told = history(clock, server, UPDATES)
        return _counted(setting, told, UPDATES // 2, UPDATES), 2 * setting.nodes / UPDATES
    if fixed:  # all rounds are alike
        return _counted(setting, history(clock, server, 1), 0, 1), _ROUNDING
    rounds = min(UPDATES, max(LEAST_ROUNDS, MOST_ARRIVALS // max(server.batch, setting.nodes)))
    told = history(clock, server, rounds)
    first, middle = rounds // 2, 3 * rounds // 4
    halves = _counted(setting, told, first, middle) - _counted(setting, told, middle, rounds)
    return _counted(setting, told, first, rounds), float(np.abs(halves).sum()) + _ROUNDING


def _counted(setting: Setting, told: History, first: int, last: int) -> Array:
    """Shares in the updates first ... last − 1, [n]."""
    counts, _ = bin_sums(told)
    among = (first <= told.update_of_use) & (told.update_of_use < last)
    worker = np.zeros(int(told.bins.max()) + 1, dtype=np.int64)
    worker[told.bins[told.bins >= 0]] = told.workers[told.bins >= 0]
    given = np.bincount(
        worker[told.used[among]], (told.weights * counts)[among], minlength=setting.nodes
    )
    weighed = given * np.asarray(setting.step_sizes, dtype=float)
    return np.asarray(weighed / weighed.sum())


def _quadratic(setting: Setting) -> bool:
    structure = setting.problem.structure
    if isinstance(structure, GeneralizedLinear):
        return structure.loss == "squared" and min(map(len, structure.members)) > 0
    return isinstance(structure, Quadratic)
