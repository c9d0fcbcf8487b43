"""Finished entrants of contests in the store: curves, exact ones too, with the search beside them.

What an entrant is depends on its own tables and on the source that makes it, on no other entrant
but for the seconds after which it is given up. So a contest that is cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from hzbench.core import registry
from hzbench.core.trace import OK, Trace
from hzbench.harness.contest import Cell, Contest, MethodTable
from hzbench.harness.contest_entrant import Entrant, Leader, enter
from hzbench.harness.contest_exact import THEOREM
from hzbench.harness.store import Store, run_digest, source_closure, source_hash
from hzbench.harness.tuning import Trial, Tuned
from hzbench.judge.target_time import TargetTime


def entered(
    contest: Contest, cell: Cell, method: MethodTable, store: Store | None, leader: Leader
) -> Entrant:
    """`enter`, or what was entered before."""
    if store is None:
        return enter(contest, cell, method, leader)
    digest = _digest(contest, cell, method, leader)
    known = store.load(digest)
    if known is None:
        known = _trace(enter(contest, cell, method, leader))
        store.save(digest, known)
    return _entrant(known)


def _digest(contest: Contest, cell: Cell, method: MethodTable, leader: Leader) -> str:
    """Of all that an entrant depends on."""
    theory = registry.entries("theorem").get(THEOREM)
    modules = {__name__} | ({theory.target.__module__} if theory else set())
    table = contest.table
    spec = contest.spec(cell.problem, cell.clock, method)
    words = {
        "run": run_digest(spec, ("gradient_norm",), "cpu"),
        "tuned": method.tuned.model_dump() if method.tuned else None,
        "budget": table.budget,
        "tuning": table.tuning.model_dump(),
        "judging": table.judging.model_dump(),
        "step_sizes": cell.step_sizes.model_dump(),
        "cell": [cell.target, cell.horizon, cell.resolution],
        "leader": asdict(leader),
        "source": [source_hash(name) for name in sorted(source_closure(modules))],
    }
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:20]


def _trace(found: Entrant) -> Trace:
    """A curve a replica, and all else in words."""
    words = {"judged": asdict(found.judged), "exact": found.exact, "delay": found.delay}
    words |= {"common": found.common}
    return Trace(
        steps=np.arange(len(found.seconds)),
        columns={"gradient_norm": found.values},
        status=np.full(found.values.shape[1], OK, dtype=np.int8),
        provenance={"seconds": found.seconds.tolist(), "tuned": asdict(found.tuned), **words},
    )


def _entrant(known: Trace) -> Entrant:
    words = known.provenance
    tuned = words["tuned"]
    return Entrant(
        tuned=Tuned(
            best=_trial(tuned["best"]),
            trials=tuple(map(_trial, tuned["trials"])),
            edges=tuple((key, side) for key, side in tuned["edges"]),
            mesh=tuned["mesh"],
        ),
        judged=TargetTime(**words["judged"]),
        seconds=np.array(words["seconds"]),
        values=known.columns["gradient_norm"],
        exact=words["exact"],
        delay=words["delay"],
        common=words["common"],
    )


def _trial(words: Mapping[str, Any]) -> Trial:
    return Trial(point=tuple(words["point"]), values=words["values"], score=tuple(words["score"]))
