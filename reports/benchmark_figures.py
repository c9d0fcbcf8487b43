"""Drawings of benchmarks: bars against goals, and seconds against size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hzbench.reports import svg
from hzbench.reports.axes import power_of_ten
from hzbench.reports.benchmarks import BenchmarkRow, Growth
from hzbench.reports.figures import page_style, page_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 7.5
NAMED = 10.5
"""Inches across a drawing of named rows, of which the names take the left `_NAMES`."""
_NAMES, _LONGEST = 0.45, 72
_LEAST, _MOST = 0.05, 20.0
_COLOURS = {"very good": svg.MEASURED, "good": svg.MEASURED, "short": svg.SERIES[1]}


def draw_goals(rows: Sequence[BenchmarkRow], prefix: str) -> str:
    """Draw by which factor every row misses or passes "very good"; a tick marks "good".

    Args:
        rows: at least one, each with a goal.
        prefix: for the ids; unique on the page.
    """
    with page_style():
        figure, ax = _named_lines(dict(enumerate(rows, 1)))
        for place, row in enumerate(rows):
            share = float(np.clip(row.share, _LEAST, _MOST))
            colour = _COLOURS.get(row.word, svg.SERIES[5])
            bar = [1.0, share], [place, place]
            ax.plot(*bar, color=colour, linewidth=5, solid_capstyle="butt")
            ax.plot(share, place, color=colour, marker="o", markersize=5)
            if row.good_share < 1:
                tick = [place - 0.4, place + 0.4]
                ax.plot([row.good_share] * 2, tick, color=svg.INK, linewidth=1.2)
        ax.axvline(1.0, color=svg.INK, linewidth=1.0)
        ax.set_xlim(0.9 * _LEAST, 1.1 * _MOST)
        ax.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
        ax.set_xticks([], minor=True)
        ax.set_xlabel("share of the goal, logarithmic: 1 is very good, the tick is good")
        return page_svg(figure, prefix, "share of its goal that every benchmark reaches")


def draw_ratios(rows: Sequence[BenchmarkRow], prefix: str) -> str:
    """Draw rows that are ratios or fractions, median and quartiles, on one logarithmic axis.

    Args:
        rows: numbered from 1; those with another unit, or at or below 0, are left out.
        prefix: for the ids; unique on the page.

    Returns:
        The drawing; empty where nothing can be drawn.
    """
    from matplotlib.ticker import LogLocator

    drawn = {number: row for number, row in enumerate(rows, 1) if row.is_ratio and row.low > 0}
    if not drawn:
        return ""
    with page_style():
        figure, ax = _named_lines(drawn)
        for place, row in enumerate(drawn.values()):
            ax.plot([row.low, row.high], [place, place], color=svg.MEASURED, linewidth=1.5)
            ax.plot(row.value, place, color=svg.MEASURED, marker="o", markersize=5)
        ax.axvline(1.0, color=svg.INK, linewidth=1.0)
        ends = [1.0, *(end for row in drawn.values() for end in (row.low, row.high))]
        low, high = 0.8 * min(ends), 1.25 * max(ends)
        ax.set_xlim(low, high)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(power_of_ten)
        ax.set_xticks([], minor=True)
        ax.set_xlabel("measured, logarithmic: 1 is the limit, or what it is compared with")
        return page_svg(figure, prefix, "ratios and fractions that were measured without a goal")


def _named_lines(rows: Mapping[int, BenchmarkRow]) -> tuple[Figure, Axes]:
    """A line a row, with its number in the table and its name."""
    from matplotlib.figure import Figure

    tall = 0.2 * len(rows) + 0.6
    figure = Figure(figsize=(NAMED, tall))
    figure.subplots_adjust(left=_NAMES, right=0.99, top=1 - 0.05 / tall, bottom=0.5 / tall)
    ax = figure.add_subplot()
    ax.set_xscale("log")
    ax.set_ylim(len(rows) - 0.4, -0.6)
    names = [f"{shorten(row.name)}  {number}" for number, row in rows.items()]
    ax.set_yticks(range(len(rows)), names)
    return figure, ax


def shorten(name: str) -> str:
    """A name that fits beside its line: the middle of a longer one goes.

    >>> len(shorten(100 * "a")), shorten("two cores over one")
    (72, 'two cores over one')
    """
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[1 - half :]}"


def draw_growth(growth: Sequence[Growth], prefix: str) -> str:
    """Draw seconds against size, a panel a row, with a line of slope 1 through the first point.

    Args:
        growth: at least one.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    with page_style():
        figure = Figure(figsize=(ACROSS, 2.4), layout="constrained")
        for place, (ax, each) in enumerate(
            zip(figure.subplots(1, len(growth), squeeze=False)[0], growth, strict=True)
        ):
            sizes = np.array(sorted(each.seconds))
            values = np.array([each.seconds[int(size)] for size in sizes])
            ax.plot(sizes, values[0] * sizes / sizes[0], color=svg.INK, linewidth=0.8)
            ax.plot(sizes, values, color=svg.MEASURED, marker="o", markersize=4)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set(xlabel=each.of, ylabel="seconds" if place == 0 else "")
            ax.set_title(chr(ord("a") + place), loc="left")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(power_of_ten)
                axis.set_minor_formatter(NullFormatter())
        return page_svg(figure, prefix, "seconds against size")
