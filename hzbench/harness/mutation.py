"""Mutation: does every planted bug turn a check that was consistent into a violated one?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hzbench.core import registry
from hzbench.core.errors import UserMistakeError
from hzbench.core.spec import CheckTable, Spec
from hzbench.harness.prepare import Case, prepare, refuse_sizes
from hzbench.harness.results import commit, now
from hzbench.harness.store import writable
from hzbench.harness.suite import Suite
from hzbench.harness.sweep import Options, Report, execute_all, prepare_all


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One mutant in one run, judged by the checks that name it."""

    mutant: str
    spec: Spec
    checks: tuple[CheckTable, ...]


def plant(suite: Suite) -> list[Planted]:
    """Every mutant that a check of the suite names, with the run and the checks naming it.

    Raises:
        UserMistakeError: no check names a mutant.
    """
    planted = []
    for spec in suite.specs:
        named = {mutant for check in spec.checks for mutant in check.mutants}
        for mutant in sorted(named):
            checks = tuple(c for c in spec.checks if mutant in c.mutants)
            planted.append(Planted(mutant=mutant, spec=spec, checks=checks))
    if not planted:
        raise UserMistakeError(
            f"got {suite.table.name!r}, whose checks name no mutant; expected some; "
            'add mutants = ["step_size_plus_5"] to a check'
        )
    return planted


def study(suite: Suite, options: Options, report: Report | None = None) -> dict[str, Any]:
    """Run every planted mutant beside its baseline and say which are found.

    A mutant is found when some check that names it is consistent without it and violated with it,
    at the level that the suite gives every check.

    Returns:
        The JSON-able record that mutants.json holds (docs/formats.md), without "power".
    """
    began = time.perf_counter()
    cases = prepare_all(suite.specs)
    refuse_sizes(cases, options.device)
    checks = sum(case.statistical for case in cases)
    level = suite.table.alpha / max(1, checks)
    planted = plant(suite)
    needed = {p.spec.name: _case(p.spec, _named(p.spec), None) for p in planted}
    wrong = [mutated(p) for p in planted]
    writable(options.out / suite.table.name)
    records = list(execute_all([*needed.values(), *wrong], level, options, report))
    baselines = dict(zip(needed, records, strict=False))
    rows = [
        _row(each, baselines[each.spec.name], record)
        for each, record in zip(planted, records[len(needed) :], strict=True)
    ]
    names = sorted({row["mutant"] for row in rows})
    found = {name: any(r["found"] for r in rows if r["mutant"] == name) for name in names}
    return {
        "schema": 1,
        "suite": suite.table.name,
        "level": level,
        "commit": commit(),
        "created": now(),
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
        "found": found,
        "blind_spots": dict(suite.table.blind_spots),
        "unplanted": unplanted(suite),
    }


def unplanted(suite: Suite) -> list[str]:
    """Registered mutants that no check of the suite names and that are no declared blind spot."""
    named = {mutant for spec in suite.specs for check in spec.checks for mutant in check.mutants}
    known = named.union(suite.table.blind_spots)
    return sorted(name for name in registry.entries("mutant") if name not in known)


def mutated(planted: Planted) -> Case:
    """The run with its mutant and the checks that name it."""
    return _case(planted.spec, planted.checks, planted.mutant)


def _named(spec: Spec) -> tuple[CheckTable, ...]:
    return tuple(check for check in spec.checks if check.mutants)


def _case(spec: Spec, checks: Sequence[CheckTable], mutant: str | None) -> Case:
    return prepare(spec.model_copy(update={"checks": tuple(checks), "mutant": mutant}))


def _row(
    planted: Planted, baseline: Mapping[str, Any], mutated: Mapping[str, Any]
) -> dict[str, Any]:
    before = [
        verdict
        for check, verdict in zip(_named(planted.spec), baseline["verdicts"], strict=True)
        if planted.mutant in check.mutants
    ]
    pairs = list(zip(before, mutated["verdicts"], strict=True))
    found = [b for a, b in pairs if a["outcome"] == "consistent" and b["outcome"] == "violated"]
    return {
        "mutant": planted.mutant,
        "run": planted.spec.name,
        "found": bool(found),
        "statistical": any(verdict["method"] != "deterministic" for verdict in found),
        "checks": [
            {
                "theorem": b["theorem"],
                "without": a["outcome"],
                "with": b["outcome"],
                "method": b["method"],
                "p_value": b["p_value"],
                "reason": b["reason"],
            }
            for a, b in pairs
        ],
    }
