"""`hzbench advise --server`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hzbench.commands.output import print_json
from hzbench.core.errors import UserMistakeError
from hzbench.core.result import plain
from hzbench.pool_planner import PoolAdvice, PoolOption, PoolQuestion, advise_pool

_UNREAD = ("pilot", "figure", "ratio", "shared", "smoothness", "strong_convexity")
_NEEDED = ("first", "zeroth", "dimension")


def answer_pool(given: Mapping[str, Any], *, as_json: bool) -> None:
    """Ask the planner of pools and print its advice.

    Arguments:
        given: what the command line names, candidates and words checked.

    Raises:
        UserMistakeError: options that pools do not read, too few numbers, or out of range.
    """
    wrong = [f"--{name.replace('_', '-')}" for name in _UNREAD if name in given]
    if wrong:
        raise UserMistakeError(
            f"got {', '.join(wrong)} with --server, which does not read it; expected it left out; "
            "drop it"
        )
    missing = [f"--{name}" for name in _NEEDED if name not in given]
    if missing:
        raise UserMistakeError(f"got no {', '.join(missing)}; expected n1, n0 and d; give them")
    advice = advise_pool(PoolQuestion(**given))
    if as_json:
        print_json({"schema": 1, **plain(advice)})
    else:
        _show(advice)


def _show(advice: PoolAdvice) -> None:
    question, console = advice.question, Console()
    table = Table(
        title=f"{question.first} workers with gradients, {question.zeroth} without, d = "
        f"{question.dimension}, E|∇f|² = {question.target:g}",
        title_justify="left",
    )
    columns = _COLUMNS_DIFFERENT if question.heterogeneity else _COLUMNS_ALIKE
    for name in columns:
        table.add_column(name, justify="right")
    for option in advice.options:
        mark = " ←" if option.samples == advice.samples else ""
        table.add_row(
            f"{option.samples}{mark}", *(show(option) for show in columns.values() if show)
        )
    console.print(table)
    legend = _DIFFERENT if question.heterogeneity else _ALIKE
    console.print(legend, style="dim", highlight=False)
    console.print(f"[bold]{advice.sentence}[/]", highlight=False, soft_wrap=True)


def _number(name: str) -> Any:
    def show(option: PoolOption) -> str:
        return f"{getattr(option, name):.3g}"

    return show


_COLUMNS_ALIKE = {
    "m": None,
    "c": _number("cost"),
    "κ": _number("factor"),
    "x": _number("throughput"),
    "time, w = 1": _number("ratio_equal"),
    "helps from n0": _number("helps_from"),
    "best w": _number("weight"),
    "time": _number("ratio_weighted"),
    "alone from n0": _number("alone_from"),
    "speed": _number("speed_up"),
}
_COLUMNS_DIFFERENT = {
    "m": None,
    "c": _number("cost"),
    "κ": _number("factor"),
    "slowest switches from n": _number("straggler_from"),
}
_ALIKE = (
    "c, κ: seconds and noise of an estimate over those of a gradient; x: estimates per gradient; "
    "w: weight of one where a gradient has 1; times over that of the gradients alone where noise "
    "decides; alone: without noise helpers win by themselves above that n0; speed: of the best "
    "pool (gradients, helpers or all) at the target, by equilibrium times."
)
_DIFFERENT = "c, κ: seconds and noise of an estimate over those of a gradient, at the optimum."
