"""The compiled entries: one a protocol, for some replicas and steps. Import inside functions.

Replicas are independent and write only their own lines, so any split of them over calls, threads or
workers gives the same bits. The caller's threads run them without the interpreter's lock.
"""

from __future__ import annotations

from numba import njit

from hzbench.core.compiled import entry, inlined
from hzbench.core.masked_lanes import fma, load, splat, store
from hzbench.core.objective import DENSE, DIAGONAL, SQUARED
from hzbench.engine.fused.draws import draw_ahead
from hzbench.engine.fused.eights import all_of_one_row, apart, estimate_eight, numbers_ahead
from hzbench.engine.fused.mixing import multiply
from hzbench.engine.fused.oracles import estimate
from hzbench.engine.fused.records import FACTOR, READY, RIDGE, SIMULTANEOUS
from hzbench.engine.fused.row_steps import (
    SHORT,
    ask_for_rows,
    eight_steps,
    one_row_step,
    rounds_by_eights,
)
from hzbench.engine.fused.vectors import apply_to_four, step_along

SENT = 3  # column of `counts`: floats sent, after gradient, function and derivative calls


@inlined
def step_size(up, step, node):
    """η of a step and node; one line for all steps, or one number, stays in the cache."""
    sizes = up.step_sizes
    return sizes[step if len(sizes) > 1 else 0, node if sizes.shape[1] > 1 else 0]


@inlined
def local_step(ob, orc, up, node, step, k0, k1, slot, at, base, i, momentum, out, room):
    """out_i = base_i − η v, with G at at_i and v = m v + (1 − m) G kept in `momentum`."""
    d, eta = at.shape[1], step_size(up, step, node)
    if ob.kind == DIAGONAL and plain(ob, orc, up, node):
        exact_step(ob, node, eta, at, base, i, d, out)
        return
    if up.momentum == 0.0 and not orc.zeroth[node] and ob.kind >= SQUARED and orc.batch[node] == 1:
        one_row_step(ob, node, step, k0, k1, slot, eta, at, base, i, out, room)
        return
    line, factor = estimate(ob, orc, node, step, k0, k1, slot, at, i, d, room)
    if up.momentum > 0.0:
        for k in range(d):
            g = factor * room.lines[line, k]
            momentum[i, k] = up.momentum * momentum[i, k] + (1.0 - up.momentum) * g
        step_along(eta, momentum, i, base, i, d, out, i)
    else:
        step_along(eta * factor, room.lines, line, base, i, d, out, i)


@inlined
def exact_step(ob, node, eta, at, base, i, d, out):
    """The step of a noise-free diagonal quadratic, in one pass."""
    m = 0 if len(ob.diagonal) == 1 else node
    b = 0 if len(ob.linear) == 1 else node
    h = splat(eta)
    for k in range(0, d, 8):
        c = d - k
        slope = load(at, (i, k), c) * load(ob.diagonal, (m, k), c) - load(ob.linear, (b, k), c)
        store(out, (i, k), c, load(base, (i, k), c) - h * slope)


@inlined
def count_calls(counts, r, orc, node):
    """Add what one estimate of the node cost."""
    for kind in range(3):
        counts[r, kind] += orc.calls[node, kind]


@inlined
def meet(out, i, j, k, weight, y, z):
    """Eight coordinates of both ends of a pair become weighted averages of y and z."""
    n, w, v = out.shape[1] - k, splat(weight), splat(1.0 - weight)
    if weight == 0.5:
        mean = (y + z) * w
        store(out, (i, k), n, mean)
        store(out, (j, k), n, mean)
    else:
        store(out, (i, k), n, v * y + w * z)
        store(out, (j, k), n, v * z + w * y)


@inlined
def average(y, i, j, weight, d):
    """Both ends of a pair move to their weighted averages, in place."""
    for k in range(0, d, 8):
        meet(y, i, j, k, weight, load(y, (i, k), d - k), load(y, (j, k), d - k))


@inlined
def plain(ob, orc, up, node):
    """Whether a node steps along its gradient, without vectors, noise or memory."""
    return not (up.momentum > 0.0 or orc.zeroth[node] or (ob.noise and orc.batch[node]))


@inlined
def all_plain(ob, orc, up):
    """Whether all nodes do."""
    found = True
    for node in range(len(orc.zeroth)):
        found = found and plain(ob, orc, up, node)
    return found


@inlined
def exact_pair(ob, up, t, i, j, x):
    """A tick of two nodes that both take `exact_step`, in one pass."""
    d, shared, one = x.shape[1], len(ob.diagonal) == 1, len(ob.linear) == 1
    p, q, b, c = 0 if shared else i, 0 if shared else j, 0 if one else i, 0 if one else j
    eta, theta = splat(step_size(up, t, i)), splat(step_size(up, t, j))
    for k in range(0, d, 8):
        n, y, z = d - k, load(x, (i, k), d - k), load(x, (j, k), d - k)
        y = y - eta * (y * load(ob.diagonal, (p, k), n) - load(ob.linear, (b, k), n))
        z = z - theta * (z * load(ob.diagonal, (q, k), n) - load(ob.linear, (c, k), n))
        meet(x, i, j, k, up.pair_weight, y, z)


@inlined
def one_row_pair(up, t, slot, x, room):
    """A tick of the two nodes in a slot and the next, whose lines and factors are known."""
    i, j, a, b, d = (
        room.node[slot],
        room.node[slot + 1],
        room.line[slot],
        room.line[slot + 1],
        x.shape[1],
    )
    f, g = splat(room.numbers[FACTOR, slot]), splat(room.numbers[FACTOR, slot + 1])
    p, q = splat(room.numbers[RIDGE, slot]), splat(room.numbers[RIDGE, slot + 1])
    eta, theta = splat(step_size(up, t, i)), splat(step_size(up, t, j))
    for k in range(0, d, 8):
        n, y, z = d - k, load(x, (i, k), d - k), load(x, (j, k), d - k)
        y = y - eta * fma(f, load(room.lines, (a, k), n), p * y)
        z = z - theta * fma(g, load(room.lines, (b, k), n), q * z)
        meet(x, i, j, k, up.pair_weight, y, z)


@inlined
def one_row_pairs(ob, orc, up, k0, k1, begin, end, x, room):
    """Ticks begin ... end − 1, whose draws are in the slots; up to four disjoint pairs at once."""
    slot, stop = 0, 2 * (end - begin)
    numbers_ahead(ob, orc, stop, room)
    while slot < stop:
        count = 2
        while count < 8 and slot + count < stop and apart(room.node, slot, count):
            count += 2
        estimate_eight(ob, orc, k0, k1, x, slot, count, room)
        for s in range(slot, slot + count, 2):
            one_row_pair(up, begin + s // 2, s, x, room)
        slot += count


@inlined
def four_nodes(ob, up, t, i, at, base, direct, out, room):
    """Slopes A at − b + λ at of nodes i ... i + 3, the last repeated behind the end.

    Direct: `out` gets base − η times the slope (`at` is another array). Else lines READY ...
    READY + 3 get the slopes.
    """
    d, end = at.shape[1], len(at) - 1
    target = out if direct else room.lines
    j0, j1, j2, j3 = i, min(i + 1, end), min(i + 2, end), min(i + 3, end)
    for c in range(0, d, 24):
        p0, p1, p2, q0, q1, q2, r0, r1, r2, s0, s1, s2 = apply_to_four(ob.hessians[0], at, i, c)
        finish(ob, up, t, j0, at, base, direct, target, j0 if direct else READY, c, p0, p1, p2)
        finish(ob, up, t, j1, at, base, direct, target, j1 if direct else READY + 1, c, q0, q1, q2)
        finish(ob, up, t, j2, at, base, direct, target, j2 if direct else READY + 2, c, r0, r1, r2)
        finish(ob, up, t, j3, at, base, direct, target, j3 if direct else READY + 3, c, s0, s1, s2)


@inlined
def finish(ob, up, t, i, at, base, direct, out, o, c, g0, g1, g2):
    """Columns c ... c + 23 of a node's step or slope, given those of A x."""
    b, ridge = 0 if len(ob.linear) == 1 else i, splat(ob.regularization)
    eta, reach = splat(step_size(up, t, i) if direct else -1.0), at.shape[1] if direct else 0
    move(ob.linear, b, eta, ridge, at, base, reach, i, c, out, o, g0)
    move(ob.linear, b, eta, ridge, at, base, reach, i, c + 8, out, o, g1)
    move(ob.linear, b, eta, ridge, at, base, reach, i, c + 16, out, o, g2)


@inlined
def move(linear, b, eta, ridge, at, base, reach, i, k, out, o, image):
    """Eight coordinates of base − η · slope, given those of A x; of a base that ends at `reach`."""
    n = at.shape[1] - k
    slope = fma(ridge, load(at, (i, k), n), image - load(linear, (b, k), n))
    store(out, (o, k), n, load(base, (i, k), reach - k) - eta * slope)


@inlined
def count_pairs(counts, r, orc, pairs, start, stop):
    """What the ticks start ... stop − 1 of a replica cost."""
    if cost_alike(orc):
        for kind in range(3):
            counts[r, kind] += 2 * (stop - start) * orc.calls[0, kind]
        return
    for t in range(start, stop):
        for kind in range(3):
            counts[r, kind] += orc.calls[pairs[r, t, 0], kind] + orc.calls[pairs[r, t, 1], kind]


@njit(error_model="numpy", _nrt=False)
def cost_alike(orc):
    """Whether an estimate costs every node the same."""
    for node in range(1, len(orc.calls)):
        for kind in range(3):
            if orc.calls[node, kind] != orc.calls[0, kind]:
                return False
    return True


@inlined
def pairs_ahead(ob, orc, k0, k1, pairs, r, start, stop, room):
    """Draws of both ends of some ticks, in slots of their order."""
    for t in range(start, stop):
        for end in range(2):
            slot = 2 * (t - start) + end
            room.node[slot], room.step[slot] = pairs[r, t, end], t
    draw_ahead(ob, orc, k0, k1, 2 * (stop - start), room)


@entry
def run_pair(ob, orc, up, pairs, x, momentum, counts, room, first, last, start, stop):
    """Ticks start ... stop − 1 of replicas first ... last − 1, in the order of the plan."""
    d, ahead = x.shape[2], len(room.node) // 2
    exact, rows = ob.kind == DIAGONAL and all_plain(ob, orc, up), all_of_one_row(ob, orc, up, d)
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        count_pairs(counts, r, orc, pairs, start, stop)
        counts[r, SENT] += 2 * d * (stop - start)
        if exact:
            for t in range(start, stop):
                exact_pair(ob, up, t, pairs[r, t, 0], pairs[r, t, 1], own)
            continue
        for begin in range(start, stop, ahead):
            end = min(begin + ahead, stop)
            pairs_ahead(ob, orc, k0, k1, pairs, r, begin, end, room)
            if rows:
                one_row_pairs(ob, orc, up, k0, k1, begin, end, own, room)
                continue
            for s in range(2 * (end - begin)):
                t, i = begin + s // 2, room.node[s]
                local_step(ob, orc, up, i, t, k0, k1, s, own, own, i, kept, own, room)
                if s % 2:
                    average(own, room.node[s - 1], i, up.pair_weight, d)


@inlined
def nodes_ahead(ob, orc, k0, k1, start, t, n, room):
    """Draws of the nodes from `start` on at one step, as many as there are slots."""
    count = min(len(room.node), n - start)
    for s in range(count):
        room.node[s], room.step[s] = start + s, t
    draw_ahead(ob, orc, k0, k1, count, room)


@entry
def run_matching(
    ob, orc, up, partners, silent, idle, x, momentum, counts, room, first, last, start, stop
):
    """Rounds of disjoint pairs; a node without partner steps if `idle` says so."""
    n, d, slots = x.shape[1], x.shape[2], len(room.node)
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        for t in range(start, stop):
            for i in range(n):
                if i % slots == 0:
                    nodes_ahead(ob, orc, k0, k1, i, t, n, room)
                alone = t < silent or partners[r, t, i] == i
                if alone and not (idle or t < silent):
                    continue
                slot = i % slots
                local_step(ob, orc, up, i, t, k0, k1, slot, own, own, i, kept, own, room)
                count_calls(counts, r, orc, i)
                j = partners[r, t, i]
                if not alone and j < i:
                    average(own, i, j, up.pair_weight, d)
                    counts[r, SENT] += 2 * d


@inlined
def steps_of_all(ob, orc, up, simple, together, t, k0, k1, at, base, momentum, out, room):
    """The local steps of one round; a Hessian of all nodes is read once for four of them."""
    n, slots = len(at), len(room.node)
    if simple and room.shared and up.order != SIMULTANEOUS:
        for i in range(0, n, 4):
            four_nodes(ob, up, t, i, at, base, True, out, room)
        return
    if together:
        steps_of_eights(ob, orc, up, t, k0, k1, at, out, room)
        return
    for i in range(n):
        if room.shared and i % 4 == 0:
            four_nodes(ob, up, t, i, at, base, False, out, room)
        slot = i % slots
        if slot == 0 and not (simple and ob.kind <= DENSE):
            nodes_ahead(ob, orc, k0, k1, i, t, n, room)
        local_step(ob, orc, up, i, t, k0, k1, slot, at, base, i, momentum, out, room)


@inlined
def steps_of_eights(ob, orc, up, t, k0, k1, at, out, room):
    """The same, eight at once; what is left behind the last eight goes with some done before."""
    (n, d), slots = at.shape, len(room.node)
    for begin in range(0, n, slots):
        start, end = min(begin, n - 8), min(begin + slots, n)
        nodes_ahead(ob, orc, k0, k1, start, t, n, room)
        if d > SHORT:
            ask_for_rows(ob, room, 0, d)
        for i in range(start, end, 8):
            first = min(i, end - 8)
            eight_steps(ob, up, t, first - start, at, first, out, room)


@entry
def run_matrix(ob, orc, up, mixing, x, momentum, counts, room, first, last, start, stop):
    """Synchronous rounds: adapt-combine, combine-adapt or simultaneous."""
    n, d, other = x.shape[1], x.shape[2], room.other
    simple, together = all_plain(ob, orc, up), rounds_by_eights(ob, orc, up, n)
    for r in range(first, last):
        k0, k1, own, kept = up.keys[r, 0], up.keys[r, 1], x[r], momentum[r]
        for i in range(n):
            for kind in range(3):
                counts[r, kind] += orc.calls[i, kind] * (stop - start)
        at = other if up.order == 1 else own
        base = own if up.order == 0 else other
        out = other if up.order == 0 else own
        for half in range(2 * start, 2 * stop):
            t = half // 2
            if (half % 2 == 0) == (up.order == 0):
                steps_of_all(ob, orc, up, simple, together, t, k0, k1, at, base, kept, out, room)
            else:
                counts[r, SENT] += d * multiply(mixing, r, t, out, base)
