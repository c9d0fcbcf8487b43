"""W y inside a kernel, by neighbours or by blocks of a dense W. Import inside functions."""

from __future__ import annotations

from numba import njit

from hzbench.core.compiled import inlined
from hzbench.core.masked_lanes import fma, load, splat, store
from hzbench.engine.fused.vectors import add_line, apply_to_four, set_line, store_three


@inlined
def down(mixing, r, t, e):
    """Whether the link of an entry of W has failed."""
    return mixing.edge[e] >= 0 and not mixing.up[r, t, mixing.edge[e]]


@njit(error_model="numpy", _nrt=False, inline="always")
def sum_columns(mixing, p, i, y, c, n, out):
    """Columns c ... c + 23 of line i, of which n remain: the node itself, then its neighbours."""
    begin, end, own = mixing.pointers[p, i], mixing.pointers[p, i + 1], splat(mixing.diagonal[p, i])
    s0, s1 = own * load(y, (i, c), n), own * load(y, (i, c + 8), n - 8)
    s2 = own * load(y, (i, c + 16), n - 16)
    for e in range(begin, end):
        j, w = mixing.column[e], splat(mixing.weight[e])
        s0, s1 = fma(w, load(y, (j, c), n), s0), fma(w, load(y, (j, c + 8), n - 8), s1)
        s2 = fma(w, load(y, (j, c + 16), n - 16), s2)
    store_three(out, i, c, n, s0, s1, s2)


@inlined
def sum_three(y, i, j, k, own, v, w, c, n, out):
    """Columns c ... c + 7 of own y_i + v y_j + w y_k, of which n remain."""
    one = fma(v, load(y, (j, c), n), own * load(y, (i, c), n))
    store(out, (i, c), n, fma(w, load(y, (k, c), n), one))


@inlined
def sum_of_two(mixing, p, i, y, d, out):
    """Line i of W y, of a node with two neighbours."""
    e, own, whole = mixing.pointers[p, i], splat(mixing.diagonal[p, i]), d // 8 * 8
    j, k = mixing.column[e], mixing.column[e + 1]
    v, w = splat(mixing.weight[e]), splat(mixing.weight[e + 1])
    for c in range(0, whole, 8):
        sum_three(y, i, j, k, own, v, w, c, 8, out)
    sum_three(y, i, j, k, own, v, w, whole, d - whole, out)


@inlined
def sum_long(mixing, p, i, y, d, out):
    """Line i of W y in one go, longer than 24: its whole parts need no masks."""
    if mixing.pointers[p, i + 1] - mixing.pointers[p, i] == 2:
        sum_of_two(mixing, p, i, y, d, out)
        return
    whole = d // 24 * 24
    for c in range(0, whole, 24):
        sum_columns(mixing, p, i, y, c, 24, out)
    sum_columns(mixing, p, i, y, whole, d - whole, out)


@inlined
def sum_lines(mixing, p, y, out):
    """Set out = W y where no link fails; of short lines the masks serve many nodes."""
    n, d = y.shape
    if d > 24:
        for i in range(n):
            sum_long(mixing, p, i, y, d, out)
        return
    for i in range(n):
        sum_columns(mixing, p, i, y, 0, d, out)


@inlined
def multiply_line(mixing, r, t, p, i, y, out):
    """Line i of W y; what a failed link carried stays at the diagonal. Returns the links used."""
    d, links, own = y.shape[1], 0, mixing.diagonal[p, i]
    begin, end = mixing.pointers[p, i], mixing.pointers[p, i + 1]
    for e in range(begin, end):
        if down(mixing, r, t, e):
            own += mixing.weight[e]
    set_line(own, y, i, d, out, i)
    for e in range(begin, end):
        if not down(mixing, r, t, e):
            links += 1
            add_line(mixing.weight[e], y, mixing.column[e], d, out, i)
    return links


@inlined
def multiply_dense(matrix, y, out):
    """Set out = W y, four lines of W and 24 columns of y at a time."""
    n, d = y.shape
    for c in range(0, d, 24):
        for i in range(0, n, 4):
            p0, p1, p2, q0, q1, q2, r0, r1, r2, s0, s1, s2 = apply_to_four(y, matrix, i, c)
            store_three(out, i, c, d - c, p0, p1, p2)
            store_three(out, min(i + 1, n - 1), c, d - c, q0, q1, q2)
            store_three(out, min(i + 2, n - 1), c, d - c, r0, r1, r2)
            store_three(out, min(i + 3, n - 1), c, d - c, s0, s1, s2)


@inlined
def multiply(mixing, r, t, y, out):
    """Set out = W y for the W of that round; returns how many links carried weight."""
    n, d = y.shape
    if t < mixing.silent or (len(mixing.exchanges) > 0 and not mixing.exchanges[r, t]):
        for i in range(n):
            for k in range(d):
                out[i, k] = y[i, k]
        return 0
    p = t % len(mixing.pointers)
    if len(mixing.dense) > 0:
        multiply_dense(mixing.dense[p], y, out)
        return mixing.pointers[p, n] - mixing.pointers[p, 0]
    if len(mixing.up) == 0:
        sum_lines(mixing, p, y, out)
        return mixing.pointers[p, n] - mixing.pointers[p, 0]
    links = 0
    for i in range(n):
        links += multiply_line(mixing, r, t, p, i, y, out)
    return links
