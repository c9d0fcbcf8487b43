"""Mutants of the exchange: matchings, links and matrices that are not what they should be."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.mutant import Mutant, needs
from hzbench.core.plan import Plan
from hzbench.core.registry import register
from hzbench.core.spec import Spec


@register("mutant", "ignored_pair_weight")
class IgnoredPairWeight(Mutant):
    """Partners average by halves whatever `pair_weight` says.

    Formula: w → ½.

    Source: a key of the spec that has no effect.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse where the weight is ½ anyway."""
        unequal = spec.network.pair_weight != 0.5 and spec.network.gossip != "matrix"
        return needs(unequal, spec, "pairs or matchings with pair_weight other than 0.5")

    def plan(self, plan: Plan) -> Plan:
        """Average by halves."""
        return replace(plan, pair_weight=0.5)


@register("mutant", "talking_warmup")
class TalkingWarmup(Mutant):
    """Nodes exchange from the first round on, whatever `silent_rounds` says.

    Formula: W = I in rounds 0 ... s − 1 → W as drawn.

    Source: a warm-up of the step size alone where the paper's is without communication.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse where no round is silent."""
        return needs(spec.network.silent_rounds > 0, spec, "silent_rounds above 0")

    def plan(self, plan: Plan) -> Plan:
        """Exchange at once."""
        return replace(plan, silent=0)


@register("mutant", "favoured_edge")
class FavouredEdge(Mutant):
    """A matching is drawn twice, and the draw that pairs nodes 0 and 1 is kept.

    Formula: p_01 → 1 − (1 − p_01)²; the other edges lose.

    Source: matchings that are not uniform, as those of a greedy pass in a fixed order.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other protocols."""
        return needs(spec.network.gossip == "matching", spec, "gossip 'matching'")

    def plan(self, plan: Plan) -> Plan:
        """Take the second draw from the next replica."""
        assert plan.partners is not None
        other = np.roll(plan.partners, 1, axis=0)
        paired = plan.partners[:, :, :1] == 1
        return replace(plan, partners=np.where(paired, plan.partners, other))


@dataclass(frozen=True, kw_only=True)
class _Dropping(Plan):
    def mixing(self, step: int) -> NDArray[np.float64]:
        matrices = super().mixing(step)
        assert self.matrix is not None
        diagonal = np.arange(self.nodes)
        matrices[:, diagonal, diagonal] = self.matrix.diagonal()
        return matrices


@register("mutant", "dropped_link_weight")
class DroppedLinkWeight(Mutant):
    """The weight of a failed link is lost instead of returning to the diagonal.

    Formula: W_ii stays as it was; rows sum to less than 1.

    Source: link failures coded as zeroed entries.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse where no link fails."""
        fails = spec.network.link_failure > 0 and spec.network.gossip == "matrix"
        return needs(fails, spec, "gossip 'matrix' with link_failure above 0")

    def plan(self, plan: Plan) -> Plan:
        """Keep the old diagonal."""
        return _Dropping(**{each.name: getattr(plan, each.name) for each in fields(plan)})


@register("mutant", "one_peer_stuck")
class OnePeerStuck(Mutant):
    """Every round repeats the first matrix of the period.

    Formula: W_t → W_0.

    Source: a round counter that is never passed on.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse where W does not vary."""
        varies = spec.network.weights["name"] in ("one-peer-exponential", "one-peer-push")
        return needs(varies and spec.network.gossip == "matrix", spec, "weights that vary")

    def plan(self, plan: Plan) -> Plan:
        """Drop the others."""
        assert plan.matrix is not None
        return replace(plan, matrix=plan.matrix[0])


@register("mutant", "transposed_weights")
class TransposedWeights(Mutant):
    """Nodes take shares of what others have as if they were sent: rows of W sum to 1, not columns.

    Formula: W → W'.

    Source: push-sum with the matrix of a row-stochastic consensus; weights stay 1, the mean drifts.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse weights that are symmetric by their rule."""
        rules = ("push", "one-peer-push", "explicit")
        pushes = spec.method["name"] == "push_sum" and spec.network.weights["name"] in rules
        return needs(pushes, spec, "method push_sum with push weights")

    def plan(self, plan: Plan) -> Plan:
        """Transpose."""
        assert plan.matrix is not None
        return replace(plan, matrix=plan.matrix.swapaxes(-1, -2).copy())


@register("mutant", "torus_over_five")
class TorusOverFive(Mutant):
    """A torus whose weights are 1/5 also where a side of 2 makes two of four neighbours one.

    Formula: W = (A + I)/5, with rows that sum to 4/5 or 3/5.

    Source: ChocoSGD, issue 9.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other graphs."""
        torus = spec.network.graph["name"] == "torus" and spec.network.gossip == "matrix"
        return needs(torus, spec, "gossip 'matrix' on a torus with a side of 2")

    def plan(self, plan: Plan) -> Plan:
        """Divide by five."""
        assert plan.matrix is not None
        joined = (plan.matrix != 0) | np.eye(plan.nodes, dtype=bool)
        return replace(plan, matrix=joined / 5)


@register("mutant", "one_exchange_fewer")
class OneExchangeFewer(Mutant):
    """Chebyshev's polynomial of one degree less.

    Formula: K → K − 1.

    Source: an off-by-one.
    """

    def spec(self, spec: Spec) -> Spec:
        """Lower the degree."""
        rounds = spec.component("method", spec.method).model_dump().get("rounds", 0)
        needs(rounds > 1, spec, "method chebyshev with at least 2 rounds")
        return spec.replace(method={**spec.method, "rounds": rounds - 1})


@register("mutant", "two_exchanges")
class TwoExchanges(Mutant):
    """Every round exchanges twice.

    Formula: W → W².

    Source: averaging called by the optimizer and again by a hook; a run that mixes faster than its
    graph permits.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other protocols."""
        return needs(spec.network.gossip == "matrix", spec, "gossip 'matrix'")

    def plan(self, plan: Plan) -> Plan:
        """Square every matrix."""
        assert plan.matrix is not None
        return replace(plan, matrix=plan.matrix @ plan.matrix)


@register("mutant", "edges_drawn_twice")
class EdgesDrawnTwice(Mutant):
    """A random graph gets an edge from the draw of (i, j) or from that of (j, i).

    Formula: p → 1 − (1 − p)².

    Source: a loop over ordered pairs that adds undirected edges.
    """

    def spec(self, spec: Spec) -> Spec:
        """Raise the probability."""
        graph = spec.network.graph
        needs(graph["name"] == "erdos-renyi", spec, "graph 'erdos-renyi'")
        p = float(spec.component("graph", graph).model_dump()["probability"])
        network = spec.network.model_dump(mode="json")
        return spec.replace(network={**network, "graph": {**graph, "probability": p * (2 - p)}})
