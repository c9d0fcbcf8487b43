"""Constants and certificates of a problem's examples, for `hzbench list` and `hzbench show`."""

from __future__ import annotations

from typing import Any

import numpy as np

from hzbench.core import registry
from hzbench.core.problem import Kind, Placement, Problem

SYMBOLS = {
    "dimension": "d",
    "smoothness": "L",
    "sample_smoothness": "L of a sample",
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
            "how": c.how.get(name, ""),
        }
        for name, symbol in SYMBOLS.items()
    ]


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


def in_a_line(name: str) -> str:
    """The main constants of the first example in a line."""
    rows = {row["name"]: row for row in facts_of(name, first=True)[0]["constants"]}
    kept = ("dimension", "smoothness", "strong_convexity", "minimum")
    words = {"unknown": "?", "does not hold": "-"}
    texts = {key: rows[key]["text"] for key in kept}
    return ", ".join(f"{SYMBOLS[key]} {words.get(text, text)}" for key, text in texts.items())
