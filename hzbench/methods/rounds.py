"""Round-based servers: all workers compute at one point until a round is complete."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from hzbench.core.registry import register
from hzbench.core.server import Count, Job, Receive, Server, ServerMethod, known, send_all
from hzbench.core.server_facts import ServerFacts


class RoundMethod(ServerMethod):
    """Base: collect estimates at x^k until `complete`, then update and restart everyone."""

    def begin_schedule(self, server: Server) -> Receive:
        """Everyone computes at x^k, again and again."""
        collected: dict[int, list[int]] = {}

        def restart() -> None:
            collected.clear()
            collected.update({worker: [] for worker in range(server.workers)})
            send_all(server)

        def receive(job: Job) -> None:
            collected[job.worker].append(job.sample)
            if self.complete([len(each) for each in collected.values()]):
                server.update(self.weigh(collected))
                restart()
            elif self.goes_on:
                server.send(job.worker)

        restart()
        return receive

    @property
    def goes_on(self) -> bool:
        """Whether a worker computes again after its arrival."""
        return True

    def complete(self, counts: list[int]) -> bool:
        """Whether b_1 ... b_n arrivals end the round."""
        raise NotImplementedError

    def weigh(self, collected: Mapping[int, list[int]]) -> dict[int, float]:
        """Every worker's mean, averaged over the workers: weights by sample."""
        n = len(collected)
        return {s: 1 / (n * len(each)) for each in collected.values() for s in each}


@register("method", "rennala")
class Rennala(RoundMethod):
    """Rennala SGD: a round collects `batch` estimates at one point, from whoever is fast.

    Formula: x^{k+1} = x^k − η (1/Σ b_i) Σ_i Σ_j g_ij(x^k), as soon as Σ b_i >= S; jobs that still
    run are dropped.

    Source: Tyurin & Richtárik 2023, Rennala SGD.
    """

    examples = ({"batch": 12},)

    batch: Count = Field(description="S: arrivals a round")

    def complete(self, counts: list[int]) -> bool:
        """S arrivals."""
        return sum(counts) >= known(self.batch)

    def weigh(self, collected: Mapping[int, list[int]]) -> dict[int, float]:
        """All alike."""
        total = sum(len(each) for each in collected.values())
        return {s: 1 / total for each in collected.values() for s in each}

    def server_facts(self) -> ServerFacts:
        """Collects a sum."""
        return ServerFacts(rule="collect", collection="sum", batch=known(self.batch))


@register("method", "malenia")
class Malenia(RoundMethod):
    """Malenia SGD: a round lasts until the harmonic mean of the arrivals is large enough.

    Formula: x^{k+1} = x^k − η (1/n) Σ_i (1/b_i) Σ_j g_ij(x^k), as soon as every b_i > 0 and
    (1/n Σ 1/b_i)⁻¹ >= S/n; `batch` 0: as soon as every b_i > 0 (without S, as in experiments).

    Source: Tyurin & Richtárik 2023, Malenia SGD; the comparison is >= here, also at a tie.
    """

    batch: Annotated[int, Field(ge=0)] | Literal["theory"] = Field(
        0, description="S, at least n; 0: only wait for everyone"
    )

    def worker_mistakes(self, nodes: int) -> list[str]:
        """An S that n single arrivals already exceed."""
        if not 0 < known(self.batch) < nodes:
            return []
        return [
            f"method.batch: got S = {self.batch} with {nodes} workers; expected at least n, since "
            f"the harmonic mean of n arrivals is 1 >= S/n already; take {nodes}, or 0 to wait for "
            "everyone"
        ]

    def complete(self, counts: list[int]) -> bool:
        """The harmonic mean, in exact fractions."""
        if min(counts) == 0:
            return False
        n = len(counts)
        return self.batch == 0 or n * n >= known(self.batch) * sum(Fraction(1, b) for b in counts)

    def server_facts(self) -> ServerFacts:
        """Collects a harmonic mean, or everyone."""
        if self.batch == 0:
            return ServerFacts(rule="collect", collection="all")
        return ServerFacts(rule="collect", collection="harmonic", batch=known(self.batch))


@register("method", "minibatch_sgd")
class MinibatchSGD(RoundMethod):
    """Synchronous minibatch SGD: one estimate of every worker, then one step.

    Formula: x^{k+1} = x^k − η (1/n) Σ_i g_i(x^k); a round takes as long as the slowest worker.

    Source: textbook.
    """

    @property
    def goes_on(self) -> bool:
        """A worker waits for the others."""
        return False

    def complete(self, counts: list[int]) -> bool:
        """Everyone."""
        return min(counts) > 0

    def server_facts(self) -> ServerFacts:
        """Collects everyone once."""
        return ServerFacts(rule="collect", collection="all", idles=True)
