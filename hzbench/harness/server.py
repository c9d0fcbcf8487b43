"""Server runs: the clock and the schedule of a spec, and what a schedule alone tells."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import Clock
from hzbench.core.server import Schedule, ServerMethod, ServerPlan
from hzbench.core.spec import Spec
from hzbench.engine.arrivals import schedule
from hzbench.harness.setting import clock_of, work_of

SHOWN_JOBS, SHOWN_WORKERS = 12, 64  # of an excerpt: jobs a worker, and workers
SHOWN = ("seconds", "arrivals", "used_weight", "used_version")  # recorded unasked
SCHEDULED = (*SHOWN, "elapsed_seconds", "largest_delay", "least_harmonic_batch")


def schedule_of(spec: Spec, method: ServerMethod) -> Schedule:
    """The arrivals of a run; all its replicas share them."""
    return _schedule(method, clock_of(spec), work_of(spec), spec.run.seed, spec.run.steps)


def schedule_until(spec: Spec, method: ServerMethod, seconds: float) -> Schedule:
    """The arrivals of a run until a time, however many updates that takes."""
    return _schedule(method, clock_of(spec), work_of(spec), spec.run.seed, sys.maxsize, seconds)


@lru_cache(maxsize=4)
def _schedule(
    method: ServerMethod,
    clock: Clock,
    work: tuple[float, ...],
    seed: int,
    updates: int,
    seconds: float = math.inf,
) -> Schedule:
    return schedule(method, clock.timer(work, seed), updates, seconds)


def schedule_excerpt(spec: Spec, method: ServerMethod) -> dict[str, Any] | None:
    """The jobs of the first updates, to be drawn (docs/formats.md); None for too many workers.

    2n updates, fewer (but two) where they take more than `SHOWN_JOBS` jobs a worker.
    """
    nodes = spec.node_count
    if nodes > SHOWN_WORKERS:
        return None
    updates = min(4 * nodes, spec.run.steps)
    found = _schedule(method, clock_of(spec), work_of(spec), spec.run.seed, updates)
    shown = found.times[min(1, updates - 1) : 2 * nodes]
    started = np.searchsorted(found.sent, shown)
    few = int((started <= SHOWN_JOBS * nodes).sum())
    until = float(shown[max(0, few - 1)])
    jobs = [_job(found, sample, until) for sample in range(int(np.searchsorted(found.sent, until)))]
    times = found.times[found.times <= until].tolist()
    return {"workers": nodes, "until": until, "updates": times, "jobs": jobs}


def _job(found: Schedule, sample: int, until: float) -> dict[str, Any]:
    """One job: used, unused, stopped, or still running at the end of the excerpt."""
    worker, ended = found.workers[sample], float(found.arrived[sample])
    state = "used" if (found.samples == sample).any() else "unused"
    later = np.flatnonzero(found.workers[sample + 1 :] == worker)
    if ended == math.inf:
        state = "stopped" if len(later) else "running"
        ended = float(found.sent[sample + 1 + later[0]]) if len(later) else until
    return {
        "worker": int(worker),
        "version": int(found.versions[sample]),
        "sent": float(found.sent[sample]),
        "ended": ended,
        "state": state,
    }


def schedule_columns(
    plan: ServerPlan, record: Sequence[int], names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Observables that the schedule alone decides, the same for all replicas.

    Returns:
        Those of SCHEDULED among the names, [T', R] or [T', R, n].
    """
    found = {
        name: np.array(each, dtype=np.float64)
        for name, each in _told(plan, record).items()
        if name in names
    }
    return {name: np.repeat(each[:, None], plan.replicas, axis=1) for name, each in found.items()}


def _told(plan: ServerPlan, record: Sequence[int]) -> dict[str, Any]:
    """Every one of SCHEDULED at the record points, [T'] or [T', n]."""
    table, nodes = plan.schedule, plan.nodes
    update = np.repeat(np.arange(table.updates), np.diff(table.offsets))
    worker, version = table.workers[table.samples], table.versions[table.samples]
    weight = table.weights * table.scales[update]
    counts = np.concatenate([[0], table.counts])
    arrived = table.workers[table.received]
    seconds = np.concatenate([[0.0], table.times])[list(record)]
    ends = table.offsets[list(record)]
    batches = _harmonic_batches(update, worker, table.updates, nodes)
    return {
        "seconds": seconds,
        "elapsed_seconds": np.diff(seconds, prepend=0.0),
        "arrivals": [np.bincount(arrived[: counts[k]], minlength=nodes) for k in record],
        "used_weight": [_sums(worker, weight, end, nodes) for end in ends],
        "used_version": [_sums(worker, weight * version, end, nodes) for end in ends],
        "largest_delay": [(update - version)[:end].max(initial=0) for end in ends],
        "least_harmonic_batch": [batches[: max(k, 1)].min() for k in record],
    }


def _harmonic_batches(
    update: NDArray[np.int64], worker: NDArray[np.int64], updates: int, nodes: int
) -> NDArray[np.float64]:
    """(1/n Σ 1/b_i)⁻¹ of every update, 0 where a worker is missing, [K]."""
    used = np.bincount(update * nodes + worker, minlength=updates * nodes).reshape(updates, nodes)
    with np.errstate(divide="ignore"):
        return np.asarray(nodes / (1.0 / used).sum(1))


def schedule_record(plan: Schedule) -> list[dict[str, Any]]:
    """Every update for JSON: time, scale, and worker, version and weight of what it used."""
    found = []
    for k in range(plan.updates):
        used = plan.samples[plan.used(k)]
        found.append(
            {
                "update": k + 1,
                "seconds": float(plan.times[k]),
                "scale": float(plan.scales[k]),
                "samples": used.tolist(),
                "workers": plan.workers[used].tolist(),
                "versions": plan.versions[used].tolist(),
                "delays": (k - plan.versions[used]).tolist(),
                "weights": plan.weights[plan.used(k)].tolist(),
            }
        )
    return found


def _sums(
    worker: NDArray[np.int64], values: NDArray[np.float64], count: int, nodes: int
) -> NDArray[np.float64]:
    return np.bincount(worker[:count], values[:count], minlength=nodes).astype(np.float64)
