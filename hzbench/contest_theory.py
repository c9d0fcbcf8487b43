"""What theory says of a contest: biases that no step size cures, slopes against log 1/ε, ratios.

The harness knows no theory; this adds its numbers to a finished record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import ClockFacts
from hzbench.core.server import ServerMethod
from hzbench.core.server_facts import ServerFacts
from hzbench.core.setting import Setting
from hzbench.core.spec import Spec
from hzbench.core.structure import Quadratic
from hzbench.harness.build import build_problem
from hzbench.harness.contest import Cell, Contest, MethodTable
from hzbench.harness.setting import clock_facts, method_of, setting_of
from hzbench.theory.arrivals import history
from hzbench.theory.server_schedule import bin_sums
from hzbench.theory.time_complexity import (
    asgd_time,
    heterogeneous_time,
    homogeneous_time,
    minibatch_time,
    tridiagonal_slope,
)

Array = NDArray[np.float64]
UPDATES = 400  # a worker, from whose later half shares are counted
Laws = Callable[[list[float], float], float]


def add_predictions(record: dict[str, Any], contest: Contest) -> None:
    """Give every entrant `predicted_floor`, and every pair of targets its slopes.

    A slope is that of log T against log 1/ε between the largest and the least target of a problem
    and clock. It is predicted on Nesterov's tridiagonal quadratic under a fixed clock.
    """
    settings = _settings(contest)
    for cell, row in zip(contest.cells, record["cells"], strict=True):
        for method in contest.methods:
            entrant = row["entrants"][method.label]
            spec = _tuned(contest, cell, method, entrant["tuned"])
            own = settings[cell.problem.label, cell.clock.label, method.label]
            server, clock = server_facts(spec), clock_facts(spec, method_of(spec))
            entrant["predicted_floor"] = bias_floor(replace(own, server=server, clock=clock))
    record["slopes"] = [
        _slope(pair, record, method, settings)
        for pair in _pairs(contest)
        for method in contest.methods
    ]


def _tuned(contest: Contest, cell: Cell, method: MethodTable, values: Mapping[str, float]) -> Spec:
    rest = {key: int(value) for key, value in values.items() if key != "step_size"}
    return contest.spec(cell.problem, cell.clock, method, rest, contest.table.judging.seed)


def server_facts(spec: Spec) -> ServerFacts:
    """What the method of a spec declares."""
    method = method_of(spec)
    assert isinstance(method, ServerMethod)
    return method.server_facts()


def _settings(contest: Contest) -> dict[tuple[str, str, str], Setting]:
    found = {}
    problems = {}
    for cell in contest.cells:
        for method in contest.methods:
            spec = contest.spec(cell.problem, cell.clock, method)
            if cell.problem.label not in problems:
                problems[cell.problem.label] = build_problem(spec)
            key = (cell.problem.label, cell.clock.label, method.label)
            if key not in found:
                found[key] = setting_of(spec, problems[cell.problem.label])
    return found


def bias_floor(setting: Setting) -> float | None:
    """The E|∇f|² where a method settles as step sizes go to 0; None: unknown.

    Formula: |Σ_i (p_i − 1/n) b_i|², p_i the share of worker i in all weights that updates use,
    where all workers share one Hessian: slowly moving, x follows −Σ_i p_i ∇f_i. Source: own
    derivation; exact for any step size in vanilla asynchronous SGD, where the average of the
    versions used is that fixed point, since increments telescope over a period.
    """
    structure = setting.problem.structure
    if not isinstance(structure, Quadratic) or setting.server is None or setting.clock is None:
        return None
    if np.ptp(structure.hessians, axis=0).max() != 0:
        return None
    if not _favours(setting.server):
        return 0.0
    bias = (used_shares(setting) - 1 / setting.nodes) @ structure.linear
    return float(np.square(bias).sum())


def _favours(server: ServerFacts) -> bool:
    """Whether fast workers may weigh more; the other rules give everyone 1/n in every update."""
    sums = server.rule == "collect" and server.collection == "sum"
    return sums or server.rule in ("asgd", "ringmaster")


def used_shares(setting: Setting) -> Array:
    """Every worker's share in the weights that the later half of many updates use, [n]."""
    assert setting.server is not None
    assert setting.clock is not None
    return np.array(_shares(setting.server, setting.clock))


@lru_cache(maxsize=256)
def _shares(server: ServerFacts, clock: ClockFacts) -> tuple[float, ...]:
    updates = UPDATES * len(clock.seconds)
    found = history(clock, server, updates)
    half = int(found.offsets[updates // 2])
    inside = found.bins >= 0
    owner = np.zeros(int(found.bins.max()) + 1, dtype=np.int64)
    owner[found.bins[inside]] = found.workers[inside]
    weights = found.weights * bin_sums(found)[0]
    late = np.bincount(owner[found.used[half:]], weights[half:], minlength=len(clock.seconds))
    shares: list[float] = (late / late.sum()).tolist()
    return tuple(shares)


def _pairs(contest: Contest) -> list[tuple[Cell, Cell]]:
    """The cells of the largest and the least target of every problem and clock with several."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in contest.cells:
        groups.setdefault((cell.problem.label, cell.clock.label), []).append(cell)
    return [
        (max(group, key=lambda c: c.target), min(group, key=lambda c: c.target))
        for group in groups.values()
        if len(group) > 1
    ]


def _slope(
    pair: tuple[Cell, Cell],
    record: Mapping[str, Any],
    method: MethodTable,
    settings: Mapping[tuple[str, str, str], Setting],
) -> dict[str, Any]:
    large, small = pair
    times = [_seconds(record, cell, method.label) for cell in pair]
    ratio = np.log(large.target / small.target)
    known = [time for time in times if time]
    measured = float(np.log(known[1] / known[0]) / ratio) if len(known) == 2 else None
    setting = settings[large.problem.label, large.clock.label, method.label]
    return {
        "problem": large.problem.label,
        "clock": large.clock.label,
        "method": method.label,
        "targets": [large.target, small.target],
        "measured": measured,
        "predicted": predicted_slope(setting, large, small),
    }


def _seconds(record: Mapping[str, Any], cell: Cell, label: str) -> float | None:
    for row in record["cells"]:
        here = (row["problem"], row["clock"], row["target"])
        if here == (cell.problem.label, cell.clock.label, cell.target):
            found: float | None = row["entrants"][label]["seconds"]
            return found
    return None


def predicted_slope(setting: Setting, large: Cell, small: Cell) -> float | None:
    """2/3 + d log T/d log(1/ε) of the method's time complexity, where one is known."""
    clock, structure = setting.clock, setting.problem.structure
    tridiagonal = large.problem.problem.get("spectrum") == "tridiagonal"
    if clock is None or clock.law != "fixed" or not tridiagonal or setting.server is None:
        return None
    assert isinstance(structure, Quadratic)
    alike = float(np.ptp(structure.linear, axis=0).max()) == 0
    law = _law(setting.server, alike=alike)
    if law is None:
        return None
    seconds = [float(each) for each in clock.seconds]
    batch = getattr(setting.laws[0], "batch_size", 1)
    noise = float(np.trace(structure.noise[0])) / batch
    return tridiagonal_slope(lambda r: law(seconds, r), noise, large.target, small.target)


def _law(server: ServerFacts, *, alike: bool) -> Laws | None:
    """The time complexity of a method, by what it declares; None where the bias keeps it off ε."""
    waits_for_all = server.rule == "collect" and server.collection != "sum"
    if waits_for_all and server.idles:
        return minibatch_time
    if waits_for_all or server.rule == "ringleader":
        return heterogeneous_time
    if not alike or server.fastest or server.rule == "table":
        return None
    return asgd_time if server.rule == "asgd" else homogeneous_time
