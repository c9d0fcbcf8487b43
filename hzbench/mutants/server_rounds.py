"""Mutants of servers: workers that start over, and tables and rounds of a wrong size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hzbench.core.mutant import Mutant, needs
from hzbench.core.registry import register
from hzbench.core.server import Job, Receive, Server, ServerMethod, known, send_all
from hzbench.core.server_facts import ServerFacts
from hzbench.core.spec import Spec
from hzbench.methods.ringleader import Ringleader, Table
from hzbench.methods.rounds import Malenia, Rennala

if TYPE_CHECKING:
    from hzbench.core.method import Method


class _Broadcasts(ServerMethod):
    """Another method, whose every update is sent to everyone at once."""

    inner: Any

    def begin_schedule(self, server: Server) -> Receive:
        receive = self.inner.begin_schedule(server)

        def also_restart(job: Job) -> None:
            before = server.version
            receive(job)
            if server.version > before:
                send_all(server)

        return also_restart

    def server_facts(self) -> ServerFacts:
        found: ServerFacts = self.inner.server_facts()
        return found


@register("mutant", "everyone_restarted")
class EveryoneRestarted(Mutant):
    """Every update is sent to all workers, and each drops what it computes.

    Formula: after x^{k+1} all running jobs start again at x^{k+1}; slow workers starve.

    Source: the broadcast of synchronous code in an asynchronous server.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where workers go on while others update."""
        method = spec.component("method", spec.method)
        goes_on = isinstance(method, ServerMethod) and method.server_facts().rule != "collect"
        return needs(goes_on, spec, "method asgd, ringmaster, ringleader or ia2sgd")

    def method(self, method: Method) -> Method:
        """The same with a broadcast."""
        return _Broadcasts(step_size=method.step_size, inner=method)


class _KeepsLatest(Ringleader):
    def begin_schedule(self, server: Server) -> Receive:
        send_all(server)
        return _OneEach(server).receive


class _OneEach(Table):
    def receive(self, job: Job) -> None:
        kept = self.left and job.worker not in self.left
        (self.kept if kept else self.table).pop(job.worker, None)
        super().receive(job)


@register("mutant", "latest_estimate_only")
class LatestEstimateOnly(Mutant):
    """Ringleader's table holds a worker's latest estimate instead of the sum of a round's.

    Formula: G_j ← g, b_j ← 1 instead of G_j ← G_j + g, b_j ← b_j + 1.

    Source: an assignment for an addition.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where there is such a table."""
        method = spec.component("method", spec.method)
        return needs(isinstance(method, Ringleader), spec, "method 'ringleader'")

    def method(self, method: Method) -> Method:
        """The same with one estimate a worker."""
        return _KeepsLatest(**method.model_dump())


@register("mutant", "batch_per_worker")
class BatchPerWorker(Mutant):
    """The batch of a round is asked of every worker instead of all together.

    Formula: S → n S.

    Source: a batch size that one side reads per device and the other in all.
    """

    def spec(self, spec: Spec) -> Spec:
        """Multiply the key."""
        method, n = spec.component("method", spec.method), spec.node_count
        counted = isinstance(method, Rennala | Malenia) and known(method.batch) > 0 and n > 1
        needs(counted, spec, "method rennala or malenia with a batch, and at least two nodes")
        return spec.replace(method={**spec.method, "batch": n * spec.method["batch"]})
