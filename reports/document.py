"""The view model: what the page says, before it is laid out. Pure: results in, Document out.

The order is the order of importance: what did not come as expected, then what was expected to fail
and did, then everything else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Any

from hzbench.reports.curves import Panel, panels
from hzbench.reports.experiment import Experiment, experiment
from hzbench.reports.formats import duration, finite, slug, words
from hzbench.reports.leaderboard import Group, leaderboard
from hzbench.reports.mutation import Study, study
from hzbench.reports.tables import Claim, HeatMap, Row, Tally, claims, heat_map, rows, tally

Run = Mapping[str, Any]
OPEN_AT_FIRST = 2
P_VALUES_AT_LEAST = 8


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What the consistent exact checks could have seen: smallest, median, largest fraction.

    Deterministic comparisons see rounding and would hide the others: they do not count.
    """

    smallest: float
    middle: float
    largest: float


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The counts and the error rate.

    Attributes:
        met, total: verdicts that came as expected, and all.
        tallies: counts by outcome, the worst first.
        alpha: probability that a suite of true predictions reports any violation, at most.
        checks: K that the suite declared before running.
        level: α/K.
        sensitivity: of the consistent checks; None if none has a visible error.
        runs, diverged: runs, and those in which some replica diverged.
    """

    met: int
    total: int
    tallies: tuple[Tally, ...]
    alpha: float | None
    checks: int | None
    level: float | None
    sensitivity: Sensitivity | None
    runs: int
    diverged: int

    @property
    def passed(self) -> bool:
        """Whether every outcome is the expected one."""
        return self.met == self.total


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run of the report."""

    id: str
    name: str
    title: str
    open: bool
    rows: tuple[Row, ...]
    panels: tuple[Panel, ...]
    undrawn: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    replicas: int
    diverged: int
    reference: str
    schedule: Mapping[str, Any] | None
    spec: str

    @property
    def met(self) -> bool:
        """Whether every verdict is the expected one."""
        return all(row.met for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Document:
    """The whole report."""

    title: str
    description: str
    headline: Headline
    unmet: tuple[Row, ...]
    foreseen: tuple[Row, ...]
    heat_map: HeatMap
    rows: tuple[Row, ...]
    runs: tuple[RunView, ...]
    claims: tuple[Claim, ...]
    groups: tuple[Group, ...]
    experiment: Experiment | None
    mutation: Study | None
    p_values: tuple[float, ...]
    provenance: tuple[tuple[str, str], ...]
    created: str


def build(results: Mapping[str, Any], mutation: Mapping[str, Any] | None = None) -> Document:
    """Arrange saved results for reading.

    Args:
        results: what `hzbench.core.result` describes; missing optional fields are tolerated.
        mutation: the record of a mutation study (docs/formats.md), if there was one.
    """
    suite = results.get("suite") or {}
    runs = list(results.get("runs") or [])
    named = [(f"run-{index}-{slug(_title(run))}", run) for index, run in enumerate(runs, start=1)]
    judged = {run_id: rows(run, run_id) for run_id, run in named}
    verdicts = tuple(row for found in judged.values() for row in found)
    provenance = results.get("provenance") or {}
    return Document(
        title=str(suite.get("title") or suite.get("name") or "hzbench report"),
        description=str(suite.get("description") or ""),
        headline=_headline(suite, runs, verdicts),
        unmet=tuple(row for row in verdicts if not row.met),
        foreseen=tuple(row for row in verdicts if row.met and row.expected != "consistent"),
        heat_map=heat_map([(run, judged[run_id]) for run_id, run in named]),
        rows=verdicts,
        runs=_run_views(named, judged, _critical(suite)),
        claims=claims(runs),
        groups=leaderboard(named),
        experiment=experiment(results),
        mutation=study(mutation) if mutation else None,
        p_values=_p_values(verdicts),
        provenance=_provenance(suite, provenance),
        created=str(provenance.get("created") or ""),
    )


def _title(run: Run) -> str:
    return str(run.get("title") or run.get("name") or "run")


def _headline(suite: Mapping[str, Any], runs: Sequence[Run], verdicts: Sequence[Row]) -> Headline:
    return Headline(
        met=sum(row.met for row in verdicts),
        total=len(verdicts),
        tallies=tally(row.outcome for row in verdicts),
        alpha=suite.get("alpha"),
        checks=suite.get("checks"),
        level=suite.get("level"),
        sensitivity=_sensitivity(verdicts),
        runs=len(runs),
        diverged=sum(bool(run.get("diverged")) for run in runs),
    )


def _sensitivity(verdicts: Sequence[Row]) -> Sensitivity | None:
    exact = [row for row in verdicts if row.kind == "exact" and row.outcome == "consistent"]
    seen = [row.visible_error for row in exact if not row.deterministic]
    errors = [error for error in seen if error is not None and error > 0]
    if not errors:
        return None
    return Sensitivity(smallest=min(errors), middle=median(errors), largest=max(errors))


def _p_values(verdicts: Sequence[Row]) -> tuple[float, ...]:
    """Those of exact predictions expected to hold: uniform, if theory and code agree."""
    chosen = [
        row.p_value
        for row in verdicts
        if row.kind == "exact" and row.expected == "consistent" and not row.deterministic
    ]
    known = tuple(p for p in chosen if p is not None)
    return known if len(known) >= P_VALUES_AT_LEAST else ()


def _critical(suite: Mapping[str, Any]) -> float | None:
    """The standard errors at which one two-sided normal test of level α/K rejects."""
    level = suite.get("level")
    if not finite(level) or not 0 < level < 1:
        return None
    return NormalDist().inv_cdf(1 - level / 2)


def _run_views(
    named: Sequence[tuple[str, Run]], judged: Mapping[str, tuple[Row, ...]], critical: float | None
) -> tuple[RunView, ...]:
    """The unmet first; otherwise in the order of the suite."""
    first = sorted(named, key=lambda pair: all(row.met for row in judged[pair[0]]))
    return tuple(
        _run_view(run_id, run, judged[run_id], critical, place)
        for place, (run_id, run) in enumerate(first)
    )


def _run_view(
    run_id: str, run: Run, found: tuple[Row, ...], critical: float | None, place: int
) -> RunView:
    drawn = panels(run, critical)
    return RunView(
        id=run_id,
        name=str(run.get("name") or ""),
        title=_title(run),
        open=place < OPEN_AT_FIRST or not all(row.met for row in found),
        rows=found,
        panels=drawn,
        undrawn=_undrawn(run, drawn),
        facts=_facts(run),
        warnings=tuple(str(warning) for warning in run.get("warnings") or []),
        replicas=int(run.get("replicas") or 0),
        diverged=int(run.get("diverged") or 0),
        reference=_reference(run),
        schedule=run.get("schedule"),
        spec=json.dumps(run.get("spec") or {}, indent=2, ensure_ascii=False),
    )


def _undrawn(run: Run, drawn: Sequence[Panel]) -> tuple[str, ...]:
    """Predicted observables that have no panel: not recorded, or one too many."""
    shown = {panel.observable for panel in drawn}
    predicted = {
        name
        for prediction in run.get("predictions") or []
        for name in prediction.get("values") or {}
    }
    return tuple(sorted(predicted - shown))


def _reference(run: Run) -> str:
    versus = (run.get("spec") or {}).get("versus") or {}
    return str(versus.get("label") or "reference")


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    labels = run.get("labels") or {}
    facts = {key.replace("_", " "): words(value) for key, value in labels.items()}
    facts |= {
        "replicas": words(run.get("replicas")),
        "diverged": words(run.get("diverged")) if run.get("diverged") else "",
        "seed": words(run.get("seed")),
        "digest": words(run.get("digest")),
        "time": duration(run.get("seconds")) + (" (reused)" if run.get("reused") else " (fresh)"),
    }
    return tuple((key, value) for key, value in facts.items() if value)


def _provenance(
    suite: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    first = {"suite": suite.get("name")}
    rest = {key.replace("_", " "): value for key, value in provenance.items()}
    if "seconds" in rest:
        rest["time"] = duration(rest.pop("seconds"))
    return tuple((key, words(value)) for key, value in {**first, **rest}.items() if words(value))
