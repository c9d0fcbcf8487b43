"""Mutants of the spec: keys that are read and have no effect, and a wrong population."""

from __future__ import annotations

from typing import Any

from hzbench.core.mutant import Mutant, needs
from hzbench.core.registry import register
from hzbench.core.spec import NodeGroup, Spec


@register("mutant", "ignored_step_size")
class IgnoredStepSize(Mutant):
    """The step sizes of node groups are read and ignored.

    Formula: η_i → the method's η for every node.

    Source: a key of the spec that has no effect, as published code has had.
    """

    def spec(self, spec: Spec) -> Spec:
        """Drop the key."""
        return spec.replace(nodes=[_table(group, "step_size") for group in spec.nodes])


@register("mutant", "ignored_batch_size")
class IgnoredBatchSize(Mutant):
    """Every oracle call sees one data sample, whatever batch the spec says.

    Formula: b → 1: the noise is b times as large.

    Source: a key of the spec that has no effect.
    """

    def spec(self, spec: Spec) -> Spec:
        """Drop the key."""
        needs(any(group.batch_size != 1 for group in spec.nodes), spec, "a batch_size other than 1")
        return spec.replace(nodes=[_table(group, "batch_size") for group in spec.nodes])


@register("mutant", "batch_plus_one")
class BatchPlusOne(Mutant):
    """Every oracle call sees one data sample more than the spec says.

    Formula: b → b + 1.

    Source: a range with both ends.
    """

    def spec(self, spec: Spec) -> Spec:
        """Raise the key."""
        counted = [g for g in spec.nodes if g.batch_size != "full"]
        needs(bool(counted), spec, 'a batch_size other than "full"')
        return spec.replace(nodes=[_one_more(group) for group in spec.nodes])


def _one_more(group: NodeGroup) -> dict[str, Any]:
    """The table of a group with a batch of b + 1."""
    size = group.batch_size
    return {**_table(group), "batch_size": size if size == "full" else size + 1}


@register("mutant", "ignored_schedule")
class IgnoredSchedule(Mutant):
    """The step size stays at its base value whatever the schedule says.

    Formula: η_t → η.

    Source: a key of the spec that has no effect.
    """

    def spec(self, spec: Spec) -> Spec:
        """Drop the key."""
        needs("schedule" in spec.method, spec, "a method with a schedule that is not constant")
        kept = {key: value for key, value in spec.method.items() if key != "schedule"}
        return spec.replace(method=kept)


@register("mutant", "ignored_edge_law")
class IgnoredEdgeLaw(Mutant):
    """Edges are drawn uniformly whatever law the spec says.

    Formula: p_e → 1/|E|.

    Source: a random edge where theory has a random node and a random neighbour.
    """

    def spec(self, spec: Spec) -> Spec:
        """Drop the key."""
        other = spec.network.edge_law != "uniform" and spec.network.gossip == "pair"
        needs(other, spec, "pairs with an edge_law other than 'uniform'")
        network = spec.network.model_dump(mode="json", exclude={"edge_law", "edge_probabilities"})
        return spec.replace(network=network)


@register("mutant", "one_zeroth_as_first")
class OneZerothAsFirst(Mutant):
    """The first zeroth-order node computes gradients.

    Formula: n_1 → n_1 + 1, n_0 → n_0 − 1.

    Source: a population counted wrongly; mutation study.
    """

    def spec(self, spec: Spec) -> Spec:
        """Give its first node a group of its own."""
        zeroth = [i for i, group in enumerate(spec.nodes) if group.estimator["name"] != "gradient"]
        needs(bool(zeroth), spec, "a zeroth-order node")
        at = zeroth[0]
        group = _table(spec.nodes[at])
        swapped = {**group, "count": 1, "estimator": "gradient"}
        rest = [{**group, "count": group["count"] - 1}] if group["count"] > 1 else []
        before, after = spec.nodes[:at], spec.nodes[at + 1 :]
        nodes = [*map(_table, before), swapped, *rest, *map(_table, after)]
        return spec.replace(nodes=nodes)


@register("mutant", "step_over_nodes")
class StepOverNodes(Mutant):
    """Step sizes are divided by n, though the nodes average as well.

    Formula: η → η/n.

    Source: a loss divided by the number of workers whose gradients are then averaged, as in
    data-parallel training.
    """

    def spec(self, spec: Spec) -> Spec:
        """Divide the method's step size and those of the groups."""
        n, step = spec.node_count, spec.component("method", spec.method).model_dump()["step_size"]
        needs(n > 1 and step > 0, spec, "at least two nodes and a positive step size")
        nodes = [_table(group) for group in spec.nodes]
        for table in nodes:
            if table.get("step_size") is not None:
                table["step_size"] /= n
        return spec.replace(method={**spec.method, "step_size": step / n}, nodes=nodes)


def _table(group: NodeGroup, *dropped: str) -> dict[str, Any]:
    """The keys of a group as a spec writes them."""
    return group.model_dump(mode="json", exclude=set(dropped))
