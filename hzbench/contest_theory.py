"""What theory says of a contest: biases that no step size cures, slopes against log 1/ε.

The harness knows no theory; this adds its numbers to a finished record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isnan
from typing import Any

import numpy as np
from scipy.optimize import brentq

from hzbench.core.clock import ClockFacts
from hzbench.core.problem import Problem
from hzbench.core.server_facts import ServerFacts
from hzbench.core.setting import Setting
from hzbench.core.spec import Spec
from hzbench.core.structure import Quadratic
from hzbench.harness.build import build_problem
from hzbench.harness.contest import Cell, Contest, MethodTable
from hzbench.harness.setting import setting_of
from hzbench.theory.arrivals import history
from hzbench.theory.paces import computing_seconds
from hzbench.theory.server_bias import server_bias
from hzbench.theory.time_complexity import (
    asgd_time,
    heterogeneous_time,
    homogeneous_time,
    minibatch_time,
    tridiagonal_slope,
)

Laws = Callable[[list[float], float], float]
Problems = Mapping[str, Problem]


def add_predictions(record: dict[str, Any], contest: Contest) -> None:
    """Give every entrant `predicted_floor`, and every pair of targets its slopes.

    A slope is that of log T against log 1/ε between the largest and the least target of a problem
    and clock. It is predicted on Nesterov's tridiagonal quadratic under a fixed clock.
    """
    problems = {
        problem.label: build_problem(contest.spec(problem, contest.clocks[0], contest.reference))
        for problem in contest.problems
    }
    for cell, row in zip(contest.cells, record["cells"], strict=True):
        for method in contest.methods:
            entrant = row["entrants"][method.label]
            spec = _tuned(contest, cell, method, entrant["tuned"])
            floor = predicted_floor(setting_of(spec, problems[cell.problem.label]))
            entrant["predicted_floor"] = floor
    record["slopes"] = [
        _slope(contest, pair, record, method, problems)
        for pair in _pairs(contest)
        for method in contest.methods
    ]


def _tuned(contest: Contest, cell: Cell, method: MethodTable, values: Mapping[str, float]) -> Spec:
    rest = {key: int(value) for key, value in values.items() if key != "step_size"}
    return contest.spec(cell.problem, cell.clock, method, rest, contest.table.judging.seed)


def predicted_floor(setting: Setting) -> float | None:
    """The E|∇f|² where a method settles as step sizes go to 0; None: unknown."""
    structure = setting.problem.structure
    if setting.server is None:
        return None
    if isinstance(structure, Quadratic) and not (_favours(setting.server) and _differ(structure)):
        return 0.0
    value, _ = server_bias(setting)
    return None if isnan(value) else value


def _favours(server: ServerFacts) -> bool:
    """Whether fast workers may weigh more; the other rules give everyone 1/n in every update."""
    sums = server.rule == "collect" and server.collection == "sum"
    return sums or server.rule in ("asgd", "ringmaster")


def _differ(structure: Quadratic) -> bool:
    """Whether workers have different objectives."""
    return any(np.ptp(each, axis=0).any() for each in (structure.hessians, structure.linear))


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
    contest: Contest,
    pair: tuple[Cell, Cell],
    record: Mapping[str, Any],
    method: MethodTable,
    problems: Problems,
) -> dict[str, Any]:
    """One row of `slopes` (docs/formats.md)."""
    large, small = pair
    found = [_entrant(record, cell, method.label) for cell in pair]
    known = [each["seconds"] for each in found if each["seconds"] and not each["edges"]]
    ratio = np.log(large.target / small.target)
    setting = setting_of(
        _tuned(contest, small, method, found[1]["tuned"]), problems[small.problem.label]
    )
    both = len(known) == 2
    return {
        "problem": large.problem.label,
        "clock": large.clock.label,
        "method": method.label,
        "targets": [large.target, small.target],
        "measured": float(np.log(known[1] / known[0]) / ratio) if both else None,
        "predicted": predicted_slope(setting, large, small),
        "noise_free": noise_free_slope(setting, large.target, small.target),
        "progress": _progress(setting, found[1]) if both else None,
    }


def _entrant(record: Mapping[str, Any], cell: Cell, label: str) -> Mapping[str, Any]:
    here = (cell.problem.label, cell.clock.label, cell.target)
    row = next(r for r in record["cells"] if (r["problem"], r["clock"], r["target"]) == here)
    found: Mapping[str, Any] = row["entrants"][label]
    return found


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
    seconds = [float(each) for each in computing_seconds(clock)]
    batch = getattr(setting.laws[0], "batch_size", 1)
    noise = float(np.trace(structure.noise[0])) / batch
    return tridiagonal_slope(lambda r: law(seconds, r), noise, large.target, small.target)


def noise_free_slope(setting: Setting, larger: float, smaller: float) -> float | None:
    """What is left of the exponent 2/3 in the dimension at hand.

    Formula: slope of log s(ε) against log 1/ε, s(ε) the time at which gradient flow has
    |∇f|² = Σ_j g_j² e^{−2 λ_j s} = ε; 2/3 in infinite dimension, ever less once s λ_min counts.
    Source: own derivation.
    """
    structure = setting.problem.structure
    if not isinstance(structure, Quadratic):
        return None
    values, basis = np.linalg.eigh(structure.hessians.mean(axis=0))
    start = structure.hessians.mean(axis=0) @ (setting.problem.initial[0] - setting.problem.optimum)
    squares = (basis.T @ start) ** 2
    if squares.sum() <= larger or values[0] <= 0:
        return None
    longest = np.log(squares.sum() / smaller) / (2 * values[0])
    times = [
        brentq(lambda s, e=e: float(squares @ np.exp(-2 * values * s)) - e, 0.0, longest)
        for e in (larger, smaller)
    ]
    return float(np.log(times[1] / times[0]) / np.log(larger / smaller))


def _progress(setting: Setting, entrant: Mapping[str, Any]) -> float | None:
    """γ K λ_min by the time to ε: 2/3 holds while it is far below 1; None: no quadratic."""
    structure = setting.problem.structure
    if not isinstance(structure, Quadratic) or setting.clock is None or setting.server is None:
        return None
    weights = _weights(setting.server, setting.clock, float(entrant["seconds"]))
    least = float(np.linalg.eigvalsh(structure.hessians.mean(axis=0))[0])
    return float(entrant["tuned"]["step_size"]) * weights * least


@lru_cache(maxsize=64)
def _weights(server: ServerFacts, clock: ClockFacts, seconds: float) -> float:
    """Number of updates until a time, in multiples of the full step."""
    updates = 64
    while (found := history(clock, server, updates)).times[-1] <= seconds:
        updates *= 2
    done = int(np.searchsorted(found.times, seconds, side="right"))
    if server.rule != "asgd":
        return float(done)
    return float(found.weights[: int(found.offsets[done])].sum())


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
