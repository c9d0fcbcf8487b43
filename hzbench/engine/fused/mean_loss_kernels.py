"""The compiled mean of logistic losses over all rows, with its gradient. Import inside functions.

Eight replicas lie in the lanes. Eight rows at a time give margins, slopes and one product of
1 + e^m, of which one logarithm is taken; no margin ever reaches memory. What the product has
beyond 1 is carried instead of it, so losses keep their digits however small all of them are. A
replica's numbers come from its own lane alone, so neither its neighbours nor the threads change a
bit.
"""

from __future__ import annotations

from hzbench.core.compiled import entry, inlined
from hzbench.core.lane_functions import exp
from hzbench.core.masked_lanes import fma, load, splat, store, where_less
from hzbench.core.philox import minus_log

_STRAIGHT = 40.0  # from here on log(1 + eᵗ) is t to the last digit
_TILE = 1 << 15  # numbers of the rows that all replicas read before the next ones


@inlined
def eight_margins(rows, offsets, j, x, k, d):
    """Products a'x plus offsets of rows j ... j + 7, a replica a lane."""
    m0, m1 = splat(offsets[j]), splat(offsets[j + 1])
    m2, m3 = splat(offsets[j + 2]), splat(offsets[j + 3])
    m4, m5 = splat(offsets[j + 4]), splat(offsets[j + 5])
    m6, m7 = splat(offsets[j + 6]), splat(offsets[j + 7])
    for c in range(d):
        line = load(x, (k, c, 0), 8)
        m0 = fma(splat(rows[j, c]), line, m0)
        m1 = fma(splat(rows[j + 1, c]), line, m1)
        m2 = fma(splat(rows[j + 2, c]), line, m2)
        m3 = fma(splat(rows[j + 3, c]), line, m3)
        m4 = fma(splat(rows[j + 4, c]), line, m4)
        m5 = fma(splat(rows[j + 5, c]), line, m5)
        m6 = fma(splat(rows[j + 6, c]), line, m6)
        m7 = fma(splat(rows[j + 7, c]), line, m7)
    return m0, m1, m2, m3, m4, m5, m6, m7


@inlined
def add_eight(rows, j, s0, s1, s2, s3, s4, s5, s6, s7, out, k, d):
    """Add Σ s a of rows j ... j + 7 to out_k [d, 8]."""
    for c in range(d):
        line = fma(splat(rows[j, c]), s0, load(out, (k, c, 0), 8))
        line = fma(splat(rows[j + 1, c]), s1, line)
        line = fma(splat(rows[j + 2, c]), s2, line)
        line = fma(splat(rows[j + 3, c]), s3, line)
        line = fma(splat(rows[j + 4, c]), s4, line)
        line = fma(splat(rows[j + 5, c]), s5, line)
        line = fma(splat(rows[j + 6, c]), s6, line)
        line = fma(splat(rows[j + 7, c]), s7, line)
        store(out, (k, c, 0), 8, line)


@inlined
def below(m):
    """The margin, or where losses are straight lines begin."""
    return where_less(splat(_STRAIGHT), m, splat(_STRAIGHT), m)


@inlined
def joined(p, q):
    """(1 + p)(1 + q) − 1 of positive numbers, without cancellation."""
    return fma(p, splat(1.0) + q, q)


@inlined
def log_beyond_one(q):
    """log(1 + q) of q >= 0: that of the rounded sum, and what rounding took from it."""
    one = splat(1.0)
    rounded = one + q
    return (q - (rounded - one)) / rounded - minus_log(rounded)


@inlined
def slope(e, weight):
    """Slope e/(1 + e) times a weight."""
    return weight * (e / (splat(1.0) + e))


@inlined
def add_set(rows, weight, offsets, j, x, values, slopes, k, d):
    """Add rows j ... j + 7, which weigh alike: φ(m) = log(1 + e^m), φ' = e^m/(1 + e^m)."""
    m0, m1, m2, m3, m4, m5, m6, m7 = eight_margins(rows, offsets, j, x, k, d)
    b0, b1, b2, b3 = below(m0), below(m1), below(m2), below(m3)
    b4, b5, b6, b7 = below(m4), below(m5), below(m6), below(m7)
    e0, e1, e2, e3 = exp(b0), exp(b1), exp(b2), exp(b3)
    e4, e5, e6, e7 = exp(b4), exp(b5), exp(b6), exp(b7)
    beyond = (((m0 - b0) + (m1 - b1)) + ((m2 - b2) + (m3 - b3))) + (
        ((m4 - b4) + (m5 - b5)) + ((m6 - b6) + (m7 - b7))
    )
    first = joined(joined(e0, e1), joined(e2, e3))
    q = joined(first, joined(joined(e4, e5), joined(e6, e7)))
    w, loss = splat(weight), log_beyond_one(q) + beyond
    store(values, (k, 0), 8, fma(w, loss, load(values, (k, 0), 8)))
    s0, s1, s2, s3 = slope(e0, w), slope(e1, w), slope(e2, w), slope(e3, w)
    s4, s5, s6, s7 = slope(e4, w), slope(e5, w), slope(e6, w), slope(e7, w)
    add_eight(rows, j, s0, s1, s2, s3, s4, s5, s6, s7, slopes, k, d)


@entry
def mean_logistic(rows, weights, offsets, x, values, slopes, first, last):
    """Add Σ w log(1 + e^(a'x)) and its gradient for eights first ... last − 1 of replicas.

    Arguments:
        rows: a in sets of eight that weigh alike, filled up with rows of zeros, [8 G, d].
        weights: w of a row of each set, [G].
        offsets: of the margins, [8 G]: 0, and so low for rows of zeros that e^m is 0.
        x, values, slopes: a replica a lane, [K, d, 8], [K, 8] and [K, d, 8].
    """
    d = rows.shape[1]
    size = max(1, _TILE // (8 * d))
    for start in range(0, len(weights), size):
        for k in range(first, last):
            for g in range(start, min(start + size, len(weights))):
                add_set(rows, weights[g], offsets, 8 * g, x, values, slopes, k, d)
