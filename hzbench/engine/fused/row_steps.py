"""Steps along the gradient of one data row, of one node or of eight. Import inside functions.

One node's step is a chain: margin, slope, step. Eight side by side hide each other's latencies, and
their slopes are one value of lanes. Every node's numbers are computed alike either way, so nobody
can tell which nodes went together.
"""

from __future__ import annotations

import numpy as np

from hzbench.core.compiled import inlined
from hzbench.core.lane_functions import logistic_slopes
from hzbench.core.masked_lanes import fma, lane, load, pack, splat, store, totals
from hzbench.core.objective import SQUARED
from hzbench.engine.fused.oracles import ask_for, row_at, rows_of
from hzbench.engine.fused.records import FACTOR, RIDGE, SIMULTANEOUS, TARGET
from hzbench.engine.fused.vectors import dot

SHORT = 24  # longest line of three values of lanes, whose masks serve all eight nodes


@inlined
def slopes_at(ob, margins, targets):
    """φ' of eight data rows."""
    return margins - targets if ob.kind == SQUARED else logistic_slopes(margins, targets)


@inlined
def one_row_step(ob, node, step, k0, k1, slot, eta, at, base, i, out, room):
    """The step of one node: out_i = base_i − η (φ' a + λ at_i)."""
    d = at.shape[1]
    _, first = rows_of(ob, node, step, k0, k1, 1, 0, slot, room)
    ask_for(ob, room, (slot + 8) * room.data, d)
    row = row_at(ob, node, room, first, 0)
    margin = dot(ob.features, row, at, i, d)
    slope = lane(slopes_at(ob, splat(margin), splat(ob.targets[row])), 0)
    factor, ridge = splat(0.0 - eta * slope), splat(0.0 - eta * ob.regularization)
    for k in range(0, d, 8):
        n = d - k
        x = fma(ridge, load(at, (i, k), n), load(base, (i, k), n))
        store(out, (i, k), n, fma(factor, load(ob.features, (row, k), n), x))


@inlined
def row_of(room, slot):
    """The data row drawn ahead for a slot."""
    return np.int64(room.words[slot * room.data])


@inlined
def product(ob, room, slot, at, i, d):
    """Lanes whose total is the margin of a slot's row at at_i."""
    a, row = ob.features, row_of(room, slot)
    s = fma(load(a, (row, 0), d), load(at, (i, 0), d), splat(0.0))
    s = fma(load(a, (row, 8), d - 8), load(at, (i, 8), d - 8), s)
    return fma(load(a, (row, 16), d - 16), load(at, (i, 16), d - 16), s)


@inlined
def target(ob, room, slot):
    """The target of a slot's row."""
    return ob.targets[row_of(room, slot)]


@inlined
def short_slopes(ob, room, s, at, i, d):
    """φ' of the rows of nodes i ... i + 7, whose draws stand from slot s on, of short lines."""
    margins = totals(
        product(ob, room, s, at, i, d),
        product(ob, room, s + 1, at, i + 1, d),
        product(ob, room, s + 2, at, i + 2, d),
        product(ob, room, s + 3, at, i + 3, d),
        product(ob, room, s + 4, at, i + 4, d),
        product(ob, room, s + 5, at, i + 5, d),
        product(ob, room, s + 6, at, i + 6, d),
        product(ob, room, s + 7, at, i + 7, d),
    )
    targets = pack(
        target(ob, room, s),
        target(ob, room, s + 1),
        target(ob, room, s + 2),
        target(ob, room, s + 3),
        target(ob, room, s + 4),
        target(ob, room, s + 5),
        target(ob, room, s + 6),
        target(ob, room, s + 7),
    )
    return slopes_at(ob, margins, targets)


@inlined
def ask_for_rows(ob, room, slot, d):
    """Prefetch the rows of a slot and the seven behind it."""
    for s in range(slot, slot + 8):
        ask_for(ob, room, s * room.data, d)


@inlined
def long_slopes(ob, room, slot, at, i, d):
    """The same of long lines; the next eight rows are on their way from memory meanwhile."""
    numbers = room.numbers
    for s in range(8):
        ask_for(ob, room, (slot + s + 8) * room.data, d)
        row = row_of(room, slot + s)
        numbers[TARGET, s], numbers[FACTOR, s] = (
            ob.targets[row],
            dot(ob.features, row, at, i + s, d),
        )
    return slopes_at(ob, load(numbers, (FACTOR, 0), 8), load(numbers, (TARGET, 0), 8))


@inlined
def move(ob, row, factor, ridge, at, i, k, n, out):
    """Eight coordinates of a step, of which n remain."""
    x = load(at, (i, k), n)
    store(out, (i, k), n, fma(factor, load(ob.features, (row, k), n), fma(ridge, x, x)))


@inlined
def move_line(ob, row, factor, ridge, at, i, out):
    """All coordinates of a step along a long line."""
    d, factor, ridge = at.shape[1], splat(factor), splat(ridge)
    whole = d // 8 * 8
    for k in range(0, whole, 8):
        move(ob, row, factor, ridge, at, i, k, 8, out)
    move(ob, row, factor, ridge, at, i, whole, d - whole, out)


@inlined
def eight_step_sizes(up, step, i):
    """η of nodes i ... i + 7."""
    sizes = up.step_sizes
    line = step if len(sizes) > 1 else 0
    return load(sizes, (line, i), 8) if sizes.shape[1] > 1 else splat(sizes[line, 0])


@inlined
def eight_steps(ob, up, step, slot, at, i, out, room):
    """The steps of nodes i ... i + 7, draws from a slot on, from `at` to another array."""
    d, numbers, none = at.shape[1], room.numbers, splat(0.0)
    etas = none - eight_step_sizes(up, step, i)
    store(numbers, (RIDGE, 0), 8, etas * splat(ob.regularization))
    if d <= SHORT:
        store(numbers, (FACTOR, 0), 8, etas * short_slopes(ob, room, slot, at, i, d))
        for s in range(8):
            row = row_of(room, slot + s)
            factor, ridge = splat(numbers[FACTOR, s]), splat(numbers[RIDGE, s])
            for k in range(0, SHORT, 8):
                move(ob, row, factor, ridge, at, i + s, k, d - k, out)
        return
    store(numbers, (FACTOR, 0), 8, etas * long_slopes(ob, room, slot, at, i, d))
    for s in range(8):
        move_line(ob, row_of(room, slot + s), numbers[FACTOR, s], numbers[RIDGE, s], at, i + s, out)


@inlined
def rounds_by_eights(ob, orc, up, n):
    """Whether all nodes of a round may step by eights."""
    found = ob.kind >= SQUARED and up.momentum == 0.0 and up.order != SIMULTANEOUS
    found = found and n >= 8
    for node in range(n):
        found = found and not orc.zeroth[node] and orc.batch[node] == 1
    return found
