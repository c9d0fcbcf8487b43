"""The compiled entries: one a protocol, for some replicas and steps. Import inside functions.

Replicas are independent and write only their own lines, so any split of them over calls, threads or
workers gives the same bits. The caller's threads run them without the interpreter's lock.
"""

from __future__ import annotations

from numba import njit

from hzbench.core.objective import DIAGONAL, SQUARED
from hzbench.engine.fused.oracles import dot, estimate, pick, rows_of, slope_at

SENT = 3  # column of `counts`: floats sent, after gradient, function and derivative calls


@njit(error_model="numpy", _nrt=False, forceinline=True)
def step_size(up, step, node):
    """η of a step and node; one line for all steps stays in the cache."""
    return up.step_sizes[step if len(up.step_sizes) > 1 else 0, node]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def local_step(ob, orc, up, node, step, k0, k1, at, base, i, momentum, out, scratch, words):
    """out_i = base_i − η v, with G at at_i and v = m v + (1 − m) G kept in `momentum`."""
    d, eta = at.shape[1], step_size(up, step, node)
    if exact(ob, orc, up, node):
        exact_step(ob, node, eta, at, base, i, d, out)
        return
    if up.momentum == 0.0 and not orc.zeroth[node] and ob.kind >= SQUARED and orc.batch[node] == 1:
        one_row_step(ob, node, step, k0, k1, eta, at, base, i, d, out, words)
        return
    line, factor = estimate(ob, orc, node, step, k0, k1, at, i, d, scratch, words)
    if up.momentum > 0.0:
        for k in range(d):
            v = up.momentum * momentum[i, k] + (1.0 - up.momentum) * (factor * scratch[line, k])
            momentum[i, k] = v
            out[i, k] = base[i, k] - eta * v
    else:
        for k in range(d):
            out[i, k] = base[i, k] - eta * (factor * scratch[line, k])


@njit(error_model="numpy", _nrt=False, forceinline=True)
def exact_step(ob, node, eta, at, base, i, d, out):
    """The step of a noise-free diagonal quadratic, in one pass."""
    m = 0 if len(ob.diagonal) == 1 else node
    b = 0 if len(ob.linear) == 1 else node
    for k in range(d):
        out[i, k] = base[i, k] - eta * (at[i, k] * ob.diagonal[m, k] - ob.linear[b, k])


@njit(error_model="numpy", _nrt=False, forceinline=True)
def one_row_step(ob, node, step, k0, k1, eta, at, base, i, d, out, words):
    """The step along the gradient of one data row, in two passes."""
    _, first = rows_of(ob, node, step, k0, k1, 1, 0, words)
    row = pick(ob, node, words, first)
    slope = slope_at(ob, row, dot(ob.features, row, at, i, d))
    for k in range(d):
        g = slope * ob.features[row, k] + ob.regularization * at[i, k]
        out[i, k] = base[i, k] - eta * g


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


@njit(error_model="numpy", _nrt=False, forceinline=True)
def exact(ob, orc, up, node):
    """Whether a node's step is `exact_step`."""
    plain = up.momentum == 0.0 and not orc.zeroth[node] and ob.kind == DIAGONAL
    return plain and (ob.noise == 0 or orc.batch[node] == 0)


@njit(error_model="numpy", _nrt=False, forceinline=True)
def exact_pair(ob, up, t, i, j, x):
    """A tick of two nodes that both take `exact_step`, in one pass."""
    shared, one = len(ob.diagonal) == 1, len(ob.linear) == 1
    p, q, b, c = 0 if shared else i, 0 if shared else j, 0 if one else i, 0 if one else j
    eta, theta, w = step_size(up, t, i), step_size(up, t, j), up.pair_weight
    for k in range(x.shape[1]):
        y = x[i, k] - eta * (x[i, k] * ob.diagonal[p, k] - ob.linear[b, k])
        z = x[j, k] - theta * (x[j, k] * ob.diagonal[q, k] - ob.linear[c, k])
        x[i, k] = (y + z) / 2.0 if w == 0.5 else (1.0 - w) * y + w * z
        x[j, k] = (y + z) / 2.0 if w == 0.5 else (1.0 - w) * z + w * y


@njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
def run_pair(ob, orc, up, pairs, x, momentum, counts, room, first, last, start, stop):
    """Ticks start ... stop − 1 of replicas first ... last − 1, in the order of the plan."""
    d = x.shape[2]
    scratch, words, calls = room.lines, room.words, orc.calls
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        gradients, functions, derivatives = 0, 0, 0
        for t in range(start, stop):
            i, j = pairs[r, t, 0], pairs[r, t, 1]
            gradients += calls[i, 0] + calls[j, 0]
            functions += calls[i, 1] + calls[j, 1]
            derivatives += calls[i, 2] + calls[j, 2]
            if exact(ob, orc, up, i) and exact(ob, orc, up, j):
                exact_pair(ob, up, t, i, j, own)
                continue
            for end in range(2):
                k = j if end else i
                local_step(ob, orc, up, k, t, k0, k1, own, own, k, kept, own, scratch, words)
            average(own, i, j, up.pair_weight, d)
        counts[r, 0] += gradients
        counts[r, 1] += functions
        counts[r, 2] += derivatives
        counts[r, SENT] += 2 * d * (stop - start)


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
def sum_line(mixing, begin, end, own, i, y, out):
    """A line of W y where no link fails: two neighbours with the node itself, then four a pass."""
    d, column, weight = y.shape[1], mixing.column, mixing.weight
    e = begin + (end - begin) % 4
    if e - begin == 2:
        a, b, u, w = column[begin], column[begin + 1], weight[begin], weight[begin + 1]
        for k in range(d):
            out[i, k] = own * y[i, k] + u * y[a, k] + w * y[b, k]
    else:
        for k in range(d):
            out[i, k] = own * y[i, k]
        for f in range(begin, e):
            for k in range(d):
                out[i, k] += weight[f] * y[column[f], k]
    for f in range(e, end, 4):
        j0, j1, j2, j3 = column[f], column[f + 1], column[f + 2], column[f + 3]
        w0, w1, w2, w3 = weight[f], weight[f + 1], weight[f + 2], weight[f + 3]
        for k in range(d):
            pair = out[i, k] + w0 * y[j0, k] + w1 * y[j1, k]
            out[i, k] = pair + w2 * y[j2, k] + w3 * y[j3, k]


@njit(error_model="numpy", _nrt=False, forceinline=True)
def multiply_line(mixing, r, t, p, i, y, out):
    """Line i of W y; what a failed link carried stays at the diagonal. Returns the links used."""
    d, links, own = y.shape[1], 0, mixing.diagonal[p, i]
    begin, end = mixing.pointers[p, i], mixing.pointers[p, i + 1]
    if len(mixing.up) == 0:
        sum_line(mixing, begin, end, own, i, y, out)
        return end - begin
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
