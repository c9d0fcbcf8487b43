"""Scale: the same experiment in less time: fewer steps and fewer seeds, all else as it is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hzbench.core.errors import UserMistakeError
from hzbench.core.spec import Spec
from hzbench.harness.suite import Suite
from hzbench.judge.statistics import LEAST_REPLICAS

SEEDS_AT_LEAST = 3  # below that Student's t says nothing of use


def scaled(suite: Suite, factor: float) -> Suite:
    """The suite with its steps, warm-up, silent rounds and record points times `factor`.

    Where it holds orderings, replicas are seeds of an experiment and shrink too, to no fewer than
    `SEEDS_AT_LEAST`; elsewhere, and from the number on at which theory is judged, they decide what
    a check can see, and stay. Populations, batches, step sizes and random vectors stay always.
    The name tells the factor, so that nothing of the whole experiment is overwritten; the title
    tells what was shortened.

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
    seeds = factor if suite.orderings else 1.0
    specs = tuple(_shorter(spec, factor, seeds) for spec in suite.specs)
    told = f"scale {factor:g} ({_told(suite.specs, specs)})"
    named = table.model_copy(
        update={
            "name": f"{table.name}-scale-{factor:g}",
            "title": f"{table.title or table.name}, {told}",
            "changes": (*table.changes, told),
        }
    )
    return replace(suite, table=named, specs=specs, whole=suite.steps())


def _told(before: tuple[Spec, ...], after: tuple[Spec, ...]) -> str:
    """What the runs have left of what they had, such as "100 of 1000 steps, 3 of 17 seeds"."""
    pairs = [(old.run, new.run) for old, new in zip(before, after, strict=True)]
    kinds = {
        "steps": {(new.steps, old.steps) for old, new in pairs},
        "seeds": {(new.replicas, old.replicas) for old, new in pairs},
    }
    return ", ".join(
        " or ".join(f"{new} of {old}" for new, old in sorted(found)) + f" {what}"
        for what, found in kinds.items()
        if any(new != old for new, old in found)
    )


def _shorter(spec: Spec, factor: float, seeds: float) -> Spec:
    tables = copy.deepcopy(spec.model_dump(mode="json"))
    run = tables["run"]
    if run["replicas"] < LEAST_REPLICAS:
        fewer = max(SEEDS_AT_LEAST, round(seeds * run["replicas"]))
        run["replicas"] = min(run["replicas"], fewer)
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
    """Record points, in order and without repetition; none but the start becomes the start."""
    return sorted({min(last, max(round(factor * step), min(step, 1))) for step in steps})
