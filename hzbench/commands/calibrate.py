"""`hzbench calibrate`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import print_json, progress
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
        record = study(suite, amount, workers or os.cpu_count() or 1, report)
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
        "run",
        "theorem",
        "q",
        "skew",
        *(f"blocks {rate['level']:g}" for rate in record["rows"][0]["blocks"]),
        *(f"resamples {rate['level']:g}" for rate in record["rows"][0]["resamples"]),
        title=f"False alarms: {amount['blocks']} fresh blocks of {amount['block']}, "
        f"{amount['resamples']} resamples of {record['resample']}",
        title_justify="left",
    )
    for row in record["rows"]:
        cells = [_cell(rate) for rate in (*row["blocks"], *row["resamples"])]
        words = (escape(row["run"]), row["theorem"], str(row["statistics"]))
        table.add_row(*words, f"{row['skewness']:.2g}", *cells)
    console = Console()
    console.print(table)
    rates = [rate for row in record["rows"] for rate in (*row["blocks"], *row["resamples"])]
    above = sum(not rate["kept"] for rate in rates)
    console.print(
        f"{len(rates) - above} of {len(rates)} rates contain or lie below their level "
        f"(intervals simultaneous at 95 %), {record['seconds']:g} s",
        highlight=False,
    )


def _cell(rate: dict[str, Any]) -> str:
    """The rate with its 95 % interval."""
    text = f"{rate['rate']:.2g} [{rate['low']:.1g}, {rate['high']:.1g}]"
    return escape(text) if rate["kept"] else f"[red]{escape(text)}[/]"
