"""The compiled entry of server schedules. Import inside functions, as `kernels`."""

from __future__ import annotations

from hzbench.core.compiled import entry, inlined
from hzbench.engine.fused.oracles import estimate
from hzbench.engine.fused.vectors import set_line, step_along


@inlined
def compute(ob, orc, trace, version, k0, k1, x, kept, room):
    """The estimates at x^version that some update uses, each into its slot."""
    d = x.shape[1]
    for place in range(trace.starts[version], trace.starts[version + 1]):
        node, sample, slot = trace.worker[place], trace.sample[place], trace.slot[place]
        line, factor = estimate(ob, orc, node, sample, k0, k1, -1, x, 0, d, room)
        set_line(factor, room.lines, line, d, kept, slot)


@entry
def run_server(ob, orc, keys, trace, x, slots, room, first, last, start, stop):
    """Updates start ... stop − 1 of replicas first ... last − 1: x [R, 1, d], slots [R, C, d]."""
    d = x.shape[2]
    for r in range(first, last):
        k0, k1, own, kept = keys[r, 0], keys[r, 1], x[r], slots[r]
        if start == 0:
            compute(ob, orc, trace, 0, k0, k1, own, kept, room)
        for update in range(start, stop):
            for e in range(trace.offsets[update], trace.offsets[update + 1]):
                factor, slot = trace.factors[e], trace.used[e]
                step_along(factor, kept, slot, own, 0, d, own, 0)
            compute(ob, orc, trace, update + 1, k0, k1, own, kept, room)
