"""A network at run time: all models of all nodes and replicas in one batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hzbench.core.machine import at_once
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize
from hzbench.problems.architecture import Architecture
from hzbench.problems.dropout import Dropout
from hzbench.problems.examples import Examples
from hzbench.problems.row_model import RowProblem, RowSample, of_node, slices

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 1 << 21  # numbers, parameters and activations, computed at once on the CPU
Pair = tuple["Tensor", "Tensor"]


class Batch(NamedTuple):
    """Rows of data and their weights, [M or 1, b] each, and the coins of dropout."""

    rows: Tensor
    weights: Tensor
    dropout: Dropout | None = None

    def cut(self, here: slice) -> Batch:
        """Some of the examples."""
        weights = self.weights if self.weights.shape[1] == 1 else self.weights[:, here]
        dropout = None if self.dropout is None else self.dropout.cut(here)
        return Batch(self.rows[:, here], weights, dropout)


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkProblem(RowProblem):
    """f_i(x) = mean over M_i of the cross-entropy of a network with parameters x, + (λ/2)|x|².

    Attributes:
        architecture: the network.
        examples: the data; its rows are those of `shares`.
    """

    architecture: Architecture
    examples: Examples

    @property
    def structure(self) -> None:
        """None: no closed form."""
        return

    @property
    def tensors(self) -> tuple[int, ...]:
        """Sizes of the tensors that x is made of, in order."""
        return self.architecture.tensors

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> RowSample:
        """Rows of the node, each with its dropout; "full" draws nothing and drops nothing."""
        drawn = super().sample(rows, batch_size, count)
        random = self.architecture.masks and drawn.index is not None
        return replace(drawn, rows=rows) if random else drawn

    def values(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """F_i(points; sample): [B, s, p, d] -> [B, s, p]."""

        def block(part: slice, batch: Batch) -> Tensor:
            return self._loss(points.flatten(0, 2)[part], batch)

        shape = points.shape[:3]
        found = self._over(shape, node, sample, block, self._held)
        return found.view(shape) + self._ridge(points)

    def gradients(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """∇F_i(points; sample): [B, d] -> [B, s, d]."""
        s = 1 if sample.index is None else sample.count

        def block(part: slice, batch: Batch) -> Tensor:
            return self._slope(_repeated(points, s, part), batch)

        found = self._over((len(node), s, 1), node, sample, block, self._held)
        found = found.view(len(node), s, -1)
        if self.regularization:
            found += self.regularization * points[:, None]
        return found.expand(-1, sample.count, -1)

    def directional_derivatives(
        self, x: Tensor, directions: Tensor, node: Tensor, sample: RowSample
    ) -> Tensor:
        """<∇F_i(x; sample), directions> by forward-mode differentiation, over all tensors.

        [B, d], [B, s, p, d], [B] -> [B, s, p].
        """
        shape, flat = directions.shape[:3], directions.flatten(0, 2)

        def block(part: slice, batch: Batch) -> Tensor:
            return self._derivative(_repeated(x, shape[1] * shape[2], part), flat[part], batch)

        each = self.architecture.activations
        found = self._over(shape, node, sample, block, each).view(shape)
        return found + self.regularization * (directions @ x[:, None, :, None])[..., 0]

    def objective(self, x: Tensor) -> Tensor:
        """f(x): [R, d] -> [R]."""
        return self._all(x, self._loss) + self._ridge(x)

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x): [R, d] -> [R, d]."""
        return self._all(x, self._slope) + self.regularization * x

    def validation(self, x: Tensor) -> dict[str, Tensor]:
        """Loss and accuracy of every node's model on the validation part: [R, n, d] -> [R, n]."""
        import torch

        flat = x.flatten(0, 1)
        loss, right = (flat.new_zeros(len(flat)) for _ in range(2))
        inputs, targets = self._validation
        for examples in self._cut(len(targets), self._held):
            at, labels = inputs[None, examples], targets[None, examples]
            for part in slices(len(flat), self._models(labels.shape[1], self._held)):
                logits = self.architecture.scores(flat[part], at)
                picked = logits.gather(-1, labels.expand(logits.shape[:2])[..., None])[..., 0]
                loss[part] += (logits.logsumexp(-1) - picked).sum(1)
                right[part] += (logits.argmax(-1) == labels).sum(1)
        count = torch.tensor(len(targets), dtype=flat.dtype, device=flat.device)
        return {
            "validation_loss": (loss / count).view(x.shape[:2]),
            "validation_accuracy": (right / count).view(x.shape[:2]),
        }

    def _over(
        self,
        shape: tuple[int, ...],
        node: Tensor,
        sample: RowSample,
        block: Callable[[slice, Batch], Tensor],
        each: int,
    ) -> Tensor:
        """The block function over models [B, s, p], a bounded part at a time, [B·s·p, ...].

        Arguments:
            each: numbers that one example leaves in memory.
        """
        import torch

        _, s, p = shape
        found, index = [], sample.index
        width = self._rows_of_nodes[0].shape[1] if index is None else index.shape[2]
        for part in slices(len(node) * s * p, self._models(width, each)):
            model = torch.arange(part.start, part.stop, device=node.device)
            row, draw = model // (s * p), model // p % s
            if index is None:
                rows, held = (of_node(table, node[row]) for table in self._rows_of_nodes)
                batch = Batch(rows, held)
            else:
                weights = self._row_weights.new_full((1, 1), 1.0 / width)
                whose = slice(part.start // (s * p), -(-part.stop // (s * p)))
                dropout = self._dropout(sample, row, draw, whose)
                batch = Batch(index[row, draw], weights, dropout)
            found.append(self._examples_in_turn(part, batch, block, each))
        return found[0] if len(found) == 1 else torch.cat(found)

    def _dropout(
        self, sample: RowSample, row: Tensor, draw: Tensor, whose: slice
    ) -> Dropout | None:
        """The coins of models [M] of these data samples and rows, of which `whose` are all."""
        if sample.rows is None or sample.index is None:
            return None
        _, s, b = sample.index.shape
        return Dropout(
            rows=sample.rows.take(whose),
            row=row - whose.start,
            draw=draw,
            shape=(s, b),
            masks=self.architecture.masks,
            chance=self.architecture.kept_of_65536,
        )

    def _all(self, x: Tensor, block: Callable[[Tensor, Batch], Tensor]) -> Tensor:
        """The block function on the rows of all nodes, which models share: [R, d] -> [R, ...]."""
        import torch

        every = torch.arange(len(self._targets), device=x.device)
        batch = Batch(every[None], self._row_weights[None])
        found = [
            self._examples_in_turn(part, batch, lambda here, rows: block(x[here], rows), self._held)
            for part in slices(len(x), self._models(len(every), self._held))
        ]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _examples_in_turn(
        self, part: slice, batch: Batch, block: Callable[[slice, Batch], Tensor], each: int
    ) -> Tensor:
        """The sum of the block function over examples, a bounded part at a time."""
        total: Tensor | None = None
        for here in self._cut(batch.rows.shape[1], each):
            found = block(part, batch.cut(here))
            total = found if total is None else total.add_(found)
        assert total is not None
        return total

    def _loss(self, flat: Tensor, batch: Batch) -> Tensor:
        """Weighted sum of losses: [M, d] -> [M]."""
        losses = self._network(batch).values(flat, *self._data(batch.rows))
        return (losses * batch.weights).sum(-1)

    def _slope(self, flat: Tensor, batch: Batch) -> Tensor:
        """Its gradient: [M, d] -> [M, d]."""
        return self._network(batch).gradients(flat, *self._data(batch.rows), batch.weights)

    def _derivative(self, flat: Tensor, direction: Tensor, batch: Batch) -> Tensor:
        """Its derivative along a direction: [M, d], [M, d] -> [M]."""
        forward = _forward_mode()
        with forward.dual_level():
            dual = forward.make_dual(flat.contiguous(), direction)
            losses = self._network(batch).losses(dual, *self._data(batch.rows))
            loss = forward.unpack_dual((losses * batch.weights).sum(-1))
        found: Tensor = loss.tangent
        return found

    def _network(self, batch: Batch) -> Architecture:
        network, dropout = self.architecture, batch.dropout
        return network if dropout is None else network.masked(dropout)

    def _data(self, rows: Tensor) -> Pair:
        return self._inputs[rows], self._classes[rows]

    def _models(self, examples: int, each: int) -> int:
        """How many models at once, each with so many examples."""
        seen = min(examples, max(1, self._room // each))
        return max(1, self._room // (self.dimension + seen * each))

    def _cut(self, examples: int, each: int) -> Iterator[slice]:
        return slices(examples, max(1, self._room // each))

    @cached_property
    def _room(self) -> int:
        return at_once(self.device, _BLOCK)

    @cached_property
    def _held(self) -> int:
        return self.architecture.held(self.device)

    @cached_property
    def _inputs(self) -> Tensor:
        return self._given(self.examples.inputs)

    @cached_property
    def _classes(self) -> Tensor:
        return self._given(self.examples.targets)

    @cached_property
    def _validation(self) -> Pair:
        part = self.examples
        return self._given(part.validation_inputs), self._given(part.validation_targets)

    @cached_property
    def _rows_of_nodes(self) -> Pair:
        """Every node's rows and their weights, padded with weight 0, [m, largest |M_i|]."""
        rows, weights = self.shares.padded_rows()
        return self._given(rows), self._tensor(weights)

    def _given(self, values: NDArray[Any]) -> Tensor:
        """Numbers in the run's dtype, or integers as they are, on the device."""
        kind = np.asarray(values).dtype.kind
        return self._integers(values) if kind in "iu" else self._tensor(values)


@cache
def _forward_mode() -> Any:
    """PyTorch's forward mode; its first use imports something of its own that is deprecated."""
    import torch
    import torch.autograd.forward_ad as forward

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with forward.dual_level():
            forward.make_dual(torch.zeros(1), torch.zeros(1))  # type: ignore[no-untyped-call]
    return forward


def _repeated(x: Tensor, count: int, part: slice) -> Tensor:
    """A part of x with every row `count` times, without building the whole: [B, d] -> [part, d]."""
    import torch

    if count == 1:
        return x[part]
    return x[torch.arange(part.start, part.stop, device=x.device) // count]
