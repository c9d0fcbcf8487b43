"""`hzbench mutants`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import GLYPHS, print_json, progress, wide_console
from hzbench.commands.run import options_of, redraw, tell_shares
from hzbench.harness.mutation import plant, study
from hzbench.harness.power import candidates, measure
from hzbench.harness.suite import load
from hzbench.harness.sweep import save_json


def mutants(
    target: str,
    out: Path,
    device: str,
    workers: int,
    *,
    as_json: bool,
    fresh: bool,
    repetitions: int = 0,
) -> bool:
    """Run the mutation study of a suite; returns whether every mutant is found.

    With repetitions, also whether every one is found often enough to claim the power.
    """
    suite = load(target)
    options = options_of(out, device, workers, fresh=fresh)
    console = Console(stderr=True)
    folder = out / suite.table.name
    began = time.perf_counter()
    tell_shares(console, options)
    with progress(console, f"{suite.table.name} mutants") as report:
        record = study(suite, options, report)
        save_json(folder / "mutants.json", record)
        if repetitions:
            found = candidates(plant(suite), record["rows"], record["level"])
            power = measure(found, record["level"], repetitions, options.workers, report)
            record |= {"power": power, "seconds": round(time.perf_counter() - began, 1)}
            save_json(folder / "mutants.json", record)
    page = redraw(folder, record)
    if as_json:
        print_json(record)
    else:
        _tables(record)
        print(f"report: {page}")
    enough = record["power"]["enough"] if repetitions else {}
    return all(record["found"].values()) and all(enough.values())


def _tables(record: Mapping[str, Any]) -> None:
    console = wide_console()
    console.print(_found_table(record))
    found = record["found"]
    statistical = {row["mutant"] for row in record["rows"] if row["statistical"]}
    console.print(
        f"{sum(found.values())} of {len(found)} mutants found, {len(statistical)} of them by a "
        f"statistical check at level {record['level']:.2g}",
        highlight=False,
    )
    for name in (name for name, seen in found.items() if not seen):
        console.print(f"[red]not found[/]: {name}", highlight=False)
    if "power" in record:
        _tell_power(console, record["power"])
    for name, reason in record["blind_spots"].items():
        console.print(f"[yellow]blind spot[/]: {name}: {escape(reason)}", highlight=False)


def _found_table(record: Mapping[str, Any]) -> Table:
    table = Table("mutant", "run", "check", "without", "with", "p")
    for row in record["rows"]:
        for check in row["checks"]:
            p = "exact" if check["method"] == "deterministic" else f"{check['p_value'] or 0:.1g}"
            names = (row["mutant"], escape(row["run"]), check["theorem"])
            table.add_row(*names, GLYPHS[check["without"]], GLYPHS[check["with"]], p)
    return table


def _tell_power(console: Console, power: Mapping[str, Any]) -> None:
    sizes = [f"R = {count}" for count in power["replicas"]]
    table = Table("mutant", "run", "check", *sizes, f"power, {power['confidence']:.0%} limit")
    for row in power["rows"]:
        told = [f"{rate['found']} of {rate['trials']}" for rate in row["rates"]]
        low = min(rate["low"] for rate in row["rates"])
        limit = "1 (no chance)" if row["deterministic"] and low == 1 else f"{low:.3f}"
        shown = limit if row["enough"] else f"[red]{limit}[/]"
        table.add_row(row["mutant"], escape(row["run"]), row["theorem"], *told, shown)
    console.print(table)
    enough = power["enough"]
    console.print(
        f"{sum(enough.values())} of {len(enough)} mutants have a check of power at least "
        f"{power['claimed']} at every R",
        highlight=False,
    )
    for name in (name for name, well in enough.items() if not well):
        console.print(f"[red]too little power[/]: {name}", highlight=False)
