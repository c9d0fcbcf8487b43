"""Mutants of the step: its size, its order, who takes it, and how partners average."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hzbench.core.errors import SpecError
from hzbench.core.method import Local, Method, Verb
from hzbench.core.mutant import Mutant, needs
from hzbench.core.plan import Plan
from hzbench.core.registry import register
from hzbench.core.server import ServerMethod, ServerPlan
from hzbench.core.spec import Spec
from hzbench.core.streams import Purpose, Rows, integers

if TYPE_CHECKING:
    from torch import Tensor


def _only(protocol: str, spec: Spec) -> Spec:
    return needs(spec.network.gossip == protocol, spec, f"gossip {protocol!r}")


class Wrapped(Method):
    """A method around a method; subclasses override `advance`."""

    inner: Any

    def arrays(self) -> tuple[str, ...]:
        """Those of the inner method."""
        return tuple(self.inner.arrays())

    def begin(self, x: Tensor) -> Local:
        """As the inner method."""
        begun: Local = self.inner.begin(x)
        return begun

    @property
    def mask_size(self) -> int:
        """As the inner method."""
        return int(self.inner.mask_size)

    def floats(self, width: int) -> int:
        """As the inner method."""
        return int(self.inner.floats(width))


def wrap(kind: type[Wrapped], method: Method) -> Method:
    """The method inside another, with its keys.

    Raises:
        SpecError: a method with a server, whose workers take no steps of their own.
    """
    if isinstance(method, ServerMethod):
        raise SpecError(
            [
                "mutant: got one of the nodes' steps with a server; expected a method of gossip; "
                "plant it in another run"
            ]
        )
    return kind(inner=method, **{name: getattr(method, name) for name in Method.model_fields})


class _Longer(Wrapped):
    factor: float = 1.05

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        advanced: Local = self.inner.advance(local, gradient, mix, self.factor * step_size)
        return advanced


@register("mutant", "step_size_plus_5")
class StepSizePlus5(Mutant):
    """Every step size is 5 % too large.

    Formula: η → 1.05 η.

    Source: the commonest slip; found by exact dynamics.
    """

    def method(self, method: Method) -> Method:
        """Lengthen every step of gossip."""
        return method if isinstance(method, ServerMethod) else wrap(_Longer, method)

    def server_plan(self, plan: ServerPlan) -> ServerPlan:
        """Lengthen every step of a server."""
        return replace(plan, step_sizes=1.05 * plan.step_sizes)


@register("mutant", "step_size_plus_2")
class StepSizePlus2(Mutant):
    """Every step size is 2 % too large.

    Formula: η → 1.02 η.

    Source: mutation study.
    """

    def method(self, method: Method) -> Method:
        """Lengthen every step a little."""
        return wrap(_Longer, method).model_copy(update={"factor": 1.02})


class _OneEnd(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        place = torch.arange(len(step_size), device=step_size.device).to(step_size)[:, None]
        lower = place < mix(place)  # rows are in the order of their nodes
        advanced: Local = self.inner.advance(local, gradient, mix, lower * step_size)
        return advanced


@register("mutant", "one_endpoint")
class OneEndpoint(Mutant):
    """Only the node of lower number of a pair takes its local step.

    Formula: x_i ← x_j ← ½ (x_i − η G_i + x_j), i < j.

    Source: mutation study of pair gossip.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other protocols."""
        return _only("pair", spec)

    def method(self, method: Method) -> Method:
        """Silence the higher ends."""
        return wrap(_OneEnd, method)


class _CombineFirst(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        mixed = mix(local["x"])
        direction, kept = self.direction(local, gradient(mixed))
        return {"x": mixed - step_size * direction, **kept}


@register("mutant", "combine_then_adapt")
class CombineThenAdapt(Mutant):
    """Partners average first and step afterwards.

    Formula: z = mix(x), x+ = z − η G(z) instead of mix(x − η G(x)).

    Source: mutation study; nearly invisible to moments, plain to the one-step invariants.
    """

    def method(self, method: Method) -> Method:
        """Swap the order."""
        return wrap(_CombineFirst, method)


class _Lopsided(Wrapped):
    weight: float = 0.48

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        def mostly(y: Tensor) -> Tensor:
            return y + 2 * self.weight * (mix(y) - y)

        advanced: Local = self.inner.advance(local, gradient, mostly, step_size)
        return advanced


@register("mutant", "gossip_weight_48")
class GossipWeight48(Mutant):
    """Partners keep weight .52 on themselves instead of averaging.

    Formula: x_i+ = .52 y_i + .48 y_j.

    Source: mutation study; second-order flat in the moments, plain to the invariants.
    """

    def method(self, method: Method) -> Method:
        """Tilt the average."""
        return wrap(_Lopsided, method)


@register("mutant", "gossip_weight_45")
class GossipWeight45(Mutant):
    """Partners keep weight .55 on themselves instead of averaging.

    Formula: x_i+ = .55 y_i + .45 y_j.

    Source: mutation study.
    """

    def method(self, method: Method) -> Method:
        """Tilt the average more."""
        return wrap(_Lopsided, method).model_copy(update={"weight": 0.45})


@register("mutant", "lost_average")
class LostAverage(Mutant):
    """Partners compute their average on copies that nobody writes back.

    Formula: x_i+ = y_i.

    Source: parameters averaged out of place; every node trains alone.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse where there are no partners."""
        return needs(spec.network.gossip != "matrix", spec, "gossip 'pair' or 'matching'")

    def method(self, method: Method) -> Method:
        """Give the partner no weight."""
        return wrap(_Lopsided, method).model_copy(update={"weight": 0.0})


@register("mutant", "self_pairs")
class SelfPairs(Mutant):
    """The two nodes of a tick are drawn independently, so i = j happens.

    Formula: P(i = j) = 1/n instead of 0.

    Source: mutation study of pair gossip.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other protocols."""
        return _only("pair", spec)

    def plan(self, plan: Plan) -> Plan:
        """Redraw every pair with replacement."""
        rows = _ticks(plan)
        high = torch.tensor(plan.nodes)
        pairs = integers(rows, Purpose.PROBE, high, 2).numpy()
        return replace(plan, pairs=pairs.reshape(plan.replicas, plan.steps, 2))


def _ticks(plan: Plan) -> Rows:
    """One row a (replica, tick), for draws of the schedule."""
    replica = torch.arange(plan.replicas).repeat_interleave(plan.steps)
    step = torch.arange(plan.steps).repeat(plan.replicas)
    node = torch.zeros_like(step)
    return Rows(keys=plan.keys[replica], replica=replica, node=node, step=step)


@register("mutant", "lazy_weights")
class LazyWeights(Mutant):
    """The mixing matrix is (I + W)/2 instead of W.

    Formula: W → (I + W)/2.

    Source: a mixing matrix that is not what the paper says.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other protocols."""
        return _only("matrix", spec)

    def plan(self, plan: Plan) -> Plan:
        """Make every node lazy."""
        assert plan.matrix is not None
        return replace(plan, matrix=(np.eye(plan.nodes) + plan.matrix) / 2)
