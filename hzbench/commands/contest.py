"""`hzbench contest`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import print_json, progress, wide_console
from hzbench.commands.run import options_of
from hzbench.contest_theory import add_predictions
from hzbench.harness.contest import load_contest
from hzbench.harness.contest_run import run_contest
from hzbench.harness.sweep import save_json
from hzbench.reports.contest import contest_view
from hzbench.reports.formats import number
from hzbench.reports.html import write_contest

GLYPHS = {"faster": "[green]✓[/]", "slower": "[red]✗[/]", "undecided": "[yellow]=[/]"}


def contest(target: str, out: Path, workers: int, *, as_json: bool, fresh: bool) -> bool:
    """Run, save, draw; returns whether every entrant was tuned to an optimum off the edges."""
    found = load_contest(target)
    options = options_of(out, "cpu", workers, fresh=fresh)
    console = Console(stderr=True)
    with progress(console, found.table.name) as report_progress:
        record = run_contest(found, options, report_progress)
    add_predictions(record, found)
    folder = out / found.table.name
    save_json(folder / "results.json", record)
    page = write_contest(record, folder / "report.html")
    if as_json:
        print_json(record)
    else:
        _show(record)
        print(f"report: {page}")
    return not any(e["edges"] for cell in record["cells"] for e in cell["entrants"].values())


def _show(record: Mapping[str, Any]) -> None:
    """One line a cell: seconds of every method, against the reference."""
    reference = record["contest"]["reference"]
    labels = [method["label"] for method in record["methods"]]
    table = Table(
        title=f"{escape(record['contest']['title'])} · seconds to ε; ✓ {escape(reference)} is "
        f"faster, ✗ slower, = undecided, ! no optimum within the budget "
        f"({record['comparisons']} comparisons, α = {record['contest']['alpha']:g} for all)",
        title_justify="left",
    )
    table.add_column("problem · clock · ε", overflow="fold")
    for label in labels:
        table.add_column(escape(label), overflow="fold")
    for cell in record["cells"]:
        name = f"{cell['problem']} · {cell['clock']} · {cell['target']:g}"
        table.add_row(escape(name), *(_cell(cell, label) for label in labels))
    wide_console().print(table)
    for sentence in contest_view(record).answer:
        wide_console().print(escape(sentence), soft_wrap=True, highlight=False)


def _cell(cell: Mapping[str, Any], label: str) -> str:
    entrant, ratio = cell["entrants"][label], cell["ratios"].get(label)
    seconds = entrant["seconds"]
    text = "never" if seconds is None else number(seconds)
    if entrant["edges"]:
        return f"[red]![/] {text}"
    return text if ratio is None else f"{GLYPHS.get(ratio['outcome'], '')} {text}".strip()
