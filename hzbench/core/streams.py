"""Addressed random streams: Philox4x32-10, compiled on the CPU and, by Triton, on CUDA devices.

Every draw has an address (seed, replica, block, node, step, purpose). The key is derived from
(seed, replica); the counter is (block, node, step, purpose), where `block` counts the 128-bit
outputs that one address needs. So the order of computation, the chunking of replicas, the engine
and the number of workers cannot matter, changing one component leaves the draws of all others
alone, and two nodes never share a stream. Where nothing is compiled, torch's operators draw.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.device_draws import Draw, kernel
from hzbench.core.inverse_normal import inverse_normal
from hzbench.core.wide_philox import wide_words

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_MASK = 0xFFFFFFFF
_CHUNK = 1 << 20  # counters computed at once, where temporaries are arrays
_NO_REALS, _NO_WORDS = np.empty((0, 0)), np.empty(0, dtype=np.uint64)


class Purpose(IntEnum):
    """What a draw is for: the last word of the counter."""

    SCHEDULE = 0
    DATA = 1
    DIRECTION = 2
    EVALUATION = 3
    PROBE = 4
    MASK = 5
    CLOCK = 6
    DROPOUT = 7


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Addresses of B local computations, each at one (replica, node, step).

    Attributes:
        keys: Philox key of each row's replica, int64 words below 2³², shape [B, 2].
        replica: index of the replica within its block, shape [B].
        node: shape [B].
        step: shape [B].
    """

    keys: Tensor
    replica: Tensor
    node: Tensor
    step: Tensor

    def __len__(self) -> int:
        return int(self.node.shape[0])

    def take(self, index: Tensor | slice) -> Rows:
        """The rows at `index` [B'], or of a slice."""
        return Rows(
            keys=self.keys[index],
            replica=self.replica[index],
            node=self.node[index],
            step=self.step[index],
        )


def on_host(tensor: Tensor) -> bool:
    """Whether compiled code reads its numbers, and whether to ask for one costs nothing."""
    return tensor.device.type == "cpu"


def replica_keys(seed: int, replicas: range) -> Tensor:
    """Philox keys of the replicas, int64, shape [R, 2]."""
    import torch

    words = [np.random.SeedSequence(seed, spawn_key=(r,)).generate_state(2) for r in replicas]
    return torch.from_numpy(np.asarray(words, dtype=np.int64).reshape(-1, 2))


def philox(counter: tuple[Any, ...], key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Philox4x32-10 of a 128-bit counter and a 64-bit key.

    Written with operators alone, so numpy arrays and torch tensors (on any device) give the same
    words.

    Arguments:
        counter: four int64 arrays of words below 2³², broadcastable.
        key: two such arrays.

    Returns:
        Four int64 arrays of words below 2³².
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    full = 0 * (c0 + c1 + c2 + c3 + k0)
    c0, c2 = c0 + full, c2 + full
    for _ in range(10):
        low, high = c0 * 0xD2511F53, c2 * 0xCD9E8D57  # wraps modulo 2⁶⁴, as it should
        c0, c2 = high >> 32, low >> 32
        c0 &= _MASK
        c0 ^= c1
        c0 ^= k0
        c2 &= _MASK
        c2 ^= c3
        c2 ^= k1
        high &= _MASK
        low &= _MASK
        c1, c3 = high, low
        k0, k1 = (k0 + 0x9E3779B9) & _MASK, (k1 + 0xBB67AE85) & _MASK
    return c0, c1, c2, c3


def words(rows: Rows, purpose: int, count: int, offset: int = 0) -> Tensor:
    """Words `offset` ... `offset + count − 1` of every row's stream for that purpose.

    Returns:
        int64 words below 2³², shape [B, count].
    """
    import torch

    if (draw := kernel(rows)) is not None:
        return draw(Draw.WORDS, rows, purpose, count, offset)
    first, last = offset // 4, (offset + count + 3) // 4
    if on_host(rows.node):
        out = torch.from_numpy(_words_compiled(rows, purpose, first, last - first))
    else:
        out = torch.empty(len(rows), last - first, 4, dtype=torch.int64, device=rows.node.device)
        _fill(rows, purpose, first, out)
        out = out.flatten(1)
    shift = offset - 4 * first
    return out[:, shift : shift + count]


@cache
def _compiled() -> Any:
    from hzbench.core import philox as module

    return module


def _words_compiled(rows: Rows, purpose: int, first: int, size: int) -> Integers:
    """The words of `size` blocks from `first` on, [B, 4 size]."""
    shape, module = (len(rows), 4 * size), _compiled()
    out = np.empty(math.prod(shape) + module.SLACK, dtype=np.uint64)
    _draw(module.WORDS, rows, purpose, first, size, out, _NO_REALS)
    return out[: math.prod(shape)].view(np.int64).reshape(shape)


def _reals_compiled(what: int, rows: Rows, purpose: int, count: int, offset: int = 0) -> Tensor:
    """Signs or normals, [B, count]."""
    import torch

    out = np.empty((len(rows), count))
    _draw(what, rows, purpose, offset, count, _NO_WORDS, out)
    return torch.from_numpy(out)


def _draw(
    what: int,
    rows: Rows,
    purpose: int,
    offset: int,
    size: int,
    words: NDArray[np.uint64],
    reals: Array,
) -> None:
    """Compiled draws of all rows into one of the arrays."""
    addresses = (each.contiguous().numpy() for each in (rows.keys, rows.node, rows.step))
    given = *addresses, int(purpose), offset, size, *_compiled().room_of(what, size)
    _compiled().draw_rows(what, *given, words, reals.reshape(-1), reals)


def _fill(rows: Rows, purpose: int, first: int, out: Tensor) -> None:
    """The same by torch's operators, a memory-sized part at a time."""
    import torch

    blocks = torch.arange(first, first + out.shape[1], device=out.device)[None, :]
    size = max(1, _CHUNK // max(1, out.shape[1]))
    for start in range(0, len(out), size):
        part = slice(start, start + size)
        key = (rows.keys[part, :1], rows.keys[part, 1:])
        address = (blocks, rows.node[part, None], rows.step[part, None], purpose)
        for index, word in enumerate(philox(address, key)):
            out[part, :, index] = word


def uniforms(rows: Rows, purpose: int, count: int, offset: int = 0) -> Tensor:
    """Uniform on the 2³² midpoints of (0, 1), float64, shape [B, count]."""
    return (words(rows, purpose, count, offset).double() + 0.5) * 2.0**-32


def choices(keys: Tensor, purpose: int, start: int, steps: int, law: Array) -> Integers:
    """One index a (replica, step) with that law, by inversion of the first uniform of node 0.

    Arguments:
        keys: Philox keys, on the CPU, shape [R, 2].
        start, steps: the first step and their number T.
        law: probabilities, shape [E].

    Returns:
        Shape [R, T].
    """
    drawn = np.empty((len(keys), steps), dtype=np.int64)
    _compiled().draw_indices(keys.contiguous().numpy(), start, int(purpose), *inversion(law), drawn)
    return drawn


def inversion(law: Array) -> tuple[Array, Integers, int]:
    """What the compiled inversion of a law reads: `upper`, `guide` and `last`."""
    upper = np.cumsum(law)
    last = int(np.flatnonzero(law)[-1])  # the sum may round below 1
    guide = np.searchsorted(upper, np.arange(len(law)) / len(law), side="right")
    return upper, np.minimum(guide, last), last


def normals(rows: Rows, purpose: int, count: int, offset: int = 0) -> Tensor:
    """Standard normal by inversion of a 32-bit uniform, float64, shape [B, count].

    Values lie within ±6.34; the second moment is 1 − 1e-9. They are within 4 units in the last
    place of the exact value, whoever inverts.
    """
    if (draw := kernel(rows)) is not None:
        return draw(Draw.NORMALS, rows, purpose, count, offset)
    if not on_host(rows.node):
        return inverse_normal(words(rows, purpose, count, offset))
    return _reals_compiled(_compiled().NORMALS, rows, purpose, count, offset)


def signs(rows: Rows, purpose: int, count: int) -> Tensor:
    """Rademacher ±1, one bit each, float64, shape [B, count]."""
    import torch

    if (draw := kernel(rows)) is not None:
        return draw(Draw.SIGNS, rows, purpose, count)
    size = (count + 31) // 32
    if on_host(rows.node):
        return _reals_compiled(_compiled().SIGNS, rows, purpose, count)
    packed = words(rows, purpose, size)
    octets = packed.view(torch.uint8).view(*packed.shape, 8)[:, :, :4]  # the low half, bytewise
    table = _octet_signs(packed.device)
    return table[octets.reshape(len(rows), 4 * size).long()].flatten(1)[:, :count]


@cache
def _octet_signs(device: torch.device) -> Tensor:
    """Signs of the bits of every byte, the least significant first, shape [256, 8]."""
    import torch

    byte, bit = torch.arange(256, device=device), torch.arange(8, device=device)
    return (2 * (byte[:, None] >> bit & 1) - 1).double()


def masks(rows: Rows, purpose: int, kept: int, d: int) -> Tensor:
    """1 at `kept` of d coordinates, all subsets equally likely, 0 elsewhere; float64 [B, d].

    The coordinates of the smallest of d random words: uniform up to ties (probability < d²/2³³).
    """
    import torch

    order = torch.argsort(words(rows, purpose, d), dim=1, stable=True)
    mask = torch.zeros(len(rows), d, dtype=torch.float64, device=order.device)
    return mask.scatter_(1, order[:, :kept], 1.0)


def coins(rows: Rows, purpose: int, chance: int, count: int) -> Tensor:
    """True with probability chance/2¹⁶ each, bool [B, count], for the many that dropout takes.

    16 bits each of Philox4x64-10 as numpy computes it, at a thirtieth of the cost of `words`: key
    (words of the replica), counter (block, node, step, purpose), blocks counted from 1.
    """
    import torch

    if not on_host(rows.node):
        return _coins_there(rows, purpose, chance, count)
    keys, addresses = rows.keys.tolist(), zip(rows.node.tolist(), rows.step.tolist(), strict=True)
    found = np.empty((len(rows), count), dtype=bool)
    for line, key, (node, step) in zip(found, keys, addresses, strict=True):
        stream = np.random.Philox(key=key, counter=[0, node, step, purpose])
        drawn = stream.random_raw((count + 3) // 4).astype("<u8", copy=False).view("<u2")
        np.less(drawn[:count], chance, out=line)
    return torch.from_numpy(found)


def _coins_there(rows: Rows, purpose: int, chance: int, count: int) -> Tensor:
    """The same by torch's operators, a memory-sized part at a time."""
    import torch

    block = torch.arange(1, 1 + (count + 15) // 16, device=rows.node.device)[None]
    found = torch.empty(len(rows), count, dtype=torch.bool, device=block.device)
    size = max(1, _CHUNK // block.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        node, step = rows.node[part, None], rows.step[part, None]
        key = rows.keys[part, :1], rows.keys[part, 1:]
        four = wide_words((block, node, step, torch.full_like(node, int(purpose))), key)
        drawn = torch.stack(four, dim=2).view(torch.int16).flatten(1)
        torch.lt(drawn[:, :count].int() & 0xFFFF, chance, out=found[part])
    return found


def integers(rows: Rows, purpose: int, high: Tensor, count: int, offset: int = 0) -> Tensor:
    """Integers below `high`, by multiply and shift (bias below high/2³²).

    Arguments:
        high: exclusive upper end of each row, shape [B] or scalar tensor.

    Returns:
        int64, shape [B, count].
    """
    if high.device == rows.node.device and (draw := kernel(rows)) is not None:
        return draw(Draw.INTEGERS, rows, purpose, count, offset, high)
    return (words(rows, purpose, count, offset) * high.reshape(-1, 1)).__irshift__(32)
