"""Drawings of a contest: ratios of times with intervals, and curves over simulated seconds."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from hzbench.reports import svg
from hzbench.reports.axes import power_of_ten
from hzbench.reports.contest import Forest, Race, Slope, SlopeRow
from hzbench.reports.figures import DASHES, page_style, page_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS, COLUMNS = 7.5, 3
_FAR = 12.0  # ratios beyond this factor are drawn at the border


def draw_forest(forest: Forest, prefix: str) -> str:
    """Draw the reference's time over every other method's, a row a cell.

    Args:
        forest: the ratios of one problem.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure

    rows, series = len(forest.labels), sorted({bar.series for bar in forest.bars})
    with page_style():
        tall = 0.5 * rows + 0.75
        figure = Figure(figsize=(ACROSS, tall))
        figure.subplots_adjust(left=0.22, right=0.97, top=0.99, bottom=0.5 / tall)
        ax = figure.add_subplot()
        ax.axvline(1.0, color=svg.INK, linewidth=1.0)
        for row in range(1, rows):
            ax.axhline(row - 0.5, color=svg.GRID, linewidth=0.7)
        for bar in forest.bars:
            shift = (series.index(bar.series) + 0.5) / len(series) - 0.5
            _bar(ax, bar.place + 0.86 * shift, bar)
        ax.set_xscale("log")
        ax.set(xlim=(1 / _FAR, _FAR), ylim=(rows - 0.5, -0.5))
        ax.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10])
        ax.set_xticks([], minor=True)
        ax.xaxis.set_major_formatter(power_of_ten)
        ax.set_yticks(range(rows), forest.labels)
        ax.set_xlabel("its time over theirs: below 1 it is faster")
        return page_svg(figure, prefix, f"ratios of times to the target, {forest.problem}")


def _bar(ax: Axes, height: float, bar: Any) -> None:
    colour = svg.SERIES[bar.series % len(svg.SERIES)]
    ratio = float(np.clip(bar.ratio, 1 / _FAR, _FAR))
    if bar.bound:
        ax.plot([1 / _FAR, ratio], [height, height], color=colour, linewidth=1.4, alpha=0.5)
        ax.plot([ratio], [height], marker="<", color=colour, markersize=5)
        return
    low, high = (float(np.clip(v, 1 / _FAR, _FAR)) for v in (bar.low, bar.high))
    ax.plot([low, high], [height, height], color=colour, linewidth=2.0)
    ax.plot([ratio], [height], marker="o", color=colour, markersize=4.2)


def draw_races(races: Sequence[Race], prefix: str) -> str:
    """Draw |∇f|² of all methods over simulated seconds, a panel a cell, with a line at ε.

    Args:
        races: cells of one problem.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure

    across, down = COLUMNS, -(-len(races) // COLUMNS)
    with page_style():
        tall = 2.2 * down + 0.4
        figure = Figure(figsize=(2.6 * across + 0.4, tall), layout="constrained")
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for ax in panels.flat[len(races) :]:
            ax.set_visible(False)
        for race, ax in zip(races, panels.flat, strict=False):
            _race(ax, race)
        for row in panels:
            row[0].set_ylabel("E|∇f|²")
        for ax in panels.flat[max(0, len(races) - across) : len(races)]:
            ax.set_xlabel("simulated seconds")
            ax.tick_params(labelbottom=True)
        return page_svg(figure, prefix, "squared gradient norm over simulated seconds")


def _race(ax: Axes, race: Race) -> None:
    ends, tops = [1.0], [race.target]
    for series, seconds, means in race.curves:
        kept = [(t, m) for t, m in zip(seconds, means, strict=True) if isfinite(m) and m > 0]
        if not kept:
            continue
        style: Any = DASHES[series % len(DASHES)]
        times, heights = zip(*kept, strict=True)
        ax.plot(times, heights, color=svg.SERIES[series % 12], linestyle=style, linewidth=1.3)
        ends.append(times[-1])
        tops.append(heights[0])
    ax.axhline(race.target, color=svg.INK, linewidth=0.8)
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(race.target / 4, 1.6 * max(tops))
    ax.set_xlim(max(ends) / 1000, max(ends) * 1.1)
    ax.set_title(race.title.rsplit(", ", 1)[-1], fontsize=9)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(power_of_ten)
    ax.minorticks_off()


def draw_slopes(rows: Sequence[SlopeRow], prefix: str) -> str:
    """Draw measured slopes (dots, hollow where the dimension bends them) on predicted ones (bars).

    Args:
        rows: problems and clocks; those with something to compare are drawn.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure

    with page_style():
        tall = 0.5 * len(rows) + 0.75
        figure = Figure(figsize=(ACROSS, tall))
        figure.subplots_adjust(left=0.22, right=0.97, top=0.99, bottom=0.5 / tall)
        ax = figure.add_subplot()
        for place, row in enumerate(rows):
            known = [s for s in row.slopes if s.measured is not None and s.predicted is not None]
            for index, slope in enumerate(known):
                _slope(ax, place + 0.86 * ((index + 0.5) / len(known) - 0.5), slope)
        for line in range(1, len(rows)):
            ax.axhline(line - 0.5, color=svg.GRID, linewidth=0.7)
        ax.set_yticks(range(len(rows)), [row.clock for row in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlabel("slope of log T against log 1/ε")
        return page_svg(figure, prefix, "measured and predicted slopes of the time to the target")


def _slope(ax: Axes, height: float, slope: Slope) -> None:
    colour = svg.SERIES[slope.series % len(svg.SERIES)]
    ends = [float(slope.predicted or 0), float(slope.measured or 0)]
    ax.plot(ends, [height, height], color=colour, alpha=0.5)
    ax.plot(ends[:1], [height], marker="|", color=svg.INK, markersize=9)
    face = "none" if slope.bent else colour
    ax.plot(ends[1:], [height], marker="o", color=colour, markerfacecolor=face, markersize=5)
