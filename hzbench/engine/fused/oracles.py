"""Local gradients inside a kernel: one node, one step, its own draws. Import inside functions.

G of a quadratic-like objective (quadratics; rows with a squared loss) needs one slope g a data
sample: a central difference is exactly <g, u>, a forward one <g, u> + ½ν u'Hu. Rows with a logistic
loss are differenced row by row, without cancellation. Sums run along explicit lanes, so no compiler
flag and no vector width changes a bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hzbench.core.objective import DENSE, DIAGONAL, LOGISTIC, SQUARED
from hzbench.core.philox import fill_words, to_normals, to_signs
from hzbench.engine.fused.records import (
    CENTRAL,
    COORDINATE,
    DERIVATIVE,
    FORWARD,
    RADEMACHER,
    SPHERE,
)

DATA, DIRECTION, EVALUATION = 1, 2, 3  # core.streams.Purpose
GRADIENT, VECTOR, SLOPE, NORMAL, IMAGE, SPARE = range(6)  # lines of the scratch array, [6, d]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def dot(a, i, b, j, d):
    """<a_i, b_j> along eight lanes."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = d // 8 * 8
    for k in range(0, whole, 8):
        s0 += a[i, k] * b[j, k]
        s1 += a[i, k + 1] * b[j, k + 1]
        s2 += a[i, k + 2] * b[j, k + 2]
        s3 += a[i, k + 3] * b[j, k + 3]
        s4 += a[i, k + 4] * b[j, k + 4]
        s5 += a[i, k + 5] * b[j, k + 5]
        s6 += a[i, k + 6] * b[j, k + 6]
        s7 += a[i, k + 7] * b[j, k + 7]
    for k in range(whole, d):
        s0 += a[i, k] * b[j, k]
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@njit(error_model="numpy", _nrt=False, forceinline=True)
def apply_matrix(matrices, m, x, i, d, out, o):
    """out_o += x_i' A_m: whole lines of A, so that no sum is reassociated."""
    for k in range(d):
        factor = x[i, k]
        for j in range(d):
            out[o, j] += factor * matrices[m, k, j]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def logistic_slope(m, y):
    """φ'(m) = −y σ(−y m)."""
    return -y / (1.0 + math.exp(y * m))


@njit(error_model="numpy", _nrt=False, forceinline=True)
def slope_at(ob, row, margin):
    """φ' of a data row at its margin."""
    y = ob.targets[row]
    return margin - y if ob.kind == SQUARED else logistic_slope(margin, y)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def logistic_value(m, y):
    """log(1 + exp(−y m))."""
    e = -y * m
    return max(e, 0.0) + math.log1p(math.exp(-abs(e)))


@njit(error_model="numpy", _nrt=False, forceinline=True)
def logistic_change(m, delta, y):
    """φ(m + δ) − φ(m) without cancellation."""
    grow = -y * delta
    if abs(grow) <= 1.0:
        return math.log1p(math.expm1(grow) / (1.0 + math.exp(y * m)))
    return logistic_value(m + delta, y) - logistic_value(m, y)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def quadratic_slope(ob, node, x, i, d, out, o):
    """out_o = A x_i − b."""
    b = 0 if len(ob.linear) == 1 else node
    if ob.kind == DIAGONAL:
        m = 0 if len(ob.diagonal) == 1 else node
        for k in range(d):
            out[o, k] = x[i, k] * ob.diagonal[m, k] - ob.linear[b, k]
        return
    m = 0 if len(ob.hessians) == 1 else node
    for k in range(d):
        out[o, k] = -ob.linear[b, k]
    apply_matrix(ob.hessians, m, x, i, d, out, o)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def add_noise(ob, node, step, k0, k1, batch, sample, d, scratch, words):
    """Add ζ of one data sample to the slope."""
    first = fill_words(k0, k1, node, step, DATA, sample * d, d, words)
    to_normals(words, first, d, scratch, NORMAL, SPARE)
    root = math.sqrt(batch)
    if ob.noise == 1:
        m = 0 if len(ob.root) == 1 else node
        for k in range(d):
            scratch[SLOPE, k] += scratch[NORMAL, k] / root * ob.root[m, k]
        return
    m = 0 if len(ob.factor) == 1 else node
    for k in range(d):
        scratch[NORMAL, k] /= root
    apply_matrix(ob.factor, m, scratch, NORMAL, d, scratch, SLOPE)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def pick(ob, node, words, place):
    """The data row that a word picks among those of the node."""
    held = np.uint64(ob.counts[node])
    return ob.flat[ob.starts[node] + np.int64((words[place] * held) >> np.uint64(32))]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def rows_of(ob, node, step, k0, k1, batch, sample, words):
    """How many data rows a sample has, and where its words start."""
    if batch == 0:
        return ob.counts[node], 0
    return batch, fill_words(k0, k1, node, step, DATA, sample * batch, batch, words)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def rows_slope(ob, node, step, k0, k1, batch, sample, x, i, d, scratch, words):
    """Slope of the mean loss over a batch of rows, and of the penalty."""
    count, first = rows_of(ob, node, step, k0, k1, batch, sample, words)
    for j in range(count):
        row = pick(ob, node, words, first + j) if batch else ob.flat[ob.starts[node] + j]
        slope = slope_at(ob, row, dot(ob.features, row, x, i, d))
        if j == 0:
            for k in range(d):
                scratch[SLOPE, k] = slope * ob.features[row, k]
        else:
            for k in range(d):
                scratch[SLOPE, k] += slope * ob.features[row, k]
    for k in range(d):
        scratch[SLOPE, k] = scratch[SLOPE, k] / count + ob.regularization * x[i, k]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def slope_of(ob, node, step, k0, k1, batch, sample, x, i, d, scratch, words):
    """Gradient of one data sample into the line SLOPE."""
    if ob.kind <= DENSE:
        quadratic_slope(ob, node, x, i, d, scratch, SLOPE)
        if ob.noise and batch:
            add_noise(ob, node, step, k0, k1, batch, sample, d, scratch, words)
    elif ob.kind == SQUARED and batch == 0:
        quadratic_slope(ob, node, x, i, d, scratch, SLOPE)
        for k in range(d):
            scratch[SLOPE, k] += ob.regularization * x[i, k]
    else:
        rows_slope(ob, node, step, k0, k1, batch, sample, x, i, d, scratch, words)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def draw_vector(law, node, step, k0, k1, place, d, scratch, words):
    """Random vector number `place` of an estimate, E uu' = I, into the line VECTOR."""
    if law == RADEMACHER:
        start = place * d // 32
        count = ((place + 1) * d + 31) // 32 - start
        first = fill_words(k0, k1, node, step, DIRECTION, start, count, words)
        to_signs(words, first, d, place * d - 32 * start, scratch, VECTOR)
    elif law == COORDINATE:
        first = fill_words(k0, k1, node, step, DIRECTION, place, 1, words)
        word = np.int64(words[first])
        for k in range(d):
            scratch[VECTOR, k] = 0.0
        scratch[VECTOR, ((word >> 1) * d) >> 31] = math.sqrt(d) * (1.0 - 2.0 * (word & 1))
    else:
        first = fill_words(k0, k1, node, step, DIRECTION, place * d, d, words)
        to_normals(words, first, d, scratch, VECTOR, SPARE)
        if law == SPHERE:
            length = math.sqrt(dot(scratch, VECTOR, scratch, VECTOR, d))
            for k in range(d):
                scratch[VECTOR, k] = math.sqrt(d) * scratch[VECTOR, k] / length


@njit(error_model="numpy", _nrt=False, forceinline=True)
def curvature_along(ob, node, step, k0, k1, batch, sample, d, scratch, words):
    """Return u'Hu of a quadratic-like objective for one data sample."""
    if ob.kind == DIAGONAL:
        m = 0 if len(ob.diagonal) == 1 else node
        for k in range(d):
            scratch[IMAGE, k] = ob.diagonal[m, k] * scratch[VECTOR, k]
        return dot(scratch, IMAGE, scratch, VECTOR, d)
    ridge = ob.regularization * dot(scratch, VECTOR, scratch, VECTOR, d)
    if ob.kind == DENSE or batch == 0:
        m = 0 if len(ob.hessians) == 1 else node
        for k in range(d):
            scratch[IMAGE, k] = 0.0
        apply_matrix(ob.hessians, m, scratch, VECTOR, d, scratch, IMAGE)
        return dot(scratch, IMAGE, scratch, VECTOR, d) + ridge
    count, first = rows_of(ob, node, step, k0, k1, batch, sample, words)
    total = 0.0
    for j in range(count):
        margin = dot(ob.features, pick(ob, node, words, first + j), scratch, VECTOR, d)
        total += margin * margin
    return total / count + ridge


@njit(error_model="numpy", _nrt=False, forceinline=True)
def logistic_difference(
    ob, node, step, k0, k1, batch, sample, central, nu, x, i, d, scratch, words
):
    """Quotient of differences along u of the logistic loss over a batch, and of the penalty."""
    count, first = rows_of(ob, node, step, k0, k1, batch, sample, words)
    back, length = (nu, 2.0 * nu) if central else (0.0, nu)
    total = 0.0
    for j in range(count):
        row = pick(ob, node, words, first + j) if batch else ob.flat[ob.starts[node] + j]
        margin = dot(ob.features, row, x, i, d)
        along = dot(ob.features, row, scratch, VECTOR, d)
        total += logistic_change(margin - back * along, length * along, ob.targets[row])
    penalty = dot(x, i, scratch, VECTOR, d)
    if not central:
        penalty += 0.5 * nu * dot(scratch, VECTOR, scratch, VECTOR, d)
    return total / count / length + ob.regularization * penalty


@njit(error_model="numpy", _nrt=False, forceinline=True)
def call_noise(ob, node, step, k0, k1, central, fresh, place, m, scratch, words):
    """Noise of the two function values of difference number `place`, end minus start."""
    if fresh:
        end, start = 2 * place, 2 * place + 1
    else:
        end, start = place, m + (place if central else 0)
    first = fill_words(k0, k1, node, step, EVALUATION, end, 1, words)
    to_normals(words, first, 1, scratch, IMAGE, SPARE)
    value = scratch[IMAGE, 0]
    first = fill_words(k0, k1, node, step, EVALUATION, start, 1, words)
    to_normals(words, first, 1, scratch, IMAGE, SPARE)
    return ob.call_noise * (value - scratch[IMAGE, 0])


@njit(error_model="numpy", _nrt=False, forceinline=True)
def quotient(ob, orc, node, step, k0, k1, place, x, i, d, scratch, words):
    """Difference quotient number `place`; its vector stands in VECTOR."""
    fresh, batch, nu = orc.fresh[node], orc.batch[node], orc.smoothing[node]
    difference, sample = orc.difference[node], place if fresh else 0
    if ob.kind == LOGISTIC and difference != DERIVATIVE:
        central = difference == CENTRAL
        return logistic_difference(
            ob, node, step, k0, k1, batch, sample, central, nu, x, i, d, scratch, words
        )
    if place == 0 or fresh:
        slope_of(ob, node, step, k0, k1, batch, sample, x, i, d, scratch, words)
    value = dot(scratch, SLOPE, scratch, VECTOR, d)
    if difference == FORWARD:
        along = curvature_along(ob, node, step, k0, k1, batch, sample, d, scratch, words)
        value += 0.5 * nu * along
    return value


@njit(error_model="numpy", _nrt=False, forceinline=True)
def estimate(ob, orc, node, step, k0, k1, x, i, d, scratch, words):
    """G of one node at x_i: a line of the scratch array, and what it is to be multiplied by."""
    if not orc.zeroth[node]:
        slope_of(ob, node, step, k0, k1, orc.batch[node], 0, x, i, d, scratch, words)
        return SLOPE, 1.0
    m, difference = orc.samples[node], orc.difference[node]
    for place in range(m):
        draw_vector(orc.law[node], node, step, k0, k1, place, d, scratch, words)
        value = quotient(ob, orc, node, step, k0, k1, place, x, i, d, scratch, words)
        if ob.call_noise > 0.0 and difference != DERIVATIVE:
            central, fresh = difference == CENTRAL, orc.fresh[node]
            change = call_noise(ob, node, step, k0, k1, central, fresh, place, m, scratch, words)
            nu = orc.smoothing[node]
            value += change / (2.0 * nu if central else nu)
        if m == 1:
            return VECTOR, value
        for k in range(d):
            before = scratch[GRADIENT, k] if place else 0.0
            scratch[GRADIENT, k] = before + value * scratch[VECTOR, k]
    return GRADIENT, 1.0 / m
