"""Servers that keep a table of the workers' estimates: Ringleader ASGD and IA²SGD."""

from __future__ import annotations

from hzbench.core.registry import register
from hzbench.core.server import Job, Receive, Server, ServerMethod, send_all
from hzbench.core.server_facts import ServerFacts


@register("method", "ia2sgd")
class IA2SGD(ServerMethod):
    """Incremental aggregated asynchronous SGD: the latest estimate of every worker counts.

    Formula: G_i ← g_i(x^{k−δ}); x^{k+1} = x^k − η (1/n) Σ_j G_j, on every arrival once all workers
    have arrived; until then they go on at x^0.

    Source: Glasgow & Wootters 2022 (asynchronous SGD for heterogeneous data); Wang et al. 2023
    (IA²SGD).
    """

    def begin_schedule(self, server: Server) -> Receive:
        """A table with one sample a worker."""
        table: dict[int, int] = {}
        send_all(server)

        def receive(job: Job) -> None:
            table[job.worker] = job.sample
            if len(table) == server.workers:
                server.update(dict.fromkeys(table.values(), 1 / server.workers))
            server.send(job.worker)

        return receive

    def server_facts(self) -> ServerFacts:
        """The rule "table"."""
        return ServerFacts(rule="table")


@register("method", "ringleader")
class Ringleader(ServerMethod):
    """Ringleader ASGD: n updates a round, from a table to which every worker has contributed.

    Formula: x^{k+1} = x^k − η (1/n) Σ_i (1/b_i) Σ_j g_ij. A round waits until every worker is in
    the table; then each worker's first arrival (the completing one for its own) is added and
    updates; further ones are kept for the next round's table.

    Source: Maranjyan & Richtárik 2025, Ringleader ASGD, Algorithm 1.
    """

    def begin_schedule(self, server: Server) -> Receive:
        """Everyone starts at x^0."""
        send_all(server)
        return Table(server).receive

    def server_facts(self) -> ServerFacts:
        """The rule "ringleader"."""
        return ServerFacts(rule="ringleader")


class Table:
    """The table of this round, that of the next one, and the workers that have not yet updated."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.table: dict[int, list[int]] = {}
        self.kept: dict[int, list[int]] = {}
        self.left: set[int] = set()  # empty while the table fills

    def receive(self, job: Job) -> None:
        """Add, and update if it is this worker's turn; the worker goes on at the current point."""
        if self.left and job.worker not in self.left:
            self.kept.setdefault(job.worker, []).append(job.sample)
        else:
            self.table.setdefault(job.worker, []).append(job.sample)
            if not self.left and len(self.table) == self.server.workers:
                self.left = set(range(self.server.workers))
            if self.left:
                self._update(job.worker)
        self.server.send(job.worker)

    def next_table(self) -> dict[int, list[int]]:
        """What the next round starts with: the estimates that were kept for it."""
        return self.kept

    def _update(self, worker: int) -> None:
        n = self.server.workers
        self.server.update({s: 1 / (n * len(each)) for each in self.table.values() for s in each})
        self.left.discard(worker)
        if not self.left:
            self.table, self.kept = self.next_table(), {}
