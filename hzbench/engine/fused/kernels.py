"""The compiled entries: one a protocol, for some replicas and steps. Import inside functions.

Replicas are independent and write only their own lines, so any split of them over calls, threads or
workers gives the same bits. The caller's threads run them without the interpreter's lock.
"""

from __future__ import annotations

from numba import njit

from hzbench.engine.fused.oracles import estimate

SENT = 3  # column of `counts`: floats sent, after gradient, function and derivative calls


@njit(error_model="numpy", _nrt=False, forceinline=True)
def local_step(ob, orc, up, node, step, k0, k1, at, base, i, momentum, out, scratch, words):
    """out_i = base_i − η v, with G at at_i and v = m v + (1 − m) G kept in `momentum`."""
    d = at.shape[1]
    line = estimate(ob, orc, node, step, k0, k1, at, i, d, scratch, words)
    eta = up.step_sizes[step, node]
    if up.momentum > 0.0:
        for k in range(d):
            v = up.momentum * momentum[i, k] + (1.0 - up.momentum) * scratch[line, k]
            momentum[i, k] = v
            out[i, k] = base[i, k] - eta * v
    else:
        for k in range(d):
            out[i, k] = base[i, k] - eta * scratch[line, k]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def count_calls(counts, r, orc, node):
    """Add what one estimate of the node cost."""
    for kind in range(3):
        counts[r, kind] += orc.calls[node, kind]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def average(y, i, j, w, d):
    """Both ends of a pair move to their weighted averages, in place."""
    if w == 0.5:
        for k in range(d):
            mean = (y[i, k] + y[j, k]) / 2.0
            y[i, k] = mean
            y[j, k] = mean
    else:
        for k in range(d):
            a, b = y[i, k], y[j, k]
            y[i, k] = (1.0 - w) * a + w * b
            y[j, k] = (1.0 - w) * b + w * a


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def run_pair(ob, orc, up, pairs, x, momentum, counts, room, first, last, start, stop):
    """Ticks start ... stop − 1 of replicas first ... last − 1, in the order of the plan."""
    d = x.shape[2]
    scratch, words = room.lines, room.words
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        for t in range(start, stop):
            i, j = pairs[r, t, 0], pairs[r, t, 1]
            for end in range(2):
                k = j if end else i
                local_step(ob, orc, up, k, t, k0, k1, own, own, k, kept, own, scratch, words)
                count_calls(counts, r, orc, k)
            average(own, i, j, up.pair_weight, d)
            counts[r, SENT] += 2 * d


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def run_matching(
    ob, orc, up, partners, silent, idle, x, momentum, counts, room, first, last, start, stop
):
    """Rounds of disjoint pairs; a node without partner steps if `idle` says so."""
    n, d = x.shape[1], x.shape[2]
    scratch, words = room.lines, room.words
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        for t in range(start, stop):
            for i in range(n):
                alone = t < silent or partners[r, t, i] == i
                if alone and not (idle or t < silent):
                    continue
                local_step(ob, orc, up, i, t, k0, k1, own, own, i, kept, own, scratch, words)
                count_calls(counts, r, orc, i)
                j = partners[r, t, i]
                if not alone and j < i:
                    average(own, i, j, up.pair_weight, d)
                    counts[r, SENT] += 2 * d


@njit(error_model="numpy", _nrt=False, forceinline=True)
def down(mixing, r, t, e):
    """Whether the link of an entry of W has failed."""
    return mixing.edge[e] >= 0 and not mixing.up[r, t, mixing.edge[e]]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def multiply_line(mixing, r, t, p, i, y, out):
    """Line i of W y; what a failed link carried stays at the diagonal. Returns the links used."""
    d, links, own = y.shape[1], 0, mixing.diagonal[p, i]
    begin, end = mixing.pointers[p, i], mixing.pointers[p, i + 1]
    for e in range(begin, end):
        if down(mixing, r, t, e):
            own += mixing.weight[e]
    for k in range(d):
        out[i, k] = own * y[i, k]
    for e in range(begin, end):
        if not down(mixing, r, t, e):
            links += 1
            j, w = mixing.column[e], mixing.weight[e]
            for k in range(d):
                out[i, k] += w * y[j, k]
    return links


@njit(error_model="numpy", _nrt=False, forceinline=True)
def multiply(mixing, r, t, y, out):
    """Set out = W y for the W of that round; returns how many links carried weight."""
    n, d = y.shape
    if t < mixing.silent or (len(mixing.exchanges) > 0 and not mixing.exchanges[r, t]):
        for i in range(n):
            for k in range(d):
                out[i, k] = y[i, k]
        return 0
    links = 0
    for i in range(n):
        links += multiply_line(mixing, r, t, t % len(mixing.pointers), i, y, out)
    return links


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def run_matrix(ob, orc, up, mixing, x, momentum, counts, room, first, last, start, stop):
    """Synchronous rounds: adapt-combine, combine-adapt or simultaneous."""
    n, d = x.shape[1], x.shape[2]
    scratch, words, other = room.lines, room.words, room.other
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        for t in range(start, stop):
            links = 0
            if up.order != 0:
                links = multiply(mixing, r, t, own, other)
            at = other if up.order == 1 else own
            base = own if up.order == 0 else other
            out = other if up.order == 0 else own
            for i in range(n):
                local_step(ob, orc, up, i, t, k0, k1, at, base, i, kept, out, scratch, words)
                count_calls(counts, r, orc, i)
            if up.order == 0:
                links = multiply(mixing, r, t, other, own)
            counts[r, SENT] += links * d
