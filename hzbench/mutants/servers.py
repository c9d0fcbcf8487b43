"""Mutants of servers: wrong tables, rounds, delays, ties and noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.mutant import Mutant, needs
from hzbench.core.problem import Problem
from hzbench.core.registry import register
from hzbench.core.server import Receive, Server, ServerMethod, ServerPlan, known, send_all
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize
from hzbench.methods.asgd import Ringmaster
from hzbench.methods.ringleader import Ringleader, Table
from hzbench.methods.rounds import Malenia

if TYPE_CHECKING:
    from torch import Tensor

    from hzbench.core.method import Method


def _only(kind: type[ServerMethod], name: str, spec: Spec) -> Spec:
    """The spec, if its method is of that kind."""
    method = spec.component("method", spec.method)
    return needs(isinstance(method, kind), spec, f"method {name!r}")


class _KeepsAll(Ringleader):
    def begin_schedule(self, server: Server) -> Receive:
        send_all(server)
        return _NeverEmptied(server).receive


class _NeverEmptied(Table):
    def next_table(self) -> dict[int, list[int]]:
        """The next round's estimates join those of this one."""
        workers = range(self.server.workers)
        return {w: self.table[w] + self.kept.get(w, []) for w in workers}


@register("mutant", "table_not_reset")
class TableNotReset(Mutant):
    """Ringleader keeps the estimates of earlier rounds in its table.

    Formula: (G, b) ← (G + G⁺, b + b⁺) instead of (G⁺, b⁺).

    Source: the likeliest slip in Algorithm 1 of Maranjyan & Richtárik 2025.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where there is such a table."""
        return _only(Ringleader, "ringleader", spec)

    def method(self, method: Method) -> Method:
        """The same with a table that only grows."""
        return _KeepsAll(**method.model_dump())


@register("mutant", "stale_counted_twice")
class StaleCountedTwice(Mutant):
    """Estimates from older versions enter an update with twice their weight.

    Formula: W_ks → 2 W_ks where v_s < k.

    Source: a buffer that is added before and after it is merged.
    """

    def server_plan(self, plan: ServerPlan) -> ServerPlan:
        """Double the weights."""
        table = plan.schedule
        update = np.repeat(np.arange(table.updates), np.diff(table.offsets))
        stale = table.versions[table.samples] < update
        weights = np.where(stale, 2.0, 1.0) * table.weights
        return replace(plan, schedule=replace(table, weights=weights))


class _Arithmetic(Malenia):
    def complete(self, counts: list[int]) -> bool:
        return min(counts) > 0 and sum(counts) >= known(self.batch)


@register("mutant", "arithmetic_for_harmonic")
class ArithmeticForHarmonic(Mutant):
    """Malenia ends its rounds by the arithmetic mean of the arrivals.

    Formula: (1/n) Σ b_i >= S/n instead of (1/n Σ 1/b_i)⁻¹ >= S/n.

    Source: the commonest misreading of the rule.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where a harmonic mean is compared."""
        return _only(Malenia, "malenia", spec)

    def method(self, method: Method) -> Method:
        """The same with the other mean."""
        return _Arithmetic(**method.model_dump())


@register("mutant", "last_worker_first")
class LastWorkerFirst(Mutant):
    """Arrivals at equal times are served from the last worker to the first.

    Formula: τ_i → (1 − 1e-12 i) τ_i, which orders ties the other way and moves no time visibly.

    Source: a heap that compares by its own order.
    """

    def spec(self, spec: Spec) -> Spec:
        """Shorten the work of later nodes by less than anyone sees."""
        spec = _only(ServerMethod, "asgd, or another with a server", spec)
        nodes: list[dict[str, Any]] = []
        for index, group in enumerate(spec.group_of_node()):
            table = group.model_dump(mode="json")
            nodes.append({**table, "count": 1, "work": group.work * (1 - 1e-12 * index)})
        return spec.replace(nodes=nodes)


class _OneTooOld(Ringmaster):
    def begin_schedule(self, server: Server) -> Receive:
        longer = self.model_copy(update={"delay_threshold": known(self.delay_threshold) + 1})
        return Ringmaster.begin_schedule(longer, server)


@register("mutant", "threshold_plus_one")
class ThresholdPlusOne(Mutant):
    """Ringmaster accepts estimates whose delay equals the threshold.

    Formula: δ <= R instead of δ < R.

    Source: the published code and text differ by one in places.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where there is a threshold."""
        return _only(Ringmaster, "ringmaster", spec)

    def method(self, method: Method) -> Method:
        """The same, one more."""
        return _OneTooOld(**method.model_dump())


@register("mutant", "old_point_sent")
class OldPointSent(Mutant):
    """A worker whose estimate has just been used is sent the point from before the update.

    Formula: v_s → max(0, v_s − 1).

    Source: sending before stepping.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where there is a server."""
        return _only(ServerMethod, "asgd, or another with a server", spec)

    def server_plan(self, plan: ServerPlan) -> ServerPlan:
        """Everyone computes one version earlier."""
        versions = np.maximum(plan.schedule.versions - 1, 0)
        return replace(plan, schedule=replace(plan.schedule, versions=versions))


class _OneScalar(Estimator):
    inner: Any

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        found: Estimate = self.inner.estimate(problem, x, rows, batch_size)
        exact = problem.gradients(x, rows.node, problem.sample(rows, "full", 1))[:, 0]
        noise = found.gradient - exact
        return replace(found, gradient=exact + noise[:, :1])


@register("mutant", "scalar_noise")
class ScalarNoise(Mutant):
    """One random number is added to all coordinates of a gradient.

    Formula: g = ∇f_i + ξ_1 (1, ..., 1) instead of ∇f_i + ξ: each coordinate has its variance, but
    the covariance has rank one.

    Source: published code of asynchronous experiments.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """First-order nodes alone."""
        return _OneScalar(inner=estimator) if estimator.kind == "first" else estimator
