"""Calibration: how often the checks of a suite reject what is true, on fresh replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.contrast import contrasted
from hzbench.core.errors import UserMistakeError
from hzbench.core.prediction import Prediction
from hzbench.core.spec import CheckTable, Spec
from hzbench.core.trace import OK
from hzbench.harness.prepare import Case
from hzbench.harness.simulate import simulate
from hzbench.harness.suite import Suite
from hzbench.harness.sweep import Report, cost, prepare_all
from hzbench.harness.workers import Submit, here, one_thread, worker_pool
from hzbench.judge.calibrate import (
    FalseAlarms,
    block_p_values,
    false_alarms,
    resampled_p_values,
    statistics_of,
)
from hzbench.judge.select import Selection
from hzbench.judge.statistics import LEAST_REPLICAS

BLOCK_LEVELS = (0.05, 0.01)
TAIL_LEVELS = (0.05, 0.01, 1e-3, 1e-4)
_FRESH = 1_000_003  # seeds of calibration runs: seed + k times this


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is measured.

    Attributes:
        checks: representative checks.
        blocks: fresh blocks a check.
        block: replicas in one.
        resamples: resampled blocks a check, of the least size that the judge decides on.
    """

    checks: int = 12
    blocks: int = 200
    block: int = 1024
    resamples: int = 100_000


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One check of one case."""

    case: Case
    check: CheckTable
    prediction: Prediction

    @property
    def kind(self) -> tuple[object, ...]:
        """What makes checks alike: theorem, problem, protocol, method and what is tested."""
        spec = self.case.spec
        words = (spec.problem["name"], spec.network.gossip, spec.method["name"])
        return (self.check.theorem, self.check.observables, *words)


def choose(suite: Suite, count: int) -> list[Chosen]:
    """The cheapest check of every kind, cheapest first, then the cheapest others.

    Checks that expect something else than consistent, compare certain values, or are one-sided
    (true bounds are seldom tight, so they say little of the level) are left out.

    Raises:
        UserMistakeError: the suite has none.
    """
    cases = [case for case in prepare_all(suite.specs) if case.spec.versus is None]
    cases.sort(key=lambda case: cost(case.spec))
    found = [
        Chosen(case=case, check=check, prediction=prediction)
        for case in cases
        for check, prediction in zip(case.checks, case.predictions, strict=True)
        if check.expect == "consistent" and prediction.kind in ("exact", "rate")
    ]
    found = [each for each in found if each.prediction.applies and _varies(each)]
    if not found:
        raise UserMistakeError(
            f"got {suite.table.name!r}, none of whose checks tests an exact mean or a rate; "
            "expected some; take another suite"
        )
    kinds: dict[tuple[object, ...], Chosen] = {}
    for each in found:
        kinds.setdefault(each.kind, each)
    first = list(kinds.values())
    rest = [each for each in found if not any(each is known for known in first)]
    return [*first, *rest][:count]


def _varies(chosen: Chosen) -> bool:
    trace = simulate(chosen.case.spec.sized(16), chosen.prediction.recorded)
    if (trace.status != OK).any():
        return False
    return _selection_of(trace, chosen).size > 0


def _selection_of(trace: Any, chosen: Chosen) -> Selection:
    check = chosen.check
    trace = contrasted(trace, chosen.prediction)
    names, steps = check.observables or None, check.steps or None
    return statistics_of(trace, chosen.prediction, names, steps)


def study(suite: Suite, amount: Amount, workers: int, report: Report | None = None) -> Any:
    """Measure the false-alarm rates of representative checks of a suite.

    Arguments:
        suite: whose checks are taken.
        amount: how much is measured.
        workers: processes.
        report: called with (name, fraction done).

    Returns:
        The JSON-able record that calibrate.json holds.
    """
    chosen = choose(suite, amount.checks)
    runs = _by_run(chosen)
    rates = len(chosen) * (len(BLOCK_LEVELS) + len(TAIL_LEVELS))
    tell = report or _silent
    with one_thread(), worker_pool(workers) if workers > 1 else nullcontext() as pool:
        submit: Submit = pool.submit if pool else here
        pools = _pools(runs, amount, submit, workers, tell)
        rows = list(_rows(chosen, pools, amount, rates, submit, tell))
    return {
        "schema": 1,
        "suite": suite.table.name,
        "amount": asdict(amount),
        "resample": LEAST_REPLICAS,
        "rates": rates,
        "kept": all(each["kept"] for row in rows for each in (*row["blocks"], *row["resamples"])),
        "rows": rows,
    }


def _silent(name: str, fraction: float) -> None:
    """Report to no one."""
    del name, fraction


def _by_run(chosen: Sequence[Chosen]) -> list[list[Chosen]]:
    runs: dict[str, list[Chosen]] = {}
    for each in chosen:
        runs.setdefault(each.case.spec.name, []).append(each)
    return list(runs.values())


def _pools(
    runs: Sequence[Sequence[Chosen]],
    amount: Amount,
    submit: Submit,
    workers: int,
    tell: Report,
) -> dict[tuple[str, int], Selection]:
    """Fresh replicas of every chosen check, keyed by (run, position of the check)."""
    parts = max(1, workers)
    shares = [len(part) for part in np.array_split(np.arange(amount.blocks), parts)]
    tasks = [
        [
            submit(_fresh, run, part, share * amount.block)
            for part, share in enumerate(shares)
            if share
        ]
        for run in runs
    ]
    found: dict[tuple[str, int], Selection] = {}
    for index, (run, parts_of) in enumerate(zip(runs, tasks, strict=True)):
        results = [task.result() for task in parts_of]
        for position, chosen in enumerate(run):
            pieces = [result[position] for result in results]
            values = np.concatenate([piece.values for piece in pieces], axis=1)
            key = (chosen.case.spec.name, _position(chosen))
            found[key] = replace(pieces[0], values=values)
        tell(f"fresh replicas of {run[0].case.spec.name}", 0.5 * (index + 1) / len(runs))
    return found


def _position(chosen: Chosen) -> int:
    return next(i for i, check in enumerate(chosen.case.checks) if check is chosen.check)


def _fresh(run: Sequence[Chosen], part: int, replicas: int) -> list[Selection]:
    """The tested statistics of every check of one run, on replicas no one has seen."""
    spec: Spec = run[0].case.spec.sized(replicas)
    table = spec.run.model_copy(update={"seed": spec.run.seed + _FRESH * (part + 1)})
    names = dict.fromkeys(name for chosen in run for name in chosen.prediction.recorded)
    trace = simulate(spec.model_copy(update={"run": table}), tuple(names))
    return [_selection_of(trace, chosen) for chosen in run]


def _rows(
    chosen: Sequence[Chosen],
    pools: dict[tuple[str, int], Selection],
    amount: Amount,
    rates: int,
    submit: Submit,
    tell: Callable[[str, float], None],
) -> Iterator[dict[str, Any]]:
    tasks = [
        submit(_measure, pools[each.case.spec.name, _position(each)], amount, seed)
        for seed, each in enumerate(chosen)
    ]
    for index, (each, task) in enumerate(zip(chosen, tasks, strict=True)):
        selection = pools[each.case.spec.name, _position(each)]
        blocks, resampled = task.result()
        tell(f"resamples of {each.case.spec.name}", 0.5 + 0.5 * (index + 1) / len(chosen))
        yield {
            "run": each.case.spec.name,
            "theorem": each.check.theorem,
            "observables": list(dict.fromkeys(selection.observables)),
            "statistics": selection.size,
            "skewness": round(_skewness(selection), 3),
            "pool": selection.values.shape[1],
            "blocks": [_record(false_alarms(blocks, level, rates)) for level in BLOCK_LEVELS],
            "resamples": [_record(false_alarms(resampled, level, rates)) for level in TAIL_LEVELS],
        }


def _measure(
    selection: Selection, amount: Amount, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    blocks = block_p_values(selection, amount.block)
    return blocks, resampled_p_values(selection, LEAST_REPLICAS, amount.resamples, seed)


def _skewness(selection: Selection) -> float:
    """The largest skewness of a statistic over replicas, in modulus."""
    centred = selection.values - selection.values.mean(axis=1, keepdims=True)
    return float(np.abs((centred**3).mean(1) / (centred**2).mean(1) ** 1.5).max())


def _record(rate: FalseAlarms) -> dict[str, Any]:
    return {**asdict(rate), "rate": rate.rate, "kept": rate.kept}
