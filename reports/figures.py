"""Drawings: a Panel in, an SVG for the page out. The only module that imports seaborn.

Colours are sentinels that the page replaces (see `svg`); no text from the results is drawn, since
legends and titles are HTML. A drawing takes some 50 ms and depends on its panel only.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hzbench.reports import svg
from hzbench.reports.axes import scale_race, scale_steps, scale_values
from hzbench.reports.curves import Array, Curve, Overlay, Panel
from hzbench.reports.residuals import colour_of, draw_residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = {"exact": "-", "upper": (0, (5, 2)), "lower": (0, (5, 2)), "rate": (0, (1, 1.5))}
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1)))
"""Of the first six series; a later one has another colour and the dash of the series six before."""
WIDE, TALL = 4.3, 3.4

INKED = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
RULES: dict[str, Any] = {
    **dict.fromkeys(INKED, svg.INK),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.7),
    **dict.fromkeys(("font.size", "axes.labelsize"), 9),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 8.5),
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "none",  # text stays text: it can be searched and takes the page's font
    "svg.hashsalt": "hzbench",  # equal drawings, equal bytes
}


def draw(panel: Panel, prefix: str) -> str:
    """Draw one panel.

    Args:
        panel: what to draw.
        prefix: for the ids; unique on the page.
    """
    painters: dict[str, Callable[[Figure, Panel], None]] = {
        "trajectory": _trajectory,
        "static": _static,
        "pair": _pair,
        "race": _race,
    }
    with page_style():
        wide = panel.shape == "race"
        figure = _figure(short=not panel.overlays and panel.shape != "pair", wide=wide)
        painters[panel.shape](figure, panel)
        return page_svg(figure, prefix, f"{panel.observable} over steps, measured and predicted")


def draw_p_values(p_values: Sequence[float], prefix: str) -> str:
    """Draw the empirical distribution of p-values against the uniform one, with a 95 % band."""
    import seaborn as sns

    with page_style():
        figure = _figure(short=True)
        ax = figure.add_subplot()
        grid = np.linspace(0, 1, 101)
        half = np.sqrt(np.log(2 / 0.05) / (2 * len(p_values)))  # Dvoretzky, Kiefer, Wolfowitz
        low, high = np.clip(grid - half, 0, 1), np.clip(grid + half, 0, 1)
        ax.fill_between(grid, low, high, color=svg.GUIDE, alpha=0.18, linewidth=0)
        ax.plot(grid, grid, color=svg.EXACT, linewidth=1.2)
        sns.ecdfplot(x=np.asarray(p_values), ax=ax, color=svg.MEASURED, linewidth=1.6)
        ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="p-value", ylabel="share of checks below")
        return page_svg(figure, prefix, "distribution of the p-values against the uniform one")


@contextmanager
def page_style() -> Iterator[None]:
    """Seaborn's look with the page's ink, for this drawing only."""
    import matplotlib as mpl
    import seaborn as sns

    with mpl.rc_context():
        sns.set_theme(context="paper", style="ticks", rc=RULES)
        yield


def _figure(*, short: bool, wide: bool = False) -> Figure:
    from matplotlib.figure import Figure

    tall, across = TALL * (0.76 if short else 1.0), WIDE
    if wide:
        tall, across = 1.15 * TALL, 1.75 * WIDE
    figure = Figure(figsize=(across, tall))
    figure.subplots_adjust(
        left=0.16 * WIDE / across, right=0.975, top=0.965, bottom=0.45 / tall, hspace=0.16
    )
    return figure


def page_svg(figure: Figure, prefix: str, label: str) -> str:
    """The drawing as it stands on a page; see `svg.inline`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return svg.inline(buffer.getvalue(), prefix, label)


def _two(figure: Figure) -> tuple[Axes, Axes]:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.9, 1))
    upper.tick_params(labelbottom=False)
    return upper, lower


def _trajectory(figure: Figure, panel: Panel) -> None:
    single = not panel.overlays
    upper, lower = (figure.add_subplot(), None) if single else _two(figure)
    _measured(upper, panel.steps, panel.curves[0])
    for overlay in panel.overlays:
        _predicted(upper, panel, overlay)
    scale_steps(upper, panel.steps)
    scale_values(upper, _heights(panel))
    upper.set_ylabel(_short_unit(panel))
    if lower is None:
        upper.set_xlabel("step")
        return
    draw_residuals(lower, panel, lambda overlay: panel.steps[overlay.rows])
    lower.set_xlabel("step")


def _measured(
    ax: Axes,
    x: Array,
    item: Curve,
    colour: str = svg.MEASURED,
    shade: float = 0.35,
    *,
    logarithmic: bool = False,
) -> None:
    import seaborn as sns

    if item.low is not None and item.high is not None:
        ax.fill_between(x, item.low, item.high, color=colour, alpha=0.13, linewidth=0)
    low, high = item.band(logarithmic)
    size = item.mean.shape[1]
    for k in range(size):
        ax.fill_between(x, low[:, k], high[:, k], color=colour, alpha=shade, linewidth=0)
    sns.lineplot(
        x=np.tile(x, size),
        y=item.mean.T.ravel(),
        units=np.repeat(np.arange(size), len(x)),
        estimator=None,
        ax=ax,
        color=colour,
        linewidth=2.4,
        legend=False,
    )


def _predicted(ax: Axes, panel: Panel, overlay: Overlay) -> None:
    colour = colour_of(overlay)
    x = panel.steps[overlay.rows]
    style: Any = LINE.get(overlay.kind, "-")
    look: dict[str, Any] = {"linestyle": style, "linewidth": 1.5}
    if overlay.kind == "exact" or len(x) < 3:  # beads: where it agrees, both colours stay visible
        beads = 3.4 if len(x) <= 40 else 0.0
        look |= {"linewidth": 0.8, "marker": "o", "markersize": beads, "markeredgewidth": 0}
    for k in range(overlay.values.shape[1]):
        ax.plot(x, overlay.values[:, k], color=colour, **look)
    if overlay.tested:
        rows, components = np.array(overlay.tested).T
        heights = panel.curves[0].mean[rows, components]
        ring: dict[str, Any] = {
            "markersize": 6.5,
            "markerfacecolor": "none",
            "markeredgewidth": 1.1,
        }
        ax.plot(panel.steps[rows], heights, "o", markeredgecolor=svg.INK, **ring)


def _static(figure: Figure, panel: Panel) -> None:
    upper, lower = _two(figure) if panel.overlays else (figure.add_subplot(), None)
    row = _static_row(panel)
    own = panel.curves[0]
    x = np.arange(1.0, own.mean.shape[1] + 1)
    size = 4.5 if len(x) < 40 else 2.5
    bars: dict[str, Any] = {
        "fmt": "o",
        "markersize": size,
        "elinewidth": 1.2,
        "color": svg.MEASURED,
    }
    upper.errorbar(x, own.mean[row], yerr=np.nan_to_num(own.half[row]), **bars)
    for overlay in panel.overlays:
        at = np.flatnonzero(overlay.rows == row)
        if len(at):
            ring: dict[str, Any] = {
                "markersize": size + 4,
                "markerfacecolor": "none",
                "markeredgewidth": 1.2,
            }
            colour = colour_of(overlay)
            upper.plot(x, overlay.values[at[0]], "o", markeredgecolor=colour, **ring)
    upper.set_ylabel(_short_unit(panel))
    upper.set_xlim(0.4, len(x) + 0.6)
    upper.margins(y=0.12)
    bottom = upper if lower is None else lower
    if lower is not None:
        draw_residuals(lower, _only(panel, row), lambda _: x)
    _component_axis(bottom, len(x), panel, row)


def _component_axis(ax: Axes, size: int, panel: Panel, row: int) -> None:
    when = f"step {panel.steps[row]:.0f}"
    ax.set_xlabel(f"component, at {when}" if size > 1 else f"at {when}")
    ax.set_xticks([] if size == 1 else np.unique(np.linspace(1, size, min(size, 8)).round()))


def _static_row(panel: Panel) -> int:
    last = [int(overlay.rows[-1]) for overlay in panel.overlays if len(overlay.rows)]
    return max(last, default=len(panel.steps) - 1)


def _only(panel: Panel, row: int) -> Panel:
    """The panel at one record point, components along the rows."""
    own = panel.curves[0]
    turned = replace(
        own, mean=own.mean[row][:, None], error=own.error[row][:, None], low=None, high=None
    )
    overlays = tuple(
        Overlay(
            theorem=item.theorem,
            kind=item.kind,
            rows=np.arange(own.mean.shape[1]),
            values=item.values[item.rows == row][0][:, None],
        )
        for item in panel.overlays
        if (item.rows == row).any()
    )
    return Panel(
        observable=panel.observable,
        shape="static",
        steps=panel.steps,
        curves=(turned,),
        overlays=overlays,
        critical=panel.critical,
    )


def _pair(figure: Figure, panel: Panel) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
    upper.tick_params(labelbottom=False)
    own, reference, difference = panel.curves
    _measured(upper, panel.steps, reference, svg.REFERENCE)
    _measured(upper, panel.steps, own)
    upper.lines[0].set_linestyle((0, (5, 2)))
    scale_steps(upper, panel.steps)
    bands = [band for item in (own, reference) for band in (item.low, item.high)]
    scale_values(upper, [own.mean, reference.mean, *(b for b in bands if b is not None)])
    upper.set_ylabel("objective gap")
    relative = bool((reference.mean > 0).all())
    scale = 100 / reference.mean if relative else np.ones_like(reference.mean)
    shown = replace(
        difference,
        mean=difference.mean * scale,
        error=difference.error * scale,
        low=None,
        high=None,
    )
    _measured(lower, panel.steps, shown, svg.BOUND)
    lower.axhline(0, color=svg.INK, linewidth=0.7)
    lower.margins(y=0.12)
    lower.set_ylabel("difference, %" if relative else "difference")
    lower.set_xlabel("step")
    _mark_tested(lower, panel, shown)
    if panel.crossing is not None:
        for ax in (upper, lower):
            ax.axvline(panel.crossing, color=svg.ALARM, linewidth=1.0, linestyle=(0, (2, 2)))


def _mark_tested(ax: Axes, panel: Panel, shown: Curve) -> None:
    rows = sorted({row for overlay in panel.overlays for row, _ in overlay.tested})
    ring: dict[str, Any] = {"markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 1.1}
    ax.plot(panel.steps[rows], shown.mean[rows, 0], "o", markeredgecolor=svg.INK, **ring)


def _race(figure: Figure, panel: Panel) -> None:
    ax = figure.add_subplot()
    shade = 0.35 if len(panel.curves) <= 3 else 0.1  # of bands that overlap
    for index, item in enumerate(panel.curves[: len(svg.SERIES)]):
        if not np.isfinite(item.mean).any():
            continue  # its colour stays its own
        alone, colour = replace(item, low=None, high=None), svg.SERIES[index]
        if panel.logarithmic:  # a start at 0 is not there
            alone = replace(alone, mean=np.where(item.mean > 0, item.mean, np.nan))
        _measured(ax, panel.steps, alone, colour, shade, logarithmic=panel.logarithmic)
        ax.lines[-1].set_linestyle(DASHES[index % len(DASHES)])  # type: ignore[arg-type]
    look: dict[str, Any] = {"markersize": 6, "markeredgewidth": 1.2, "markeredgecolor": svg.INK}
    for index, step, value in panel.marks:
        ax.plot(step, value, "D", color=svg.SERIES[index], clip_on=False, zorder=5, **look)
    for colour, overlay in zip(svg.SERIES, panel.overlays, strict=False):
        ax.plot(
            panel.steps[overlay.rows],
            overlay.values[:, 0],
            "o",
            color=colour,
            markersize=4,
            clip_on=False,
        )
    scale_steps(ax, panel.steps)
    printed = np.array([[value] for _, _, value in panel.marks]).reshape(-1, 1)
    told = [overlay.values for overlay in panel.overlays]
    bands = (end for item in panel.curves for end in item.band(panel.logarithmic))
    shown = np.concatenate([*(item.mean for item in panel.curves), *bands, *told, printed])
    scale_race(ax, shown, logarithmic=panel.logarithmic)
    ax.set(
        xlabel="step", ylabel=panel.observable.replace("_", " ") if panel.meaning else "difference"
    )


def _heights(panel: Panel) -> list[Array]:
    own = panel.curves[0]
    bands = [band for band in (own.low, own.high) if band is not None]
    return [own.mean, *bands, *(overlay.values for overlay in panel.overlays)]


def _short_unit(panel: Panel) -> str:
    return "value" if panel.unit in {"", "1"} else panel.unit
