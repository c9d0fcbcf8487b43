"""Asynchronous SGD: every arrival updates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hzbench.core.registry import register
from hzbench.core.server import Count, Job, Receive, Server, ServerMethod, known, send_all
from hzbench.core.server_facts import ServerFacts


@register("method", "asgd")
class AsynchronousSGD(ServerMethod):
    """Asynchronous SGD: the server steps with every estimate that arrives, however old.

    Formula: x^{k+1} = x^k − η c(δ) g_i(x^{k−δ}); the worker is sent x^{k+1}. `adaptive` none:
    c = 1; ratio: n/max(n, δ); capped: 1 if δ <= n, else min(1, cap/δ).

    Source: Tsitsiklis, Bertsekas & Athans 1986; step sizes that follow the delay: Koloskova, Stich
    & Jaggi 2022, Mishchenko et al. 2022.
    """

    adaptive: Literal["none", "ratio", "capped"] = Field(
        "none", description="how the step size follows the delay δ of the estimate"
    )
    cap: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="capped: 1/(4 L η) of the analysis"
    )

    def begin_schedule(self, server: Server) -> Receive:
        """Everyone starts; an arrival updates, and its worker goes on from there."""
        send_all(server)

        def receive(job: Job) -> None:
            delay = server.version - job.version
            server.update({job.sample: 1.0}, self.scale(delay, server.workers))
            server.send(job.worker)

        return receive

    def scale(self, delay: int, workers: int) -> float:
        """c(δ)."""
        if self.adaptive == "none" or delay <= workers:
            return 1.0
        return workers / delay if self.adaptive == "ratio" else min(1.0, self.cap / delay)

    def server_facts(self) -> ServerFacts:
        """The rule "asgd"."""
        cap = self.cap if self.adaptive == "capped" else 0.0
        return ServerFacts(rule="asgd", adaptive=self.adaptive, cap=cap)


@register("method", "fastest_asgd")
class FastestASGD(ServerMethod):
    """Naive optimal asynchronous SGD: only the m fastest workers take part.

    Formula: x^{k+1} = x^k − η g_i(x^{k−δ}), i among the m workers with the least seconds (ties by
    index).

    Source: Maranjyan, Tyurin & Richtárik 2025 (naive optimal ASGD).
    """

    examples = ({"fastest": 4},)

    fastest: Count = Field(description="m: the workers that take part")

    def worker_mistakes(self, nodes: int) -> list[str]:
        """More workers than there are."""
        if known(self.fastest) <= nodes:
            return []
        return [
            f"method.fastest: got m = {self.fastest} of {nodes} workers; expected at most {nodes}; "
            "lower it"
        ]

    def begin_schedule(self, server: Server) -> Receive:
        """Only the fastest start."""
        for worker in sorted(server.by_pace()[: known(self.fastest)]):
            server.send(worker)

        def receive(job: Job) -> None:
            server.update({job.sample: 1.0})
            server.send(job.worker)

        return receive

    def server_facts(self) -> ServerFacts:
        """The rule "asgd" with few workers."""
        return ServerFacts(rule="asgd", fastest=known(self.fastest))


@register("method", "ringmaster")
class Ringmaster(ServerMethod):
    """Ringmaster ASGD: asynchronous SGD that ignores estimates older than a threshold.

    Formula: x^{k+1} = x^k − η g_i(x^{k−δ}) if δ < R; otherwise the estimate is discarded. With
    `stops` jobs older than that are stopped and restarted after every update.

    Source: Maranjyan, Tyurin & Richtárik 2025, Algorithms 4 and 5.
    """

    examples = ({"delay_threshold": 4}, {"delay_threshold": 4, "stops": True})

    delay_threshold: Count = Field(description="R: estimates with δ >= R are discarded")
    stops: bool = Field(False, description="whether jobs that have become too old are restarted")

    def begin_schedule(self, server: Server) -> Receive:
        """Everyone starts; estimates that are too old change nothing."""
        send_all(server)

        def receive(job: Job) -> None:
            fresh = server.version - job.version < known(self.delay_threshold)
            if fresh:
                server.update({job.sample: 1.0})
            server.send(job.worker)
            if fresh and self.stops:
                self.restart_stale(server)

        return receive

    def restart_stale(self, server: Server) -> None:
        """Restart every job whose delay has reached the threshold, by worker."""
        oldest = server.version - known(self.delay_threshold)
        late = [w for w, job in server.running.items() if job.version <= oldest]
        for worker in sorted(late):
            server.send(worker)

    def server_facts(self) -> ServerFacts:
        """The rule "ringmaster"."""
        return ServerFacts(
            rule="ringmaster", delay_threshold=known(self.delay_threshold), stops=self.stops
        )
