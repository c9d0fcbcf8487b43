"""Compiled layers of 16 examples side by side, and the coins of their dropout.

Shapes of flat arrays are given without their last axis, the 16 lanes. Import inside functions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hzbench.core.lanes import (
    LANES,
    below,
    fma,
    larger,
    load,
    product,
    root,
    spread,
    store,
    times_power,
    where_bit,
)

Word = np.uint64
_WEYL = (Word(0x9E3779B97F4A7C15), Word(0xBB67AE8584CAA73B))
_TIMES = (Word(0xD2E7470EE14C6C93), Word(0xCA5A826395121157))


@njit(error_model="numpy", _nrt=False)
def told(found, x):
    """What was found from x, or nan where x is infinite or nan."""
    return found + (x - x)


@njit(error_model="numpy", _nrt=False)
def exp(x, number):
    """e^x of x <= 0, by a power of 2 and Taylor's series on ±ln(2)/2; nan of nan."""
    x = larger(spread(number.lowest), x)
    shifted = fma(x, spread(number.per_ln2), spread(number.magic))
    n = shifted - spread(number.magic)
    r = fma(n, spread(number.ln2_low), fma(n, spread(number.ln2_high), x))
    found = spread(number.taylor[0])
    for k in range(1, len(number.taylor)):
        found = fma(found, r, spread(number.taylor[k]))
    return told(times_power(found, shifted), x)


@njit(error_model="numpy", _nrt=False)
def affine(source, s, out, d, rows, i, o, p, w):
    """Rows [rows, i] from source[s] on to rows [rows, o] of out; weight [o, i], then bias, at w."""
    for t in range(rows):
        for a in range(o):
            found = spread(p[w + o * i + a])
            for c in range(i):
                at = s + (t * i + c) * LANES
                found = fma(spread(p[w + a * i + c]), load(source, at), found)
            store(out, d + (t * o + a) * LANES, found)


@njit(error_model="numpy", _nrt=False)
def affine_back(grad, source, s, back, rows, i, o, p, slope, w):
    """Add to back [rows, i] and to the slopes of weight and bias what grad [rows, o] gives them."""
    for t in range(rows):
        for c in range(i):
            found = load(back, (t * i + c) * LANES)
            for a in range(o):
                at = (t * o + a) * LANES
                found = fma(spread(p[w + a * i + c]), load(grad, at), found)
            store(back, (t * i + c) * LANES, found)
    for a in range(o):
        at = (w + o * i + a) * LANES
        bias = load(slope, at)
        for t in range(rows):
            bias = bias + load(grad, (t * o + a) * LANES)
        store(slope, at, bias)
        for c in range(i):
            at = (w + a * i + c) * LANES
            found = load(slope, at)
            for t in range(rows):
                g = load(grad, (t * o + a) * LANES)
                found = fma(g, load(source, s + (t * i + c) * LANES), found)
            store(slope, at, found)


@njit(error_model="numpy", _nrt=False)
def norm(x, normal, n, deviation, r, out, d, rows, e, p, w, number):
    """Normalise rows of x [rows, e]; keep them and 1/deviation, then scale and shift (at w).

    A variance that overflows makes nan: 1/deviation would be 0, and hide it.
    """
    share = spread(number.per_width)
    for t in range(rows):
        mean, variance = spread(number.zero), spread(number.zero)
        for c in range(e):
            mean = fma(share, load(x, (t * e + c) * LANES), mean)
        for c in range(e):
            away = load(x, (t * e + c) * LANES) - mean
            variance = fma(share * away, away, variance)
        deviance = told(variance, variance) + spread(number.epsilon)
        inverse = spread(number.one) / root(deviance)
        store(deviation, r + t * LANES, inverse)
        for c in range(e):
            at = (t * e + c) * LANES
            found = (load(x, at) - mean) * inverse
            store(normal, n + at, found)
            store(out, d + at, fma(found, spread(p[w + c]), spread(p[w + e + c])))


@njit(error_model="numpy", _nrt=False)
def norm_back(grad, normal, n, deviation, r, rows, e, p, slope, w, number):
    """Turn grad [rows, e] behind a normalisation into that before it; add to its slopes."""
    share = spread(number.per_width)
    for c in range(e):
        scale, shift = load(slope, (w + c) * LANES), load(slope, (w + e + c) * LANES)
        for t in range(rows):
            at = (t * e + c) * LANES
            scale = fma(load(grad, at), load(normal, n + at), scale)
            shift = shift + load(grad, at)
        store(slope, (w + c) * LANES, scale)
        store(slope, (w + e + c) * LANES, shift)
    for t in range(rows):
        mean, along = spread(number.zero), spread(number.zero)
        for c in range(e):
            at = (t * e + c) * LANES
            each = share * load(grad, at) * spread(p[w + c])
            mean = mean + each
            along = fma(each, load(normal, n + at), along)
        inverse = load(deviation, r + t * LANES)
        for c in range(e):
            at = (t * e + c) * LANES
            each = load(grad, at) * spread(p[w + c]) - mean
            store(grad, at, inverse * (each - along * load(normal, n + at)))


@njit(error_model="numpy", _nrt=False)
def dropped(source, s, out, d, rows, i, place, words, keeps, number):
    """Rows [rows, i] with dropout of the places from `place` on; a copy where nothing drops."""
    for k in range(rows * i):
        x = load(source, s + k * LANES)
        if keeps:
            at = (place + k) // LANES * LANES
            x = x * where_bit(words, at, (place + k) % LANES, spread(number.per_kept))
        store(out, d + k * LANES, x)


@njit(error_model="numpy", _nrt=False)
def pass_share(share, place, words, keeps, number):
    """One share of attention, or its slope, with dropout."""
    if not keeps:
        return share
    at = place // LANES * LANES
    return share * where_bit(words, at, place % LANES, spread(number.per_kept))


@njit(error_model="numpy", _nrt=False)
def coin_word(block, node, step, purpose, chance, k0, k1):
    """16 coins as bits, those of block `block` of Philox4x64-10 as numpy counts them."""
    c0, c1, c2, c3 = block + Word(1), node, step, purpose
    for _ in range(10):
        high0, low0 = product(_TIMES[0], c0)
        high1, low1 = product(_TIMES[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
    return below(c0, c1, c2, c3, chance)


@njit(error_model="numpy", _nrt=False)
def coin_words(first, start, stop, coins, model, lane, words):
    """Places start ... stop − 1 of one example: bit p of words[16 (p // 16) + lane], p % 16."""
    k0, k1 = coins.keys[model, 0], coins.keys[model, 1]
    node, step, purpose, chance = coins.node[model], coins.step[model], coins.purpose, coins.chance
    shift = Word(first % 16)
    begin = start // 16
    block = Word(first // 16 + begin)
    low = coin_word(block, node, step, purpose, chance, k0, k1)
    for k in range(begin, (stop + 15) // 16):
        block += Word(1)
        both = low
        if shift != Word(0) or k + 1 < (stop + 15) // 16:
            low = coin_word(block, node, step, purpose, chance, k0, k1)
            both |= low << Word(16)
        words[16 * k + lane] = np.uint16((both >> shift) & Word(0xFFFF))
