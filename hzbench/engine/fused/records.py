"""What the kernels read: flat arrays and run-time codes."""

from __future__ import annotations

from typing import Any, NamedTuple

LAWS = {"gaussian": 0, "sphere": 1, "rademacher": 2, "coordinate": 3}
"""Codes of the laws of random vectors."""
GAUSSIAN, SPHERE, RADEMACHER, COORDINATE = range(4)

DIFFERENCES = {"central": 0, "forward": 1, "directional_derivative": 2}
"""Codes of the differences."""
CENTRAL, FORWARD, DERIVATIVE = range(3)

ORDERS = {"adapt-combine": 0, "combine-adapt": 1, "simultaneous": 2}
"""Codes of the orders of step and exchange."""
SIMULTANEOUS = 2


GRADIENT, VECTOR, SLOPE, NORMAL, IMAGE, READY = range(6)
"""Lines of a room that an estimate works on, slopes of four nodes from the last on."""
EIGHT = 9  # lines along which eight nodes step at once
LINES = 17  # those of vectors drawn ahead follow

TARGET, SMOOTHING, RIDGE, FACTOR = range(4)
"""What a room keeps of every slot."""


class Oracles(NamedTuple):
    """Who estimates how: one entry a node.

    Attributes:
        zeroth: whether from values, [n].
        law, difference: codes, [n].
        samples: m, [n].
        smoothing: ν, [n].
        fresh: whether every difference draws its own data, [n].
        batch: b; 0 for all rows or no noise, [n].
        rows: data rows that an estimate draws, [n].
        calls: gradient, function and derivative calls of one estimate, [n, 3].
    """

    zeroth: Any
    law: Any
    difference: Any
    samples: Any
    smoothing: Any
    fresh: Any
    batch: Any
    rows: Any
    calls: Any


class Update(NamedTuple):
    """The method and the plan's numbers that all protocols share.

    Attributes:
        order: code.
        momentum: m.
        pair_weight: w.
        step_sizes: η, [T, n], or [1, n] where all steps share one.
        keys: Philox keys, [R, 2].
    """

    order: int
    momentum: float
    pair_weight: float
    step_sizes: Any
    keys: Any


class Mixing(NamedTuple):
    """W of every round of a period P by its lines, and when it does not act.

    Attributes:
        dense: W itself, [P, n, n], where most of it is not 0 and no link fails, or nothing.
        diagonal: W_ii, [P, n].
        pointers: where the entries of a line start, [P, n + 1].
        column, weight: the entries off the diagonal, all lines one after the other.
        edge: for every entry the number of the edge that may fail, −1: it never fails; or nothing.
        up: which edges work, [R, T, E], or nothing.
        exchanges: whether a round exchanges, [R, T], or nothing.
        silent: first rounds without exchange.
    """

    dense: Any
    diagonal: Any
    pointers: Any
    column: Any
    weight: Any
    edge: Any
    up: Any
    exchanges: Any
    silent: int


class Room(NamedTuple):
    """Where one thread keeps what it is working on.

    Attributes:
        lines: vectors, [LINES and those drawn ahead, d].
        flat: the same memory as one line.
        spare: temporaries of normals.
        words: random words: of the slots, then from `free` on of what is being drawn; uint64.
        other: iterates between the step and the exchange, [n, d]; matrix alone.
        node, step: addresses in the slots of draws ahead, [S].
        line: where the vectors of each slot start, [S].
        numbers: of each slot's data row and estimate, [4, 72].
        sums: products of the lines of eight nodes, three a node, as lanes, [24, 8].
        data: words (then data rows) a slot; 0: none are drawn ahead.
        bits: words of signs or coordinates a slot; 0: none.
        vectors: Gaussian vectors a slot at most; 0: none.
        free: first of the words that nobody keeps.
        shared: whether line READY + i % 4 holds A x_i − b + λ x_i before node i steps.
    """

    lines: Any
    flat: Any
    spare: Any
    words: Any
    other: Any
    node: Any
    step: Any
    line: Any
    numbers: Any
    sums: Any
    data: int
    bits: int
    vectors: int
    free: int
    shared: int
