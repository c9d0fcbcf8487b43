"""exp and log1p of eight lanes, and the slope of the logistic loss. Import inside functions.

Every lane is computed on its own, from sums and products whose order is written here, so neither
the C library nor what stands in the other lanes changes a bit. Within an ulp of the exact value;
infinities, nan, signed zeros and subnormal results are those of IEEE 754.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hzbench.core.masked_lanes import bits_of, fma, from_bits, same_word, splat, where_less

_LOWEST, _HIGHEST = -746.0, 710.0  # e^x is 0 below, infinite above
_MAGIC = 1.5 * 2.0**52  # what is added to it is rounded to an integer, in its last bits
_LN2 = (float.fromhex("0x1.62e42fefa0000p-1"), 1.6465949582897082e-12)  # their sum, in two parts
_TAYLOR = tuple(1.0 / math.factorial(k) for k in range(14))
_FIRST = np.uint64(2046 - 0x4338000000000000 + (1 << 64))  # the bits of _MAGIC to 2 · 1023
_ONE, _EXPONENT = np.uint64(1), np.uint64(52)


@njit(error_model="numpy", _nrt=False, inline="always")
def pair(k, r):
    """Two terms of the series of e^r: 1/k! + r/(k + 1)!."""
    return fma(splat(_TAYLOR[k + 1]), r, splat(_TAYLOR[k]))


@njit(error_model="numpy", _nrt=False, inline="always")
def rest_of_power(x):
    """e^r − 1 with x = n ln 2 + r, |r| <= ½ ln 2, and the lanes whose last bits are n."""
    shifted = fma(x, splat(1.0 / math.log(2.0)), splat(_MAGIC))
    n = splat(_MAGIC) - shifted
    r = fma(n, splat(_LN2[1]), fma(n, splat(_LN2[0]), x))
    s = r * r
    low = fma(pair(4, r), s, pair(2, r))
    high = fma(fma(pair(12, r), s, pair(10, r)), s * s, fma(pair(8, r), s, pair(6, r)))
    return fma(fma(high, s * s, low), s, r), shifted


@njit(error_model="numpy", _nrt=False, inline="always")
def exp(x):
    """e^x of eight lanes. The power of 2 in two halves, so that it may leave the normal range."""
    x = where_less(x, splat(_LOWEST), splat(_LOWEST), x)
    x = where_less(splat(_HIGHEST), x, splat(_HIGHEST), x)
    rest, shifted = rest_of_power(x)
    n = bits_of(shifted) + same_word(_FIRST)
    half = n >> same_word(_ONE)
    first = from_bits(half << same_word(_EXPONENT))
    other = from_bits((n - half) << same_word(_EXPONENT))
    return (splat(1.0) + rest) * first * other


@njit(error_model="numpy", _nrt=False, inline="always")
def logistic_slopes(margins, targets):
    """φ'(m) = −y σ(−y m) of eight rows."""
    return (splat(0.0) - targets) / (splat(1.0) + exp(targets * margins))
