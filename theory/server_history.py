"""What happened to every estimate of a server's run: arrivals, bins, updates.

Estimates that every update uses with one weight lie in one bin (the table entry of a worker, its
share of a round), so an update is a few weights of bins, however many estimates it is made of.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.clocks import Chains, Time

Integers = NDArray[np.int64]
Array = NDArray[np.float64]


class NeverError(ValueError):
    """The server does not do that many updates; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """All arrivals of a run in the order in which they are served, and its updates.

    Attributes:
        workers, versions: of every arrival, shape [A].
        bins: where its estimate goes, −1 where it is discarded, shape [A].
        times: seconds of every update, shape [K].
        served: number of arrivals served by then, its own included, shape [K].
        offsets: update k uses bins offsets[k] to offsets[k+1], shape [K+1].
        used, weights: bin, and the weight W of each of its estimates so far, shape [U].
    """

    workers: Integers
    versions: Integers
    bins: Integers
    times: Array
    served: Integers
    offsets: Integers
    used: Integers
    weights: Array

    @property
    def updates(self) -> int:
        """K."""
        return len(self.times)

    @property
    def update_of_use(self) -> Integers:
        """The update that each entry of `used` belongs to, shape [U]."""
        return np.repeat(np.arange(self.updates), np.diff(self.offsets))


@dataclass(kw_only=True, eq=False)
class Ledger:
    """A history while it is written.

    Attributes:
        wanted: K.
        clock: of the times.
    """

    wanted: int
    clock: Chains
    workers: list[int] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    bins: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    uses: list[dict[int, float]] = field(default_factory=list)

    @property
    def version(self) -> int:
        """Number k of updates so far."""
        return len(self.times)

    @property
    def full(self) -> bool:
        """Whether all K updates are done."""
        return self.version >= self.wanted

    def arrive(self, worker: int, version: int, bin_: int | None = None) -> int:
        """Write an arrival down, in a new bin unless one is given; returns the bin."""
        if bin_ is None:
            bin_ = len(self.counts)
            self.counts.append(0)
        self.counts[bin_] += 1
        self._write(worker, version, bin_)
        return bin_

    def discard(self, worker: int, version: int) -> None:
        """Write an arrival down that nothing uses."""
        self._write(worker, version, -1)

    def update(self, time: Time, weights: dict[int, float]) -> None:
        """Write an update down: bins and the weight of each of their estimates so far."""
        self.times.append(self.clock.seconds(time))
        self.served.append(len(self.workers))
        self.uses.append(weights)

    def _write(self, worker: int, version: int, bin_: int) -> None:
        self.workers.append(worker)
        self.versions.append(version)
        self.bins.append(bin_)

    def history(self) -> History:
        """As arrays, up to update K."""
        uses = self.uses[: self.wanted]
        sizes = [len(each) for each in uses]
        end = self.served[self.wanted - 1] if self.wanted else 0
        return History(
            workers=np.array(self.workers[:end], dtype=np.int64),
            versions=np.array(self.versions[:end], dtype=np.int64),
            bins=np.array(self.bins[:end], dtype=np.int64),
            times=np.array(self.times[: self.wanted], dtype=float),
            served=np.array(self.served[: self.wanted], dtype=np.int64),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            used=np.array([b for each in uses for b in each], dtype=np.int64),
            weights=np.array([w for each in uses for w in each.values()], dtype=float),
        )
