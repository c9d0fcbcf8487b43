"""`hzbench calibrate`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import print_json, progress, wide_console
from hzbench.core.machine import cores
from hzbench.harness.calibration import Amount, study
from hzbench.harness.store import writable
from hzbench.harness.suite import load
from hzbench.harness.sweep import save_json


def calibrate(target: str, out: Path, workers: int, amount: Amount, *, as_json: bool) -> bool:
    """Measure the false-alarm rates of a suite's checks; returns whether every level is kept."""
    suite = load(target)
    folder = writable(out / suite.table.name)
    began = time.perf_counter()
    with progress(Console(stderr=True), f"{suite.table.name} calibration") as report:
        record = study(suite, amount, workers or cores(), report)
    record["seconds"] = round(time.perf_counter() - began, 1)
    save_json(folder / "calibrate.json", record)
    if as_json:
        print_json(record)
    else:
        _table(record)
    return bool(record["kept"])


def _table(record: dict[str, Any]) -> None:
    amount = record["amount"]
    table = Table(
        "check",
        "blocks",
        "level",
        "rate",
        "95 %",
        title=f"False alarms: {amount['blocks']} fresh blocks of {amount['block']}, "
        f"{amount['resamples']} resamples of {record['resample']}",
        title_justify="left",
    )
    for row in record["rows"]:
        name = f"{row['run']}: {row['theorem']}, q = {row['statistics']}"
        for kind, rates in (("fresh", row["blocks"]), ("resampled", row["resamples"])):
            for rate in rates:
                table.add_row(escape(name), kind, *_cells(rate))
                name = ""
    console = wide_console()
    console.print(table)
    rates = [rate for row in record["rows"] for rate in (*row["blocks"], *row["resamples"])]
    above = sum(not rate["kept"] for rate in rates)
    console.print(
        f"{len(rates) - above} of {len(rates)} rates contain or lie below their level "
        f"(intervals simultaneous at 95 %), {record['seconds']:g} s",
        highlight=False,
    )


def _cells(rate: dict[str, Any]) -> tuple[str, str, str]:
    """Level, rate and interval; in red if even the simultaneous interval lies above the level."""
    cells = f"{rate['rate']:.2g}", escape(f"[{rate['low']:.2g}, {rate['high']:.2g}]")
    shown = cells if rate["kept"] else tuple(f"[red]{cell}[/]" for cell in cells)
    return f"{rate['level']:g}", shown[0], shown[1]
