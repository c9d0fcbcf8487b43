"""One self-contained page: every style, script and drawing is inside, nothing is fetched."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hzbench.reports import benchmark_figures, contest_figures, figures, formats
from hzbench.reports.benchmarks import BenchmarkView
from hzbench.reports.contest import ContestView, contest_view
from hzbench.reports.curves import race
from hzbench.reports.document import Document, RunView, build
from hzbench.reports.experiment import Experiment
from hzbench.reports.leaderboard import Group, title
from hzbench.reports.roofline_figure import draw_roofline, series_of
from hzbench.reports.schedule_figure import draw_schedule
from hzbench.reports.svg import SERIES
from hzbench.reports.tables import GLYPHS

TEMPLATES = Path(__file__).parent / "templates"


def write_report(
    results: Mapping[str, Any], path: Path, mutation: Mapping[str, Any] | None = None
) -> Path:
    """Write the report of saved results.

    Args:
        results: the content of results.json, see `hzbench.core.result`.
        path: the file to write; an existing one is replaced in one step.
        mutation: the content of mutants.json, if there was a mutation study.

    Returns:
        The path.
    """
    return _replace(Path(path), render(build(results, mutation)))


def render(document: Document) -> str:
    """Draw the figures and lay out the page. Equal documents give equal pages."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            glyphs=GLYPHS,
            claim_ids={claim.id for claim in document.claims},
            drawings={run.id: _drawings(run) for run in document.runs},
            schedules={
                run.id: draw_schedule(run.schedule, f"{run.id}-schedule")
                for run in document.runs
                if run.schedule
            },
            races=[_race(index, group) for index, group in enumerate(document.groups, start=1)],
            figures=_figures(document.experiment),
            p_values=figures.draw_p_values(document.p_values, "p-values")
            if document.p_values
            else "",
        )
    )


def write_contest(record: Mapping[str, Any], path: Path) -> Path:
    """Write the report of a contest; see `write_report`."""
    return _replace(Path(path), render_contest(contest_view(record)))


def render_contest(view: ContestView) -> str:
    """Draw the figures of a contest and lay out its page."""
    problems = list(dict.fromkeys(forest.problem for forest in view.forests))
    groups = [
        [race for race in view.races if race.title.startswith(f"{problem}, ")]
        for problem in problems
    ]
    return (
        _environment()
        .get_template("contest.html.j2")
        .render(
            view=view,
            forests=[
                {
                    "problem": forest.problem,
                    "drawing": contest_figures.draw_forest(forest, f"ratios-{index}"),
                    "names": [
                        (place + 1, view.methods[place])
                        for place in sorted({bar.series for bar in forest.bars})
                    ],
                }
                for index, forest in enumerate(view.forests, start=1)
            ],
            races=[
                {
                    "problem": problem,
                    "target": group[0].target,
                    "drawing": contest_figures.draw_races(group, f"curves-{index}"),
                }
                for index, (problem, group) in enumerate(
                    zip(problems, groups, strict=True), start=1
                )
            ],
            schedules=[
                (name, draw_schedule(excerpt, f"schedule-{index}"))
                for index, (name, excerpt) in enumerate(view.schedules, start=1)
            ],
            slopes=_slope_figures(view),
        )
    )


def _slope_figures(view: ContestView) -> list[dict[str, Any]]:
    """Measured and predicted slopes, a figure a problem."""
    rows = [row for row in view.slopes if row.drawn]
    groups = {row.problem: [r for r in rows if r.problem == row.problem] for row in rows}
    return [
        {
            "problem": problem,
            "noise_free": group[0].noise_free,
            "drawing": contest_figures.draw_slopes(group, f"slopes-{index}"),
            "names": [
                (place + 1, view.methods[place])
                for place in sorted(
                    {
                        slope.series
                        for row in group
                        for slope in row.slopes
                        if slope.predicted is not None and slope.measured is not None
                    }
                )
            ],
        }
        for index, (problem, group) in enumerate(groups.items(), start=1)
    ]


def write_benchmarks(view: BenchmarkView, path: Path) -> Path:
    """Write the page of saved benchmarks; see `write_report`."""
    template = _environment().get_template("benchmarks.html.j2")
    goals = benchmark_figures.draw_goals(view.rows, "goals") if view.rows else ""
    growth = benchmark_figures.draw_growth(view.growth, "growth") if view.growth else ""
    every = enumerate(view.without_goal.values())
    ratios = [benchmark_figures.draw_ratios(rows, f"ratios-{place}") for place, rows in every]
    roofs = [
        (machine, rows, series_of(rows), draw_roofline(rows, f"roofline-{place}"))
        for place, (machine, rows) in enumerate(view.roofs.items())
    ]
    page = template.render(view=view, goals=goals, growth=growth, ratios=ratios, roofs=roofs)
    return _replace(Path(path), page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=formats.number,
        percent=formats.percent,
        p_value=formats.p_value,
        count=formats.count,
    )
    return environment


def _figures(found: Experiment | None) -> list[dict[str, Any]]:
    """The races of an experiment, with the names of their curves."""
    return [
        {
            "drawing": figures.draw(panel, f"figure-{index}"),
            "names": [
                (place, curve.name)
                for place, curve in enumerate(panel.curves, start=1)
                if np.isfinite(curve.mean).any()
            ],
            "panel": panel,
        }
        for index, panel in enumerate(found.races if found else (), start=1)
    ]


def _drawings(run: RunView) -> list[str]:
    return [
        figures.draw(panel, f"{run.id}-{index}") for index, panel in enumerate(run.panels, start=1)
    ]


def _race(index: int, group: Group) -> dict[str, Any] | None:
    members = group.members[: len(SERIES)]
    panel = race([(title(run), run) for _, run in members])
    if panel is None:
        return None
    names = [curve.name for curve in panel.curves]
    return {"drawing": figures.draw(panel, f"race-{index}"), "names": names}


def _replace(path: Path, page: str) -> Path:
    """Write under a temporary name, then rename: a reader never sees half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
