"""What the terminal shows: progress on standard error, tables on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

LOGGED = 60.0  # seconds between lines of a log
WIDE, PIPED = 120, 160  # characters: from which a table is not folded; of a pipe or a log
GLYPHS = {
    "consistent": "[green]✓ consistent[/]",
    "violated": "[red]✗ violated[/]",
    "inconclusive": "[yellow]? inconclusive[/]",
    "inapplicable": "[dim]– inapplicable[/]",
}


@contextmanager
def progress(console: Console, title: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar; yields report(name, fraction).

    In a log a line a minute, and what comes before the work (fraction 0) at once.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    said, before = time.monotonic(), ""
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0)

        def report(name: str, fraction: float) -> None:
            nonlocal said, before
            bar.update(task, completed=fraction, description=escape(f"{title}: {name}"[:60]))
            due = (not fraction and name != before) or time.monotonic() - said > LOGGED
            if not console.is_terminal and due:
                said, before = time.monotonic(), name
                console.print(escape(f"{title}: {name}, {fraction:.0%}"), highlight=False)

        yield report


def wide_console() -> Console:
    """Standard output; in a pipe or a log as wide as tables like, unless COLUMNS says otherwise."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PIPED if piped else None)


def verdict_table(record: Mapping[str, Any]) -> None:
    """One line a check, then the headline; the title alone where nothing is checked."""
    if not any(run["verdicts"] for run in record["runs"]):
        wide_console().print(escape(record["suite"]["title"]), soft_wrap=True, highlight=False)
        return
    suite = record["suite"]
    table = Table(
        title=f"{escape(suite['title'])} · {suite['checks']} checks, each at level "
        f"{suite['level']:.2g} (α = {suite['alpha']:g} for all)",
        title_justify="left",
    )
    console = wide_console()
    narrow = console.width < WIDE
    for name in ("run · theorem",) if narrow else ("run", "theorem"):
        table.add_column(name, overflow="fold")
    for name in ("outcome", "p", "sees" if narrow else "would have seen"):
        table.add_column(name, no_wrap=True)
    for run in record["runs"]:
        for verdict in run["verdicts"]:
            name, theorem, *rest = _row(run, verdict)
            check = (f"{name}\n  [dim]{theorem}[/]",) if narrow else (name, theorem)
            table.add_row(*check, *rest)
    console.print(table)
    _unexpected(console, record)
    checks = [verdict for run in record["runs"] for verdict in run["verdicts"]]
    met = sum(verdict["met"] for verdict in checks)
    counts = ", ".join(
        f"{sum(v['outcome'] == name for v in checks)} {name}"
        for name in GLYPHS
        if any(v["outcome"] == name for v in checks)
    )
    console.print(f"{met} of {len(checks)} outcomes as expected ({counts})", highlight=False)


def orderings(record: Mapping[str, Any]) -> None:
    """One line for each ordering, and each judged number, that the paper of a suite states."""
    from hzbench.reports.experiment import READ, WORDS, cut

    for each in record["orderings"]:
        word = WORDS[each["outcome"]]
        wide_console().print(
            f"[bold]{word}[/]: {'the thesis: ' * bool(each.get('thesis'))}{escape(each['text'])}; "
            f"{escape(each['reason'])}",
            soft_wrap=True,
            highlight=False,
        )
    for each in record["readings"]:
        if each.get("outcome"):
            quantity = f"{each['run']}, {each['observable']} at step {each['step']}"
            wide_console().print(
                f"[bold]{READ[each['outcome']]}[/]: {escape(quantity)} is {each['value']:.3g} "
                f"within {each['tolerance']:.3g}; {escape(_interval(each))}"
                f"{escape(_at(cut(each, READ)))}",
                soft_wrap=True,
                highlight=False,
            )


def _at(shortened: str) -> str:
    return f", {shortened}" if shortened else ""


def _interval(reading: Mapping[str, Any]) -> str:
    """A measured number with its interval, as far as there is one."""
    mean, low, high = (reading[key] for key in ("measured", "low", "high"))
    if mean is None:
        return "a replica diverged"
    return f"{mean:.3g} here" + ("" if low is None else f" (95 %: {low:.3g} ... {high:.3g})")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, allow_nan=False, indent=1, ensure_ascii=False))


def _row(run: Mapping[str, Any], verdict: Mapping[str, Any]) -> tuple[str, ...]:
    outcome = GLYPHS[verdict["outcome"]]
    if verdict["expected"] != "consistent" and verdict["met"]:
        outcome += " (expected)"
    if not verdict["met"]:
        outcome = outcome.replace("[/]", " unexpected[/]")
    return (escape(run["name"]), verdict["theorem"], outcome, _p(verdict), _seen(verdict))


def _p(verdict: Mapping[str, Any]) -> str:
    if verdict["method"] == "deterministic":
        return "exact"
    return "" if verdict["p_value"] is None else f"{verdict['p_value']:.2g}"


def _seen(verdict: Mapping[str, Any]) -> str:
    if verdict["kind"] in ("upper", "lower") and verdict["tightness"] is not None:
        ratio = "bound/measured" if verdict["kind"] == "upper" else "measured/bound"
        return f"{ratio} {verdict['tightness']:.3g}"
    if verdict["visible_error"] is None:
        return ""
    return f"{100 * verdict['visible_error']:.2g} %"


def _unexpected(console: Console, record: Mapping[str, Any]) -> None:
    for run in record["runs"]:
        for verdict in run["verdicts"]:
            if not verdict["met"]:
                console.print(
                    f"[red]{escape(run['name'])}[/] · {verdict['theorem']}: expected "
                    f"{verdict['expected']}, got {verdict['outcome']}: "
                    f"{escape(verdict['reason'])}",
                    soft_wrap=True,
                    highlight=False,
                )
