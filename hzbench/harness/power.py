"""Power: how often a check finds a planted bug when the run is repeated with seeds of its own.

The idea: a study on one seed says that a mutant was found, not that it will be. Here one check of
every mutant judges fresh replicas again and again, at the level that it has in its suite. The check
is chosen from the study alone (its seed is never used again), so that the choice does not flatter
the count. With N of N repetitions found the one-sided 95 % Clopper-Pearson limit is .05^(1/N): .95
for N = 59. Where values do not vary between replicas, a found mutant is found by every seed, and
one repetition says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from scipy import stats

from hzbench.core.trace import Trace
from hzbench.harness.mutation import Planted, mutated
from hzbench.harness.prepare import Case
from hzbench.harness.run import verdict_of
from hzbench.harness.simulate import simulate
from hzbench.harness.sweep import Report, cost
from hzbench.harness.workers import Submit, here, one_thread, worker_pool
from hzbench.judge.statistics import clopper_pearson

REPLICAS = (1600, 4096)
REPETITIONS = 59
CONFIDENCE = 0.95  # one-sided
CLAIMED = 0.95
_MARGIN = 3.5  # standard errors beyond the level: a check that strong is found by every seed
_EXTRA = 500.0  # largest cost of a statistical check beside a certain one
_CHUNK = 4
_FRESH = 7_368_787  # seeds of repetitions: seed + k times this


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One check that found one mutant.

    Attributes:
        mutant: its name.
        case: the run with the mutant, and this check alone.
        certain: whether values were compared that do not vary.
        margin: standard errors by which the study's p-value, carried over to the fewest replicas,
            lies beyond the level (of a normal test: a guide to choose by).
        cost: work of a repetition, roughly.
    """

    mutant: str
    case: Case
    certain: bool
    margin: float
    cost: float


def candidates(
    planted: Sequence[Planted], rows: Sequence[Mapping[str, Any]], level: float
) -> list[Candidate]:
    """Every check that found its mutant in a study (`rows` as `mutation.study` returns them)."""
    return [
        _candidate(each, index, check, level)
        for each, row in zip(planted, rows, strict=True)
        for index, check in enumerate(row["checks"])
        if check["without"] == "consistent" and check["with"] == "violated"
    ]


def chosen(found: Sequence[Candidate]) -> list[Candidate]:
    """For every mutant the cheapest certain check, and the cheapest statistical one.

    A statistical check counts as cheap only if its margin leaves no doubt; without such a one the
    strongest is taken. Beside a certain check a dear one would only take time.
    """
    kept = []
    for name in sorted({each.mutant for each in found}):
        mine = [each for each in found if each.mutant == name]
        certain = sorted((each for each in mine if each.certain), key=lambda each: each.cost)[:1]
        most = _EXTRA if certain else math.inf
        chance = [each for each in mine if not each.certain and each.cost <= most]
        kept += certain
        strong = [each for each in chance if each.margin >= _MARGIN]
        if strong:
            kept.append(min(strong, key=lambda each: each.cost))
        elif chance:
            kept.append(max(chance, key=lambda each: each.margin))
    return kept


def measure(
    found: Sequence[Candidate],
    level: float,
    repetitions: int,
    workers: int,
    report: Report | None = None,
) -> dict[str, Any]:
    """Repeat the chosen checks and count.

    Arguments:
        found: what `candidates` returns.
        level: of every check.
        repetitions: seeds a statistical check; a certain one gets one.
        workers: processes.
        report: called with (name, fraction done).

    Returns:
        The JSON-able table "power" of mutants.json.
    """
    picked = chosen(found)
    with one_thread(), worker_pool(workers) if workers > 1 else nullcontext() as pool:
        submit: Submit = pool.submit if pool else here
        tasks = [_submit(each, level, repetitions, submit) for each in picked]
        rows = list(_rows(picked, tasks, report))
    return {
        "repetitions": repetitions,
        "replicas": list(REPLICAS),
        "confidence": CONFIDENCE,
        "claimed": CLAIMED,
        "rows": rows,
        "enough": {
            name: any(row["enough"] for row in rows if row["mutant"] == name)
            for name in sorted({row["mutant"] for row in rows})
        },
    }


def _candidate(planted: Planted, index: int, check: Mapping[str, Any], level: float) -> Candidate:
    only = replace(planted, checks=planted.checks[index : index + 1])
    case = mutated(only)
    certain = check["method"] == "deterministic"
    return Candidate(
        mutant=planted.mutant,
        case=case,
        certain=certain,
        margin=math.inf if certain else _margin(check["p_value"], level, case),
        cost=cost(case.spec),
    )


def _margin(p_value: float | None, level: float, case: Case) -> float:
    if p_value is None:
        return -math.inf
    seen = float(stats.norm.isf(max(p_value, 1e-300) / 2))
    shrink = math.sqrt(min(REPLICAS) / case.spec.run.replicas)
    return seen * shrink - float(stats.norm.isf(level / 2))


def _submit(
    each: Candidate, level: float, repetitions: int, submit: Submit
) -> list[Future[list[tuple[bool, ...]]]]:
    base = each.case.spec.run.seed
    seeds = [base + _FRESH * (k + 1) for k in range(1 if each.certain else repetitions)]
    chunks = [seeds[k : k + _CHUNK] for k in range(0, len(seeds), _CHUNK)]
    return [submit(_repeat, each.case, chunk, level) for chunk in chunks]


def _repeat(case: Case, seeds: Sequence[int], level: float) -> list[tuple[bool, ...]]:
    """Whether the check is violated, one row a seed, one entry a number of replicas.

    The fewer replicas are the first of the more, which halves the work: repetitions stay
    independent of each other, the two counts of one repetition do not.
    """
    found = []
    for seed in seeds:
        spec = case.spec.sized(max(REPLICAS))
        run = spec.run.model_copy(update={"seed": seed})
        trace = simulate(spec.model_copy(update={"run": run}), case.observables)
        found.append(tuple(_violated(case, first(trace, count), level) for count in REPLICAS))
    return found


def _violated(case: Case, trace: Trace, level: float) -> bool:
    verdict = verdict_of(trace, case.checks[0], case.predictions[0], level)
    return verdict.outcome == "violated"


def first(trace: Trace, replicas: int) -> Trace:
    """The first replicas of a trace."""
    columns = {name: values[:, :replicas] for name, values in trace.columns.items()}
    return replace(trace, columns=columns, status=trace.status[:replicas])


def _rows(
    picked: Sequence[Candidate],
    tasks: Sequence[Sequence[Future[list[tuple[bool, ...]]]]],
    report: Report | None,
) -> Iterator[dict[str, Any]]:
    for index, (each, parts) in enumerate(zip(picked, tasks, strict=True)):
        seen = [outcome for part in parts for outcome in part.result()]
        if report:
            report(f"power of {each.mutant}", (index + 1) / len(picked))
        yield _row(each, seen)


def _row(each: Candidate, seen: Sequence[tuple[bool, ...]]) -> dict[str, Any]:
    rates = [
        _rate(count, sum(outcome[k] for outcome in seen), len(seen), each.certain)
        for k, count in enumerate(REPLICAS)
    ]
    return {
        "mutant": each.mutant,
        "run": each.case.spec.name,
        "theorem": each.case.checks[0].theorem,
        "deterministic": each.certain,
        "rates": rates,
        "enough": all(rate["low"] >= CLAIMED for rate in rates),
    }


def _rate(replicas: int, found: int, trials: int, certain: bool) -> dict[str, Any]:
    low = clopper_pearson(found, trials, 2 * CONFIDENCE - 1)[0]
    if certain:  # no draw decides
        low = float(found == trials)
    return {"replicas": replicas, "found": found, "trials": trials, "low": low}
