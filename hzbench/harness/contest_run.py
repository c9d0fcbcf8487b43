"""Run a contest: tune every method in every cell, judge it on other seeds, compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, as_completed
from dataclasses import replace
from typing import Any

from hzbench.core.result import SCHEMA, plain
from hzbench.core.server import ServerMethod
from hzbench.harness.contest import Cell, ClockTable, Contest
from hzbench.harness.contest_entrant import Entrant, Leader
from hzbench.harness.contest_record import cell_record
from hzbench.harness.contest_store import entered
from hzbench.harness.results import commit, now
from hzbench.harness.server import schedule_excerpt
from hzbench.harness.setting import clock_of, method_of, work_of
from hzbench.harness.simulate import provenance
from hzbench.harness.store import Store, writable
from hzbench.harness.sweep import Options, Report
from hzbench.harness.workers import one_thread, worker_pool


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
    found = _all_cells(contest, options, level, report)
    return {
        "schema": SCHEMA,
        "contest": plain(contest.table.model_dump()),
        "methods": [plain(method.model_dump(exclude_none=True)) for method in contest.methods],
        "nodes": plain(list(contest.nodes)),
        "comparisons": comparisons,
        "level": level,
        "cells": found,
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
    contest: Contest, options: Options, level: float, report: Report | None
) -> list[dict[str, Any]]:
    """The records of all cells, in order; the cells run in worker processes."""
    cells = contest.cells
    if options.workers <= 1 or len(cells) == 1:
        found = []
        for index, cell in enumerate(cells):
            inner = _inner(report, cell, index, len(cells))
            found.append(run_cell(contest, index, options, level, inner))
        return found
    done: dict[int, dict[str, Any]] = {}
    with one_thread(), worker_pool(min(options.workers, len(cells))) as pool:
        order = sorted(range(len(cells)), key=lambda i: (cells[i].target, -i))
        tasks: dict[Future[Any], int] = {
            pool.submit(run_cell, contest, i, options, level): i for i in order
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
    contest: Contest, index: int, options: Options, level: float, report: Report | None = None
) -> dict[str, Any]:
    """The record of one cell: the reference first, since the others are given up long after it."""
    cell = contest.cells[index]
    store = None if options.fresh else Store(options.out / "runs")
    reference = contest.reference
    others = [method for method in contest.methods if method.label != reference.label]
    found: dict[str, Entrant] = {}
    given, leader = cell, Leader()
    for place, method in enumerate((reference, *others)):
        if report:
            report(method.label, place / len(contest.methods))
        found[method.label] = entered(contest, given, method, store, leader)
        leader = found[reference.label].leader
        last = min(cell.horizon, contest.table.patience * leader.seconds)
        given = replace(cell, horizon=last)
    ordered = {method.label: found[method.label] for method in contest.methods}
    return cell_record(contest, cell, ordered, level)
