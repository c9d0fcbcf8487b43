"""`hzbench advise`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from hzbench.commands.advise_pool import answer_pool
from hzbench.commands.output import print_json
from hzbench.core.errors import UserMistakeError
from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.core.structure import Difference, DirectionLaw
from hzbench.harness.store import writable
from hzbench.planner import Advice, Question, advise, floor_ratio


def answer(
    pilot: Path | None,
    given: Mapping[str, Any],
    *,
    as_json: bool,
    figure: Path | None,
    server: bool = False,
) -> None:
    """Ask the planner (of pools, with a server), print its advice, and draw it if asked.

    Raises:
        UserMistakeError: numbers out of range, too few of them, or a pilot that does not serve.
    """
    numbers = _checked({k: v for k, v in given.items() if v is not None})
    if server:
        places = {"pilot": pilot, "figure": figure}
        asked = {k: v for k, v in places.items() if v is not None}
        answer_pool(numbers | asked, as_json=as_json)
        return
    if "heterogeneity" in numbers:
        raise UserMistakeError(
            "got --heterogeneity without --server; expected it left out, since rounds average all "
            "nodes alike; drop it, or add --server"
        )
    if figure is not None and figure.suffix != ".svg":
        raise UserMistakeError(f"got --figure {figure}; expected a name in .svg; rename it")
    question = _question(pilot, numbers)
    advice = advise(question)
    if figure is not None:
        from hzbench.reports.advice_figure import draw

        writable(figure.parent)
        figure.write_text(draw(curves(advice)), encoding="utf-8")
    if as_json:
        print_json({"schema": 1, **plain(advice)})
        return
    _show(advice)
    if figure is not None:
        print(f"figure: {figure}")


def curves(advice: Advice) -> dict[str, Any]:
    """What the picture shows: floor over that of the first-order nodes alone, against n_0."""
    question, step = advice.question, advice.alone.step_first
    crossings = [o.threshold for o in advice.options if 0 < o.threshold < 8 * question.zeroth]
    last = int(max(1.5 * question.zeroth, *(1.8 * each for each in crossings), 8.0))
    counts = np.unique(np.geomspace(1, last, 60).round().astype(int)).tolist()
    equal = {
        o.samples: [floor_ratio(question, n0, o.samples, step, "equal") for n0 in counts]
        for o in advice.options
    }
    m = advice.samples
    weighted = [floor_ratio(question, n0, m, step, "weighted") for n0 in counts]
    return {
        "counts": counts,
        "equal": equal,
        "weighted": weighted,
        "samples": m,
        "zeroth": question.zeroth,
        "first": question.first,
        "crossovers": {o.samples: o.threshold for o in advice.options},
    }


def _question(pilot: Path | None, given: dict[str, Any]) -> Question:
    if pilot is not None:
        from hzbench.pilot import question_of

        return question_of(Spec.load(pilot), **given)
    missing = [f"--{name}" for name in ("first", "zeroth", "dimension") if name not in given]
    if missing:
        raise UserMistakeError(
            f"got no {', '.join(missing)}; expected n1, n0 and d; give them, or --pilot SPEC"
        )
    return Question(**given)


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """Words and lists as the planner wants them.

    Raises:
        UserMistakeError: an unknown law or difference, or candidates that are no numbers.
    """
    for name, known in (
        ("directions", get_args(DirectionLaw)),
        ("difference", get_args(Difference)),
    ):
        if given.get(name, known[0]) not in known:
            raise UserMistakeError(
                f"got --{name} {given[name]}; expected {', '.join(known)}; take one of these"
            )
    if "samples" in given:
        try:
            given["samples"] = tuple(int(m) for m in given["samples"].split(","))
        except ValueError:
            raise UserMistakeError(
                f"got --samples {given['samples']}; expected whole numbers with commas; "
                "write --samples 1,4,16"
            ) from None
    return given


def _show(advice: Advice) -> None:
    question, console = advice.question, Console()
    table = Table(
        title=f"{question.first} first-order nodes, up to {question.zeroth} zeroth-order helpers, "
        f"d = {question.dimension}, floor {question.target:g}",
        title_justify="left",
    )
    for name in ("m", "s0/s1", "helps from n0", "floor, equal", "floor, by kind"):
        table.add_column(name, justify="right")
    for name in ("speed, equal", "speed, by kind", "cost, by kind"):
        table.add_column(name, justify="right")
    for o in advice.options:
        mark = " ←" if advice.join and o.samples == advice.samples else ""
        table.add_row(
            f"{o.samples}{mark}",
            f"{o.noise_ratio:.3g}",
            f"{o.needed}",
            f"{o.floor_equal:.3g}",
            f"{o.floor_weighted:.3g}",
            f"{advice.alone.time / o.equal.time:.3g}",
            f"{advice.alone.time / o.weighted.time:.3g}",
            f"{o.weighted.cost / advice.alone.cost:.3g}",
        )
    console.print(table)
    console.print(
        "Floors and cost over those of the first-order nodes alone (floors at the same mean step "
        "size), speeds likewise at the same floor.",
        style="dim",
        highlight=False,
    )
    plan = advice.plan
    console.print(f"[bold]{advice.sentence}[/]", highlight=False, soft_wrap=True)
    helpers = f", zeroth-order {plan.step_zeroth:.4g}" if plan.step_zeroth else ""
    console.print(
        f"Step sizes: first-order {plan.step_first:.4g}{helpers}; {plan.rounds:.4g} rounds to gain "
        f"a factor e; the second moment is bounded up to {plan.limit:.3g} times these steps.",
        highlight=False,
        soft_wrap=True,
    )
