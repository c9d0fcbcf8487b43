"""The mutation study as a table: a row a mutant, the check that finds it, and how surely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hzbench.reports.formats import words

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """One check repeated with seeds of its own.

    Attributes:
        run, theorem: which check.
        counts: "found of trials", one a number of replicas.
        low: one-sided lower limit of the power, the smallest over the numbers of replicas.
        certain: whether values were compared that do not vary, so that no draw decides.
        enough: whether the claimed power is reached at every number of replicas.
    """

    run: str
    theorem: str
    counts: tuple[str, ...]
    low: float
    certain: bool
    enough: bool


@dataclass(frozen=True, kw_only=True)
class Planting:
    """One mutant: on how many checks it was planted, which found it, and the repetitions."""

    mutant: str
    checks: int
    found: int
    finders: tuple[str, ...]
    repeated: tuple[Repeated, ...]

    @property
    def well(self) -> bool:
        """Whether it is found, and often enough where that was measured."""
        return self.found > 0 and (not self.repeated or any(each.enough for each in self.repeated))


@dataclass(frozen=True, kw_only=True)
class Study:
    """A mutation study.

    Attributes:
        level: of every check.
        plantings: the mutants not found first, then by name.
        replicas: R of each count; empty if power was not measured.
        repetitions: seeds a statistical check.
        confidence, claimed: of the lower limit, and what it must reach.
        blind_spots: known bugs that no check can see, with the reason.
        unplanted: registered mutants that no check names.
        made: when and from which source.
    """

    level: float
    plantings: tuple[Planting, ...]
    replicas: tuple[int, ...]
    repetitions: int
    confidence: float
    claimed: float
    blind_spots: tuple[tuple[str, str], ...]
    unplanted: tuple[str, ...]
    made: str

    @property
    def found(self) -> int:
        """How many mutants are found."""
        return sum(each.found > 0 for each in self.plantings)

    @property
    def enough(self) -> int:
        """How many are found with the claimed power."""
        return sum(each.well for each in self.plantings)


def study(record: Record) -> Study:
    """Arrange the record of mutants.json."""
    power = record.get("power") or {}
    rows = record.get("rows") or []
    names = sorted(record.get("found") or {}, key=lambda name: (record["found"][name], name))
    made = (str(record.get("created") or ""), str(record.get("commit") or ""))
    return Study(
        level=float(record.get("level") or 0),
        plantings=tuple(_planting(name, rows, power.get("rows") or []) for name in names),
        replicas=tuple(power.get("replicas") or ()),
        repetitions=int(power.get("repetitions") or 0),
        confidence=float(power.get("confidence") or 0),
        claimed=float(power.get("claimed") or 0),
        blind_spots=tuple((record.get("blind_spots") or {}).items()),
        unplanted=tuple(record.get("unplanted") or ()),
        made=" · ".join(filter(None, made)),
    )


def _planting(name: str, rows: Sequence[Record], repeated: Sequence[Record]) -> Planting:
    mine = [(row["run"], check) for row in rows if row["mutant"] == name for check in row["checks"]]
    finders = [f"{check['theorem']} on {run}" for run, check in mine if _found(check)]
    return Planting(
        mutant=name,
        checks=len(mine),
        found=len(finders),
        finders=tuple(finders),
        repeated=tuple(_repeated(row) for row in repeated if row["mutant"] == name),
    )


def _found(check: Record) -> bool:
    return (check["without"], check["with"]) == ("consistent", "violated")


def _repeated(row: Record) -> Repeated:
    return Repeated(
        run=words(row["run"]),
        theorem=words(row["theorem"]),
        counts=tuple(f"{rate['found']} of {rate['trials']}" for rate in row["rates"]),
        low=min(float(rate["low"]) for rate in row["rates"]),
        certain=bool(row["deterministic"]),
        enough=bool(row["enough"]),
    )
