"""Philox4x32-10 and what is drawn from it, compiled: the words of `hzbench.core.streams`.

Straight-line integer and floating-point code that the compiler turns into vector instructions.
Nothing is reassociated, and a fused multiply-add is written where one is meant, so neither a
compiler flag nor the width of vectors can change a bit. Loaded by `hzbench.core.compiled`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

Word = np.uint64
CHUNK = 1024  # normals made at once: their temporaries stay in the first-level cache

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MIDDLE = np.int64(1 << 31)
_CENTRAL = np.int64(1825361101)  # .425 · 2³², rounded up: where the tails begin
# Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics
# 37 (1988): numerators and denominators of the centre and of the tails (down to exp(−25))
_P = (
    2509.0809287301226727,
    33430.575583588128105,
    67265.770927008700853,
    45921.953931549871457,
    13731.693765509461125,
    1971.5909503065514427,
    133.14166789178437745,
    3.387132872796366608,
)
_Q = (
    5226.495278852545925,
    28729.085735721942674,
    39307.89580009271061,
    21213.794301586595867,
    5394.1960214247511077,
    687.1870074920579083,
    42.313330701600911252,
    1.0,
)
_P_TAIL = (
    7.7454501427834140764e-4,
    0.0227238449892691845833,
    0.24178072517745061177,
    1.27045825245236838258,
    3.64784832476320460504,
    5.7694972214606914055,
    4.6303378461565452959,
    1.42343711074968357734,
)
_Q_TAIL = (
    1.05075007164441684324e-9,
    5.475938084995344946e-4,
    0.0151986665636164571966,
    0.14810397642748007459,
    0.68976733498510000455,
    1.6763848301838038494,
    2.05319162663775882187,
    1.0,
)
# fdlibm's logarithm: two parts of ln 2, and the odd and even coefficients of its series
_LN2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
_ODD = (
    6.666666666666735130e-01,
    2.857142874366239149e-01,
    1.818357216161805012e-01,
    1.479819860511658591e-01,
)
_EVEN = (3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)


@intrinsic
def fma(typing_context, a, b, c):
    """Return a b + c, rounded once."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        return builder.fma(*arguments)

    return types.float64(a, b, c), generate


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


@njit(error_model="numpy", _nrt=False)
def fill_words(k0, k1, node, step, purpose, offset, count, out):
    """Words `offset` ... `offset + count − 1` of one address into `out`, from the index returned.

    Arguments:
        out: uint64, at least count + 6 long.
    """
    first = offset // 4
    for b in range((offset + count + 3) // 4 - first):
        w0, w1, w2, w3 = philox(
            Word(first + b), Word(node), Word(step), Word(purpose), Word(k0), Word(k1)
        )
        out[4 * b] = w0
        out[4 * b + 1] = w1
        out[4 * b + 2] = w2
        out[4 * b + 3] = w3
    return offset - 4 * first


@njit(error_model="numpy", _nrt=False)
def to_normals(words, first, count, out, row, spare):
    """Standard normals from `count` words by inversion, into out[row, :count].

    The centre formula is taken of all; words of the tails are gathered, each with its place, so
    that both formulas run on full vectors.

    Arguments:
        words: at least 2 count + 1 long from `first` on; places of tails go behind the words.
        spare: row of `out` for temporaries.
    """
    for k in range(count):
        q = (np.float64(np.int64(words[first + k])) - 2147483647.5) * 2.0**-32
        r = fma(-q, q, 0.180625)
        out[row, k] = q * _ratio(_P, _Q, r)
    picked, tails = first + count, np.int64(0)
    for k in range(count):
        word = words[first + k]
        words[picked + tails] = (np.uint64(k) << _HALF) | word
        tails += np.int64(abs(np.int64(word) - _MIDDLE) >= _CENTRAL)
    for j in range(tails):
        q = (np.float64(np.int64(words[picked + j] & _MASK)) - 2147483647.5) * 2.0**-32
        r = math.sqrt(-_log(0.5 - abs(q))) - 1.6
        out[spare, j] = math.copysign(_ratio(_P_TAIL, _Q_TAIL, r), q)
    for j in range(tails):
        out[row, np.int64(words[picked + j] >> _HALF)] = out[spare, j]


@njit(error_model="numpy", _nrt=False)
def to_signs(words, first, count, start, out, row):
    """±1 from bits start ... start + count − 1 of the words from `first` on, the least first."""
    for k in range(count):
        bit = start + k
        word = words[first + bit // 32] >> Word(bit % 32)
        out[row, k] = np.float64(np.int64(word & Word(1))) * 2.0 - 1.0


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def word_rows(keys, node, step, purpose, first, blocks, out):
    """Four words a block of every row: keys [B, 2], node and step [B] -> out [B, 4 blocks]."""
    for row in range(len(node)):
        for b in range(blocks):
            w0, w1, w2, w3 = philox(
                Word(first + b),
                Word(node[row]),
                Word(step[row]),
                Word(purpose),
                Word(keys[row, 0]),
                Word(keys[row, 1]),
            )
            out[row, 4 * b] = np.int64(w0)
            out[row, 4 * b + 1] = np.int64(w1)
            out[row, 4 * b + 2] = np.int64(w2)
            out[row, 4 * b + 3] = np.int64(w3)


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def first_words(keys, start, purpose, out):
    """The first word of node 0 at steps start ... start + T − 1: keys [R, 2] -> out [R, T]."""
    zero = Word(0)
    for r in range(out.shape[0]):
        k0, k1 = Word(keys[r, 0]), Word(keys[r, 1])
        for t in range(out.shape[1]):
            word, _, _, _ = philox(zero, zero, Word(start + t), Word(purpose), k0, k1)
            out[r, t] = np.int64(word)


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def invert(words, upper, guide, last):
    """Words [R, T] to the first index whose `upper` is above their uniform, at most `last`.

    guide[g] is the answer for the uniform g/G: what remains is a step or two.
    """
    size = len(guide)
    for r in range(words.shape[0]):
        for t in range(words.shape[1]):
            uniform = (np.float64(words[r, t]) + 0.5) * 2.0**-32
            index = guide[np.int64(uniform * size)]
            while index < last and upper[index] <= uniform:
                index += 1
            words[r, t] = min(index, last)


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def sign_rows(keys, node, step, purpose, part, out):
    """±1 of every row from its bits: keys [B, 2], node and step [B] -> out [B, count]."""
    count = out.shape[1]
    for row in range(len(node)):
        k0, k1 = Word(keys[row, 0]), Word(keys[row, 1])
        fill_words(k0, k1, node[row], step[row], purpose, 0, (count + 31) // 32, part)
        for w in range((count + 31) // 32):
            word = np.int64(part[w])
            for bit in range(min(32, count - 32 * w)):
                out[row, 32 * w + bit] = np.float64(2 * ((word >> bit) & 1) - 1)


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def normal_rows(keys, node, step, purpose, offset, part, lines, out):
    """Standard normals of every row from its words: keys [B, 2], node, step [B] -> out [B, count].

    Arguments:
        part: uint64 [2 CHUNK + 8], and lines: [2, CHUNK], for temporaries.
    """
    for row in range(len(node)):
        k0, k1 = Word(keys[row, 0]), Word(keys[row, 1])
        for start in range(0, out.shape[1], CHUNK):
            count = min(CHUNK, out.shape[1] - start)
            first = fill_words(k0, k1, node[row], step[row], purpose, offset + start, count, part)
            to_normals(part, first, count, lines, 0, 1)
            for k in range(count):
                out[row, start + k] = lines[0, k]


@njit(inline="always")
def _ratio(p, q, x):
    """Quotient of two polynomials."""
    return _polynomial(p, x) / _polynomial(q, x)


@njit(inline="always")
def _polynomial(c, x):
    """Degree 7, the highest coefficient first."""
    high = fma(fma(fma(c[0], x, c[1]), x, c[2]), x, c[3])
    return fma(fma(fma(fma(high, x, c[4]), x, c[5]), x, c[6]), x, c[7])


@njit(inline="always")
def _log(x):
    """Natural logarithm of a normal positive number, within an ulp: fdlibm's, without branches."""
    shifted = np.float64(x).view(np.int64) + np.int64(0x3FF0000000000000 - 0x3FE6A09E00000000)
    power = np.float64((shifted >> np.int64(52)) - np.int64(0x3FF))
    bits = (shifted & np.int64(0x000FFFFFFFFFFFFF)) + np.int64(0x3FE6A09E00000000)
    f = np.int64(bits).view(np.float64) - 1.0
    half, s = 0.5 * f * f, f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (_EVEN[0] + w * (_EVEN[1] + w * _EVEN[2]))
    odd = z * (_ODD[0] + w * (_ODD[1] + w * (_ODD[2] + w * _ODD[3])))
    rest = s * (half + (even + odd)) + power * _LN2[1] - half
    return rest + f + power * _LN2[0]
