"""`hzbench predict`."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import print_json
from hzbench.core import registry
from hzbench.core.prediction import Prediction
from hzbench.core.server import ServerMethod
from hzbench.harness.prepare import Case
from hzbench.harness.prepare import predict as predict_one
from hzbench.harness.results import prediction_record
from hzbench.harness.server import schedule_of, schedule_record
from hzbench.harness.setting import method_of
from hzbench.harness.suite import load
from hzbench.harness.sweep import prepare_all


def predict(target: str, *, as_json: bool) -> None:
    """Print every prediction of every registered theorem (and why the others do not apply)."""
    specs = load(target).specs
    records = [_record(case) for case in prepare_all(specs)]
    if as_json:
        print_json({"schema": 1, "runs": records})
        return
    console = Console()
    for spec, record in zip(specs, records, strict=True):
        console.rule(escape(spec.name))
        for prediction in record["predictions"]:
            _show(console, prediction)
        for sentence in record["warnings"]:
            console.print(f"[yellow]warning[/] {escape(sentence)}", soft_wrap=True)


def predictions(case: Case) -> list[Prediction]:
    """What every registered theorem says of a case's setting."""
    return [predict_one(name, case.setting) for name in registry.entries("theorem")]


def _record(case: Case) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": case.spec.name,
        "spec": case.spec.model_dump(mode="json", exclude_defaults=True),
        "steps": list(case.setting.record),
        "warnings": list(case.warnings),
        "predictions": [prediction_record(p) for p in predictions(case)],
    }
    method = method_of(case.spec)
    if isinstance(method, ServerMethod):
        record["bias"] = _bias(case)
        record["schedule"] = schedule_record(schedule_of(case.spec, method))
    return record


def _bias(case: Case) -> float | None:
    """The part of |∇f|² that no small step size removes; None where it is not known."""
    floor = float(registry.find("limit", "bias").target(case.setting)[0])
    return floor if isfinite(floor) else None


def _show(console: Console, prediction: dict[str, Any]) -> None:
    if not prediction["applies"]:
        failed = next(a for a in prediction["assumptions"] if not a["holds"])
        why = escape(f"{failed['text']} {failed['detail']}")
        console.print(
            f"[dim]– {prediction['theorem']}: inapplicable: {why}[/]",
            soft_wrap=True,
            highlight=False,
        )
        return
    console.print(
        f"[bold]{prediction['theorem']}[/] ({prediction['kind']}): "
        f"{escape(prediction['statement'])}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table("observable", "t: value")
    for name, values in prediction["values"].items():
        if values and isinstance(values[0], list):
            for index in range(len(values[0])):
                column = [value[index] for value in values]
                table.add_row(escape(f"{name}[{index}]"), _line(prediction["steps"], column))
        else:
            table.add_row(name, _line(prediction["steps"], values))
    console.print(table)


def _line(steps: Sequence[int], values: Sequence[float | None]) -> str:
    """All record points in one cell, which wraps where a column each would be cut."""
    return "  ".join(f"{t}: {_number(value)}" for t, value in zip(steps, values, strict=True))


def _number(value: float | None) -> str:
    """JSON's null stands for a number that is not finite."""
    return "not finite" if value is None else f"{value:.6g}"
