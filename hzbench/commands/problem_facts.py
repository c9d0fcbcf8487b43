"""Constants and certificates of a problem's examples, for `hzbench list` and `hzbench show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hzbench.core import registry
from hzbench.core.constants import Constants
from hzbench.core.problem import Kind, Placement, Problem

SYMBOLS = {
    "dimension": "d",
    "smoothness": "L",
    "sample_smoothness": "L sample",
    "strong_convexity": "μ",
    "polyak_lojasiewicz": "μ (PL)",
    "hessian_lipschitz": "ρ",
    "noise": "tr Σ",
    "heterogeneity": "ζ²",
    "minimum": "f*",
}


def facts_of(name: str, *, first: bool = False) -> list[dict[str, Any]]:
    """The constants of each example of a problem (or of the first one only), on its own nodes."""
    target = registry.find("problem", name).target
    examples = target.examples[:1] if first else target.examples
    return [_facts(target, dict(table)) for table in examples]


def _facts(target: Any, table: dict[str, Any]) -> dict[str, Any]:
    component, n = target.model_validate(table), target.example_nodes
    zeroth = n if target.gradient_free else n - n // 2
    kinds: list[Kind] = ["zeroth" if node >= n - zeroth else "first" for node in range(n)]
    problem: Problem = component.build(Placement(kinds=kinds))
    return {"example": table, "nodes": n, "constants": _rows(problem)}


def _rows(problem: Problem) -> list[dict[str, Any]]:
    c = problem.constants
    return [
        {
            "name": name,
            "symbol": symbol,
            **_value(problem.dimension if name == "dimension" else _largest(getattr(c, name))),
            "holds": getattr(c, f"{name}_holds", ""),
            "how": _how(c, name),
        }
        for name, symbol in SYMBOLS.items()
    ]


def _how(constants: Constants, name: str) -> str:
    """The certificate; of an unknown constant only why it is unknown."""
    told = constants.how.get(name, "")
    known = not np.isnan(_largest(getattr(constants, name, 0.0)))
    return told if known or told.startswith("unknown") else ""


def _value(value: float) -> dict[str, Any]:
    """A constant as a number (None: unknown, or it does not hold) and as a reader takes it."""
    if np.isnan(value):
        return {"value": None, "text": "unknown"}
    if np.isinf(value):
        return {"value": None, "text": "does not hold"}
    return {"value": value, "text": f"{value:.4g}"}


def _largest(value: Any) -> float:
    """The value; of one a node, the largest."""
    return float(np.max(value)) if np.size(value) else float("nan")


def constants_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Every problem with what it is and the constants of its first example, how each was obtained.

    Arguments:
        rows: name and summary of a problem, and an entry of `facts_of`.
    """
    table = Table("problem", "what it is; constants of its first example", show_lines=True)
    for row in rows:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for symbols, value, how in _lines(row):
            grid.add_row(symbols, value, Text(how, style="dim"))
        table.add_row(row["name"], Group(Text(row["summary"]), grid))
    return table


def _lines(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Symbols, value and certificate; constants that agree in both share a line."""
    keys = ", ".join(f"{key} = {value!r}" for key, value in row["example"].items())
    merged: dict[tuple[str, str], list[str]] = {}
    for each in row["constants"]:
        merged.setdefault((each["text"], _certificate(each)), []).append(each["symbol"])
    unknown = ", ".join(merged.pop(("unknown", ""), []))
    found = [(", ".join(symbols), text, how) for (text, how), symbols in merged.items()]
    size = f"with {keys} on {row['nodes']} nodes" if keys else f"on {row['nodes']} nodes"
    last = [("unknown", "", unknown)] if unknown else []
    return [(*found[0][:2], size), *found[1:], *last]


def _certificate(constant: dict[str, Any]) -> str:
    """How it was obtained, and where it holds if not everywhere."""
    where = constant["holds"] if constant["value"] is not None else ""
    how: str = constant["how"]
    return f"{how} ({where})" if where not in ("", "everywhere") else how
