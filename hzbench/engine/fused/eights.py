"""Estimates of up to eight nodes at once, from one data row each. Import inside functions.

A node's estimate is then a number times one line: a data row, or a random vector. Nodes that differ
do not wait for each other, so what the loss makes of their margins is computed on lanes. Every
node's sums are its own: who else is among the eight changes no bit.
"""

from __future__ import annotations

import numpy as np

from hzbench.core.compiled import inlined
from hzbench.core.lane_functions import logistic_changes, logistic_slopes
from hzbench.core.masked_lanes import fma, load, splat, store, totals, where_less
from hzbench.core.objective import LOGISTIC, SQUARED
from hzbench.engine.fused.draws import draw_vector
from hzbench.engine.fused.records import CENTRAL, EIGHT, FACTOR, RIDGE, SMOOTHING, TARGET
from hzbench.engine.fused.vectors import prefetch_line, three_sums

_WIDEST = 128  # lines of eight nodes beyond that leave the first-level cache


@inlined
def all_of_one_row(ob, orc, up, d):
    """Whether all nodes have such estimates: one row, and one central difference if any."""
    found = ob.kind >= SQUARED and d <= _WIDEST and up.momentum == 0.0 and ob.call_noise == 0.0
    for node in range(len(orc.zeroth)):
        one = orc.samples[node] == 1 and orc.difference[node] == CENTRAL
        found = found and orc.batch[node] == 1 and (one or not orc.zeroth[node])
    return found


@inlined
def numbers_ahead(ob, orc, count, room):
    """What lanes need to know of the rows and nodes in the slots."""
    for s in range(count):
        node = room.node[s]
        room.numbers[TARGET, s] = ob.targets[np.int64(room.words[s * room.data])]
        room.numbers[SMOOTHING, s] = orc.smoothing[node]
        room.numbers[RIDGE, s] = 0.0 if orc.zeroth[node] else ob.regularization


@inlined
def apart(node, first, count):
    """Whether the two nodes after `count` others from the slot `first` on are none of them."""
    i, j, found = node[first + count], node[first + count + 1], True
    for s in range(first, first + count):
        found = found and node[s] != i and node[s] != j
    return found


@inlined
def row_products(features, row, x, i, d, lines, o, sums, s):
    """<row, x_i> as lanes; the row into a line."""
    margin = splat(0.0)
    for k in range(0, d, 8):
        a = load(features, (row, k), d - k)
        margin = fma(a, load(x, (i, k), d - k), margin)
        store(lines, (o, k), d - k, a)
    store(sums, (s, 0), 8, margin)


@inlined
def products(ob, orc, k0, k1, x, first, count, room):
    """Lines and their products for the nodes in slots first ... first + count − 1."""
    d, lines = x.shape[1], room.lines
    for j in range(count):
        slot = first + j
        node, row = room.node[slot], np.int64(room.words[slot * room.data])
        soon = min(slot + 8, len(room.node) - 1) * room.data
        prefetch_line(ob.features, np.int64(room.words[soon]), d)
        if orc.zeroth[node]:
            law, step = orc.law[node], room.step[slot]
            u = draw_vector(law, node, step, k0, k1, 0, slot, EIGHT + j, d, room)
            room.line[slot] = u
            margin, along, penalty = three_sums(ob.features, row, x, node, lines, u, d)
            store(room.sums, (j, 0), 8, margin)
            store(room.sums, (j + 8, 0), 8, along)
            store(room.sums, (j + 16, 0), 8, penalty)
        else:
            room.line[slot] = EIGHT + j
            row_products(ob.features, row, x, node, d, lines, EIGHT + j, room.sums, j)


@inlined
def eight_totals(sums, s):
    """Totals of eight lines of lanes."""
    return totals(
        load(sums, (s, 0), 8),
        load(sums, (s + 1, 0), 8),
        load(sums, (s + 2, 0), 8),
        load(sums, (s + 3, 0), 8),
        load(sums, (s + 4, 0), 8),
        load(sums, (s + 5, 0), 8),
        load(sums, (s + 6, 0), 8),
        load(sums, (s + 7, 0), 8),
    )


@inlined
def factors(ob, first, count, room):
    """What the lines of these slots are to be multiplied by."""
    y = load(room.numbers, (TARGET, first), count)
    nu = load(room.numbers, (SMOOTHING, first), count)
    margin, along = eight_totals(room.sums, 0), eight_totals(room.sums, 8)
    penalty = splat(ob.regularization) * eight_totals(room.sums, 16)
    if ob.kind == LOGISTIC:
        slope, length = logistic_slopes(margin, y), nu + nu
        change = logistic_changes(margin - nu * along, length * along, y) / length
    else:
        slope = margin - y
        change = slope * along
    found = where_less(splat(0.0), nu, change + penalty, slope)
    store(room.numbers, (FACTOR, first), count, found)


@inlined
def estimate_eight(ob, orc, k0, k1, x, first, count, room):
    """Lines and factors of the nodes in slots first ... first + count − 1, at most eight."""
    products(ob, orc, k0, k1, x, first, count, room)
    factors(ob, first, count, room)
