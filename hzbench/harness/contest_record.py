"""What results.json holds of the entrants of a contest (docs/formats.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hzbench.core.result import plain
from hzbench.harness.contest import Cell, Contest
from hzbench.harness.contest_entrant import Entrant
from hzbench.judge.target_time import Ratio, time_ratio

SHOWN = 120  # points of a curve in the results


def cell_record(
    contest: Contest, cell: Cell, found: Mapping[str, Entrant], level: float
) -> dict[str, Any]:
    """One cell of results.json.

    Arguments:
        found: the entrants by label.
        level: of every comparison.
    """
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
    replicas = each.values.shape[1]
    found: dict[str, Any] = plain(
        {
            **vars(each.judged),
            "tuned": each.tuned.best.values,
            "tuned_seconds": each.tuned.best.score[0],
            "edges": each.tuned.edges,
            "mesh": each.tuned.mesh,
            "delay": each.delay,
            "common": each.common,
            "runs": len(each.tuned.trials),
            "trials": [
                {"values": t.values, "point": t.point, "seconds": t.score[0], "level": t.score[1]}
                for t in each.tuned.trials
            ],
            "exact": each.exact,
            "replicas": 0 if each.exact else replicas,
            "curve": _curve(each),
        }
    )
    return found


def _curve(each: Entrant) -> dict[str, Any]:
    """Mean and standard error at up to SHOWN times."""
    keep = np.unique(np.linspace(0, len(each.seconds) - 1, SHOWN).round().astype(int))
    replicas = each.values.shape[1]
    error = np.zeros(len(each.seconds))
    with np.errstate(all="ignore"):
        mean = each.values.mean(axis=1)
        if replicas > 1:
            error = each.values.std(axis=1, ddof=1) / replicas**0.5
    return {"seconds": each.seconds[keep], "mean": mean[keep], "standard_error": error[keep]}
