"""Philox4x32-10 and what is drawn from it, compiled: the words of `hzbench.core.streams`.

Integer and floating-point code on eight lanes, see `hzbench.core.masked_lanes`.
Nothing is reassociated, and a fused multiply-add is written where one is meant, so neither a
compiler flag nor the width of vectors can change a bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hzbench.core.compiled import entry
from hzbench.core.inverse_normal import CENTRE, MIDDLE, P_TAIL, Q_TAIL, SHIFT, P, Q
from hzbench.core.lane_functions import log_series
from hzbench.core.lane_words import (
    bits_of,
    from_bits,
    load_words,
    next_words,
    same_word,
    store_interleaved,
    store_negative,
    store_words,
    to_lanes,
)
from hzbench.core.masked_lanes import fma, root, splat, store
from hzbench.core.masked_lanes import signs as lane_signs

Word = np.uint64
CHUNK = 1024  # normals made at once: their temporaries stay in the first-level cache
WORDS, SIGNS, NORMALS = 0, 1, 2  # what `draw_rows` draws
SLACK = 40  # what `fill_words` may write beyond the words wanted
_EIGHT = 8 * 32  # words of seven blocks of eight rows, or of eight rows with signs in as many

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SIGN = np.uint64(1 << 63)
# ln 2 in two parts, as fdlibm's logarithm has it
_LN2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)


@njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """The four words of one counter under one key; all are uint64 below 2³²."""
    for _ in range(10):
        low, high = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c2 = (high >> _HALF) ^ c1 ^ k0, (low >> _HALF) ^ c3 ^ k1
        c1, c3 = high & _MASK, low & _MASK
        k0 = (k0 + np.uint64(0x9E3779B9)) & _MASK
        k1 = (k1 + np.uint64(0xBB67AE85)) & _MASK
    return c0, c1, c2, c3


@njit(inline="always")
def blocks(c0, c1, c2, c3, k0, k1):
    """The words of eight counters, given as lanes.

    Bits from the 32nd on are cut off before a product and at the end alone.
    """
    full, half = same_word(_MASK), same_word(_HALF)
    m0, m2 = same_word(np.uint64(0xD2511F53)), same_word(np.uint64(0xCD9E8D57))
    g0, g1 = same_word(np.uint64(0x9E3779B9)), same_word(np.uint64(0xBB67AE85))
    for _ in range(10):
        low, high = (c0 & full) * m0, (c2 & full) * m2
        c0, c2 = (high >> half) ^ c1 ^ k0, (low >> half) ^ c3 ^ k1
        c1, c3, k0, k1 = high, low, k0 + g0, k1 + g1
    return c0 & full, c1 & full, c2 & full, c3 & full


@njit(error_model="numpy", _nrt=False)
def fill_words(k0, k1, node, step, purpose, offset, count, out, place):
    """Words `offset` ... `offset + count − 1` of one address into `out`, from the index returned.

    Eight blocks at once: what is beyond the last word wanted is overwritten.

    Arguments:
        out: uint64, at least count + SLACK long from `place` on.
    """
    first, s0, s1 = offset // 4, same_word(k0), same_word(k1)
    n, t, p = same_word(node), same_word(step), same_word(purpose)
    for b in range(0, (offset + count + 3) // 4 - first, 8):
        w0, w1, w2, w3 = blocks(next_words(first + b), n, t, p, s0, s1)
        store_interleaved(out, (place + 4 * b,), w0, w1, w2, w3)
    return place + offset - 4 * first


@njit(error_model="numpy", _nrt=False)
def leading_words(k0, k1, node, step, purpose, count, size, out, place):
    """The first word or the first four of `count` addresses, one after the other into `out`.

    Arguments:
        node, step: of the addresses, as long as `count` rounded up to a multiple of 8.
        size: 1 or 4.
        out: uint64, at least `size` times that long from `place` on.
    """
    s0, s1, p, zero = same_word(k0), same_word(k1), same_word(purpose), same_word(0)
    for s in range(0, count, 8):
        n, t = load_words(node, (s,)), load_words(step, (s,))
        w0, w1, w2, w3 = blocks(zero, n, t, p, s0, s1)
        if size == 1:
            store_words(out, (place + s,), w0)
        else:
            store_interleaved(out, (place + 4 * s,), w0, w1, w2, w3)


@njit(error_model="numpy", _nrt=False)
def to_normals(words, first, count, out, start, spare):
    """Standard normals from `count` words by inversion, into out[start : start + count].

    The centre formula is taken of all; words of the tails, |q| > .425, are gathered, each with its
    place, so that both formulas run on full vectors.

    Arguments:
        words: at least 2 count + 16 long from `first` on; places of tails go behind the words.
        spare: for temporaries, at least `count` long.
    """
    picked, tails = first + count, np.int64(0)
    for k in range(0, count, 8):
        some = load_words(words, (first + k,)) & same_word(_MASK)
        q = centred(some)
        r = fma(splat(0.0) - q, q, splat(CENTRE))
        store(out, (start + k,), count - k, q * (polynomial(P, r) / polynomial(Q, r)))
        tails += store_negative(
            words, (picked + tails,), next_words(k) << same_word(_HALF) | some, r
        )
    while tails > 0 and np.int64(words[picked + tails - 1] >> _HALF) >= count:
        tails -= 1
    for j in range(0, tails, 8):
        q = centred(load_words(words, (picked + j,)) & same_word(_MASK))
        side = bits_of(q) & same_word(_SIGN)
        r = root(minus_log(splat(0.5) - from_bits(bits_of(q) ^ side))) - splat(SHIFT)
        tail = polynomial(P_TAIL, r) / polynomial(Q_TAIL, r)
        store(spare, (j,), tails - j, from_bits(bits_of(tail) | side))
    for j in range(tails):
        out[start + np.int64(words[picked + j] >> _HALF)] = spare[j]


@njit(error_model="numpy", _nrt=False)
def to_signs(words, first, count, bit, out, row):
    """±1 from bits bit ... bit + count − 1 of the words from `first` on, into out[row, :count].

    Arguments:
        words: one longer than those with the bits.
    """
    for k in range(0, count, 8):
        place = first + (bit + k) // 32
        both = words[place] | words[place + 1] << _HALF
        store(out, (row, k), count - k, lane_signs(both >> Word((bit + k) % 32)))


def room_of(what: int, size: int) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Temporaries of `draw_rows`: `part` and `spare`."""
    held = {WORDS: 0, SIGNS: max(_EIGHT, size // 32), NORMALS: 2 * CHUNK}[what]
    part = np.empty(_EIGHT + held + SLACK, dtype=np.uint64)
    return part, np.empty(CHUNK if what == NORMALS else 0)


@entry
def draw_rows(what, keys, node, step, purpose, offset, size, part, spare, words, flat, reals):
    """Draws of every row from its address: keys [B, 2], node and step [B].

    Arguments:
        what: WORDS, of blocks `offset` ... `offset + size − 1` into `words`, [4 B size] and SLACK
            more; SIGNS, the first `size`, and NORMALS, from number `offset` on, into `reals`
            [B, size].
        part, spare: see `room_of`.
        flat: `reals` as one line.
    """
    rows = len(node)
    if what == WORDS:
        words_of_rows(keys, node, step, purpose, offset, size, 0, rows, words, 0, 4 * size, part)
    elif what == SIGNS:
        sign_rows(keys, node, step, purpose, size, part, reals)
    else:
        normal_rows(keys, node, step, purpose, offset, size, part, spare, flat)


@njit(error_model="numpy", _nrt=False)
def words_of_rows(keys, node, step, purpose, first, size, row, last, out, place, gap, part):
    """Blocks `first` ... `first + size − 1` of rows `row` ... `last − 1`.

    Eight rows side by side if short. Rows in order: each overwrites what the one before has
    written beyond its own words.

    Arguments:
        out: uint64; a row's words lie `gap`, at least 4 size − 3, from those of the row before, the
            first at `place`; SLACK longer.
        part: uint64, whose first _EIGHT words are overwritten.
    """
    if size < 8:
        for k in range(row, last, 8):
            words_of_eight(keys, node, step, purpose, first, size, k, last, part)
            for line in range(min(8, last - k)):
                for b in range(size):
                    some = load_words(part, (32 * b + 4 * line,))
                    store_words(out, (place + (k - row + line) * gap + 4 * b,), some)
        return
    for k in range(row, last):
        k0, k1, at = Word(keys[k, 0]), Word(keys[k, 1]), place + (k - row) * gap
        fill_words(k0, k1, node[k], step[k], purpose, 4 * first, 4 * size, out, at)


@njit(error_model="numpy", _nrt=False)
def words_of_eight(keys, node, step, purpose, first, size, row, last, out):
    """Blocks of eight rows from `row` on, [size, 8, 4] into the beginning of `out`.

    The last row stands for those from `last` on.
    """
    for k in range(8):
        here = min(row + k, last - 1)
        out[k], out[8 + k] = Word(keys[here, 0]), Word(keys[here, 1])
        out[16 + k], out[24 + k] = Word(node[here]), Word(step[here])
    k0, k1, p = load_words(out, (0,)), load_words(out, (8,)), same_word(purpose)
    n, t = load_words(out, (16,)), load_words(out, (24,))
    for b in range(size):
        w0, w1, w2, w3 = blocks(same_word(first + b), n, t, p, k0, k1)
        store_interleaved(out, (32 * b,), w0, w1, w2, w3)


@njit(error_model="numpy", _nrt=False)
def sign_rows(keys, node, step, purpose, count, part, out):
    """±1 of every row from its bits."""
    size = (count + 127) // 128
    some = 8 if size < 8 else 1
    for row in range(0, len(node), some):
        last = min(row + some, len(node))
        words_of_rows(keys, node, step, purpose, 0, size, row, last, part, _EIGHT, 4 * size, part)
        for k in range(row, last):
            to_signs(part, _EIGHT + 4 * size * (k - row), count, 0, out, k)


@njit(error_model="numpy", _nrt=False)
def normal_rows(keys, node, step, purpose, offset, size, part, spare, out):
    """Normals of every row; short rows whose first word begins a block are inverted together."""
    shift = offset % 4
    some = max(1, CHUNK // max(1, size)) if shift == 0 else 1
    for row in range(0, len(node), some):
        last = min(row + some, len(node))
        for start in range(0, size, CHUNK):
            count, first = min(CHUNK, size - start), (offset + start) // 4
            wanted = (shift + count + 3) // 4
            words_of_rows(
                keys, node, step, purpose, first, wanted, row, last, part, _EIGHT, count, part
            )
            place = row * size + start
            to_normals(part, _EIGHT + shift, (last - row) * count, out, place, spare)


@entry
def draw_indices(keys, start, purpose, upper, guide, last, out):
    """An index by the first word of node 0 at steps start ... start + T − 1: keys [R, 2] -> [R, T].

    Arguments:
        upper, guide, last: of the law, see `index_of`.
    """
    zero = Word(0)
    for r in range(out.shape[0]):
        k0, k1 = Word(keys[r, 0]), Word(keys[r, 1])
        for t in range(out.shape[1]):
            word, _, _, _ = philox(zero, zero, Word(start + t), Word(purpose), k0, k1)
            out[r, t] = index_of(word, upper, guide, last)


@njit(error_model="numpy", _nrt=False)
def index_of(word, upper, guide, last):
    """The first index whose `upper` is above the word's uniform, at most `last`.

    guide[g] is the answer for the uniform g/G: what remains is a step or two.
    """
    uniform = (np.float64(word) + 0.5) * 2.0**-32
    index = guide[np.int64(uniform * len(guide))]
    while index < last and upper[index] <= uniform:
        index += 1
    return min(index, last)


@njit(inline="always")
def centred(words):
    """Uniforms of eight words, minus a half."""
    return (to_lanes(words) - splat(MIDDLE)) * splat(2.0**-32)


@njit(inline="always")
def polynomial(c, x):
    """Degree 7, the highest coefficient first."""
    high = fma(fma(fma(splat(c[0]), x, splat(c[1])), x, splat(c[2])), x, splat(c[3]))
    high = fma(fma(high, x, splat(c[4])), x, splat(c[5]))
    return fma(fma(high, x, splat(c[6])), x, splat(c[7]))


@njit(inline="always")
def minus_log(x):
    """−log of normal positive numbers, within an ulp: fdlibm's, without branches."""
    least = np.uint64(0x3FE6A09E00000000)  # of √½, with which fractions start
    bits = bits_of(x) + same_word(np.uint64(0x3FF0000000000000) - least)
    power = to_lanes((bits >> same_word(np.uint64(52))) - same_word(np.uint64(0x3FF)))
    low = (bits & same_word(np.uint64(0x000FFFFFFFFFFFFF))) + same_word(
        np.uint64(0x3FE6A09E00000000)
    )
    f = from_bits(low) - splat(1.0)
    half, s = splat(0.5) * f * f, f / (splat(2.0) + f)
    rest = half - s * (half + log_series(s * s)) - power * splat(_LN2[1])
    return rest - f - power * splat(_LN2[0])
