"""The roofline of a machine: flops a second against flops a byte, under what its limits allow.

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for
multicore architectures", CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from hzbench.reports import svg
from hzbench.reports.axes import power_of_ten
from hzbench.reports.benchmarks import Roofline
from hzbench.reports.figures import page_style, page_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS, TALL = 7.5, 3.9
MARKERS = ("o", "s", "D", "^")
GIGA = 1e-9
NEAR = 1.25  # the next row to the right is so near that a number there would meet it


def series_of(rows: Iterable[Roofline]) -> tuple[str, ...]:
    """What computed the rows of a machine, in the order of colours and markers."""
    return tuple(dict.fromkeys(chain.from_iterable(row.attained for row in rows)))


def draw_roofline(rows: Sequence[Roofline], prefix: str) -> str:
    """Draw the rows of one machine under its roof.

    Args:
        rows: at least one, numbered from 1, those with fewer flops a byte first.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    series = series_of(rows)
    with page_style():
        figure = Figure(figsize=(ACROSS, TALL), layout="constrained")
        ax = figure.add_subplot()
        ax.set_xscale("log")
        ax.set_yscale("log")
        _roof(ax, rows)
        for place, row in enumerate(rows):
            near = rows[place + 1 :] and rows[place + 1].intensity < NEAR * row.intensity
            _points(ax, row, series, number=str(place + 1), left=bool(near))
        ax.set(xlabel="flops a byte", ylabel="gigaflops a second")
        for axis, ends in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            few = ends[1] < 3000 * ends[0]
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
            axis.set_major_formatter(power_of_ten)
            axis.set_minor_locator(NullLocator())
        return page_svg(figure, prefix, "flops a second against flops a byte, under the roof")


def _roof(ax: Axes, rows: Sequence[Roofline]) -> None:
    """The median of the limits as a line, from the least to the largest as a band."""
    intensities = [row.intensity for row in rows]
    x = np.geomspace(0.5 * intensities[0], 2 * intensities[-1], 200)
    bandwidths = np.array([row.bandwidth for row in rows])
    peaks = np.array([row.peak for row in rows if row.peak is not None] or [np.inf])
    low, middle, high = (
        GIGA * np.minimum(x * of(bandwidths), of(peaks)) for of in (np.min, np.median, np.max)
    )
    ax.fill_between(x, low, high, color=svg.GUIDE, alpha=0.25, linewidth=0)
    ax.plot(x, middle, color=svg.INK, linewidth=1.2)
    ax.set_xlim(float(x[0]), float(x[-1]))
    found = [GIGA * each for row in rows for each in row.attained.values()]
    ax.set_ylim(0.5 * min(*found, float(low[0])), 2 * max(*found, float(high[-1])))


def _points(ax: Axes, row: Roofline, series: Sequence[str], *, number: str, left: bool) -> None:
    """What every series attains, on a line up to the roof of this row."""
    roof = min(row.intensity * row.bandwidth, np.inf if row.peak is None else row.peak)
    ends = [GIGA * min(row.attained.values()), GIGA * roof]
    ax.plot([row.intensity] * 2, ends, color=svg.GUIDE, linewidth=0.7, zorder=1)
    for by, each in row.attained.items():
        place, attained = series.index(by), GIGA * each
        colour, marker = svg.SERIES[place % len(svg.SERIES)], MARKERS[place % len(MARKERS)]
        ax.plot(row.intensity, attained, color=colour, marker=marker, markersize=5, linewidth=0)
        ax.annotate(
            number,
            (row.intensity, attained),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
        )
