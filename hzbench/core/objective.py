"""Objective: a problem as flat arrays and a code, for compiled code that knows its closed form.

A problem that has such a form offers it as `compiled()`; an engine asks for it by name, and only
from the class itself, since a subclass may compute something else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hzbench.core.compiled import table

DIAGONAL, DENSE, SQUARED, LOGISTIC = range(4)
"""Quadratics with diagonal or dense Hessians, rows with a squared or logistic loss."""


class Objective(NamedTuple):
    """A problem. Arrays that its kind does not need are empty; m is 1 (shared) or n.

    Attributes:
        kind: DIAGONAL, DENSE, SQUARED or LOGISTIC.
        diagonal: diagonals of Hessians, [m, d].
        hessians: symmetric, [m, d, d]; of SQUARED the second moments of the nodes' rows.
        linear: b_i, [m, d]; of SQUARED the cross moments.
        noise: 0 without noise of gradients, 1 with `root`, 2 with `factor`.
        root: its standard deviations, [m, d].
        factor: S with S'S = Σ, [m, d, d]; ζ = z'S for normal z.
        call_noise: standard deviation that a function value adds.
        features, targets: all data rows, [N, d] and [N].
        flat, starts, counts: rows of the nodes, one after the other; where each starts; how many.
        regularization: λ.
    """

    kind: int
    diagonal: Any
    hessians: Any
    linear: Any
    noise: int
    root: Any
    factor: Any
    call_noise: float
    features: Any
    targets: Any
    flat: Any
    starts: Any
    counts: Any
    regularization: float


def objective(kind: int, **given: Any) -> Objective:
    """An objective of the arrays given, each as contiguous float64 or int64; the others empty."""
    ranks = {"diagonal": 2, "hessians": 3, "linear": 2, "root": 2, "factor": 3, "features": 2}
    parts: dict[str, Any] = {name: _numbers(given, name, rank) for name, rank in ranks.items()}
    parts["targets"] = _numbers(given, "targets", 1)
    for name in ("flat", "starts", "counts"):
        parts[name] = table(given.get(name, np.zeros(0)), np.int64)
    return Objective(
        kind=kind,
        noise=int(given.get("noise", 0)),
        call_noise=float(given.get("call_noise", 0.0)),
        regularization=float(given.get("regularization", 0.0)),
        **parts,
    )


def _numbers(given: dict[str, Any], name: str, rank: int) -> Any:
    return table(given.get(name, np.zeros((0,) * rank)))
