"""The room in which a thread works: how many draws fit ahead of their use, and the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from hzbench.core.compiled import aligned
from hzbench.engine.fused.records import LAWS, LINES, Oracles, Room

SLACK = 80  # what eight blocks at once may write behind the words wanted, twice
_SLOTS = 64
_WORDS = 32  # at most so many words a slot are kept
_VALUES = 2048  # normals drawn at once: with their words they fill the first-level cache
_LONG = 512  # from here on the vectors of one estimate are long enough to be drawn by themselves


def rooms(
    dimension: int, oracles: Oracles, nodes: int = 0, *, shared: bool = False
) -> Callable[[], Room]:
    """What gives every thread the room it works in; `nodes` lines of it for W alone."""
    local = threading.local()

    def room() -> Room:
        if not hasattr(local, "room"):
            local.room = _room(dimension, oracles, nodes, shared)
        found: Room = local.room
        return found

    return room


def _room(d: int, oracles: Oracles, nodes: int, shared: bool) -> Room:
    vectors = _vectors(d, oracles)
    slots = _SLOTS
    if vectors:
        slots = min(slots, max(8, _VALUES // (vectors * d) // 8 * 8))
    data, bits = _kept(int(oracles.rows.max(initial=0))), _kept(_bit_words(d, oracles))
    normals = max(d, slots * vectors * d)
    flat = aligned(((LINES + slots * vectors) * d,))
    largest = int(oracles.batch.max(initial=0))
    free = slots * (data + bits)
    return Room(
        lines=flat.reshape(-1, d),
        flat=flat,
        spare=np.zeros(normals + 8),
        words=np.zeros(free + 2 * max(normals, largest) + SLACK, dtype=np.uint64),
        other=aligned((nodes, d)),
        node=np.zeros(slots, dtype=np.int64),
        step=np.zeros(slots, dtype=np.int64),
        line=np.zeros(slots, dtype=np.int64),
        numbers=np.zeros((4, _SLOTS + 8)),
        sums=np.zeros((24, 8)),
        data=data,
        bits=bits,
        vectors=vectors,
        free=free,
        shared=int(shared),
    )


def _vectors(d: int, oracles: Oracles) -> int:
    """Vectors of normals an estimate has at most, where they are short."""
    drawn = oracles.zeroth.astype(bool) & (oracles.law <= LAWS["sphere"])
    most = int(oracles.samples[drawn].max(initial=0))
    return most if most * d < _LONG else 0


def _bit_words(d: int, oracles: Oracles) -> int:
    """The same of signs and coordinates."""
    m, drawn = oracles.samples, oracles.zeroth.astype(bool)
    signs = np.where(drawn & (oracles.law == LAWS["rademacher"]), (m * d + 31) // 32, 0)
    places = np.where(drawn & (oracles.law == LAWS["coordinate"]), m, 0)
    return int(np.maximum(signs, places).max(initial=0))


def _kept(wanted: int) -> int:
    """One word, or whole blocks of four; none where they are many."""
    return wanted if wanted <= 1 else -(-wanted // 4) * 4 if wanted <= _WORDS else 0
