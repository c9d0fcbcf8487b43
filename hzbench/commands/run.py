"""`hzbench run` and `hzbench report`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from hzbench.commands.output import orderings, print_json, progress, verdict_table
from hzbench.core.errors import UserMistakeError
from hzbench.core.machine import cores, memory, on_cuda
from hzbench.harness.engines import checked_device, checked_engine
from hzbench.harness.override import overridden
from hzbench.harness.scale import scaled
from hzbench.harness.store import check_writable, writable
from hzbench.harness.suite import load
from hzbench.harness.sweep import Options, run_suite, save_json
from hzbench.reports.benchmarks import benchmark_view
from hzbench.reports.html import write_benchmarks, write_contest, write_report


def run(
    target: str,
    out: Path,
    device: str,
    workers: int,
    scale: float = 1.0,
    *,
    settings: Sequence[str] = (),
    engine: str = "auto",
    as_json: bool,
    fresh: bool,
) -> bool:
    """Run, judge, save, draw; returns whether every outcome equals its expectation."""
    suite = scaled(overridden(load(target), settings), scale)
    options = options_of(out, device, workers, fresh=fresh, engine=engine)
    console = Console(stderr=True)
    if scale != 1 or settings:
        console.print(escape(suite.table.title), soft_wrap=True, highlight=False)
    tell_shares(console, options)
    with progress(console, suite.table.name) as report_progress:
        record = run_suite(suite, options, report_progress)
    _costs(console, record["provenance"])
    if any(each["predict"] for each in record["orderings"]):
        from hzbench.crossing import predict_crossings

        console.print("predicting crossings: descent without noise", highlight=False)
        predict_crossings(record["orderings"], suite.specs)
    folder = out / suite.table.name
    save_json(folder / "results.json", record)
    page = write_report(record, folder / "report.html", _saved(folder / "mutants.json"))
    for each in record["runs"]:
        for sentence in each["warnings"]:
            text = escape(f"{each['name']}: {sentence}")
            console.print(f"[yellow]warning[/] {text}", soft_wrap=True)
    if as_json:
        print_json(record)
    else:
        verdict_table(record)
        orderings(record)
        print(f"report: {page}")
    return bool(record["met"])


def _costs(console: Console, provenance: Mapping[str, Any]) -> None:
    """What the run took besides time."""
    if provenance["compile_seconds"]:
        console.print(
            f"compiled kernels for {provenance['compile_seconds']:.0f} s, once on this machine",
            highlight=False,
        )
    kinds = {"peak memory": "peak_memory", "of the device": "peak_device_memory"}
    sizes = {kind: provenance[key] / 2**30 for kind, key in kinds.items() if provenance[key]}
    told = ", ".join(f"{kind} {size:.2f} GiB" for kind, size in sizes.items())
    console.print(told, highlight=False)


def tell_shares(console: Console, options: Options) -> None:
    """What workers of one CUDA device have of it."""
    if not on_cuda(options.device) or options.workers < 2:
        return
    each = memory(options.device) / options.workers / 2**30
    console.print(
        f"{options.workers} workers share the CUDA device: {each:.3g} GiB each", highlight=False
    )


def report(results: Path | None, out: Path | None, benchmarks: Path | None = None) -> Path:
    """Draw a saved record again, with the mutation study that lies beside it, or benchmarks."""
    if (results is None) == (benchmarks is None):
        raise UserMistakeError(
            f"got {'both' if results else 'neither'} of a results.json and --benchmarks; expected "
            "one of them; give the file that hzbench run or make bench wrote"
        )
    path = results or benchmarks
    assert path is not None
    page = out or path.with_name("report.html" if results else "benchmarks.html")
    return _report(path, page) if results else _benchmarks(path, page)


def _report(path: Path, page: Path) -> Path:
    known = _known(path, ("schema",))
    if "cells" not in known:
        known = _known(path, ("schema", "runs"))
    writable(page.parent)
    if "cells" in known:
        return write_contest(known, page)
    return write_report(known, page, _saved(path.with_name("mutants.json")))


def _benchmarks(path: Path, page: Path) -> Path:
    """The page of what `pytest --benchmark-json` wrote.

    Raises:
        UserMistakeError: it is something else, or tells nothing.
    """
    try:
        view = benchmark_view(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise UserMistakeError(
            f"got {path}, which holds no benchmarks ({error}); expected what make bench wrote; "
            "run make bench and give its hzbench-out/benchmarks.json"
        ) from None
    writable(page.parent)
    return write_benchmarks(view, page)


def _known(path: Path, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """A saved JSON object with these keys.

    Raises:
        UserMistakeError: it is none.
    """
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            found[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserMistakeError(
            f"got {path}, which holds no results ({error}); expected a results.json (or, with "
            "--benchmarks, what make bench wrote); give the one that hzbench run wrote"
        ) from None
    return found


def redraw(folder: Path, mutation: Mapping[str, Any]) -> Path:
    """Draw the report of a suite with a new mutation study, or of that study alone."""
    known = _saved(folder / "results.json")
    record = known or {"suite": {"name": mutation["suite"]}, "runs": []}
    return write_report(record, folder / "report.html", mutation)


def _saved(path: Path) -> Mapping[str, Any] | None:
    """A saved JSON object; None where there is none to read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def options_of(
    out: Path, device: str, workers: int, *, fresh: bool, engine: str = "auto"
) -> Options:
    """Resolve `auto` and 0.

    Workers of one CUDA device take turns there and share its memory, so 0 means one of them.

    Raises:
        UserMistakeError: an unknown device or engine, no CUDA, a folder that cannot be written.
    """
    check_writable(out)
    device = checked_device(device)
    return Options(
        out=out,
        device=device,
        workers=workers or (1 if on_cuda(device) else cores()),
        fresh=fresh,
        engine=checked_engine(engine),
    )
