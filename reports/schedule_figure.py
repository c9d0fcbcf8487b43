"""Who computes when: a bar a job, a row a worker, a line an update of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hzbench.reports import svg
from hzbench.reports.figures import page_style, page_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS, ROW = 7.5, 0.2  # inches: of the drawing, of a worker
COLOURS = svg.SERIES[:5]
_ALPHA = {"used": 0.75, "unused": 0.16, "stopped": 0.16, "running": 0.4}
_WIDE = 0.022  # of the drawing: a bar that has room for its version


def draw_schedule(excerpt: Mapping[str, Any], prefix: str) -> str:
    """Draw an excerpt of a schedule (docs/formats.md).

    Args:
        excerpt: workers, until, updates and jobs.
        prefix: for the ids; unique on the page.
    """
    from matplotlib.figure import Figure

    workers, until = int(excerpt["workers"]), float(excerpt["until"])
    with page_style():
        tall = ROW * min(workers, 40) + 0.75
        figure = Figure(figsize=(ACROSS, tall))
        figure.subplots_adjust(left=0.07, right=0.985, top=0.97, bottom=0.5 / tall)
        ax = figure.add_subplot()
        for time in excerpt["updates"]:
            ax.axvline(time, color=svg.GUIDE, linewidth=0.7, alpha=0.7, zorder=0)
        for job in excerpt["jobs"]:
            _bar(ax, job, until)
        ax.set(xlim=(0, until * 1.01), ylim=(workers + 0.4, 0.6))
        ax.set(xlabel="simulated seconds", ylabel="worker")
        step = max(1, round(workers / 12))
        ax.set_yticks(range(1, workers + 1, step))
        return page_svg(figure, prefix, "jobs of every worker over time, with their versions")


def _bar(ax: Axes, job: Mapping[str, Any], until: float) -> None:
    """One job in the colour of its version; crossed out where its estimate is never used."""
    start, end = float(job["sent"]), min(float(job["ended"]), until)
    version, row = int(job["version"]), int(job["worker"]) + 1
    look: dict[str, Any] = {"color": COLOURS[version % len(COLOURS)], "linewidth": 0}
    ax.barh(row, end - start, left=start, height=0.72, alpha=_ALPHA[job["state"]], **look)
    ax.plot([start, start], [row - 0.36, row + 0.36], color=svg.INK, linewidth=0.5, alpha=0.6)
    if job["state"] in ("unused", "stopped"):
        ax.plot([start, end], [row, row], color=svg.ALARM, linewidth=1.0)
    if end - start > _WIDE * until:
        ax.text(
            (start + end) / 2,
            row,
            str(version),
            ha="center",
            va="center",
            fontsize=7,
            clip_on=True,
        )
