"""Products and sums of lines of arrays on lanes. Import inside functions."""

from __future__ import annotations

from hzbench.core.compiled import inlined
from hzbench.core.masked_lanes import fma, load, prefetch, splat, store, total, totals


@inlined
def dot(a, i, b, j, d):
    """<a_i, b_j>: four sums of eight lanes, then the rest of the lines along the first."""
    s0 = s1 = s2 = s3 = splat(0.0)
    whole = d // 32 * 32
    for k in range(0, whole, 32):
        s0 = fma(load(a, (i, k), 8), load(b, (j, k), 8), s0)
        s1 = fma(load(a, (i, k + 8), 8), load(b, (j, k + 8), 8), s1)
        s2 = fma(load(a, (i, k + 16), 8), load(b, (j, k + 16), 8), s2)
        s3 = fma(load(a, (i, k + 24), 8), load(b, (j, k + 24), 8), s3)
    for k in range(whole, d, 8):
        s0 = fma(load(a, (i, k), d - k), load(b, (j, k), d - k), s0)
    return total((s0 + s2) + (s1 + s3))


@inlined
def three_sums(a, i, b, j, c, m, d):
    """<a_i, b_j>, <a_i, c_m> and <b_j, c_m>, each as eight lanes that are yet to be added."""
    first = second = third = splat(0.0)
    for k in range(0, d, 8):
        n = d - k
        p, q, r = load(a, (i, k), n), load(b, (j, k), n), load(c, (m, k), n)
        first, second, third = fma(p, q, first), fma(p, r, second), fma(q, r, third)
    return first, second, third


@inlined
def prefetch_eight(a, rows, k):
    """Ask for a column of eight lines that are needed soon."""
    r0, r1, r2, r3, r4, r5, r6, r7 = rows
    prefetch(a, (r0, k))
    prefetch(a, (r1, k))
    prefetch(a, (r2, k))
    prefetch(a, (r3, k))
    prefetch(a, (r4, k))
    prefetch(a, (r5, k))
    prefetch(a, (r6, k))
    prefetch(a, (r7, k))


@inlined
def eight_dots(a, rows, b, j, d, later, ask):
    """<a_row, b_j> of eight rows, one a lane; asks for eight later ones, column by column."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = splat(0.0)
    r0, r1, r2, r3, r4, r5, r6, r7 = rows
    for k in range(0, d, 8):
        if ask:
            prefetch_eight(a, later, k)
        n, y = d - k, load(b, (j, k), d - k)
        s0, s1 = fma(load(a, (r0, k), n), y, s0), fma(load(a, (r1, k), n), y, s1)
        s2, s3 = fma(load(a, (r2, k), n), y, s2), fma(load(a, (r3, k), n), y, s3)
        s4, s5 = fma(load(a, (r4, k), n), y, s4), fma(load(a, (r5, k), n), y, s5)
        s6, s7 = fma(load(a, (r6, k), n), y, s6), fma(load(a, (r7, k), n), y, s7)
    return totals(s0, s1, s2, s3, s4, s5, s6, s7)


@inlined
def add_line(factor, a, i, d, out, o):
    """out_o += factor · a_i."""
    f = splat(factor)
    for k in range(0, d, 8):
        store(out, (o, k), d - k, fma(f, load(a, (i, k), d - k), load(out, (o, k), d - k)))


@inlined
def set_line(factor, a, i, d, out, o):
    """out_o = factor · a_i."""
    f = splat(factor)
    for k in range(0, d, 8):
        store(out, (o, k), d - k, f * load(a, (i, k), d - k))


@inlined
def step_along(factor, a, i, base, j, d, out, o):
    """out_o = base_j − factor · a_i."""
    f = splat(-factor)
    for k in range(0, d, 8):
        store(out, (o, k), d - k, fma(f, load(a, (i, k), d - k), load(base, (j, k), d - k)))


@inlined
def store_three(out, o, c, n, s0, s1, s2):
    """Columns c ... c + 23 of out_o, of which n remain."""
    store(out, (o, c), n, s0)
    store(out, (o, c + 8), n - 8, s1)
    store(out, (o, c + 16), n - 16, s2)


@inlined
def prefetch_line(a, i, d):
    """Ask for a line of an array that is needed soon."""
    for k in range(0, d, 8):
        prefetch(a, (i, k))


@inlined
def apply_matrix(matrices, m, x, i, d, out, o):
    """out_o += x_i' A_m, 24 columns at a time along two sums, of even and of odd lines of A."""
    for c in range(0, d, 24):
        s0, s1 = load(out, (o, c), d - c), load(out, (o, c + 8), d - c - 8)
        s2 = load(out, (o, c + 16), d - c - 16)
        t0 = t1 = t2 = splat(0.0)
        for k in range(0, d - 1, 2):
            f, g = splat(x[i, k]), splat(x[i, k + 1])
            s0 = fma(f, load(matrices, (m, k, c), d - c), s0)
            s1 = fma(f, load(matrices, (m, k, c + 8), d - c - 8), s1)
            s2 = fma(f, load(matrices, (m, k, c + 16), d - c - 16), s2)
            t0 = fma(g, load(matrices, (m, k + 1, c), d - c), t0)
            t1 = fma(g, load(matrices, (m, k + 1, c + 8), d - c - 8), t1)
            t2 = fma(g, load(matrices, (m, k + 1, c + 16), d - c - 16), t2)
        if d % 2:
            f = splat(x[i, d - 1])
            s0 = fma(f, load(matrices, (m, d - 1, c), d - c), s0)
            s1 = fma(f, load(matrices, (m, d - 1, c + 8), d - c - 8), s1)
            s2 = fma(f, load(matrices, (m, d - 1, c + 16), d - c - 16), s2)
        store_three(out, o, c, d - c, s0 + t0, s1 + t1, s2 + t2)


@inlined
def apply_to_four(matrix, x, i, c):
    """Columns c ... c + 23 of x A for lines i ... i + 3 of x, the last repeated behind the end.

    Every line of A is loaded once for four products. Returns twelve lanes, three a line of x.
    """
    (inner, d), end = matrix.shape, len(x) - 1
    j0, j1, j2, j3 = i, min(i + 1, end), min(i + 2, end), min(i + 3, end)
    p0 = p1 = p2 = q0 = q1 = q2 = r0 = r1 = r2 = s0 = s1 = s2 = splat(0.0)
    for k in range(inner):
        u, v = load(matrix, (k, c), d - c), load(matrix, (k, c + 8), d - c - 8)
        w = load(matrix, (k, c + 16), d - c - 16)
        f, g, h, e = splat(x[j0, k]), splat(x[j1, k]), splat(x[j2, k]), splat(x[j3, k])
        p0, p1, p2 = fma(f, u, p0), fma(f, v, p1), fma(f, w, p2)
        q0, q1, q2 = fma(g, u, q0), fma(g, v, q1), fma(g, w, q2)
        r0, r1, r2 = fma(h, u, r0), fma(h, v, r1), fma(h, w, r2)
        s0, s1, s2 = fma(e, u, s0), fma(e, v, s1), fma(e, w, s2)
    return p0, p1, p2, q0, q1, q2, r0, r1, r2, s0, s1, s2
