"""Servers: the schedule of an asynchronous run, and what a server method is.

Arrivals, counts, delays and discards do not depend on the iterates. So a method compiles to a
schedule of integers, x^{k+1} = x^k − c_k Σ_s W_ks η_{i_s} g_s with g_s an estimate of worker i_s at
x^{v_s}; the schedule is tested exactly, and the numbers are linear algebra.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.clock import Time
from hzbench.core.method import Method
from hzbench.core.server_facts import ServerFacts
from hzbench.core.setting import Protocol as Gossip

if TYPE_CHECKING:
    from torch import Tensor


class Job(NamedTuple):
    """One estimate that a worker computes.

    Attributes:
        sample: index s of the estimate among all jobs of the run, in the order of their starts.
        worker: i_s.
        version: v_s, number of updates done when the job was sent: it computes at x^{v_s}.
        sent: simulated time.
    """

    sample: int
    worker: int
    version: int
    sent: Time


class Server(Protocol):
    """The verbs of a server method."""

    @property
    def workers(self) -> int:
        """Number n of workers."""

    @property
    def version(self) -> int:
        """Number k of updates done: the server holds x^k."""

    @property
    def running(self) -> Mapping[int, Job]:
        """The running job of every worker that has one."""

    def by_pace(self) -> list[int]:
        """The workers, those with the least seconds and links first, ties by index."""

    def send(self, worker: int) -> None:
        """Let a worker compute at the current point; a job that it runs is stopped, unfinished."""

    def stop(self, worker: int) -> None:
        """Stop a worker's running job; the worker idles until it is sent a point."""

    def update(self, weights: Mapping[int, float], scale: float = 1.0) -> None:
        """x^{k+1} = x^k − c_k · scale · Σ_s weights[s] η_{i_s} g_s, samples that have arrived."""


Receive = Callable[[Job], None]


def send_all(server: Server) -> None:
    """Let every worker compute at the current point."""
    for worker in range(server.workers):
        server.send(worker)


THEORY: Literal["theory"] = "theory"
"""What stands for a number that theory is to choose."""
Count = Annotated[int, Field(ge=1)] | Literal["theory"]


def known(count: int | Literal["theory"]) -> int:
    """The number, where theory has chosen one already.

    Raises:
        TypeError: it has not.
    """
    if count == THEORY:
        raise TypeError("got a parameter that is left to theory; expected a number by now")
    return count


class ServerMethod(Method):
    """Base of methods with one server and n workers that compute on their own clocks."""

    protocols: ClassVar[tuple[Gossip, ...]] = ("server",)
    own_network: ClassVar[bool] = True

    momentum: float = Field(0.0, ge=0, le=0, description="servers keep no momentum")
    target: float | None = Field(
        None, gt=0, allow_inf_nan=False, description='ε of E|∇f|², for parameters that are "theory"'
    )

    def begin_schedule(self, server: Server) -> Receive:
        """Send the first points; return what the server does when a job arrives."""
        raise NotImplementedError

    def server_facts(self) -> ServerFacts:
        """The same in words, for theory."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Who computed what when, and what every update used.

    Attributes:
        workers, versions: of every job in the order of the starts, int64 [S].
        sent, arrived: seconds, [S]; arrived is inf for jobs that were stopped or still run.
        received: the samples that arrived, in order, int64 [A].
        times: seconds of every update, [K].
        scales: of every update, [K].
        counts: arrivals until every update was done, its own included, int64 [K].
        offsets: samples and weights of update k are those from offsets[k] to offsets[k+1], [K+1].
        samples, weights: W_ks by sample index, [nonzero].
    """

    workers: NDArray[np.int64]
    versions: NDArray[np.int64]
    sent: NDArray[np.float64]
    arrived: NDArray[np.float64]
    received: NDArray[np.int64]
    times: NDArray[np.float64]
    scales: NDArray[np.float64]
    counts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    samples: NDArray[np.int64]
    weights: NDArray[np.float64]

    @property
    def updates(self) -> int:
        """Number K of updates."""
        return len(self.times)

    def used(self, update: int) -> slice:
        """Where the samples of an update lie."""
        return slice(int(self.offsets[update]), int(self.offsets[update + 1]))


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """The schedule of one block of R replicas; all replicas share it.

    Attributes:
        nodes: n, the workers.
        keys: Philox keys of the replicas, int64 [R, 2].
        schedule: who computed what when.
        step_sizes: η of every update and worker, shape [K, n].
        factors: what multiplies η in every replica, [R]; None: 1. So one schedule serves many base
            step sizes.
    """

    nodes: int
    keys: Tensor
    schedule: Schedule
    step_sizes: NDArray[np.float64]
    factors: Tensor | None = None

    @property
    def replicas(self) -> int:
        """Number R of replicas in the block."""
        return int(self.keys.shape[0])
