"""Run a contest: tune every method in every cell, judge it on other seeds, compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.result import SCHEMA, plain
from hzbench.core.server import ServerMethod
from hzbench.harness.contest import Cell, ClockTable, Contest, MethodTable, axes_of
from hzbench.harness.contest_curves import curves
from hzbench.harness.contest_question import Curves, Question
from hzbench.harness.results import commit, now
from hzbench.harness.server import schedule_excerpt
from hzbench.harness.setting import clock_of, method_of, work_of
from hzbench.harness.simulate import provenance
from hzbench.harness.store import Store, writable
from hzbench.harness.sweep import Options, Report, one_thread, worker_pool
from hzbench.harness.tuning import Point, Score, Tuned, tune
from hzbench.judge.target_time import (
    STAY,
    Ratio,
    TargetTime,
    target_time,
    time_ratio,
    time_to_target,
)

Array = NDArray[np.float64]
SHOWN = 120  # points of a curve in the results
MARGIN = 1.5  # a judged run goes on until this many times its time, for resampled means


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One method in one cell.

    Attributes:
        tuned: the search.
        judged: time to ε at the tuned parameters, on the seeds for judging.
        seconds, values: the judged curve, [P] and [P, R].
        exact: whether it is an expectation, R = 1.
    """

    tuned: Tuned
    judged: TargetTime
    seconds: Array
    values: Array
    exact: bool


def run_contest(contest: Contest, options: Options, report: Report | None = None) -> dict[str, Any]:
    """Run a contest and return the record that results.json holds (docs/formats.md).

    Arguments:
        contest: what to run.
        options: where and how; the device is always the CPU.
        report: called with (cell, fraction of the whole done).
    """
    began = time.perf_counter()
    writable(options.out / contest.table.name)
    cells = contest.cells
    comparisons = len(cells) * (len(contest.methods) - 1)
    level = contest.table.alpha / max(1, comparisons)
    found = _all_cells(contest, options, report)
    return {
        "schema": SCHEMA,
        "contest": plain(contest.table.model_dump()),
        "methods": [plain(method.model_dump(exclude_none=True)) for method in contest.methods],
        "nodes": plain(list(contest.nodes)),
        "comparisons": comparisons,
        "level": level,
        "cells": [
            cell_record(contest, cell, each, level) for cell, each in zip(cells, found, strict=True)
        ],
        "schedules": _schedules(contest),
        "provenance": {
            **_versions(contest),
            "commit": commit(),
            "created": now(),
            "seconds": round(time.perf_counter() - began, 3),
            "workers": options.workers,
        },
    }


def _schedules(contest: Contest) -> dict[str, Any]:
    """How every method begins under the first clock whose workers are not alike."""
    problem = contest.problems[0]
    found: dict[str, Any] = {}
    clock = next(filter(lambda c: _unequal(contest, c), contest.clocks), contest.clocks[0])
    for method in contest.methods:
        spec = contest.spec(problem, clock, method, seed=contest.table.judging.seed)
        server = method_of(spec)
        assert isinstance(server, ServerMethod)
        excerpt = schedule_excerpt(spec, server)
        found |= {method.label: excerpt} if excerpt else {}
    return {"clock": clock.label, "methods": found}


def _unequal(contest: Contest, clock: ClockTable) -> bool:
    spec = contest.spec(contest.problems[0], clock, contest.reference)
    return len(set(clock_of(spec).facts(work_of(spec), 0).seconds)) > 1


def _versions(contest: Contest) -> dict[str, Any]:
    cell = contest.cells[0]
    spec = contest.spec(cell.problem, cell.clock, contest.reference)
    known = provenance(spec, "cpu")
    return {key: value for key, value in known.items() if key != "seed"}


def _all_cells(
    contest: Contest, options: Options, report: Report | None
) -> list[dict[str, Entrant]]:
    """The entrants of every cell, in order; the cells run in worker processes."""
    cells = contest.cells
    if options.workers <= 1 or len(cells) == 1:
        found = []
        for index, cell in enumerate(cells):
            inner = _inner(report, cell, index, len(cells))
            found.append(run_cell(contest, index, options, inner))
        return found
    done: dict[int, dict[str, Entrant]] = {}
    with one_thread(), worker_pool(options.workers) as pool:
        order = sorted(range(len(cells)), key=lambda i: cells[i].target)
        tasks: dict[Future[Any], int] = {
            pool.submit(run_cell, contest, i, options): i for i in order
        }
        for task in as_completed(tasks):
            index = tasks[task]
            done[index] = task.result()
            if report:
                report(cells[index].name, len(done) / len(cells))
    return [done[index] for index in range(len(cells))]


def _inner(
    report: Report | None, cell: Cell, index: int, count: int
) -> Callable[[str, float], None] | None:
    if report is None:
        return None
    return lambda label, part: report(f"{cell.name} · {label}", (index + part) / count)


def run_cell(
    contest: Contest, index: int, options: Options, report: Report | None = None
) -> dict[str, Entrant]:
    """All methods of one cell, the reference first: the others are given up long after it."""
    cell = contest.cells[index]
    store = None if options.fresh else Store(options.out / "runs")
    reference = contest.reference
    others = [method for method in contest.methods if method.label != reference.label]
    found: dict[str, Entrant] = {}
    horizon, expected = cell.horizon, inf
    for place, method in enumerate((reference, *others)):
        if report:
            report(method.label, place / len(contest.methods))
        given = replace(cell, horizon=horizon)
        found[method.label] = enter(contest, given, method, store, expected)
        expected = found[reference.label].judged.seconds
        horizon = min(cell.horizon, contest.table.patience * expected)
    return {method.label: found[method.label] for method in contest.methods}


def enter(
    contest: Contest, cell: Cell, method: MethodTable, store: Store | None, expected: float = inf
) -> Entrant:
    """Tune one method in one cell, and judge it where it is best.

    Arguments:
        expected: the time to ε of another method, inf if unknown; it decides nothing but how long
            a first try lasts.
    """
    tuned = _final(contest, cell, method, store, expected)
    settings = contest.table.judging
    question = Question(
        target=cell.target,
        horizon=cell.horizon,
        resolution=cell.resolution,
        margin=MARGIN,
        separate=True,
        expected=tuned.best.score[0] if tuned.best.score[0] < inf else cell.horizon,
    )
    found = _measured(
        contest, cell, method, tuned.best.values, settings.seed, settings.replicas, question, store
    )
    values = found.values[:, 0]
    judged = target_time(found.seconds, values, cell.target)
    return Entrant(
        tuned=tuned, judged=judged, seconds=found.seconds, values=values, exact=found.exact
    )


def _final(
    contest: Contest, cell: Cell, method: MethodTable, store: Store | None, expected: float
) -> Tuned:
    """Tune, then run the best few points again with more replicas, where points are measured."""
    tuned, exact = tune_method(contest, cell, method, store, expected)
    arrived = [trial for trial in tuned.trials if trial.score[0] < inf]
    few = sorted(arrived, key=lambda trial: trial.score)[: contest.table.tuning.finalists]
    if exact or len(few) < 2:
        return tuned
    settings = contest.table.tuning
    question = Question(target=cell.target, horizon=cell.horizon, resolution=cell.resolution)
    again = []
    for trial in few:
        found = _measured(
            contest,
            cell,
            method,
            trial.values,
            settings.seed,
            contest.table.judging.replicas,
            question,
            store,
        )
        again.append(replace(trial, score=_scores(found, cell.target)[0]))
    return replace(tuned, best=min(again, key=lambda trial: trial.score))


def tune_method(
    contest: Contest, cell: Cell, method: MethodTable, store: Store | None, expected: float = inf
) -> tuple[Tuned, bool]:
    """Search for the least time to ε with the contest's budget, on the seeds for tuning.

    Where no point gets to ε the level at the end decides.

    Returns:
        What was found, and whether expectations decided.
    """
    axes, settings = axes_of(cell, method), contest.table.tuning
    exact, best, guess = False, inf, expected / 2 if expected < inf else 0.0

    def evaluate(points: Sequence[Point]) -> list[Score]:
        nonlocal best, guess, exact
        question = Question(
            target=cell.target,
            horizon=min(cell.horizon, (1 + STAY) * (1 + cell.resolution) * best),
            resolution=cell.resolution,
            expected=guess,
        )
        scores: dict[Point, Score] = {}
        for rest in dict.fromkeys(point[1:] for point in points):
            batch = [point for point in points if point[1:] == rest]
            values: dict[str, Any] = {}
            values |= {a.key: a.value(e) for a, e in zip(axes[1:], rest, strict=True)}
            values["step_size"] = tuple(axes[0].value(point[0]) for point in batch)
            found = _measured(
                contest, cell, method, values, settings.seed, settings.replicas, question, store
            )
            exact = found.exact
            scores |= zip(batch, _scores(found, cell.target), strict=True)
        best = min(best, *(score[0] for score in scores.values()))
        guess = best if best < inf else cell.horizon
        return [scores[point] for point in points]

    return tune(evaluate, axes, contest.table.budget), exact


def _scores(found: Curves, target: float) -> list[Score]:
    """Time to ε of every step size, and its level in the last tenth of the time.

    Not the lowest level on the way: that may be the start, where |∇f| first grows.
    """
    times = time_to_target(found.seconds, found.means, target)
    late = found.seconds >= found.seconds[-1] / (1 + STAY) * (1 - 1e-9)
    levels = np.nan_to_num(found.means[late], nan=inf, posinf=inf).max(axis=0)
    return [(float(t), float(v)) for t, v in zip(times, levels, strict=True)]


def _measured(
    contest: Contest,
    cell: Cell,
    method: MethodTable,
    values: Mapping[str, Any],
    seed: int,
    replicas: int,
    question: Question,
    store: Store | None,
) -> Curves:
    """Curves at one value of the other parameter and one or several step sizes."""
    steps = values["step_size"]
    rest = {key: int(value) for key, value in values.items() if key != "step_size"}
    spec = contest.spec(cell.problem, cell.clock, method, rest, seed)
    return curves(spec, steps if isinstance(steps, tuple) else (steps,), replicas, question, store)


def cell_record(
    contest: Contest, cell: Cell, found: Mapping[str, Entrant], level: float
) -> dict[str, Any]:
    """One cell of results.json."""
    own = found[contest.reference.label]
    return {
        "problem": cell.problem.label,
        "problem_spec": plain(cell.problem.problem),
        "clock": cell.clock.label,
        "clock_spec": plain(cell.clock.clock),
        "target": cell.target,
        "horizon": cell.horizon,
        "entrants": {label: _entrant(each) for label, each in found.items()},
        "ratios": {
            label: plain(_ratio(own, each, cell.target, level))
            for label, each in found.items()
            if label != contest.reference.label
        },
    }


def _ratio(own: Entrant, other: Entrant, target: float, level: float) -> dict[str, Any]:
    """Reference over other; undecided where one of them has no optimum within its budget."""
    pair = [(each.seconds, each.values) for each in (own, other)]
    found: Ratio = time_ratio(pair[0], pair[1], target, level)
    edges = bool(own.tuned.edges or other.tuned.edges)
    return {**vars(found), "outcome": "error" if edges else found.outcome}


def _entrant(each: Entrant) -> dict[str, Any]:
    keep = np.unique(np.linspace(0, len(each.seconds) - 1, SHOWN).round().astype(int))
    replicas = each.values.shape[1]
    error = np.zeros(len(each.seconds))
    with np.errstate(all="ignore"):
        mean = each.values.mean(axis=1)
        if replicas > 1:
            error = each.values.std(axis=1, ddof=1) / replicas**0.5
    found: dict[str, Any] = plain(
        {
            **vars(each.judged),
            "tuned": each.tuned.best.values,
            "tuned_seconds": each.tuned.best.score[0],
            "edges": each.tuned.edges,
            "widened": each.tuned.widened,
            "runs": len(each.tuned.trials),
            "trials": [
                {"values": t.values, "point": t.point, "seconds": t.score[0], "level": t.score[1]}
                for t in each.tuned.trials
            ],
            "exact": each.exact,
            "replicas": 0 if each.exact else replicas,
            "curve": {
                "seconds": each.seconds[keep],
                "mean": mean[keep],
                "standard_error": error[keep],
            },
        }
    )
    return found
