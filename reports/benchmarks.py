"""The view of saved benchmarks: every row against its goals, growth, fractions of the roofline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOLD = ("row", "value", "good", "very_good", "unit", "machine", "load", "growth")


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow:
    """One benchmark.

    Attributes:
        name: what is measured, with its baseline.
        value, good, very_good: the measured number and the two goals.
        unit: of all three.
        share: how much of the goal "very good" is reached; 1: all of it.
        good_share: the same of the goal "good".
        word: very good, good or short.
        more: other numbers, by name.
    """

    name: str
    value: float
    good: float
    very_good: float
    unit: str
    share: float
    good_share: float
    word: str
    more: tuple[tuple[str, float], ...]

    @property
    def fraction(self) -> bool:
        """Whether it is a fraction of what the machine can do."""
        return not self.unit


@dataclass(frozen=True, kw_only=True)
class BenchmarkView:
    """All rows of one run of the benchmarks.

    Attributes:
        rows: in the order of the run.
        growth: name and seconds by size of the rows that measured several sizes.
        machine, created, load: where and when, and how busy the machine was.
    """

    rows: tuple[BenchmarkRow, ...]
    growth: tuple[tuple[str, Mapping[int, float]], ...]
    machine: str
    created: str
    load: float

    @property
    def reached(self) -> int:
        """Rows that are very good."""
        return sum(row.word == "very good" for row in self.rows)


def benchmark_view(saved: Mapping[str, Any]) -> BenchmarkView:
    """Read what `pytest --benchmark-json` wrote; what names no row is left out.

    Raises:
        KeyError, TypeError: it is something else.
    """
    told = [each["extra_info"] for each in saved["benchmarks"] if "row" in each["extra_info"]]
    growth = tuple(
        (each["row"], {int(n): float(s) for n, s in each["growth"].items()})
        for each in told
        if "growth" in each
    )
    return BenchmarkView(
        rows=tuple(map(_row, told)),
        growth=growth,
        machine=", ".join(dict.fromkeys(each["machine"] for each in told)),
        created=str(saved.get("datetime", "")),
        load=max((float(each["load"]) for each in told), default=0.0),
    )


def _row(told: Mapping[str, Any]) -> BenchmarkRow:
    value, good, very_good = (float(told[key]) for key in ("value", "good", "very_good"))
    up = very_good >= good
    share, least = _share(value, very_good, up=up), _share(good, very_good, up=up)
    word = "very good" if share >= 1 else "good" if share >= least else "short"
    more = tuple((key.replace("_", " "), float(told[key])) for key in told if key not in _TOLD)
    return BenchmarkRow(
        name=told["row"],
        value=value,
        good=good,
        very_good=very_good,
        unit=told["unit"],
        share=share,
        good_share=least,
        word=word,
        more=more,
    )


def _share(value: float, goal: float, *, up: bool) -> float:
    """Value over goal, or goal over value where less is better (a cost below 0 is noise)."""
    tiny = 1e-3 * goal
    return value / goal if up else goal / max(value, tiny)
