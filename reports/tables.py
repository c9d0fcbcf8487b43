"""The tables of a report: a row a verdict, a cell a topology and population, a claim a theorem."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from hzbench.reports.formats import finite, slug, words

Run = Mapping[str, Any]

# From the best to the worst, as the heat map ranks them.
OUTCOMES = ("consistent", "inapplicable", "inconclusive", "violated")
GLYPHS = {"consistent": "✓", "violated": "✗", "inconclusive": "?", "inapplicable": "–"}
UNKNOWN = "·"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One verdict with what is needed to find and filter it. Numbers that are missing are None."""

    run: str
    run_id: str
    theorem: str
    claim_id: str
    kind: str
    outcome: str
    expected: str
    met: bool
    p_value: float | None
    level: float | None
    visible_error: float | None
    tolerance: float | None
    tightness: float | None
    replicas: int
    replicas_needed: int
    test: str
    reason: str
    expectation_reason: str
    search: str

    @property
    def glyph(self) -> str:
        """The sign of the outcome."""
        return GLYPHS.get(self.outcome, UNKNOWN)

    @property
    def deterministic(self) -> bool:
        """Whether numbers were compared to rounding: no replicas, no chance, no p-value."""
        return self.test == "deterministic"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often an outcome came."""

    outcome: str
    count: int

    @property
    def glyph(self) -> str:
        """The sign of the outcome."""
        return GLYPHS.get(self.outcome, UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The verdicts at one topology and population: the worst outcome, the counts, who is behind.

    An empty cell has no tallies. `met` is False if some outcome was not the expected one.
    """

    worst: str
    tallies: tuple[Tally, ...]
    met: bool
    query: str
    runs: str

    @property
    def glyph(self) -> str:
        """The sign of the worst outcome."""
        return GLYPHS.get(self.worst, UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Rows are topologies, columns populations; `rows` pairs a label with its cells."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[tuple[str, str], tuple[Cell, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Premise:
    """One assumption of a theorem: on how many runs it was checked and held, and where not."""

    text: str
    held: int
    checked: int
    failures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A theorem as it was tested here."""

    id: str
    theorem: str
    kind: str
    statement: str
    locator: str
    printed: str
    validity: str
    premises: tuple[Premise, ...]
    mutants: tuple[str, ...]
    tallies: tuple[Tally, ...]


def rows(run: Run, run_id: str) -> tuple[Row, ...]:
    """The verdicts of one run."""
    return tuple(_row(run, run_id, verdict) for verdict in run.get("verdicts") or [])


def claim_id(theorem: str) -> str:
    """Where on the page a theorem is stated; different theorems, different places."""
    plain = slug(theorem)
    mark = "" if plain == theorem and plain else f"-{crc32(theorem.encode()):08x}"
    return f"claim-{plain}{mark}"


def tally(outcomes: Iterable[str]) -> tuple[Tally, ...]:
    """Counts by outcome, the worst first."""
    counts = Counter(outcomes)
    order = sorted(counts, key=lambda outcome: (-severity(outcome), outcome))
    return tuple(Tally(outcome=outcome, count=counts[outcome]) for outcome in order)


def severity(outcome: str) -> int:
    """Rank of an outcome; an unknown word is as bad as a violation."""
    return OUTCOMES.index(outcome) if outcome in OUTCOMES else len(OUTCOMES)


def topology(run: Run) -> tuple[str, str]:
    """Graph and gossip of a run."""
    labels = run.get("labels") or {}
    return words(labels.get("topology")) or "none", words(labels.get("gossip"))


def population(run: Run) -> tuple[str, str]:
    """Population and estimators of a run; the second is empty when it adds nothing."""
    labels = run.get("labels") or {}
    who, how = words(labels.get("population")), words(labels.get("estimators"))
    return who or how or "any", "" if how == who or not who else how


def heat_map(pairs: Sequence[tuple[Run, Sequence[Row]]]) -> HeatMap:
    """Arrange the verdicts of (run, rows) pairs by topology and population, in order of coming."""
    judged = [(run, found) for run, found in pairs if found]
    columns = tuple(dict.fromkeys(population(run) for run, _ in judged))
    places = tuple(dict.fromkeys(topology(run) for run, _ in judged))
    table = tuple((place, tuple(_cell(judged, place, who) for who in columns)) for place in places)
    return HeatMap(columns=columns, rows=table)


def claims(runs: Sequence[Run]) -> tuple[Claim, ...]:
    """Every predicted theorem once, in order of coming."""
    found: dict[str, list[tuple[Run, Mapping[str, Any]]]] = {}
    for run in runs:
        for prediction in run.get("predictions") or []:
            found.setdefault(str(prediction.get("theorem", "")), []).append((run, prediction))
    return tuple(_claim(theorem, uses) for theorem, uses in found.items())


def _row(run: Run, run_id: str, verdict: Mapping[str, Any]) -> Row:
    theorem, outcome = str(verdict.get("theorem", "")), str(verdict.get("outcome", "unknown"))
    name = str(run.get("title") or run.get("name") or "run")
    labels = [words(label) for label in (run.get("labels") or {}).values()]
    expected = str(verdict.get("expected") or "consistent")
    return Row(
        run=name,
        run_id=run_id,
        theorem=theorem,
        claim_id=claim_id(theorem),
        kind=str(verdict.get("kind") or ""),
        outcome=outcome,
        expected=expected,
        met=bool(verdict.get("met", outcome == expected)),
        test=str(verdict.get("method") or ""),
        replicas=int(verdict.get("replicas") or 0),
        replicas_needed=int(verdict.get("replicas_needed") or 0),
        reason=str(verdict.get("reason") or ""),
        expectation_reason=str(verdict.get("expectation_reason") or ""),
        search=_searched(" | ".join([name, str(run.get("name", "")), theorem, outcome, *labels])),
        **{name: _number(verdict.get(name)) for name in NUMBERS},
    )


def _searched(text: str) -> str:
    """As the filter of the table compares: lower case, without the quotes that mark phrases."""
    return text.lower().replace('"', "")


NUMBERS = ("p_value", "level", "visible_error", "tolerance", "tightness")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and finite(value) else None


def _cell(
    judged: Sequence[tuple[Run, Sequence[Row]]], place: tuple[str, str], who: tuple[str, str]
) -> Cell:
    here = [pair for pair in judged if topology(pair[0]) == place and population(pair[0]) == who]
    verdicts = [row for _, found in here for row in found]
    tallies = tally(row.outcome for row in verdicts)
    return Cell(
        worst=tallies[0].outcome if tallies else "",
        tallies=tallies,
        met=all(row.met for row in verdicts),
        query=_query(here[0][0]) if here else "",
        runs=", ".join(dict.fromkeys(row.run for row in verdicts)),
    )


def _query(run: Run) -> str:
    """What the filter of the table needs to find the runs of a cell: its labels as phrases."""
    labels = run.get("labels") or {}
    parts = [words(labels.get(key)) for key in ("topology", "gossip", "population", "estimators")]
    return " ".join(f'"{_searched(part)}"' for part in parts if part)


def _claim(theorem: str, uses: Sequence[tuple[Run, Mapping[str, Any]]]) -> Claim:
    applied = [use for _, use in uses if use.get("applies", True)]
    chief = (applied or [use for _, use in uses])[0]
    source = chief.get("source") or {}
    users = {id(run): run for run, _ in uses}.values()
    verdicts = [verdict for run in users for verdict in run.get("verdicts") or []]
    mutants = [mutant for _, use in uses for mutant in use.get("mutants") or []]
    return Claim(
        id=claim_id(theorem),
        theorem=theorem,
        kind=str(chief.get("kind") or ""),
        statement=str(chief.get("statement") or ""),
        locator=str(source.get("locator") or ""),
        printed=str(source.get("printed") or ""),
        validity=str(chief.get("validity") or ""),
        premises=_premises(uses),
        mutants=tuple(dict.fromkeys(words(mutant) for mutant in mutants)),
        tallies=tally(
            str(verdict.get("outcome")) for verdict in verdicts if verdict.get("theorem") == theorem
        ),
    )


def _premises(uses: Sequence[tuple[Run, Mapping[str, Any]]]) -> tuple[Premise, ...]:
    found: dict[str, list[tuple[Run, Mapping[str, Any]]]] = {}
    for run, use in uses:
        for assumption in use.get("assumptions") or []:
            found.setdefault(str(assumption.get("text", "")), []).append((run, assumption))
    return tuple(_premise(text, checks) for text, checks in found.items())


def _premise(text: str, checks: Sequence[tuple[Run, Mapping[str, Any]]]) -> Premise:
    failed = [(run, check) for run, check in checks if not check.get("holds")]
    where = tuple(
        ": ".join(filter(None, (str(run.get("title") or run.get("name")), check.get("detail"))))
        for run, check in failed
    )
    held = len(checks) - len(failed)
    return Premise(text=text, held=held, checked=len(checks), failures=tuple(dict.fromkeys(where)))
