"""What the compiled passes of transformers take: sizes, numbers, room for one group, coins."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hzbench.core.streams import Purpose
from hzbench.problems.dropout import Dropout

if TYPE_CHECKING:
    from torch import Tensor

LANES = 16
EPSILON = 1e-5  # added to variances, as in PyTorch's layers


class Size(NamedTuple):
    """Sizes of a transformer; length: of its sequences, padding included."""

    length: int
    width: int
    heads: int
    layers: int
    hidden: int
    classes: int
    vocabulary: int


class Number(NamedTuple):
    """Constants in the type of the parameters."""

    zero: Any
    one: Any
    absent: Any
    epsilon: Any
    per_width: Any
    per_root: Any
    per_kept: Any
    lowest: Any
    per_ln2: Any
    magic: Any
    ln2_high: Any
    ln2_low: Any
    taylor: Any


class Room(NamedTuple):
    """What a pass leaves behind for 16 examples, flat; in the order of the pass."""

    token: Any
    example: Any
    present: Any
    absent: Any
    per_length: Any
    x: Any
    projected: Any
    shares: Any
    line: Any
    mixed: Any
    first: Any
    first_scale: Any
    between: Any
    hidden: Any
    second: Any
    second_scale: Any
    pooled: Any
    logits: Any
    grad: Any
    back: Any
    wide: Any
    deep: Any


class Coins(NamedTuple):
    """Where the coins of every model's examples lie; keeps: whether there are any."""

    keeps: bool
    keys: Any
    node: Any
    step: Any
    first: Any
    chance: Any
    purpose: Any


@cache
def compiled() -> Any:
    """The compiled passes."""
    from hzbench.problems import transformer_kernels as module

    return module


def compile_passes(dtype: str) -> None:
    """Compile the passes for parameters of that type, about 20 s, by a run of no models."""
    import torch

    one = Size(length=1, width=1, heads=1, layers=1, hidden=1, classes=1, vocabulary=1)
    flat = torch.zeros(0, 1, dtype=getattr(torch, dtype))
    tokens = torch.zeros(1, 1, 1, dtype=torch.int64)
    Passes(one, flat, tokens, None).gradients(tokens[0], flat.new_ones(1, 1))


def numbers(dtype: Any, size: Size, kept: float) -> Number:
    """The constants for parameters of that type."""
    single = dtype == np.float32
    series = [1.0 / math.factorial(k) for k in range(7 if single else 13, -1, -1)]
    high, low = (
        (0.693359375, -2.12194440e-4) if single else (0.6931471803691238, 1.9082149292705877e-10)
    )
    values = (
        0.0,
        1.0,
        -math.inf,
        EPSILON,
        1.0 / size.width,
        1.0 / math.sqrt(size.width // size.heads),
        1.0 / kept,
        -87.0 if single else -708.0,
        1.0 / math.log(2.0),
        1.5 * 2.0 ** (23 if single else 52),
        -high,
        -low,
    )
    return Number._make([*map(dtype, values), np.array(series, dtype)])


def room(dtype: Any, size: Size) -> Room:
    """Memory for one group."""
    length, e = size.length, size.width
    rows = length * e
    counts = {
        "present": length,
        "absent": length,
        "per_length": 1,
        "x": (size.layers + 1) * rows,
        "projected": 3 * size.layers * rows,
        "shares": size.layers * size.heads * length**2,
        "line": max(length, e),
        "mixed": size.layers * rows,
        "first": size.layers * rows,
        "first_scale": size.layers * length,
        "between": size.layers * rows,
        "hidden": size.layers * length * size.hidden,
        "second": size.layers * rows,
        "second_scale": size.layers * length,
        "pooled": e,
        "logits": size.classes,
        "grad": rows,
        "back": rows,
        "wide": 3 * rows,
        "deep": length * max(size.hidden, e),
    }
    arrays = {name: np.zeros(count * LANES, dtype) for name, count in counts.items()}
    token, example = np.zeros(length * LANES, np.int64), np.zeros(LANES, np.int64)
    return Room(token=token, example=example, **arrays)


def _coins(dropout: Dropout | None) -> Coins:
    """The coins of all models; None: nothing is dropped."""
    if dropout is None:
        none, places = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        return Coins(False, none.reshape(0, 2), none, none, places, np.uint64(0), np.uint64(0))
    rows = dropout.rows.take(dropout.row)
    keys, node, step = (
        each.contiguous().numpy().view(np.uint64) for each in (rows.keys, rows.node, rows.step)
    )
    first, chance = dropout.first.contiguous().numpy(), np.uint64(dropout.chance)
    return Coins(True, keys, node, step, first, chance, np.uint64(Purpose.DROPOUT))


class Passes:
    """The compiled passes of models of one size.

    Arguments:
        size: theirs.
        flat: their parameters, [M, d].
        tokens: [M or 1, b, l].
        dropout: where their coins lie; None: nothing is dropped.
    """

    def __init__(self, size: Size, flat: Tensor, tokens: Tensor, dropout: Dropout | None) -> None:
        self.flat, self.tokens = flat.contiguous().numpy(), tokens.contiguous().numpy()
        kept = 1.0 if dropout is None else dropout.chance / (1 << 16)
        masks = 0 if dropout is None else dropout.masks
        kind, examples = self.flat.dtype.type, tokens.shape[1]
        self.common = (
            _coins(dropout),
            size,
            room(kind, size),
            numbers(kind, size, kept),
            np.zeros(examples, np.int64),
            np.zeros(size.length + 2, np.int64),
            np.zeros((masks // LANES + 2) * LANES, np.uint16),
        )
        self.shape = (len(flat), examples, size.classes)

    def logits(self) -> Tensor:
        """[M, b, C]."""
        import torch

        kind = self.flat.dtype
        scores, none = np.empty(self.shape, kind), np.empty((0, 0), kind)
        given = np.empty((0, 0), np.int64), none
        self._run(False, given, np.empty(0, kind), scores, none)
        return torch.from_numpy(scores)

    def gradients(self, targets: Tensor, weights: Tensor) -> Tensor:
        """Of weighted sums of cross-entropies, targets [M or 1, b], weights [M or 1, b or 1]."""
        import torch

        out = np.empty_like(self.flat)
        slope = np.zeros(self.flat.shape[1] * LANES, self.flat.dtype)
        given = targets.contiguous().numpy(), weights.contiguous().numpy()
        self._run(True, given, slope, np.empty((0, 0, 0), self.flat.dtype), out)
        return torch.from_numpy(out)

    def _run(self, back: bool, given: tuple[Any, Any], *results: Any) -> None:
        """Arrays that a pass does not need are empty: both passes are one entry."""
        compiled().run_transformer(self.flat, back, self.tokens, *given, *self.common, *results)
