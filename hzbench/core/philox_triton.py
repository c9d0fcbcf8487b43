"""Draws on a CUDA device: one kernel from addresses to words, signs, normals or integers.

By torch's operators every step of Philox and of the inverse is a pass over memory; here each value
is written once. Words are bit for bit those of `hzbench.core.streams`. Normals take the operations
of `hzbench.core.inverse_normal`, one by one and in its order, and no multiply-add is fused: only
the logarithm may round differently.

A program has a tile of counters and writes the four words of each, or their 128 signs, side by
side. Nothing compiled depends on the values of its arguments but the kind of draw, the shape of the
tile, and whether a row begins beyond 31 bits of counters, so what ran once is compiled, and a CUDA
graph may capture it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from hzbench.core import inverse_normal as inverse
from hzbench.core.device_draws import Draw

if TYPE_CHECKING:
    from torch import Tensor

    from hzbench.core.streams import Rows

SIGNS = tl.constexpr(Draw.SIGNS.value)
NORMALS = tl.constexpr(Draw.NORMALS.value)
INTEGERS = tl.constexpr(Draw.INTEGERS.value)
MIDDLE = tl.constexpr(inverse.MIDDLE)
CENTRE = tl.constexpr(inverse.CENTRE)
SLOPE = tl.constexpr(inverse.SLOPE)
LEVEL = tl.constexpr(inverse.LEVEL)
SHIFT = tl.constexpr(inverse.SHIFT)
UNIT = tl.constexpr(2.0**-32)
REST = tl.constexpr(inverse.REST)
Q = tl.constexpr(inverse.Q)
REST_TAIL = tl.constexpr(inverse.REST_TAIL)
Q_TAIL = tl.constexpr(inverse.Q_TAIL)

_WARPS = 4
OPTIONS = {"num_warps": _WARPS, "enable_fp_fusion": False}
"""What the kernel is compiled with."""
_POINTERS = ("keys", "node", "step", "high", "out")
_NUMBERS = ("rows", "node_by", "step_by", "high_by", "count", "first", "shift", "across", "purpose")


def draw(
    what: Draw, rows: Rows, purpose: int, count: int, offset: int = 0, high: Tensor | None = None
) -> Tensor:
    """What `hzbench.core.streams` draws, by one kernel on the stream of the moment.

    Arguments:
        what: words, signs, normals, or integers below `high`.
        rows: B addresses.
        purpose: the last word of the counter.
        count: values a row, from 0 to below 2³¹.
        offset: values before the first, of signs a multiple of 128.
        high: of integers, the exclusive upper end of each row, [B] or of one number.

    Returns:
        [B, count], contiguous: float64 of signs and normals, int64 of words and integers.
    """
    per, size = (128, 16) if what == Draw.SIGNS else (4, 32 * _WARPS)
    first, shift = divmod(offset, per)
    blocks = max(1, triton.cdiv(shift + count, per))
    wide = min(size, triton.next_power_of_2(blocks))
    across = triton.cdiv(blocks, wide)
    kind = torch.float64 if what in (Draw.SIGNS, Draw.NORMALS) else torch.int64
    out = torch.empty(len(rows), count, dtype=kind, device=rows.node.device)
    end = rows.node if high is None else high.reshape(-1)
    tiles = triton.cdiv(len(rows), size // wide) * across
    with torch.cuda.device_of(out):
        fill[(tiles,)](
            rows.keys.contiguous(),
            rows.node,
            rows.step,
            end,
            out,
            len(rows),
            rows.node.stride(0),
            rows.step.stride(0),
            0 if end.numel() == 1 else end.stride(0),
            count,
            first,
            shift,
            across,
            int(purpose),
            WHAT=what.value,
            ROWS=size // wide,
            BLOCKS=wide,
            **OPTIONS,
        )
    return out


@triton.jit(do_not_specialize=_NUMBERS, do_not_specialize_on_alignment=_POINTERS)
def fill(
    keys,
    node,
    step,
    high,
    out,
    rows,
    node_by,
    step_by,
    high_by,
    count,
    first,
    shift,
    across,
    purpose,
    WHAT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """A tile of ROWS rows and BLOCKS counters of each, of `across` tiles that share their rows.

    Arguments:
        keys, node, step, high: of the rows, `.._by` words apart (keys are two words, contiguous).
        out: [rows, count].
        first: the counter that a row begins with.
        shift: values of that counter that come before the first wanted.
    """
    per: tl.constexpr = 128 if WHAT == SIGNS else 4
    top = tl.program_id(0) // across * ROWS
    left = tl.program_id(0) % across * BLOCKS
    down = tl.arange(0, ROWS)
    here = top + down < rows
    row = top.to(tl.int64) + down
    word = philox_words(
        (first + left + tl.arange(0, BLOCKS)).to(tl.uint32)[None, :],
        tl.load(node + row * node_by, here, 0).to(tl.uint32)[:, None],
        tl.load(step + row * step_by, here, 0).to(tl.uint32)[:, None],
        purpose.to(tl.uint32),
        tl.load(keys + 2 * row, here, 0).to(tl.uint32)[:, None],
        tl.load(keys + 2 * row + 1, here, 0).to(tl.uint32)[:, None],
        ROWS,
        BLOCKS,
    )
    if WHAT == SIGNS:
        value = signs(word, ROWS, BLOCKS)
    elif WHAT == NORMALS:
        value = normals(word)
    elif WHAT == INTEGERS:
        end = tl.load(high + row * high_by, here, 0).to(tl.int64)
        value = word.to(tl.int64) * end[:, None] >> 32
    else:
        value = word.to(tl.int64)
    column = per * left - shift + tl.arange(0, per * BLOCKS)[None, :]
    into = out + top.to(tl.int64) * count + (down[:, None] * count + column)
    tl.store(into, value, here[:, None] & (column >= 0) & (column < count))


@triton.jit
def philox_words(block, node, step, purpose, key, other, ROWS: tl.constexpr, BLOCKS: tl.constexpr):
    """The words of a tile of counters, one after the other: uint32 [ROWS, 4 BLOCKS]."""
    zero = tl.zeros([ROWS, BLOCKS], tl.uint32)
    w0, w1, w2, w3 = tl.philox_impl(
        zero + block, zero + node, zero + step, zero + purpose, zero + key, zero + other
    )
    return tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [ROWS, 4 * BLOCKS])


@triton.jit
def signs(word, ROWS: tl.constexpr, BLOCKS: tl.constexpr):
    """±1 from the bits of words, the least significant first: float64 [ROWS, 128 BLOCKS]."""
    bit = word[:, :, None] >> tl.arange(0, 32).to(tl.uint32)[None, None, :] & 1
    one = tl.full([1, 1], 1.0, tl.float64)
    return tl.where(tl.reshape(bit, [ROWS, 128 * BLOCKS]) != 0, one, -one)


@triton.jit
def normals(word):
    """Standard normals of words, float64: `inverse_normal` with both formulas of all of them."""
    q = (word.to(tl.float64) - MIDDLE) * UNIT
    r = CENTRE - q * q
    centre = SLOPE * q + q * (polynomial(REST, r) / polynomial(Q, r))
    s = tl.sqrt(-tl.log(0.5 - tl.abs(q))) - SHIFT
    tail = LEVEL + polynomial(REST_TAIL, s) / polynomial(Q_TAIL, s)
    return tl.where(r < 0, tl.where(q < 0, -tail, tail), centre)


@triton.jit
def polynomial(c: tl.constexpr, x):
    """Degree 7, the highest coefficient first."""
    value = c.value[0] * x
    for k in tl.static_range(1, 7):
        value = (value + c.value[k]) * x
    return value + c.value[7]
