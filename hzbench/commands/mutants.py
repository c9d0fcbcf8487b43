"""`hzbench mutants`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import GLYPHS, print_json, progress
from hzbench.commands.run import options_of
from hzbench.harness.mutation import study
from hzbench.harness.suite import load
from hzbench.harness.sweep import save_json


def mutants(
    target: str, out: Path, device: str, workers: int, *, as_json: bool, fresh: bool
) -> bool:
    """Run the mutation study of a suite; returns whether every mutant is found."""
    suite = load(target)
    options = options_of(out, device, workers, fresh=fresh)
    console = Console(stderr=True)
    with progress(console, f"{suite.table.name} mutants") as report:
        record = study(suite, options, report)
    folder = out / suite.table.name
    save_json(folder / "mutants.json", record)
    if as_json:
        print_json(record)
    else:
        _table(record)
    return all(record["found"].values())


def _table(record: dict[str, Any]) -> None:
    table = Table("mutant", "run", "check", "without", "with", "p")
    for row in record["rows"]:
        for check in row["checks"]:
            p = "exact" if check["method"] == "deterministic" else f"{check['p_value'] or 0:.1g}"
            names = (row["mutant"], escape(row["run"]), check["theorem"])
            table.add_row(*names, GLYPHS[check["without"]], GLYPHS[check["with"]], p)
    console = Console()
    console.print(table)
    found = record["found"]
    statistical = {row["mutant"] for row in record["rows"] if row["statistical"]}
    console.print(
        f"{sum(found.values())} of {len(found)} mutants found, {len(statistical)} of them by a "
        f"statistical check at level {record['level']:.2g}",
        highlight=False,
    )
    for name in (name for name, seen in found.items() if not seen):
        console.print(f"[red]not found[/]: {name}", highlight=False)
