"""The view of saved benchmarks: every row against its goals, growth, fractions of a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hzbench.reports.formats import number

NO_GOAL = "no goal"
NO_LIMIT = "above its limit"


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow:
    """One number of a benchmark.

    Attributes:
        name: what is measured, with its baseline.
        value: the median over the turns of the measurement.
        low, high: its quartiles.
        good, very_good: the goals, equal if there is one; None: there is none.
        less: whether less is better.
        unit: of all five; "" for a fraction.
        limit: what a fraction is a fraction of.
        besides: other numbers, by name.
        machine: where it was measured.
    """

    name: str
    value: float
    low: float
    high: float
    good: float | None
    very_good: float | None
    less: bool
    unit: str
    limit: str
    besides: tuple[tuple[str, float], ...]
    machine: str

    @property
    def share(self) -> float:
        """How much of the goal "very good" is reached; 1: all of it."""
        return self._share(self.value)

    @property
    def good_share(self) -> float:
        """The same of the goal "good"."""
        return self._share(self.good or 1.0)

    @property
    def is_ratio(self) -> bool:
        """Whether 1 means as much as its limit, or as what it is compared with."""
        return self.unit == "times" or bool(self.limit)

    @property
    def word(self) -> str:
        """Very good, good or short; or why none of these can be said."""
        if self.limit and self.value > 1:
            return NO_LIMIT
        if self.good is None:
            return NO_GOAL
        return (
            "very good" if self.share >= 1 else "good" if self.share >= self.good_share else "short"
        )

    def _share(self, value: float) -> float:
        """Value over goal, or goal over value where less is better (a cost below 0 is noise)."""
        goal = self.very_good or 1.0
        return goal / max(value, 1e-3 * goal) if self.less else value / goal

    def __str__(self) -> str:
        """One line, as `make bench` prints it."""
        goals = "" if self.good is None else f"; good {self.good:g}, very good {self.very_good:g}"
        unit = f"of {self.limit}" if self.limit else self.unit
        spread = f"({number(self.low)} to {number(self.high)})"
        besides = "".join(f", {key} {number(value)}" for key, value in self.besides)
        measured = " ".join(filter(None, (number(self.value), unit, spread)))
        return f"{self.name}: {measured}{goals}: {self.word}{besides}"


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Seconds by size of a benchmark that measured several sizes.

    Attributes:
        name: of its row.
        of: what a size counts.
        seconds: by size.
    """

    name: str
    of: str
    seconds: Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """A row under the roof of its machine.

    Attributes:
        name: of its row, without what is told of it.
        machine: of its row.
        intensity: flops a byte of what it counts.
        attained: flops a second, by what computed it; none where noise took all of its time.
        bandwidth, peak: limits measured by turns with it, bytes and flops a second; None: no peak.
    """

    name: str
    machine: str
    intensity: float
    attained: Mapping[str, float]
    bandwidth: float
    peak: float | None


@dataclass(frozen=True, kw_only=True)
class BenchmarkView:
    """All rows of one run of the benchmarks.

    Attributes:
        rows: those with a goal, in the order of the run.
        others: those without.
        growth: of the rows that measured several sizes.
        rooflines: of the rows that count flops and bytes, those with fewer flops a byte first.
        created, load: when, and how busy the machine was.
    """

    rows: tuple[BenchmarkRow, ...]
    others: tuple[BenchmarkRow, ...]
    growth: tuple[Growth, ...]
    rooflines: tuple[Roofline, ...]
    created: str
    load: float

    @property
    def machines(self) -> tuple[str, ...]:
        """Where, that of the rows with a goal first."""
        return tuple(dict.fromkeys(row.machine for row in (*self.rows, *self.others)))

    @property
    def without_goal(self) -> dict[str, tuple[BenchmarkRow, ...]]:
        """Rows without a goal by machine."""
        return _by_machine(self.others)

    @property
    def roofs(self) -> dict[str, tuple[Roofline, ...]]:
        """Rows under a roof by machine."""
        return _by_machine(self.rooflines)

    @property
    def title(self) -> str:
        """What the page says first."""
        if not self.rows:
            return f"{len(self.others)} rows without a goal"
        return f"{self.reached} of {len(self.rows)} rows are very good"

    @property
    def reached(self) -> int:
        """Rows that are very good."""
        return sum(row.word == "very good" for row in self.rows)

    @property
    def beyond(self) -> bool:
        """Whether a row is above its limit."""
        return any(row.word == NO_LIMIT for row in self.rows)


def benchmark_view(saved: Mapping[str, Any]) -> BenchmarkView:
    """Read what `pytest --benchmark-json` wrote; what tells no row is left out.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, ArithmeticError: it is something else,
            or tells no row at all.
    """
    told = [row for each in saved["benchmarks"] for row in each["extra_info"].get("rows", ())]
    if not told:
        raise ValueError("no row")
    rows = tuple(map(benchmark_row, told))
    return BenchmarkView(
        rows=tuple(row for row in rows if row.good is not None),
        others=tuple(row for row in rows if row.good is None),
        growth=tuple(_growth(row) for row in told if "growth" in row),
        rooflines=_rooflines(told),
        created=str(saved.get("datetime", ""))[:16].replace("T", " "),
        load=max((float(row["load"]) for row in told), default=0.0),
    )


Row = TypeVar("Row", BenchmarkRow, Roofline)


def _by_machine(rows: Sequence[Row]) -> dict[str, tuple[Row, ...]]:
    """Rows of every machine, in the order in which they come."""
    every = dict.fromkeys(row.machine for row in rows)
    return {each: tuple(row for row in rows if row.machine == each) for each in every}


def benchmark_row(told: Mapping[str, Any]) -> BenchmarkRow:
    """Read one row.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    value, low, high = (float(told[key]) for key in ("value", "low", "high"))
    good, very_good = (
        None if told[key] is None else float(told[key]) for key in ("good", "very_good")
    )
    besides = ((key.replace("_", " "), float(each)) for key, each in told["besides"].items())
    return BenchmarkRow(
        name=told["row"],
        value=value,
        low=low,
        high=high,
        good=good,
        very_good=very_good,
        less=bool(told["less"]),
        unit=told["unit"],
        limit=told["limit"],
        besides=tuple(besides),
        machine=str(told["machine"]),
    )


def _growth(told: Mapping[str, Any]) -> Growth:
    growth = told["growth"]
    seconds = {int(size): float(value) for size, value in growth["seconds"].items()}
    return Growth(name=told["row"], of=growth["of"], seconds=seconds)


def _rooflines(told: Sequence[Mapping[str, Any]]) -> tuple[Roofline, ...]:
    found = (_roofline(row) for row in told if "roofline" in row)
    return tuple(sorted((each for each in found if each.attained), key=lambda each: each.intensity))


def _roofline(told: Mapping[str, Any]) -> Roofline:
    known = told["roofline"]
    flops, moved = float(known["flops"]), float(known["bytes"])
    peak = known.get("peak")
    return Roofline(
        name=str(told["row"]).partition(": ")[0],
        machine=str(told["machine"]),
        intensity=flops / moved,
        attained={by: flops / float(each) for by, each in known["seconds"].items() if each > 0},
        bandwidth=float(known["bandwidth"]),
        peak=None if peak is None else float(peak),
    )
