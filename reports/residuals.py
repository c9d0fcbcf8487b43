"""The lower half of a panel: measured minus predicted, in standard errors.

Agreement is a cloud between the lines at ±2; a point beyond the line of the check's level would
reject on its own. Deterministic quantities have no standard error: their residuals are relative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hzbench.reports import svg
from hzbench.reports.axes import power_of_ten
from hzbench.reports.curves import Array, Overlay, Panel, residual

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REASONABLE = 1e6  # standard errors beyond this are drawn at the edge


def colour_of(overlay: Overlay) -> str:
    """Exact predictions and bounds differ in colour, and in their line style."""
    return svg.EXACT if overlay.kind == "exact" else svg.BOUND


def draw_residuals(ax: Axes, panel: Panel, place: Callable[[Overlay], Array]) -> None:
    """Measured minus predicted, point by point; what keeps a bound by far sits at the edge."""
    found = [(overlay, *residual(panel, overlay)) for overlay in panel.overlays]
    ax.axhline(0, color=svg.INK, linewidth=0.7)
    if not any(in_errors for _, _, in_errors in found):
        for overlay, values, _ in found:
            _points(ax, place(overlay), values, colour_of(overlay))
        _relative_scale(ax)
        return
    edge = _error_scale(ax, panel, max(_reach(overlay, values) for overlay, values, _ in found))
    for overlay, values, _ in found:
        x = place(overlay)
        outside = np.abs(values) > edge
        _points(ax, x, np.where(outside, np.nan, values), colour_of(overlay))
        beyond = np.where(outside, np.sign(values) * edge, np.nan)
        _points(ax, x, beyond, colour_of(overlay), marker="v" if overlay.kind == "upper" else "^")
    ax.set_ylabel("residual, s.e.", fontsize=8.5)


def _points(ax: Axes, x: Array, values: Array, colour: str, marker: str = "o") -> None:
    """Points [rows, k] at x [rows]; nothing where all are missing."""
    if np.isfinite(values).any():
        wide = np.repeat(x[:, None], values.shape[1], axis=1)
        ax.plot(wide.ravel(), values.ravel(), marker, markersize=3.2, color=colour)


def _reach(overlay: Overlay, values: Array) -> float:
    """How far the residuals go on the side that matters."""
    signed = {"upper": values, "lower": -values}.get(overlay.kind, np.abs(values))
    return min(float(np.nanmax(signed, initial=0.0)), REASONABLE)


def _error_scale(ax: Axes, panel: Panel, reach: float) -> float:
    """Guides at ±2 and at the level of the check; logarithmic outside when much lies outside.

    Returns:
        The largest residual that has a place of its own.
    """
    critical = panel.critical or 0.0
    for value in (-2.0, 2.0):
        ax.axhline(value, color=svg.GUIDE, linewidth=0.8, linestyle=(0, (2, 2)))
    for side in _rejecting_sides(panel) if critical else ():
        ax.axhline(side * critical, color=svg.ALARM, linewidth=1.0, linestyle=(0, (6, 2)))
    linear = max(2.5, critical) * 1.15
    if reach <= 2.5 * linear:
        top = max(reach, linear) * 1.12
        ax.set_ylim(-1.1 * top, 1.1 * top)
        return top
    power = 10.0 ** max(2, int(np.log10(reach)))
    ax.set_yscale("symlog", linthresh=linear, linscale=1.2)
    ax.set_yticks([-power, 0.0, power])
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter(power_of_ten)
    top = 1.6 * max(reach, power)
    ax.set_ylim(-1.6 * top, 1.6 * top)
    return top


def _rejecting_sides(panel: Panel) -> set[float]:
    """Above for upper bounds, below for lower bounds, both otherwise."""
    sides = {"upper": {1.0}, "lower": {-1.0}}
    both = {-1.0, 1.0}
    return set().union(*(sides.get(overlay.kind, both) for overlay in panel.overlays))


def _relative_scale(ax: Axes) -> None:
    """Rounding-sized differences: symmetric limits, never narrower than 1e-9."""
    top = max([1e-9, *(abs(limit) for limit in ax.dataLim.intervaly if np.isfinite(limit))])
    ax.set_ylim(-1.3 * top, 1.3 * top)
    ax.set_yticks([-top, 0.0, top])
    ax.yaxis.set_major_formatter(power_of_ten)
    ax.set_ylabel("relative")
