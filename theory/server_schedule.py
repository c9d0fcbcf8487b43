"""Theorem: who arrives when, and what every update of a server is made of."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.arrivals import history
from hzbench.theory.checks import Values, assume, conclude, recorded
from hzbench.theory.server_history import History, NeverError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MUTANTS = (
    "table_not_reset",
    "arithmetic_for_harmonic",
    "last_worker_first",
    "threshold_plus_one",
    "stale_counted_twice",
    "old_point_sent",
    "links_ignored",
    "wrong_pace",
    "wrong_adaptive",
    "stops_one_late",
)


@register("theorem", "server_schedule", mutants=MUTANTS, protocols=("server",))
def server_schedule(setting: Setting) -> Prediction:
    """Exact times, arrivals, weights and versions of an asynchronous run.

    Setting and assumptions: a server and n workers with any clock and any rule; nothing is assumed
    of the objectives, since arrivals, counts, delays and discards do not depend on the iterates.

    Formula:
        worker i's jobs end at multiples of τ_i (fixed clocks), at sums of draws, or at
        V_i⁻¹(1), V_i⁻¹(2), ... (speeds that vary in time), from where it last was stopped. Rules
        without restarts see the merged multiples, equal times by worker; a round of `collect`
        ends with the first arrival after which Σ b_i >= S, n/(Σ 1/b_i) >= S/n, or all b_i > 0.

    Guarantee:
        exact; integers and fractions for fixed clocks.

    Source:
        own derivation, of the rules of Ringleader ASGD, Ringmaster ASGD, Rennala, Malenia and
        IA²SGD as their authors' code has them.

    Args:
        setting: n nodes with a server and a clock.

    Returns:
        Kind exact at all record steps: seconds [T'], arrivals, used_weight, used_version [T', n].

    Example:
        `async`, case `asgd-by-hand`, step 6, τ = (1, 2.5), after the fifth second:
        seconds = 5.0 = 5*1.
    """
    return conclude(
        "server_schedule",
        statement="Arrivals and updates are those of the merged multiples of the workers' times.",
        source=sources.SERVER_SCHEDULE,
        kind="exact",
        assumptions=server_assumptions(setting),
        steps=setting.record,
        compute=lambda: (schedule_values(setting), {}),
        validity="any clock, any objectives; all replicas of a run share the clock's draws",
        mutants=MUTANTS,
    )


def server_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """A server with a clock, something recorded, and updates enough."""
    known = setting.server is not None and setting.clock is not None
    listed = (
        assume("a server and its workers", known, f"protocol = {setting.protocol}"),
        recorded(setting),
    )
    if not all(each.holds for each in listed):
        return (*listed, assume("the server does all updates", False, "not checked"))
    return (*listed, _happens(lambda: server_history(setting)))


def _happens(told: Callable[[], History]) -> Assumption:
    text = "the server does all updates"
    try:
        return assume(text, True, f"after {len(told().workers)} arrivals")
    except NeverError as error:
        return assume(text, False, str(error))


def server_history(setting: Setting) -> History:
    """The arrivals of a run up to its last record point.

    Raises:
        NeverError: there are not that many updates.
    """
    assert setting.clock is not None
    assert setting.server is not None
    return history(setting.clock, setting.server, setting.record[-1])


def schedule_values(setting: Setting) -> Values:
    """All that the schedule alone decides, at the record steps."""
    found, n, record = server_history(setting), setting.nodes, np.array(setting.record)
    served = np.concatenate([[0], found.served])[record]
    count, versions = bin_sums(found)
    worker = np.empty(int(found.bins.max(initial=-1)) + 1, dtype=np.int64)
    worker[found.bins[found.bins >= 0]] = found.workers[found.bins >= 0]
    used = worker[found.used]
    return {
        "seconds": np.concatenate([[0.0], found.times])[record],
        "arrivals": _running(found.workers, np.ones(len(found.workers)), served, n),
        "used_weight": _running(used, found.weights * count, found.offsets[record], n),
        "used_version": _running(used, found.weights * versions, found.offsets[record], n),
    }


def _running(worker: Integers, values: Array, ends: Integers, nodes: int) -> Array:
    """Σ of values by worker over the entries before each end, shape [T', n]."""
    parts = [np.bincount(worker[:end], values[:end], minlength=nodes) for end in ends]
    return np.array(parts, dtype=float)


def bin_sums(found: History) -> tuple[Array, Array]:
    """Number of estimates in a bin when an update uses it, and the sum of their versions, [U]."""
    inside = np.flatnonzero(found.bins >= 0)
    order = inside[np.argsort(found.bins[inside], kind="stable")]
    total = len(found.workers) + 1
    keys = found.bins[order] * total + order
    versions = np.concatenate([[0], np.cumsum(found.versions[order])])
    first = np.searchsorted(keys, found.used * total)
    last = np.searchsorted(keys, found.used * total + found.served[found.update_of_use])
    return (last - first).astype(float), (versions[last] - versions[first]).astype(float)
