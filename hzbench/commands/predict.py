"""`hzbench predict`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from hzbench.commands.output import print_json
from hzbench.core import registry
from hzbench.core.prediction import Prediction
from hzbench.core.spec import Spec
from hzbench.harness.results import prediction_record
from hzbench.harness.run import Case, prepare
from hzbench.harness.run import predict as predict_one
from hzbench.harness.suite import load


def predict(target: str, *, as_json: bool) -> None:
    """Print every prediction of every registered theorem (and why the others do not apply)."""
    records = [_record(spec) for spec in load(target).specs]
    if as_json:
        print_json({"schema": 1, "runs": records})
        return
    console = Console()
    for spec, record in zip(load(target).specs, records, strict=True):
        console.rule(spec.name)
        for prediction in record["predictions"]:
            _show(console, prediction)
        for sentence in record["warnings"]:
            console.print(f"[yellow]warning[/] {sentence}", soft_wrap=True)


def predictions(case: Case) -> list[Prediction]:
    """What every registered theorem says of a case's setting."""
    return [predict_one(name, case.setting) for name in registry.entries("theorem")]


def _record(spec: Spec) -> dict[str, Any]:
    case = prepare(spec)
    return {
        "name": spec.name,
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "steps": list(case.setting.record),
        "warnings": list(case.warnings),
        "predictions": [prediction_record(p) for p in predictions(case)],
    }


def _show(console: Console, prediction: dict[str, Any]) -> None:
    if not prediction["applies"]:
        failed = next(a for a in prediction["assumptions"] if not a["holds"])
        console.print(
            f"[dim]– {prediction['theorem']}: inapplicable: {failed['text']} {failed['detail']}[/]",
            soft_wrap=True,
            highlight=False,
        )
        return
    console.print(
        f"[bold]{prediction['theorem']}[/] ({prediction['kind']}): {prediction['statement']}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table("observable", *(f"t={step}" for step in prediction["steps"]))
    for name, values in prediction["values"].items():
        if values and isinstance(values[0], list):
            for index in range(len(values[0])):
                table.add_row(f"{name}[{index}]", *(f"{v[index]:.6g}" for v in values))
        else:
            table.add_row(name, *(f"{value:.6g}" for value in values))
    console.print(table)
