"""Arrivals: a server method and a clock to a schedule, before any number."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping

import numpy as np

from hzbench.core.clock import Time, Timer
from hzbench.core.errors import UserMistakeError
from hzbench.core.server import Job, Schedule, ServerMethod

PATIENCE = 1_000_000  # arrivals without an update after which a run is given up


def schedule(
    method: ServerMethod,
    timer: Timer,
    updates: int,
    until: float = math.inf,
) -> Schedule:
    """Simulate arrivals until the server has done K updates, or until a time.

    Arguments:
        method: what the server does.
        timer: a fresh one.
        updates: K.
        until: seconds; what arrives later is not received.

    Raises:
        UserMistakeError: no worker ever arrives again, or nothing is updated any more.
    """
    server = ArrivalLoop(timer)
    receive = method.begin_schedule(server)
    waited = 0
    while server.version < updates and (until == math.inf or server.next_time() <= until):
        before = server.version
        receive(server.next_arrival())
        waited = 0 if server.version > before else waited + 1
        if waited > PATIENCE:
            raise UserMistakeError(
                f"got no update in {PATIENCE} arrivals after update {server.version} at "
                f"{timer.seconds(server.now):.6g} s; expected one; let the slowest worker be "
                "faster, or ask for fewer arrivals a round"
            )
    return server.schedule(updates)


class ArrivalLoop:
    """A heap of running jobs, and the lists that make a schedule."""

    def __init__(self, timer: Timer) -> None:
        self.timer, self.workers = timer, len(timer.times.computing)
        self.now: Time = 0
        self.running: dict[int, Job] = {}
        self.heap: list[tuple[Time, int, int]] = []
        self.jobs: list[Job] = []
        self.received: list[int] = []
        self.arrived: list[float] = []
        self.times: list[float] = []
        self.scales: list[float] = []
        self.counts: list[int] = []
        self.used: list[dict[int, float]] = []

    @property
    def version(self) -> int:
        """Number of updates done."""
        return len(self.times)

    def by_pace(self) -> list[int]:
        """Sorted by seconds with links; the sort keeps the order of equal ones."""
        return sorted(range(self.workers), key=self.timer.times.totals.__getitem__)

    def send(self, worker: int) -> None:
        """Start a job; the one that runs is stopped."""
        job = Job(len(self.jobs), worker, self.version, self.now)
        self.jobs.append(job)
        self.arrived.append(math.inf)
        self.running[worker] = job
        heapq.heappush(self.heap, (self.timer.arrive(worker, self.now), worker, job.sample))

    def stop(self, worker: int) -> None:
        """Forget the running job."""
        self.running.pop(worker, None)

    def update(self, weights: Mapping[int, float], scale: float = 1.0) -> None:
        """Write the update down."""
        self.times.append(self.timer.seconds(self.now))
        self.scales.append(scale)
        self.counts.append(len(self.received))
        self.used.append(dict(weights))

    def next_time(self) -> float:
        """Seconds of the next arrival; −inf if there is none, so that asking for it tells."""
        self._drop_stopped()
        return self.timer.seconds(self.heap[0][0]) if self.heap else -math.inf

    def next_arrival(self) -> Job:
        """The next job that arrives; ties by worker.

        Raises:
            UserMistakeError: none will.
        """
        self._drop_stopped()
        if not self.heap or self.heap[0][0] == math.inf:
            raise UserMistakeError(
                f"got no running job after update {self.version}; expected workers that finish; "
                "give each a finite time"
            )
        self.now = self.heap[0][0]
        job = self.running.pop(self._first_of_tied())
        self.received.append(job.sample)
        self.arrived[job.sample] = self.timer.seconds(self.now)
        return job

    def _drop_stopped(self) -> None:
        """Clear the top of the heap of jobs that no longer run."""
        while self.heap and not self._runs(self.heap[0]):
            heapq.heappop(self.heap)

    def _runs(self, entry: tuple[Time, int, int]) -> bool:
        job = self.running.get(entry[1])
        return job is not None and job.sample == entry[2]

    def _first_of_tied(self) -> int:
        """Take the lowest worker among those that arrive now, up to the timer's rounding."""
        tied = [heapq.heappop(self.heap)]
        latest = self.now * (1 + self.timer.rounding) if self.timer.rounding else self.now
        while self.heap and self.heap[0][0] <= latest:
            entry = heapq.heappop(self.heap)
            if self._runs(entry):
                tied.append(entry)
        chosen = min(tied, key=lambda entry: entry[1])
        for entry in tied:
            if entry is not chosen:
                heapq.heappush(self.heap, entry)
        return chosen[1]

    def schedule(self, updates: int) -> Schedule:
        """The first K updates as arrays."""
        used = self.used[:updates]
        sizes = [len(each) for each in used]
        return Schedule(
            workers=np.array([job.worker for job in self.jobs], dtype=np.int64),
            versions=np.array([job.version for job in self.jobs], dtype=np.int64),
            sent=np.array([self.timer.seconds(job.sent) for job in self.jobs]),
            arrived=np.array(self.arrived),
            received=np.array(self.received, dtype=np.int64),
            times=np.array(self.times[:updates]),
            scales=np.array(self.scales[:updates]),
            counts=np.array(self.counts[:updates], dtype=np.int64),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            samples=np.array([s for each in used for s in each], dtype=np.int64),
            weights=np.array([w for each in used for w in each.values()], dtype=np.float64),
        )
