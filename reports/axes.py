"""Scales and tick labels: which axes are logarithmic, and numbers without mathematical markup.

Imports no plotting library at module level: the functions receive an axes object.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10
from typing import TYPE_CHECKING

import numpy as np

from hzbench.reports.curves import DEEPEST, LOG_FROM, Array
from hzbench.reports.formats import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def power_of_ten(value: float, _position: float | None = None, digits: int = 3) -> str:
    """Tick label: 0.01, 250, 10⁻⁷."""
    return "0" if value == 0 else number(value, digits)


def scale_steps(ax: Axes, steps: Array) -> None:
    """Step axis: symmetric logarithm if the record points are on a log grid, linear otherwise."""
    last = float(steps[-1])
    middle = float(np.median(steps))
    if last < 20 or middle > 0.25 * last:
        ax.set_xlim(float(steps[0]), last)
        ax.xaxis.set_major_formatter(power_of_ten)
        return
    ax.set_xscale("symlog", linthresh=1, linscale=0.35)
    powers = [10.0**power for power in range(int(np.log10(last)) + 1)]
    ax.set_xticks([0.0, *powers, *([last] if last >= 2 * powers[-1] else [])])
    ax.set_xticks([], minor=True)
    ax.xaxis.set_major_formatter(power_of_ten)
    ax.set_xlim(min(0.0, float(steps[0])), last * 1.08)


def scale_values(ax: Axes, shown: Sequence[Array]) -> None:
    """Value axis: logarithm for positive scalars that vary; a little air around the lines."""
    values = np.concatenate([item.ravel() for item in shown])
    values = values[np.isfinite(values)]
    if not len(values):
        return
    means, scalar = shown[0][np.isfinite(shown[0])], shown[0].shape[1] == 1
    top, positive = float(values.max()), scalar and bool((means > 0).all())
    bottom = float(values[values > top * DEEPEST].min()) if top > 0 else 0.0
    if positive and top > 0 and top / bottom >= LOG_FROM:
        _log_axis(ax, bottom, top)
    else:
        _linear_axis(ax, values)


def scale_race(ax: Axes, shown: Array, *, logarithmic: bool) -> None:
    """Value axis of several curves with their bands, which fit whole."""
    values = shown[np.isfinite(shown) & ((shown > 0) | (not logarithmic))]
    if not len(values):
        return
    if logarithmic:
        _log_axis(ax, float(values.min()), float(values.max()))
    else:
        _linear_axis(ax, values)


def _linear_axis(ax: Axes, values: Array) -> None:
    top, spread = float(values.max()), float(np.ptp(values))
    air = 0.06 * spread or 0.1 * abs(top) or 1.0
    ax.set_ylim(float(values.min()) - air, top + air)
    digits = digits_for(float(np.abs(values).max()), spread)
    ax.yaxis.set_major_formatter(lambda value, _: power_of_ten(value, digits=digits))


def digits_for(size: float, spread: float) -> int:
    """Significant digits that tell ticks apart on an axis of that spread around that size.

    >>> digits_for(2.3, 2.0), digits_for(2.3, 1e-4)
    (3, 7)
    """
    if not 0 < spread < size:
        return 3
    return max(3, min(12, ceil(log10(size / spread)) + 2))


def _log_axis(ax: Axes, bottom: float, top: float) -> None:
    from matplotlib.ticker import LogLocator

    ax.set_yscale("log")
    decades = np.log10(top / bottom)
    ax.set_ylim(bottom / 10 ** (0.05 * decades), top * 10 ** (0.05 * decades))
    subs = (1.0,) if decades > 2.2 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter(power_of_ten)
