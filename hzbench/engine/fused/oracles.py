"""Local gradients inside a kernel: one node, one step, its own draws. Import inside functions.

G of a quadratic-like objective (quadratics; rows with a squared loss) needs one slope g a data
sample: a central difference is exactly <g, u>, a forward one <g, u> + ½ν u'Hu. Rows with a logistic
loss are differenced row by row, without cancellation. Sums run along explicit lanes, so no compiler
flag and no vector width changes a bit.
"""

from __future__ import annotations

import math

import numpy as np

from hzbench.core.compiled import inlined
from hzbench.core.lane_functions import logistic_changes, logistic_slopes
from hzbench.core.lane_words import next_words, to_lanes
from hzbench.core.masked_lanes import fma, load, pack, splat, store, total, where_less
from hzbench.core.objective import DENSE, DIAGONAL, LOGISTIC, SQUARED
from hzbench.core.philox import fill_words, to_normals
from hzbench.engine.fused.draws import DATA, EVALUATION, draw_vector, pick_rows
from hzbench.engine.fused.records import (
    CENTRAL,
    DERIVATIVE,
    FACTOR,
    FORWARD,
    GRADIENT,
    IMAGE,
    NORMAL,
    READY,
    SLOPE,
    VECTOR,
)
from hzbench.engine.fused.vectors import (
    add_line,
    apply_matrix,
    dot,
    eight_dots,
    prefetch_line,
    set_line,
    store_three,
    three_sums,
)


@inlined
def logistic_slope(m, y):
    """φ'(m) = −y σ(−y m)."""
    return -y / (1.0 + math.exp(y * m))


@inlined
def slope_at(ob, row, margin):
    """φ' of a data row at its margin."""
    y = ob.targets[row]
    return margin - y if ob.kind == SQUARED else logistic_slope(margin, y)


@inlined
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


@inlined
def add_noise(ob, node, step, k0, k1, batch, sample, d, room):
    """Add ζ of one data sample to the slope."""
    scratch, divisor = room.lines, math.sqrt(batch)
    first = fill_words(k0, k1, node, step, DATA, sample * d, d, room.words, room.free)
    to_normals(room.words, first, d, room.flat, NORMAL * d, room.spare)
    if ob.noise == 1:
        m = 0 if len(ob.root) == 1 else node
        for k in range(d):
            scratch[SLOPE, k] += scratch[NORMAL, k] / divisor * ob.root[m, k]
        return
    m = 0 if len(ob.factor) == 1 else node
    for k in range(d):
        scratch[NORMAL, k] /= divisor
    apply_matrix(ob.factor, m, scratch, NORMAL, d, scratch, SLOPE)


@inlined
def row_at(ob, node, room, first, j):
    """Data row number j of a sample; first < 0: of all rows of the node."""
    return ob.flat[ob.starts[node] + j] if first < 0 else np.int64(room.words[first + j])


@inlined
def rows_of(ob, node, step, k0, k1, batch, sample, slot, room):
    """How many data rows a sample has, and where their numbers start among the words."""
    if batch == 0:
        return ob.counts[node], -1
    if slot >= 0 and (sample + 1) * batch <= room.data:
        return batch, slot * room.data + sample * batch
    words = room.words
    first = fill_words(k0, k1, node, step, DATA, sample * batch, batch, words, room.free)
    pick_rows(ob, node, words, first, batch)
    return batch, first


@inlined
def ask_for(ob, room, place, d):
    """Prefetch the data row whose number stands at a place among the words, if one does."""
    prefetch_line(ob.features, soon(ob, room, place), d)


@inlined
def soon(ob, room, place):
    """The data row whose number stands at a place among the words; the first if none does."""
    word = room.words[min(place, len(room.words) - 1)]
    return np.int64(word) if word < np.uint64(len(ob.features)) else 0


@inlined
def eight_soon(ob, room, first, j, count, slot):
    """Data rows needed soon: those after j ... j + 7, or the first of the next sample ahead."""
    p = first + j + 8 if j + 8 < count else (slot + 1) * room.data
    return (
        soon(ob, room, p),
        soon(ob, room, p + 1),
        soon(ob, room, p + 2),
        soon(ob, room, p + 3),
        soon(ob, room, p + 4),
        soon(ob, room, p + 5),
        soon(ob, room, p + 6),
        soon(ob, room, p + 7),
    )


@inlined
def eight_rows(ob, node, room, first, j, count):
    """Data rows number j ... j + 7 of a sample, the last repeated behind the end."""
    end = count - 1
    return (
        row_at(ob, node, room, first, min(j, end)),
        row_at(ob, node, room, first, min(j + 1, end)),
        row_at(ob, node, room, first, min(j + 2, end)),
        row_at(ob, node, room, first, min(j + 3, end)),
        row_at(ob, node, room, first, min(j + 4, end)),
        row_at(ob, node, room, first, min(j + 5, end)),
        row_at(ob, node, room, first, min(j + 6, end)),
        row_at(ob, node, room, first, min(j + 7, end)),
    )


@inlined
def targets_of(ob, rows):
    """Their targets, one a lane."""
    r0, r1, r2, r3, r4, r5, r6, r7 = rows
    y = ob.targets
    return pack(y[r0], y[r1], y[r2], y[r3], y[r4], y[r5], y[r6], y[r7])


@inlined
def shares(j, count):
    """What rows j ... j + 7 count in the mean of a sample: nothing behind its end."""
    places = to_lanes(next_words(j))
    return where_less(places, splat(count), splat(1.0 / count), splat(0.0))


@inlined
def margins_of(ob, node, first, j, count, slot, x, i, d, room):
    """Margins and targets of rows j ... j + 7, while the next ones are on their way."""
    rows, drawn = eight_rows(ob, node, room, first, j, count), first >= 0
    later = eight_soon(ob, room, first, j, count, slot) if drawn else rows
    return eight_dots(ob.features, rows, x, i, d, later, drawn), targets_of(ob, rows)


@inlined
def slopes_of(ob, node, first, j, count, slot, x, i, d, room):
    """Slopes of rows j ... j + 7 at their margins, as they count in the mean of a sample."""
    margins, y = margins_of(ob, node, first, j, count, slot, x, i, d, room)
    slopes = margins - y if ob.kind == SQUARED else logistic_slopes(margins, y)
    return slopes * shares(j, count)


@inlined
def add_rows(ob, node, first, start, stop, d, room):
    """SLOPE += Σ factor · row over rows start ... stop − 1, 24 columns at a time."""
    a, lines = ob.features, room.lines
    for c in range(0, d, 24):
        n = d - c
        s0, s1 = load(lines, (SLOPE, c), n), load(lines, (SLOPE, c + 8), n - 8)
        s2 = load(lines, (SLOPE, c + 16), n - 16)
        for j in range(start, stop):
            f, row = splat(room.numbers[FACTOR, j - start]), row_at(ob, node, room, first, j)
            s0 = fma(f, load(a, (row, c), n), s0)
            s1 = fma(f, load(a, (row, c + 8), n - 8), s1)
            s2 = fma(f, load(a, (row, c + 16), n - 16), s2)
        store_three(lines, SLOPE, c, n, s0, s1, s2)


@inlined
def rows_slope(ob, node, step, k0, k1, batch, sample, slot, x, i, d, room):
    """Slope of the mean loss over a batch of rows, and of the penalty."""
    count, first = rows_of(ob, node, step, k0, k1, batch, sample, slot, room)
    set_line(ob.regularization, x, i, d, room.lines, SLOPE)
    if count == 1:
        row = row_at(ob, node, room, first, 0)
        ask_for(ob, room, (slot + 8) * room.data, d)
        add_line(
            slope_at(ob, row, dot(ob.features, row, x, i, d)),
            ob.features,
            row,
            d,
            room.lines,
            SLOPE,
        )
        return
    block = 64 if d <= 32 else 8  # rows that stay in the first-level cache
    for start in range(0, count, block):
        stop = min(start + block, count)
        for j in range(start, stop, 8):
            slopes = slopes_of(ob, node, first, j, count, slot, x, i, d, room)
            store(room.numbers, (FACTOR, j - start), 8, slopes)
        add_rows(ob, node, first, start, stop, d, room)


@inlined
def slope_line(ob, batch, i, room):
    """The line of a node's slope: a ready one where nothing is to be added to it."""
    return READY + i % 4 if room.shared and not (ob.noise and batch) else SLOPE


@inlined
def slope_of(ob, node, step, k0, k1, batch, sample, slot, x, i, d, room):
    """Gradient of one data sample into the line SLOPE, unless another has it."""
    if slope_line(ob, batch, i, room) != SLOPE:
        return
    if ob.kind == LOGISTIC or (ob.kind == SQUARED and batch):
        rows_slope(ob, node, step, k0, k1, batch, sample, slot, x, i, d, room)
        return
    if room.shared:
        set_line(1.0, room.lines, READY + i % 4, d, room.lines, SLOPE)
    else:
        quadratic_slope(ob, node, x, i, d, room.lines, SLOPE)
        if ob.kind == SQUARED:
            add_line(ob.regularization, x, i, d, room.lines, SLOPE)
    if ob.noise and batch:
        add_noise(ob, node, step, k0, k1, batch, sample, d, room)


@inlined
def curvature_along(ob, node, step, k0, k1, batch, sample, slot, u, d, room):
    """Return u'Hu of a quadratic-like objective for one data sample."""
    scratch = room.lines
    if ob.kind == DIAGONAL:
        m = 0 if len(ob.diagonal) == 1 else node
        for k in range(d):
            scratch[IMAGE, k] = ob.diagonal[m, k] * scratch[u, k]
        return dot(scratch, IMAGE, scratch, u, d)
    ridge = ob.regularization * dot(scratch, u, scratch, u, d)
    if ob.kind == DENSE or batch == 0:
        m = 0 if len(ob.hessians) == 1 else node
        for k in range(d):
            scratch[IMAGE, k] = 0.0
        apply_matrix(ob.hessians, m, scratch, u, d, scratch, IMAGE)
        return dot(scratch, IMAGE, scratch, u, d) + ridge
    count, first = rows_of(ob, node, step, k0, k1, batch, sample, slot, room)
    square = 0.0
    for j in range(count):
        margin = dot(ob.features, row_at(ob, node, room, first, j), scratch, u, d)
        square += margin * margin
    return square / count + ridge


@inlined
def change_of(ob, node, first, j, count, slot, back, length, u, x, i, d, room):
    """Change of the mean logistic loss along u from −back to length − back, by rows j ... j + 7."""
    a, lines = ob.features, room.lines
    if count == 1:
        ask_for(ob, room, (slot + 8) * room.data, d)
        row = row_at(ob, node, room, first, 0)
        margin, rise, _ = three_sums(a, row, x, i, lines, u, d)
        margins, along, y = splat(total(margin)), splat(total(rise)), splat(ob.targets[row])
    else:
        margins, y = margins_of(ob, node, first, j, count, slot, x, i, d, room)
        rows = eight_rows(ob, node, room, first, j, count)
        along = eight_dots(a, rows, lines, u, d, rows, False)
    changes = logistic_changes(margins - splat(back) * along, splat(length) * along, y)
    return total(changes * shares(j, count))


@inlined
def logistic_difference(ob, node, step, k0, k1, batch, sample, slot, central, nu, u, x, i, d, room):
    """Quotient of differences along u of the logistic loss over a batch, and of the penalty."""
    scratch = room.lines
    count, first = rows_of(ob, node, step, k0, k1, batch, sample, slot, room)
    back, length = (nu, 2.0 * nu) if central else (0.0, nu)
    change = 0.0
    for j in range(0, count, 8):
        change += change_of(ob, node, first, j, count, slot, back, length, u, x, i, d, room)
    penalty = dot(x, i, scratch, u, d)
    if not central:
        penalty += 0.5 * nu * dot(scratch, u, scratch, u, d)
    return change / length + ob.regularization * penalty


@inlined
def call_noise(ob, node, step, k0, k1, central, fresh, place, m, d, room):
    """Noise of the two function values of difference number `place`, end minus start."""
    if fresh:
        end, start = 2 * place, 2 * place + 1
    else:
        end, start = place, m + (place if central else 0)
    value, words = 0.0, room.words
    for which in range(2):
        at = start if which else end
        first = fill_words(k0, k1, node, step, EVALUATION, at, 1, words, room.free)
        to_normals(words, first, 1, room.flat, IMAGE * d, room.spare)
        value += room.lines[IMAGE, 0] * (1.0 - 2.0 * which)
    return ob.call_noise * value


@inlined
def quotient(ob, orc, node, step, k0, k1, place, slot, u, x, i, d, room):
    """Difference quotient number `place`, along the line u; of gradients 1, the slope drawn."""
    fresh, batch, nu = orc.fresh[node], orc.batch[node], orc.smoothing[node]
    difference, sample = orc.difference[node], place if fresh else 0
    if orc.zeroth[node] and ob.kind == LOGISTIC and difference != DERIVATIVE:
        central = difference == CENTRAL
        return logistic_difference(
            ob, node, step, k0, k1, batch, sample, slot, central, nu, u, x, i, d, room
        )
    if place == 0 or fresh:
        slope_of(ob, node, step, k0, k1, batch, sample, slot, x, i, d, room)
    if not orc.zeroth[node]:
        return 1.0
    value = dot(room.lines, slope_line(ob, batch, i, room), room.lines, u, d)
    if difference == FORWARD:
        along = curvature_along(ob, node, step, k0, k1, batch, sample, slot, u, d, room)
        value += 0.5 * nu * along
    return value


@inlined
def estimate(ob, orc, node, step, k0, k1, slot, x, i, d, room):
    """G of one node at x_i: a line of the room, and what it is to be multiplied by.

    `slot` says where its draws stand if they were drawn ahead; −1: nowhere.
    """
    zeroth, difference = orc.zeroth[node], orc.difference[node]
    u = slope_line(ob, orc.batch[node], i, room)
    m = orc.samples[node] if zeroth else 1
    for place in range(m):
        if zeroth:
            u = draw_vector(orc.law[node], node, step, k0, k1, place, slot, VECTOR, d, room)
        value = quotient(ob, orc, node, step, k0, k1, place, slot, u, x, i, d, room)
        if zeroth and ob.call_noise > 0.0 and difference != DERIVATIVE:
            central, fresh = difference == CENTRAL, orc.fresh[node]
            change = call_noise(ob, node, step, k0, k1, central, fresh, place, m, d, room)
            nu = orc.smoothing[node]
            value += change / (2.0 * nu if central else nu)
        if m == 1:
            return u, value
        if place == 0:
            set_line(value, room.lines, u, d, room.lines, GRADIENT)
        else:
            add_line(value, room.lines, u, d, room.lines, GRADIENT)
    return GRADIENT, 1.0 / m
