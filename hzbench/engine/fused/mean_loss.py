"""f and its gradient as runs of kernels record them: a replica's bits, whoever runs beside it.

Over all rows of data by a compiled kernel of its own where the loss is logistic; elsewhere by the
problem's own products, of whole blocks with every point in its place, since last bits tell both.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hzbench.core.compiled import Kernel, aligned
from hzbench.core.machine import threads
from hzbench.core.objective import LOGISTIC, Objective
from hzbench.core.plan import BLOCK
from hzbench.core.problem import EvaluatesTogether, Problem
from hzbench.engine.fused.executor import share_out

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Evaluate = Callable[["Tensor"], "tuple[Tensor, Tensor]"]
_WIDTH = 8
_NOWHERE = -1000.0  # a margin of which e^m is 0


class Sets(NamedTuple):
    """All rows that weigh, eight of equal weight together, see `mean_logistic`."""

    rows: Array
    weights: Array
    offsets: Array


@cache
def kernels() -> Any:
    """The module of the compiled entry."""
    from hzbench.engine.fused import mean_loss_kernels as module

    return module


def mean_loss_kernel() -> Kernel:
    """The kernel of logistic losses."""
    return Kernel("mean loss", "mean_logistic", _compile)


def _compile() -> None:
    """Compile it, about 2 s, by a run of no rows."""
    none = Sets(np.zeros((0, 1)), np.zeros(0), np.zeros(0))
    x, values = aligned((1, 1, _WIDTH)), aligned((1, _WIDTH))
    kernels().mean_logistic(*none, x, values, x.copy(), 0, 0)


def evaluator(problem: Problem, first: int = 0) -> Evaluate:
    """Of points [R, d] f [R] and ∇f [R, d]; the kernel where it knows the problem itself.

    Arguments:
        problem: what is measured.
        first: the replica whose point comes first.
    """
    known: Any = problem
    return _logistic(known) or partial(_whole_blocks, problem, first % BLOCK)


def _whole_blocks(problem: Problem, first: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """By torch, every point at its place in a canonical block, between zeros."""
    import torch

    points = x.new_zeros(-(-(first + len(x)) // BLOCK), BLOCK, x.shape[1])
    points.view(-1, x.shape[1])[first : first + len(x)] = x
    both = zip(*(_both(problem, block) for block in points), strict=True)
    values, gradients = (torch.cat(each)[first:][: len(x)] for each in both)
    return values, gradients


def _both(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(problem, EvaluatesTogether):
        return problem.objective_and_gradient(x)
    return problem.objective(x), problem.objective_gradient(x)


@lru_cache(maxsize=1)  # blocks of replicas ask one after the other
def _logistic(problem: Any) -> Evaluate | None:
    itself = "compiled" in vars(type(problem))  # not what extends one
    form = problem.compiled() if itself else None
    if form is None or form.kind != LOGISTIC:
        return None
    sets, ridge = _sets(form), form.regularization

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        value, gradient = map(torch.from_numpy, _mean_loss(sets, x.numpy()))
        return value + 0.5 * ridge * x.square().sum(-1), gradient + ridge * x

    return evaluate


def _mean_loss(sets: Sets, x: Array) -> tuple[Array, Array]:
    """Of points [R, d], eight replicas side by side."""
    replicas, d = x.shape
    eights = -(-replicas // _WIDTH)
    points, slopes = aligned((eights, d, _WIDTH)), aligned((eights, d, _WIDTH))
    values = aligned((eights, _WIDTH))
    columns = points.transpose(0, 2, 1)
    columns[: replicas // _WIDTH] = x[: replicas // _WIDTH * _WIDTH].reshape(-1, _WIDTH, d)
    columns[replicas // _WIDTH :, : replicas % _WIDTH] = x[replicas // _WIDTH * _WIDTH :]

    def some(first: int, last: int, *_: int) -> None:
        kernels().mean_logistic(*sets, points, values, slopes, first, last)

    with ThreadPoolExecutor(threads()) as pool:
        share_out(pool, some, eights, 0, 0)
    lines = np.ascontiguousarray(slopes.transpose(0, 2, 1)).reshape(-1, d)
    return values.ravel()[:replicas], lines[:replicas]


def _sets(form: Objective) -> Sets:
    """Rows −y a in sets of eight, in the order of their weights in f."""
    weight = np.zeros(len(form.targets))
    shares = np.repeat(1.0 / (len(form.counts) * form.counts), form.counts)
    np.add.at(weight, form.flat, shares)
    order = np.argsort(weight, kind="stable")
    order = order[weight[order] > 0]
    alike = np.split(order, np.flatnonzero(np.diff(weight[order])) + 1)
    filled = [np.append(rows, np.full(-len(rows) % _WIDTH, -1)) for rows in alike]
    places = np.concatenate(filled).reshape(-1, _WIDTH)
    rows = aligned((places.size, form.features.shape[1]))
    held = places.ravel() >= 0
    index = places.ravel()[held]
    rows[held] = -form.targets[index, None] * form.features[index]
    return Sets(rows, weight[places[:, 0]], np.where(held, 0.0, _NOWHERE))
