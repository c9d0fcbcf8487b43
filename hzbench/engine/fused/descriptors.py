"""From a run's components to what the kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.compiled import table
from hzbench.core.lines import Lines
from hzbench.core.method import Method
from hzbench.core.plan import Plan
from hzbench.core.problem import Problem
from hzbench.core.streams import Purpose
from hzbench.engine.fused.records import DIFFERENCES, LAWS, ORDERS, Mixing, Oracles, Update
from hzbench.engine.population import Group, Population

CALLS = ("gradient_calls", "function_calls", "derivative_calls")
assert (Purpose.DATA, Purpose.DIRECTION, Purpose.EVALUATION) == (1, 2, 3)  # as in oracles.py


def oracles_of(population: Population, problem: Problem) -> Oracles:
    """One entry a node."""
    import torch

    n, node = problem.nodes, torch.arange(problem.nodes)
    kinds = dict.fromkeys(Oracles._fields, np.int64) | {"smoothing": np.float64}
    columns: dict[str, Any] = {name: np.zeros(n, dtype=kind) for name, kind in kinds.items()}
    calls = np.zeros((n, len(CALLS)), dtype=np.int64)
    for group in population.groups:
        members = slice(group.first, group.last)
        for name, value in _codes(group).items():
            columns[name][members] = value
        cost = problem.batch_cost(node[members], group.batch_size)
        for kind, times in _times(group).items():
            calls[members, CALLS.index(kind)] = times * cost.cpu().numpy()
    return Oracles(**columns | {"calls": calls})


def _codes(group: Group) -> dict[str, Any]:
    """What the kernels read of one group; an estimator of gradients leaves most of it unread."""
    estimator: Any = group.estimator
    batch = 0 if group.batch_size == "full" else group.batch_size
    if estimator.kind == "first":
        unread = dict.fromkeys(("law", "difference", "samples", "fresh"), 0)
        return {"zeroth": 0, "batch": batch, "rows": batch, "smoothing": 0.0, **unread}
    return {
        "zeroth": 1,
        "batch": batch,
        "rows": batch * (estimator.samples if estimator.data == "fresh" else 1),
        "law": LAWS[estimator.directions],
        "difference": DIFFERENCES[estimator.difference],
        "samples": estimator.samples,
        "smoothing": estimator.smoothing,
        "fresh": int(estimator.data == "fresh"),
    }


def _times(group: Group) -> dict[str, int]:
    """Oracle calls of one estimate a data sample, by kind."""
    estimator: Any = group.estimator
    if estimator.kind == "first":
        return {"gradient_calls": 1}
    m = estimator.samples
    if estimator.difference == "directional_derivative":
        return {"derivative_calls": m}
    if estimator.difference == "central":
        return {"function_calls": 2 * m}
    return {"function_calls": 2 * m if estimator.data == "fresh" else m + 1}


def update_of(plan: Plan, method: Method) -> Update:
    """The method's numbers and the plan's."""
    sizes = plan.step_sizes
    if sizes.size > 0 and (sizes.strides[0] == 0 or bool((sizes == sizes[0]).all())):
        sizes = sizes[:1]
    if sizes.size > 0 and bool((sizes == sizes[:, :1]).all()):
        sizes = sizes[:, :1]
    return Update(
        order=ORDERS[method.update_order],
        momentum=float(method.momentum),
        pair_weight=float(plan.pair_weight),
        step_sizes=table(sizes),
        keys=table(plan.keys.cpu(), np.int64),
    )


def mixing_of(plan: Plan) -> Mixing:
    """W by its lines."""
    if plan.lines is not None:
        return _large(plan.lines, plan.silent)
    assert plan.matrix is not None
    stack = plan.matrix.reshape(-1, plan.nodes, plan.nodes)
    mixing = empty_mixing()._replace(
        diagonal=table(stack.diagonal(axis1=1, axis2=2)),
        up=table(np.zeros((0, 0, 0)) if plan.links is None else plan.links, np.bool_),
        exchanges=table(np.zeros((0, 0)) if plan.exchanges is None else plan.exchanges, np.bool_),
        silent=plan.silent,
    )
    given = stack != 0.0
    given[:, np.arange(plan.nodes), np.arange(plan.nodes)] = False
    counts = np.zeros((len(stack), plan.nodes + 1), dtype=np.int64)
    counts[:, 1:] = given.sum(axis=2)
    pointers = counts.ravel().cumsum().reshape(counts.shape)
    if plan.links is None and 2 * int(counts.sum()) > stack.size:
        return mixing._replace(dense=table(stack), pointers=pointers)
    _, line, column = places = np.nonzero(given)
    return mixing._replace(
        pointers=pointers,
        column=column.astype(np.int64),
        weight=table(stack[places]),
        edge=_edges(plan, line, column),
    )


def _large(lines: Lines, silent: int) -> Mixing:
    """W of a large graph; no link fails."""
    return empty_mixing()._replace(
        diagonal=table(lines.diagonal[None]),
        pointers=table(lines.pointers[None], np.int64),
        column=table(lines.column, np.int64),
        weight=table(lines.weight),
        silent=silent,
    )


def _edges(plan: Plan, line: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the failing edge of every entry, −1 if it never fails; nothing if none does."""
    if plan.links is None:
        return np.zeros(0, dtype=np.int64)
    assert plan.edges is not None
    found = np.full(len(line), -1, dtype=np.int64)
    known = plan.edges[:, 0] * plan.nodes + plan.edges[:, 1]
    order = np.argsort(known)
    asked = np.minimum(line, column) * plan.nodes + np.maximum(line, column)
    found[:] = order[np.searchsorted(known[order], asked)]
    return found


def empty_oracles_and_update() -> tuple[Oracles, Update]:
    """Records of the right types for a run of nothing."""
    integers, calls = np.zeros(0, dtype=np.int64), np.zeros((0, len(CALLS)), dtype=np.int64)
    columns = dict.fromkeys(Oracles._fields, integers)
    oracles = Oracles(**(columns | {"smoothing": np.zeros(0), "calls": calls}))
    keys = np.zeros((0, 2), dtype=np.int64)
    return oracles, Update(
        order=0, momentum=0.0, pair_weight=0.5, step_sizes=np.zeros((0, 0)), keys=keys
    )


def empty_mixing() -> Mixing:
    """The same of a matrix."""
    integers = np.zeros(0, dtype=np.int64)
    return Mixing(
        dense=np.zeros((0, 0, 0)),
        diagonal=np.zeros((1, 0)),
        pointers=np.zeros((1, 1), dtype=np.int64),
        column=integers,
        weight=np.zeros(0),
        edge=integers,
        up=np.zeros((0, 0, 0), dtype=np.bool_),
        exchanges=np.zeros((0, 0), dtype=np.bool_),
        silent=0,
    )
