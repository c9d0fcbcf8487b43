"""Drawings of benchmarks: bars against goals, and seconds against size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hzbench.reports import svg
from hzbench.reports.axes import power_of_ten
from hzbench.reports.benchmarks import BenchmarkRow
from hzbench.reports.figures import page_style, page_svg

ACROSS = 7.5
_LEAST, _MOST = 0.05, 20.0


def draw_goals(rows: Sequence[BenchmarkRow], prefix: str) -> str:
    """Draw how much of "very good" every row reaches; a tick marks "good".

    Args:
        rows: at least one.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure

    tall = 0.26 * len(rows) + 0.6
    with page_style():
        figure = Figure(figsize=(ACROSS, tall))
        figure.subplots_adjust(left=0.06, right=0.98, top=0.99, bottom=0.5 / tall)
        ax = figure.add_subplot()
        for place, row in enumerate(rows):
            share = float(np.clip(row.share, _LEAST, _MOST))
            colour = svg.MEASURED if row.word != "short" else svg.SERIES[1]
            ax.plot([_LEAST, share], [place, place], color=colour, linewidth=6)
            ax.plot([row.good_share] * 2, [place - 0.4, place + 0.4], color=svg.INK, linewidth=1.2)
        ax.axvline(1.0, color=svg.INK, linewidth=1.0)
        ax.set_xscale("log")
        ax.set(xlim=(_LEAST, _MOST), ylim=(len(rows) - 0.4, -0.6))
        ax.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
        ax.set_xticks([], minor=True)
        ax.set_yticks(range(len(rows)), [str(place + 1) for place in range(len(rows))])
        ax.set_xlabel("share of the goal: 1 is very good, the tick is good")
        return page_svg(figure, prefix, "share of its goal that every benchmark reaches")


def draw_growth(growth: Sequence[tuple[str, Mapping[int, float]]], prefix: str) -> str:
    """Draw seconds against size with a line of slope 1 through the first point.

    Args:
        growth: name and seconds by size.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    with page_style():
        figure = Figure(figsize=(ACROSS / 2, 2.6), layout="constrained")
        ax = figure.add_subplot()
        for place, (_, seconds) in enumerate(growth):
            sizes = np.array(sorted(seconds))
            values = np.array([seconds[int(size)] for size in sizes])
            colour = svg.SERIES[place % len(svg.SERIES)]
            ax.plot(sizes, values, color=colour, marker="o", markersize=4)
            ax.plot(sizes, values[0] * sizes / sizes[0], color=svg.INK, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set(xlabel="nodes", ylabel="seconds")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(power_of_ten)
            axis.set_minor_formatter(NullFormatter())
        return page_svg(figure, prefix, "seconds against the number of nodes")
