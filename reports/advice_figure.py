"""The planner's picture: floor ratio against the number of helpers, crossovers marked."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

EQUAL = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b")
WEIGHTED = "#c44601"
_CEILING = 20.0


def draw(curves: Mapping[str, Any]) -> str:
    """An SVG document.

    Args:
        curves: counts [k]; equal {m: [k]} and weighted [k], floors over that of the first-order
            nodes alone; samples (the m of `weighted`), first, zeroth; crossovers {m: n_0*}.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": "hzbench", "svg.fonttype": "path", "font.size": 9}
    with mpl.rc_context(style):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        ax = figure.subplots()
        counts = curves["counts"]
        for index, (m, ratios) in enumerate(curves["equal"].items()):
            color = EQUAL[min(index, len(EQUAL) - 1)]
            ax.plot(counts, ratios, color=color, label=f"one step size, m = {m}")
            threshold = curves["crossovers"][m]
            if counts[0] <= threshold <= counts[-1]:
                ax.plot([threshold], [1.0], "o", ms=5, color=color, clip_on=False)
                ax.annotate(
                    f"n0* = {threshold:.3g}",
                    (threshold, 1.0),
                    textcoords="offset points",
                    xytext=(4, 5),
                    fontsize=8,
                )
        label = f"step sizes by kind, m = {curves['samples']}"
        ax.plot(counts, curves["weighted"], "--", color=WEIGHTED, label=label)
        ax.axhline(1.0, color="0.4", lw=0.8)
        ax.axvline(curves["zeroth"], color="0.4", lw=0.8, ls=":")
        ax.set(xscale="log", yscale="log", xlabel="zeroth-order helpers n0")
        shown = [r for row in (*curves["equal"].values(), curves["weighted"]) for r in row]
        low = min(shown)
        ax.set_ylim(low / 1.15, min(_CEILING, max(r for r in shown if r < 1e300) * 1.15))
        ax.set_ylabel(f"floor over that of {curves['first']} first-order nodes")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda _value, _: "")
        ax.legend(frameon=False, fontsize=8)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", metadata={"Date": None})
    return sink.getvalue()
