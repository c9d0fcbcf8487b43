"""Orderings and readings of an experiment: what a paper says of its runs, beside what ours do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hzbench.core.observable import OBSERVABLES
from hzbench.core.result import plain
from hzbench.core.spec import Spec, Table
from hzbench.core.trace import Trace
from hzbench.judge.ordering import judge_ordering
from hzbench.judge.reading import judge_reading, mean_of


class OrderingTable(Table):
    """One [[ordering]]: `run` is below (above) every run of `than` after `at` of the steps.

    With `predict` the crossing is predicted too, from noise measured along noise-free descent: by
    full gradients (true), or by that many data samples a node. With `thesis` it is what the paper
    says at large and not of this figure.
    """

    text: str
    source: str = ""
    run: str
    relation: Literal["below", "above"] = "below"
    than: tuple[str, ...] = Field(min_length=1)
    observable: str
    at: float = Field(1.0, gt=0, le=1)
    predict: bool | Annotated[int, Field(gt=0)] = False
    thesis: bool = False


class ReadingTable(Table):
    """One [[reading]]: a number read off the paper.

    With a tolerance, in units of the number, there is a verdict: is the mean that close to it?
    """

    run: str
    observable: str
    value: float
    tolerance: float | None = Field(None, gt=0)
    at: float = Field(1.0, ge=0, le=1)
    source: str = ""


def mistakes(
    orderings: Sequence[OrderingTable], readings: Sequence[ReadingTable], specs: Sequence[Spec]
) -> list[str]:
    """Runs that do not exist or cannot be compared, observables that nobody records."""
    known = {spec.name: spec for spec in specs}
    found = []
    for index, each in enumerate(orderings):
        found += _unknown(f"ordering.{index}", (each.run, *each.than), each.observable, known)
        runs = [known[name] for name in (each.run, *each.than) if name in known]
        shared = {(spec.run.seed, spec.run.replicas, spec.record_steps) for spec in runs}
        if len(shared) > 1:
            found.append(
                f"ordering.{index}: got runs that differ in seed, replicas or record points; "
                "expected equal ones, since replicas are compared in pairs; give them one [run]"
            )
    for index, reading in enumerate(readings):
        found += _unknown(f"reading.{index}", (reading.run,), reading.observable, known)
    return found


def _unknown(
    place: str, names: Sequence[str], observable: str, known: Mapping[str, Spec]
) -> list[str]:
    found = [
        f"{place}: got the run {name!r}; expected one of {', '.join(known)}; correct it"
        for name in names
        if name not in known
    ]
    if observable not in OBSERVABLES or OBSERVABLES[observable].size != "scalar":
        found.append(
            f"{place}.observable: got {observable!r}; expected a scalar observable (hzbench list "
            "observable); correct it"
        )
    missing = [
        name for name in names if name in known and observable not in known[name].run.observables
    ]
    if not found and missing:
        found.append(
            f"{place}.observable: got {observable!r}, which {', '.join(missing)} need not record; "
            "expected it in run.observables; add it there"
        )
    return found


def ordering_record(
    table: OrderingTable,
    traces: Mapping[str, Trace],
    level: float,
    whole: int = 0,
) -> dict[str, Any]:
    """One judged ordering of results.json; `whole`: the run's steps before it was shortened.

    At step 0 all runs are the same, so that it is judged later, if there is a later record point.
    """
    own = traces[table.run]
    row = _row(own, table.at, least=1)
    sign = 1 if table.relation == "below" else -1
    others = {name: traces[name].columns[table.observable] for name in table.than}
    judged = judge_ordering(
        own.columns[table.observable], others, row, own.steps.astype(float), sign, level
    )
    step = int(own.steps[row])
    record = {**table.model_dump(), "step": step, "level": level, **plain(judged)}
    found: dict[str, Any] = plain(record | _shortened(record, own, whole))
    return found


def reading_record(
    table: ReadingTable,
    traces: Mapping[str, Trace],
    level: float,
    whole: int = 0,
) -> dict[str, Any]:
    """One printed number beside the measured one, judged where it has a tolerance."""
    trace = traces[table.run]
    row = _row(trace, table.at)
    values = trace.columns[table.observable][row]
    record = {**table.model_dump(), "step": int(trace.steps[row]), **plain(mean_of(values))}
    if table.tolerance is not None:
        judged = judge_reading(values, table.value, table.tolerance, level)
        record |= {"level": level, **plain(judged)}
    found: dict[str, Any] = plain(record | _shortened(record, trace, whole))
    return found


def _shortened(record: Mapping[str, Any], trace: Trace, whole: int) -> dict[str, Any]:
    """What a run that ends before the paper's leaves of a verdict: it decides no claim of it."""
    last = int(trace.steps[-1])
    if last >= whole:
        return {"shortened": None}
    cut = {"last": last, "whole": whole, "outcome": record.get("outcome")}
    if "outcome" not in record:
        return {"shortened": cut}
    seen = f"; at step {record['step']} {record['reason']}" if record.get("reason") else ""
    reason = f"the run ends at step {last} of {whole}{seen}"
    return {"shortened": cut, "outcome": "inconclusive", "reason": reason}


def _row(trace: Trace, at: float, least: int = 0) -> int:
    """The record point nearest to that fraction of the run, the later one of two.

    None before step `least`, unless the run ends before it.
    """
    distance = np.abs(trace.steps - at * trace.steps[-1])
    distance[trace.steps < min(least, trace.steps[-1])] = np.inf
    return int(np.flatnonzero(distance == distance.min())[-1])
