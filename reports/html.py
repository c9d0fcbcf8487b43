"""One self-contained page: every style, script and drawing is inside, nothing is fetched."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hzbench.reports import figures, formats
from hzbench.reports.curves import race
from hzbench.reports.document import Document, RunView, build
from hzbench.reports.experiment import Experiment
from hzbench.reports.leaderboard import Group, title
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
    return environment.get_template("report.html.j2").render(
        document=document,
        glyphs=GLYPHS,
        claim_ids={claim.id for claim in document.claims},
        drawings={run.id: _drawings(run) for run in document.runs},
        races=[_race(index, group) for index, group in enumerate(document.groups, start=1)],
        figures=_figures(document.experiment),
        p_values=figures.draw_p_values(document.p_values, "p-values") if document.p_values else "",
    )


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
