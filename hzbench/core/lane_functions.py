"""exp of eight lanes, and slopes and changes of the logistic loss. Import inside functions.

Every lane is computed on its own, from sums and products whose order is written here, so neither
the C library nor what stands in the other lanes changes a bit. exp is within an ulp of the exact
value, the others within a few; what is infinite or nan becomes so.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hzbench.core.compiled import inlined
from hzbench.core.lane_words import bits_of, from_bits, same_word
from hzbench.core.masked_lanes import absolute, any_less, fma, splat, where_less

_LOWEST, _HIGHEST = -746.0, 710.0  # e^x is 0 below, infinite above
_MAGIC = 1.5 * 2.0**52  # what is added to it is rounded to an integer, in its last bits
_LN2 = (float.fromhex("0x1.62e42fefa0000p-1"), 1.6465949582897082e-12)  # their sum, in two parts
_TAYLOR = tuple(1.0 / math.factorial(k) for k in range(14))
_FIRST = np.uint64(2046 - 0x4338000000000000 + (1 << 64))  # the bits of _MAGIC to 2 · 1023
_ONE, _EXPONENT = np.uint64(1), np.uint64(52)
# fdlibm's logarithm: the odd and even coefficients of its series
_ODD = (
    6.666666666666735130e-01,
    2.857142874366239149e-01,
    1.818357216161805012e-01,
    1.479819860511658591e-01,
)
_EVEN = (3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)


@inlined
def pair(k, r):
    """Two terms of the series of e^r: 1/k! + r/(k + 1)!."""
    return fma(splat(_TAYLOR[k + 1]), r, splat(_TAYLOR[k]))


@inlined
def power_less_one(r):
    """e^r − 1 of |r| <= ½ ln 2, by Taylor's series."""
    s = r * r
    low = fma(pair(4, r), s, pair(2, r))
    high = fma(fma(pair(12, r), s, pair(10, r)), s * s, fma(pair(8, r), s, pair(6, r)))
    return fma(fma(high, s * s, low), s, r)


@inlined
def exp(x):
    """e^x of eight lanes. The power of 2 in two halves, so that it may leave the normal range."""
    x = where_less(x, splat(_LOWEST), splat(_LOWEST), x)
    x = where_less(splat(_HIGHEST), x, splat(_HIGHEST), x)
    shifted = fma(x, splat(1.0 / math.log(2.0)), splat(_MAGIC))
    whole = splat(_MAGIC) - shifted
    rest = power_less_one(fma(whole, splat(_LN2[1]), fma(whole, splat(_LN2[0]), x)))
    n = bits_of(shifted) + same_word(_FIRST)
    half = n >> same_word(_ONE)
    first = from_bits(half << same_word(_EXPONENT))
    other = from_bits((n - half) << same_word(_EXPONENT))
    return (splat(1.0) + rest) * first * other


@inlined
def log_series(z):
    """R with log((1 + s)/(1 − s)) = s (2 + R), z = s² <= (√2 − 1)⁴."""
    w = z * z
    even = w * (splat(_EVEN[0]) + w * (splat(_EVEN[1]) + w * splat(_EVEN[2])))
    odd = z * (splat(_ODD[0]) + w * (splat(_ODD[1]) + w * (splat(_ODD[2]) + w * splat(_ODD[3]))))
    return even + odd


@inlined
def log_ratio(s):
    """log((1 + s)/(1 − s)) of |s| <= (√2 − 1)²."""
    return s * (splat(2.0) + log_series(s * s))


@inlined
def softplus_less_positive(x):
    """log(1 + e^x) − max(x, 0) = log(1 + e^−|x|)."""
    e, one, limit = exp(splat(0.0) - absolute(x)), splat(1.0), splat(math.sqrt(2.0) - 1.0)
    s = where_less(limit, e, e - one, e) / where_less(limit, e, e + splat(3.0), e + splat(2.0))
    return where_less(limit, e, splat(math.log(2.0)), splat(0.0)) + log_ratio(s)


@njit(error_model="numpy", _nrt=False)
def far_changes(x, grow):
    """log(1 + e^(x + g)) − log(1 + e^x) where |g| is not small."""
    zero, end = splat(0.0), x + grow
    rise = where_less(zero, end, end, where_less(end, zero, zero, end))
    least = zero - x
    steep = where_less(least, grow, grow, where_less(grow, least, least, grow))
    linear = where_less(x, zero, rise, steep)
    return linear + (softplus_less_positive(end) - softplus_less_positive(x))


@njit(error_model="numpy", _nrt=False)
def logistic_changes(margins, deltas, targets):
    """φ(m + δ) − φ(m) of eight rows, φ(m) = log(1 + e^(−ym)), without cancellation.

    With g = −yδ it is log(1 + σ(−ym)(e^g − 1)), for |g| <= ½ ln 2 by the logarithm's series.
    """
    most, x = splat(0.5 * math.log(2.0)), targets * margins
    grow = splat(0.0) - targets * deltas
    rise = power_less_one(grow)
    near = log_ratio(rise / (rise + splat(2.0) * (splat(1.0) + exp(x))))
    if not any_less(most, absolute(grow)):
        return near
    return where_less(most, absolute(grow), far_changes(splat(0.0) - x, grow), near)


@njit(error_model="numpy", _nrt=False)
def logistic_slopes(margins, targets):
    """φ'(m) = −y σ(−y m) of eight rows."""
    return (splat(0.0) - targets) / (splat(1.0) + exp(targets * margins))
