"""The compiled mean of logistic losses over all rows, with its gradient. Import inside functions.

Eight replicas lie in the lanes. Eight rows at a time give margins, slopes and one product of
probabilities, of which one logarithm is taken; no margin ever reaches memory. A replica's numbers
come from its own lane alone, so neither its neighbours nor the threads change a bit.
"""

from __future__ import annotations

from hzbench.core.compiled import entry, inlined
from hzbench.core.lane_functions import exp
from hzbench.core.masked_lanes import fma, load, splat, store, where_less
from hzbench.core.philox import minus_log

_STRAIGHT = 40.0  # from here on log(1 + eᵗ) is t to the last digit
_TILE = 1 << 15  # numbers of the rows that all replicas read before the next ones


@inlined
def eight_products(rows, j, x, k, d):
    """Products a'x of rows j ... j + 7, a replica a lane."""
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = splat(0.0)
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
def chance(m):
    """1/(1 + e^m) of m <= 40."""
    return splat(1.0) / (splat(1.0) + exp(m))


@inlined
def add_set(rows, weight, scale, j, x, values, slopes, k, d):
    """Add rows j ... j + 7, which weigh alike: φ(m) = log(1 + e^m) = −log p, φ' = 1 − p."""
    m0, m1, m2, m3, m4, m5, m6, m7 = eight_products(rows, j, x, k, d)
    b0, b1, b2, b3 = below(m0), below(m1), below(m2), below(m3)
    b4, b5, b6, b7 = below(m4), below(m5), below(m6), below(m7)
    p0, p1, p2, p3 = chance(b0), chance(b1), chance(b2), chance(b3)
    p4, p5, p6, p7 = chance(b4), chance(b5), chance(b6), chance(b7)
    beyond = (((m0 - b0) + (m1 - b1)) + ((m2 - b2) + (m3 - b3))) + (
        ((m4 - b4) + (m5 - b5)) + ((m6 - b6) + (m7 - b7))
    )
    product = ((p0 * p1) * (p2 * p3)) * ((p4 * p5) * (p6 * p7))
    w, one = splat(weight), splat(1.0)
    loss = minus_log(product * splat(scale)) + beyond
    store(values, (k, 0), 8, fma(w, loss, load(values, (k, 0), 8)))
    s0, s1, s2, s3 = w * (one - p0), w * (one - p1), w * (one - p2), w * (one - p3)
    s4, s5, s6, s7 = w * (one - p4), w * (one - p5), w * (one - p6), w * (one - p7)
    add_eight(rows, j, s0, s1, s2, s3, s4, s5, s6, s7, slopes, k, d)


@entry
def mean_logistic(rows, weights, scales, x, values, slopes, first, last):
    """Add Σ w log(1 + e^(a'x)) and its gradient for eights first ... last − 1 of replicas.

    Arguments:
        rows: a in sets of eight that weigh alike, filled up with rows of zeros, [8 G, d].
        weights: w of a row of each set, [G].
        scales: 2 to the number of rows of zeros in each set, [G].
        x, values, slopes: a replica a lane, [K, d, 8], [K, 8] and [K, d, 8].
    """
    d = rows.shape[1]
    size = max(1, _TILE // (8 * d))
    for start in range(0, len(weights), size):
        for k in range(first, last):
            for g in range(start, min(start + size, len(weights))):
                add_set(rows, weights[g], scales[g], 8 * g, x, values, slopes, k, d)
