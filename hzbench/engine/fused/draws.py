"""Draws inside a kernel: of one estimate, or of many ahead of their use. Import inside functions.

Eight counters of Philox cost little more than one, so a kernel draws for as many nodes or ticks at
once as its room has slots. Draws have addresses, so nobody can tell.
"""

from __future__ import annotations

import math

import numpy as np

from hzbench.core.compiled import inlined
from hzbench.core.objective import SQUARED
from hzbench.core.philox import fill_words, leading_words, to_normals, to_signs
from hzbench.engine.fused.records import COORDINATE, LINES, RADEMACHER, SPHERE
from hzbench.engine.fused.vectors import dot, set_line

DATA, DIRECTION, EVALUATION = 1, 2, 3  # core.streams.Purpose


@inlined
def pick_row(ob, node, words, j):
    """A word becomes the number of a data row of the node."""
    place = np.int64((words[j] * np.uint64(ob.counts[node])) >> np.uint64(32))
    words[j] = np.uint64(ob.flat[ob.starts[node] + place])


@inlined
def pick_rows(ob, node, words, first, count):
    """Several words do."""
    for j in range(first, first + count):
        pick_row(ob, node, words, j)


@inlined
def draw_ahead(ob, orc, k0, k1, count, room):
    """Draws of the `count` addresses in the room's slots, as far as they fit there."""
    if room.data and ob.kind >= SQUARED:
        rows_ahead(ob, orc, k0, k1, count, room)
    if room.bits:
        bits_ahead(orc, k0, k1, count, room)
    if room.vectors:
        normals_ahead(orc, k0, k1, count, room)


@inlined
def rows_ahead(ob, orc, k0, k1, count, room):
    """Numbers of data rows, `room.data` a slot."""
    words, size = room.words, room.data
    if size <= 4:
        leading_words(k0, k1, room.node, room.step, DATA, count, size, words, 0)
    if size == 1:  # a loop of its own: 1.5 ns an address instead of 3
        for s in range(count):
            if orc.rows[room.node[s]] > 0:
                pick_row(ob, room.node[s], words, s)
        return
    for s in range(count):
        node = room.node[s]
        wanted = min(orc.rows[node], size)
        if size > 4 and wanted > 0:
            fill_words(k0, k1, node, room.step[s], DATA, 0, wanted, words, s * size)
        pick_rows(ob, node, words, s * size, wanted)


@inlined
def bits_ahead(orc, k0, k1, count, room):
    """Words of signs and coordinates, `room.bits` a slot."""
    size, start = room.bits, len(room.node) * room.data
    if size <= 4:
        leading_words(k0, k1, room.node, room.step, DIRECTION, count, size, room.words, start)
        return
    for s in range(count):
        node = room.node[s]
        if orc.zeroth[node] and orc.law[node] >= RADEMACHER:
            place = start + s * size
            fill_words(k0, k1, node, room.step[s], DIRECTION, 0, size, room.words, place)


@inlined
def normals_ahead(orc, k0, k1, count, room):
    """Gaussian vectors and those on the sphere, one after the other; each slot knows its first."""
    d, words, drawn = room.lines.shape[1], room.words, 0
    for s in range(count):
        node = room.node[s]
        if orc.zeroth[node] and orc.law[node] <= SPHERE:
            size, place = orc.samples[node] * d, room.free + drawn * d
            fill_words(k0, k1, node, room.step[s], DIRECTION, 0, size, words, place)
            room.line[s] = LINES + drawn
            drawn += orc.samples[node]
    to_normals(words, room.free, drawn * d, room.flat, LINES * d, room.spare)
    for s in range(count):
        node = room.node[s]
        if orc.zeroth[node] and orc.law[node] == SPHERE:
            for line in range(room.line[s], room.line[s] + orc.samples[node]):
                to_sphere(room.lines, line, d)


@inlined
def to_sphere(lines, line, d):
    """A line gets the length √d."""
    set_line(math.sqrt(d / dot(lines, line, lines, line, d)), lines, line, d, lines, line)


@inlined
def draw_vector(law, node, step, k0, k1, place, slot, line, d, room):
    """Random vector number `place` of an estimate, E uu' = I, into a line unless it has one.

    Returns which it has.
    """
    words, lines = room.words, room.lines
    if law <= SPHERE:
        if slot >= 0 and place < room.vectors:
            return room.line[slot] + place
        first = fill_words(k0, k1, node, step, DIRECTION, place * d, d, words, room.free)
        to_normals(words, first, d, room.flat, line * d, room.spare)
        if law == SPHERE:
            to_sphere(lines, line, d)
        return line
    start, stop = place, place + 1
    if law == RADEMACHER:
        start, stop = place * d // 32, ((place + 1) * d + 31) // 32
    if slot >= 0 and stop <= room.bits:
        first = len(room.node) * room.data + slot * room.bits + start
    else:
        first = fill_words(k0, k1, node, step, DIRECTION, start, stop - start, words, room.free)
    if law == RADEMACHER:
        to_signs(words, first, d, place * d - 32 * start, lines, line)
    elif law == COORDINATE:
        word = np.int64(words[first])
        for k in range(d):
            lines[line, k] = 0.0
        lines[line, ((word >> 1) * d) >> 31] = math.sqrt(d) * (1.0 - 2.0 * (word & 1))
    return line
