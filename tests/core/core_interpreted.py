"""Run as a script: what the kernel for draws gives in Triton's interpreter, written to a file.

The interpreter runs the kernel's Python with numpy, one program after the other.
"""

import sys
from itertools import chain

import mpmath
import numpy as np
import torch
import triton
import triton.language as tl
from core_draw_cases import (
    ROUNDINGS,
    SHAPES,
    SIGNS,
    STREAMS,
    ends,
    known_address,
    some_rows,
    some_words,
    strided_rows,
)
from test_core_streams import KNOWN
from triton.runtime.interpreter import InterpreterBuilder

from hzbench.core import philox_triton as kernel
from hzbench.core import streams
from hzbench.core.device_draws import Draw, mistake

HOST = torch.device("cpu")
PHILOX, LOG, REST = tl.philox_impl, InterpreterBuilder.create_log, kernel.REST


@triton.jit
def invert(words, out, size: tl.constexpr):
    place = tl.arange(0, size)
    tl.store(out + place, kernel.normals(tl.load(words + place).to(tl.uint32)))


def draws():
    """Every kind at every shape."""
    rows = some_rows()
    for count in SIGNS:
        yield ("signs", count), kernel.draw(Draw.SIGNS, rows, 2, count)
    for shape in SHAPES:
        yield ("words", shape), kernel.draw(Draw.WORDS, rows, 1, *shape)
        yield ("normals", shape), kernel.draw(Draw.NORMALS, rows, 3, *shape)
    for name, high in ends(rows).items():
        yield ("integers", name), kernel.draw(Draw.INTEGERS, rows, 1, 33, 5, high)
    yield ("strided", 0), kernel.draw(Draw.WORDS, strided_rows(), 1, 33, 5)
    yield ("none", 7), kernel.draw(Draw.NORMALS, rows.take(torch.arange(0)), 1, 7)
    for what in Draw:
        yield ("none", what.name), kernel.draw(what, rows, 1, 0)
    for index, (counter, key, _) in enumerate(KNOWN):
        row, purpose, offset = known_address(counter, key)
        yield ("known", index), kernel.draw(Draw.WORDS, row, purpose, 4, offset)


def callers():
    """What the streams give where the kernel draws."""
    plain, streams.kernel = streams.kernel, lambda _: kernel.draw
    for name, drawn in STREAMS.items():
        yield ("streams", name), drawn(some_rows())
    streams.kernel = plain


def inverses():
    """Normals of given words, with logarithms rounded down, up and to the nearest."""
    words = some_words()
    for rounding in ROUNDINGS:
        log = np.vectorize(lambda x, to=rounding[0]: float(mpmath.ln(x, prec=53, rounding=to)))
        InterpreterBuilder.create_log = lambda self, x, log=log: self.unary_op(x, log)
        out = torch.empty(len(words), dtype=torch.float64)
        invert[(1,)](words, out, size=len(words))
        yield ("inverted", rounding), out
    InterpreterBuilder.create_log = LOG


def last_key(error):
    """Philox with a last round of its own, of which the first key may be wrong."""

    def philox(c0, c1, c2, c3, k0, k1):
        nine = PHILOX(c0, c1, c2, c3, k0, k1, 9)
        by = [9 * step % 2**32 for step in (0x9E3779B9, 0xBB67AE85)]
        return PHILOX(*nine, k0 + by[0] + error, k1 + by[1], 1)

    return philox


def bugs():
    """What `mistake` says of the kernel, as it is and with bugs, and words by `last_key`."""
    yield ("mistake", ""), mistake(kernel.draw, HOST)
    tl.philox_impl = last_key(0)
    yield ("words", "last key"), kernel.draw(Draw.WORDS, some_rows(), 1, 33, 5)
    tl.philox_impl = last_key(1)
    yield ("mistake", "last key"), mistake(kernel.draw, HOST)
    tl.philox_impl = PHILOX
    kernel.REST = tl.constexpr((*REST.value[:-1], REST.value[-1] * (1 + 1e-14)))
    yield ("mistake", "coefficient"), mistake(kernel.draw, HOST)


torch.save(dict(chain(draws(), callers(), inverses(), bugs())), sys.argv[1])
