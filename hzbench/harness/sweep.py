"""Sweep: all cases of a suite, here or in worker processes, in the order of the suite."""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hzbench.core.errors import HzbenchError, SpecError, told_once
from hzbench.core.spec import Spec
from hzbench.harness.compiling import compile_missing
from hzbench.harness.engines import Asked
from hzbench.harness.orderings import ordering_record, reading_record
from hzbench.harness.prepare import Case, prepare, refuse_engine, refuse_sizes
from hzbench.harness.results import run_record, suite_record
from hzbench.harness.run import execute_case
from hzbench.harness.store import Store, writable
from hzbench.harness.suite import Suite
from hzbench.harness.workers import one_thread, say, worker_pool

_ROWS = 20  # what a vector costs on a problem made of data rows, against a closed form
Report = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how to run: nothing of it changes a result.

    Attributes:
        out: folder for the store and results.
        device: torch device.
        workers: processes; 1 runs in this one.
        fresh: ignore what the store holds.
        engine: torch, fused, or auto; results agree to rounding.
    """

    out: Path
    device: str = "cpu"
    workers: int = 1
    fresh: bool = False
    engine: Asked = "auto"


def run_suite(suite: Suite, options: Options, report: Report | None = None) -> dict[str, Any]:
    """Run a suite and return the record that results.json holds.

    Arguments:
        suite: what to run.
        options: where and how.
        report: called with (name, fraction of the whole done) as runs finish.

    Raises:
        SpecError: the mistakes of all its cases, before anything runs or is written.
        UserMistakeError: the folder cannot be written.
    """
    began = time.perf_counter()
    cases = prepare_all(suite.specs)
    refuse_engine(cases, options.engine, options.device)
    refuse_sizes(cases, options.device, options.engine)
    writable(options.out / suite.table.name)
    compiling = compile_missing(cases, options.engine, options.device, report)
    checks = sum(case.statistical for case in cases)
    judged = sum(reading.tolerance is not None for reading in suite.readings)
    tests = max(1, checks + len(suite.orderings) + judged)
    level = suite.table.alpha / tests
    runs = list(execute_all(cases, level, options, report))
    seconds = time.perf_counter() - began
    record = suite_record(suite, runs, tests, seconds, options.workers)
    record["provenance"] |= {
        "compile_seconds": compiling,
        "peak_memory": peak_memory(),
        "peak_device_memory": max((run["device_memory"] for run in runs), default=0),
    }
    return record | _said(suite, runs, level, options)


def peak_memory() -> int:
    """Most bytes that this process, or one of its finished workers, has held at a time."""
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return 1024 * max(resource.getrusage(kind).ru_maxrss for kind in kinds)


def _said(
    suite: Suite, runs: Sequence[Mapping[str, Any]], level: float, options: Options
) -> dict[str, Any]:
    """The orderings and readings of results.json, from the replicas in the store."""
    asked = {name for each in suite.orderings for name in (each.run, *each.than)}
    asked |= {each.run for each in suite.readings}
    store = Store(options.out / "runs")
    found = {run["name"]: store.load(run["digest"]) for run in runs if run["name"] in asked}
    traces = {name: trace for name, trace in found.items() if trace is not None}
    return {
        "orderings": [
            ordering_record(each, traces, level, suite.whole.get(each.run, 0))
            for each in suite.orderings
        ],
        "readings": [
            reading_record(each, traces, level, suite.whole.get(each.run, 0))
            for each in suite.readings
        ],
    }


def prepare_all(specs: Sequence[Spec]) -> list[Case]:
    """Prepare every case, or report the mistakes of all.

    Raises:
        SpecError: every mistake.
    """
    found: list[tuple[str, str]] = []
    cases = []
    for spec in specs:
        try:
            cases.append(prepare(spec))
        except SpecError as error:
            name = spec.name if len(specs) > 1 else ""
            found += [(name, mistake) for mistake in error.mistakes]
    if found:
        raise SpecError(told_once(found))
    return cases


def execute_all(
    cases: Sequence[Case], level: float, options: Options, report: Report | None = None
) -> Iterator[Mapping[str, Any]]:
    """The record of every case, in order."""
    if options.workers <= 1 or len(cases) <= 1:
        shares = _shares(cases)
        for index, case in enumerate(cases):
            done = sum(shares[:index])
            yield _one(case, level, options, _fraction(report, case.spec.name, done, shares[index]))
            if report:
                report(case.spec.name, done + shares[index])
        return
    yield from _in_workers(cases, level, options, report)


def _shares(cases: Sequence[Case]) -> list[float]:
    """What part of all the work every case is, roughly."""
    amounts = [work(case.spec) for case in cases]
    return [amount / sum(amounts) for amount in amounts]


def save_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(record, allow_nan=False, indent=1), encoding="utf-8")
    temporary.replace(path)


def _one(
    case: Case, level: float, options: Options, progress: Callable[[float], None] | None = None
) -> dict[str, Any]:
    store = Store(options.out / "runs")
    result = execute_case(
        case, level, store, options.device, options.fresh, progress, options.engine
    )
    return run_record(result)


def _fraction(
    report: Report | None, name: str, before: float, share: float
) -> Callable[[float], None] | None:
    if report is None:
        return None
    return lambda done: report(name, before + share * done)


def _in_workers(
    cases: Sequence[Case], level: float, options: Options, report: Report | None
) -> Iterator[Mapping[str, Any]]:
    """Run in spawned processes, the longest first, so that none is left alone at the end."""
    shares, longest_first = (
        _shares(cases),
        sorted(range(len(cases)), key=lambda i: -work(cases[i].spec)),
    )
    done: dict[int, Mapping[str, Any]] = {}
    meter = multiprocessing.get_context("spawn").Array("d", len(cases), lock=False)
    with one_thread(), worker_pool(min(options.workers, len(cases)), meter) as pool:
        tasks: dict[Future[Any], int] = {
            pool.submit(_metered, i, cases[i], level, options): i for i in longest_first
        }
        waiting = set(tasks)
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for task in finished:
                    done[tasks[task]] = task.result()
                    meter[tasks[task]] = 1.0
                if report:
                    running = next((i for i in longest_first if 0 < meter[i] < 1), longest_first[0])
                    total = sum(share * part for share, part in zip(shares, meter, strict=True))
                    report(cases[running].spec.name, total)
        except BrokenProcessPool:
            raise HzbenchError(
                "got a worker process that died (out of memory?); expected it to finish; "
                "run again with --workers 1: finished runs are reused from the store"
            ) from None
    yield from (done[index] for index in range(len(cases)))


def work(spec: Spec) -> int:
    """A rough count of the vectors that a run handles, to order runs by."""
    groups = [*spec.nodes, *(spec.versus.nodes if spec.versus else ())]
    each = sum(g.count * (2 + 2 * int(g.estimator.get("samples", 0))) for g in groups)
    acting = 2 / spec.node_count if spec.network.gossip == "pair" else 1
    return int(spec.run.replicas * spec.run.steps * each * acting)


def cost(spec: Spec) -> float:
    """Work a replica, roughly, to compare runs by; rows of data are gathered one by one."""
    rows = "data" in type(spec.component("problem", spec.problem)).model_fields
    return work(spec) / spec.run.replicas * (_ROWS if rows else 1)


def _metered(index: int, case: Case, level: float, options: Options) -> dict[str, Any]:
    """A case in a worker, which says how far it is."""
    return _one(case, level, options, partial(say, index))
