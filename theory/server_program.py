"""A server's run as operations on few registers: what must be remembered, and until when.

A register holds a point x^v that a later estimate is taken at, or the sum of the estimates of one
bin. A bin that one update alone uses needs none: its estimates enter that update directly.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.server_history import History

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Gather:
    """Estimates of some workers at one point, added to one sum.

    Attributes:
        point: register of x^v.
        workers: i, shape [B].
        gains: Σ of the weights of worker i's estimates, shape [B].
        squares: Σ of their squares, shape [B].
    """

    point: int
    workers: Integers
    gains: Array
    squares: Array


@dataclass(frozen=True, kw_only=True)
class Collect:
    """What arrives in a bin: its register, whether it is empty before, and the estimates."""

    register: int
    first: bool
    gather: Gather


@dataclass(frozen=True, kw_only=True)
class Step:
    """All that happens up to one update, in this order.

    Attributes:
        collects: arrivals in bins that several updates use.
        old, new: registers of x^k and x^{k+1}.
        bins: registers of the sums that the update uses, shape [J].
        gains: their weights, shape [J].
        gathers: estimates that this update alone uses.
    """

    collects: tuple[Collect, ...]
    old: int
    new: int
    bins: Integers
    gains: Array
    gathers: tuple[Gather, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """The steps of a run and the number of registers that they need; x^0 is in register 0."""

    steps: tuple[Step, ...]
    registers: int

    @property
    def rows(self) -> tuple[int, int]:
        """Registers read in all: as points of estimates, and as sums or the server's point."""
        points = sum(len(s.gathers) + len(s.collects) for s in self.steps)
        sums = sum(len(s.bins) + 2 + len(s.collects) for s in self.steps)
        return points, sums


def program(found: History, step_sizes: Array, shapes: Array) -> Program:
    """Compile a history.

    Args:
        found: who arrived when, and what the updates use.
        step_sizes: η of every worker, shape [n].
        shapes: c_k of every update, shape [K].
    """
    return _Compiler(found, step_sizes, shapes).program()


class _Compiler:
    """Lifetimes first, then registers, then steps."""

    def __init__(self, found: History, step_sizes: Array, shapes: Array) -> None:
        self.found, self.step_sizes, self.shapes = found, step_sizes, shapes
        size = int(found.bins.max(initial=-1)) + 1
        self.update = found.update_of_use
        self.often = np.bincount(found.used, minlength=size) > 1
        self.last = np.full(size, -1, dtype=np.int64)
        self.last[found.used] = self.update
        self.worker = np.zeros(size, dtype=np.int64)
        inside = found.bins >= 0
        self.worker[found.bins[inside]] = found.workers[inside]
        self.free: list[int] = []
        self.count = 0

    def program(self) -> Program:
        """The steps."""
        direct, kept = self._direct(), self._kept()
        last = self._last_versions(direct, kept)
        points = {0: self._take()}
        bins: dict[int, int] = {}
        starts, ends = self._ranges(direct["update"]), self._ranges(kept["update"])
        steps = []
        for k in range(self.found.updates):
            collects = self._collects(kept, ends[k], ends[k + 1], points, bins)
            gathers = self._gathers(direct, starts[k], starts[k + 1], points)
            used, gains = self._used(k)
            new = self._take()
            registers = np.array([bins[b] for b in used], dtype=np.int64)
            steps.append(
                Step(
                    collects=collects,
                    old=points[k],
                    new=new,
                    bins=registers,
                    gains=gains,
                    gathers=gathers,
                )
            )
            points[k + 1] = new
            self._forget(points, last, k)
            self._forget(bins, self.last, k)
        return Program(steps=tuple(steps), registers=self.count)

    def _direct(self) -> dict[str, Array]:
        """Estimates of bins used once, one row for every (update, version, worker)."""
        found = self.found
        once = np.flatnonzero((found.bins >= 0) & ~self.often[found.bins] & self._in_use())
        bins = found.bins[once]
        update, weight = self.last[bins], np.zeros(len(self.last))
        weight[found.used] = found.weights
        gain = weight[bins] * self.shapes[update] * self.step_sizes[found.workers[once]]
        return _rows(update, found.versions[once], found.workers[once], gain)

    def _in_use(self) -> NDArray[np.bool_]:
        """Which arrivals are in bins that some update uses."""
        return np.where(self.found.bins >= 0, self.last[self.found.bins] >= 0, False)

    def _kept(self) -> dict[str, Array]:
        """Arrivals in bins used often, one row for every (update that follows, version, bin)."""
        found = self.found
        often = np.flatnonzero((found.bins >= 0) & self.often[found.bins])
        follows = np.searchsorted(found.served, often, side="right")
        return _rows(follows, found.versions[often], found.bins[often], np.ones(len(often)))

    def _last_versions(self, direct: dict[str, Array], kept: dict[str, Array]) -> Integers:
        """The last update before which x^v must be known, shape [K + 1]."""
        last = np.arange(self.found.updates + 1)
        for rows in (direct, kept):
            np.maximum.at(last, rows["version"].astype(np.int64), rows["update"].astype(np.int64))
        return last

    def _ranges(self, update: Array) -> Integers:
        return np.searchsorted(update, np.arange(self.found.updates + 1)).astype(np.int64)

    def _collects(
        self,
        kept: dict[str, Array],
        start: int,
        end: int,
        points: dict[int, int],
        bins: dict[int, int],
    ) -> tuple[Collect, ...]:
        collected = []
        for row in range(start, end):
            bin_, version = int(kept["key"][row]), int(kept["version"][row])
            first = bin_ not in bins
            if first:
                bins[bin_] = self._take()
            gather = Gather(
                point=points[version],
                workers=self.worker[bin_ : bin_ + 1],
                gains=kept["gain"][row : row + 1],
                squares=kept["square"][row : row + 1],
            )
            collected.append(Collect(register=bins[bin_], first=first, gather=gather))
        return tuple(collected)

    def _gathers(
        self, direct: dict[str, Array], start: int, end: int, points: dict[int, int]
    ) -> tuple[Gather, ...]:
        versions = direct["version"][start:end]
        cuts = [0, *(np.flatnonzero(np.diff(versions)) + 1), end - start] if end > start else [0]
        found = []
        for first, last in pairwise(cuts):
            rows = slice(start + first, start + last)
            found.append(
                Gather(
                    point=points[int(versions[first])],
                    workers=direct["key"][rows].astype(np.int64),
                    gains=direct["gain"][rows],
                    squares=direct["square"][rows],
                )
            )
        return tuple(found)

    def _used(self, k: int) -> tuple[Integers, Array]:
        """Bins with registers that update k uses, and the weights of their sums."""
        rows = slice(int(self.found.offsets[k]), int(self.found.offsets[k + 1]))
        often = self.often[self.found.used[rows]]
        used = self.found.used[rows][often]
        steps = self.step_sizes[self.worker[used]]
        return used, self.found.weights[rows][often] * self.shapes[k] * steps

    def _take(self) -> int:
        if self.free:
            return self.free.pop()
        self.count += 1
        return self.count - 1

    def _forget(self, held: dict[int, int], last: Integers, k: int) -> None:
        """Free what no later update needs."""
        for name in [name for name in held if last[name] <= k]:
            self.free.append(held.pop(name))


def _rows(update: Integers, version: Integers, key: Integers, gain: Array) -> dict[str, Array]:
    """One row for every (update, version, key) in order, with its sums of gains and squares."""
    order = np.lexsort((key, version, update))
    columns = np.column_stack([update, version, key])[order]
    new = np.ones(len(columns), dtype=bool)
    new[1:] = (np.diff(columns, axis=0) != 0).any(1)
    group = np.cumsum(new) - 1
    size = int(new.sum())
    return {
        "update": columns[new, 0],
        "version": columns[new, 1],
        "key": columns[new, 2],
        "gain": np.bincount(group, gain[order], minlength=size),
        "square": np.bincount(group, gain[order] ** 2, minlength=size),
    }
