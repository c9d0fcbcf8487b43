"""A first leaderboard: methods and populations ranked on the real problems.

A group is one problem with its parameters, run for the same number of rounds (or ticks of pairs):
equal parallel time. The reference population of a paired comparison takes part; who has no rival is
left out. Runs are ranked by the mean objective gap at the end. A run whose 95 % interval overlaps
that of the best run of its rank shares the rank: a difference that these replicas cannot resolve is
a tie, not a place.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hzbench.core.interval import interval_errors
from hzbench.reports.curves import array
from hzbench.reports.formats import finite, words

Run = Mapping[str, Any]

# The reference problem of the theory has a section of its own: everything else is a real problem.
THEORY_PROBLEM = "quadratic"
CALLS = {
    "gradient_calls": "gradients",
    "function_calls": "function values",
    "derivative_calls": "directional derivatives",
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One run in its group.

    Attributes:
        rank: 1 is best; shared by ties; None when the run has no finite gap.
        tied: whether the rank is shared.
        run, run_id, method, population, topology, nodes: who it is.
        gap, low, high: final objective gap, mean with a 95 % interval.
        calls: oracle calls by kind at the end, per replica.
        floats: numbers sent over edges at the end, per replica.
        replicas, diverged: how many, and how many of them failed.
    """

    rank: int | None
    tied: bool = False
    run: str
    run_id: str
    method: str
    population: str
    topology: str
    nodes: int
    gap: float | None
    low: float | None
    high: float | None
    calls: tuple[tuple[str, float], ...]
    floats: float | None
    replicas: int
    diverged: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """The standings on one problem in one parallel time."""

    problem: str
    parameters: str
    time: str
    standings: tuple[Standing, ...]
    members: tuple[tuple[str, Run], ...]


def leaderboard(runs: Sequence[tuple[str, Run]]) -> tuple[Group, ...]:
    """Rank the (run id, run) pairs that ran on a real problem, by problem and parallel time."""
    groups: dict[tuple[str, str, str], list[tuple[str, Run]]] = {}
    for run_id, run in _with_references(runs):
        problem = words((run.get("labels") or {}).get("problem"))
        gap = (run.get("observables") or {}).get("objective_gap")
        if problem and problem != THEORY_PROBLEM and gap:
            key = (problem, _parameters(run), _time(run))
            groups.setdefault(key, []).append((run_id, run))
    return tuple(_group(*key, members) for key, members in groups.items() if len(members) > 1)


def _with_references(runs: Sequence[tuple[str, Run]]) -> Iterator[tuple[str, Run]]:
    """Every run, and after it the reference population of a paired comparison as a run."""
    for run_id, run in runs:
        yield run_id, run
        versus = (run.get("spec") or {}).get("versus") or {}
        if run.get("reference") and versus:
            label = versus.get("label") or "reference"
            nodes = sum(group.get("count", 0) for group in versus.get("nodes", ()))
            who = {"population": f"reference of {run.get('name') or 'it'}", "nodes": nodes}
            labels = {**(run.get("labels") or {}), **who}
            observables = run["reference"]
            yield run_id, {**run, "title": label, "labels": labels, "observables": observables}


def _time(run: Run) -> str:
    steps = int((run.get("steps") or [0])[-1])
    pairs = (run.get("labels") or {}).get("gossip") == "pair"
    return f"{steps:,} {'ticks of pairs' if pairs else 'rounds'}".replace(",", " ")


def rank(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Order by gap and give shared ranks to overlapping intervals; the unranked come last."""
    known = sorted((s for s in standings if s.gap is not None), key=_gap)
    ranked: list[Standing] = []
    while known:
        edge = known[0].high if known[0].high is not None else _gap(known[0])
        tied = [s for s in known if (s.low if s.low is not None else _gap(s)) <= edge]
        place = len(ranked) + 1
        ranked += [_placed(s, place, len(tied) > 1) for s in tied]
        known = [s for s in known if s not in tied]
    return (*ranked, *(s for s in standings if s.gap is None))


def _group(problem: str, parameters: str, time: str, members: Sequence[tuple[str, Run]]) -> Group:
    standings = rank([_standing(run_id, run) for run_id, run in members])
    place = {(each.run_id, each.run): index for index, each in enumerate(standings)}
    ordered = sorted(members, key=lambda member: place[member[0], title(member[1])])
    return Group(
        problem=problem,
        parameters=parameters,
        time=time,
        standings=standings,
        members=tuple(ordered),
    )


def title(run: Run) -> str:
    """What people call the run."""
    return str(run.get("title") or run.get("name") or "run")


def _parameters(run: Run) -> str:
    problem = (run.get("spec") or {}).get("problem") or {}
    if not isinstance(problem, Mapping):
        return ""
    kept = {key: value for key, value in problem.items() if key != "name" and value is not None}
    return ", ".join(f"{key} = {_short(value)}" for key, value in sorted(kept.items()))


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        inner = ", ".join(f"{k} = {_short(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']} ({inner})" if inner else str(value["name"])
    return json.dumps(value) if isinstance(value, (dict, list)) else words(value)


def _standing(run_id: str, run: Run) -> Standing:
    labels = run.get("labels") or {}
    gap, low, high = _final(run)
    ends = {name: _last(run, name) for name in (*CALLS, "floats_sent")}
    calls = tuple((text, ends[name] or 0.0) for name, text in CALLS.items() if ends[name])
    return Standing(
        rank=None,
        run=title(run),
        run_id=run_id,
        method=words(labels.get("method")),
        population=words(labels.get("population")) or words(labels.get("estimators")),
        topology=" · ".join(
            filter(None, (words(labels.get("topology")), words(labels.get("gossip"))))
        ),
        nodes=int(labels.get("nodes") or 0),
        gap=gap,
        low=low,
        high=high,
        calls=calls,
        floats=ends["floats_sent"],
        replicas=int(run.get("replicas") or 0),
        diverged=int(run.get("diverged") or 0),
    )


def _final(run: Run) -> tuple[float | None, float | None, float | None]:
    gap = _last(run, "objective_gap")
    error = _last(run, "objective_gap", "standard_error")
    replicas = int(run.get("replicas") or 0)
    if gap is None or error is None or replicas < 2:
        return gap, gap, gap
    half = interval_errors(replicas) * error
    return gap, gap - half, gap + half


def _last(run: Run, name: str, what: str = "mean") -> float | None:
    values = array(((run.get("observables") or {}).get(name) or {}).get(what))
    value = float(values[-1, 0]) if len(values) else None
    return value if finite(value) else None


def _gap(standing: Standing) -> float:
    return standing.gap if standing.gap is not None else float("inf")


def _placed(standing: Standing, place: int, tied: bool) -> Standing:
    from dataclasses import replace

    return replace(standing, rank=place, tied=tied)
