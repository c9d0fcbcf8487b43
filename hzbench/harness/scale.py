"""Scale: the same experiment in less time: fewer steps, everything else as it is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hzbench.core.errors import UserMistakeError
from hzbench.core.spec import Spec
from hzbench.harness.suite import Suite


def scaled(suite: Suite, factor: float) -> Suite:
    """The suite with its steps, warm-up, silent rounds and record points times `factor`.

    Populations, batches, step sizes, random vectors and replicas stay. The name tells the factor,
    so that nothing of the whole experiment is overwritten.

    Raises:
        UserMistakeError: a factor outside (0, 1].
    """
    if not 0 < factor <= 1:
        raise UserMistakeError(
            f"got scale {factor:g}; expected more than 0 and at most 1; take 1 for the whole"
        )
    if factor == 1:
        return suite
    table = suite.table
    named = table.model_copy(
        update={
            "name": f"{table.name}-scale-{factor:g}",
            "title": f"{table.title or table.name}, scale {factor:g}",
        }
    )
    return replace(suite, table=named, specs=tuple(_shorter(spec, factor) for spec in suite.specs))


def _shorter(spec: Spec, factor: float) -> Spec:
    tables = copy.deepcopy(spec.model_dump(mode="json"))
    run = tables["run"]
    run["steps"] = max(1, round(factor * run["steps"]))
    if isinstance(run["record"], list):
        run["record"] = _points(run["record"], factor, run["steps"])
    for check in tables["checks"]:
        check["steps"] = _points(check["steps"], factor, run["steps"])
    tables["network"]["silent_rounds"] = round(factor * spec.network.silent_rounds)
    schedule: Any = tables["method"].get("schedule")
    if isinstance(schedule, dict) and "warmup" in schedule:
        schedule["warmup"] = min(round(factor * schedule["warmup"]), run["steps"] - 1)
    return Spec.parse(tables)


def _points(steps: list[int], factor: float, last: int) -> list[int]:
    """Record points, in order and without repetition."""
    return sorted({min(last, round(factor * step)) for step in steps})
