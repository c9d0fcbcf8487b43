"""Laws that every component must obey, whoever wrote it; each raises CheckFailed in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import networkx as nx
import numpy as np
import torch

from hzbench.core import registry
from hzbench.core.component import Component
from hzbench.core.network import Network
from hzbench.core.problem import Kind, Placement, Problem, ProblemComponent
from hzbench.core.setting import NetworkFacts
from hzbench.core.streams import Rows, replica_keys
from hzbench.topology.build import build_network

if TYPE_CHECKING:
    from hzbench.harness.run import Result

NODES = 4


class CheckFailed(AssertionError):  # noqa: N818 (an assertion, read in a test report)
    """A law or a check that does not hold; the message is a readable paragraph.

    Attributes:
        result: the run behind it, if there was one.
    """

    def __init__(self, paragraph: str, result: Result | None = None) -> None:
        super().__init__(paragraph)
        self.result = result


def require(holds: bool, sentence: str) -> None:
    """Raise CheckFailed with the sentence unless it holds."""
    if not holds:
        raise CheckFailed(sentence)


def addresses(replicas: int, nodes: int) -> Rows:
    """One row for every (replica, node), at step 0."""
    replica = torch.arange(replicas).repeat_interleave(nodes)
    node = torch.arange(nodes).repeat(replicas)
    keys = replica_keys(7, range(replicas))
    return Rows(keys=keys[replica], replica=replica, node=node, step=torch.zeros_like(node))


def build_problem(component: ProblemComponent, nodes: int = NODES) -> Problem:
    """The problem on `nodes` nodes, half of each kind (all of zeroth order without gradients)."""
    first = 0 if component.gradient_free else nodes // 2
    kinds: list[Kind] = ["first" if node < first else "zeroth" for node in range(nodes)]
    placement = Placement(kinds=kinds)
    found = component.mistakes(placement)
    require(not found, f"{type(component).__name__} cannot be built: {'; '.join(found)}")
    return component.build(placement)


def graph_laws(component: Any, nodes: int) -> None:
    """Connected, simple, n nodes, and every weight rule is doubly stochastic or refuses."""
    graph = component.build(nodes)
    require(graph.number_of_nodes() == nodes, f"got {graph.number_of_nodes()} nodes of {nodes}")
    require(set(graph.nodes) == set(range(nodes)), "nodes are not labelled 0 ... n − 1")
    connected = nx.is_strongly_connected if graph.is_directed() else nx.is_connected
    require(connected(graph), "the graph is not (strongly) connected")
    require(nx.number_of_selfloops(graph) == 0, "the graph has a loop")


def weights_laws(component: Any) -> None:
    """Symmetric, doubly stochastic, on the graph's edges, contracting (checked by Network)."""
    graph = nx.complete_graph(5)
    weights = np.asarray(component.build(graph))
    edges = np.array(sorted(graph.edges), dtype=np.int64)
    law = np.full(len(edges), 1 / len(edges))
    network = Network(nodes=5, edges=edges, weights=weights, edge_probabilities=law)
    require(network.slem < 1, f"|W − J/n| is {network.slem:.4g}: repeated averaging never agrees")


def network_laws(graph: str, parameters: dict[str, Any], nodes: int) -> None:
    """A registered graph builds a checked network; push weights keep mass if it is directed."""
    component = registry.find("graph", graph).target.model_validate(parameters)
    facts = NetworkFacts(graph=graph, graph_parameters=parameters)
    if component.build(nodes).is_directed():
        facts = replace(facts, weights="push", column_stochastic=True)
    network = build_network(facts, nodes)
    moduli = np.sort(np.abs(np.linalg.eigvals(network.weights)))
    require(nodes == 1 or moduli[-2] < 1, f"{facts.weights} weights do not contract on it")


def examples(kind: str, name: str) -> list[Component]:
    """The components of `example_tables`."""
    target = registry.find(kind, name).target
    return [target.model_validate(table) for table in example_tables(kind, target)]


def example_tables(kind: str, target: Any) -> list[dict[str, Any]]:
    """Parameters of the examples of a class; of a method, one table for every choice too.

    A choice is a field of type Literal. Other kinds choose in their `examples` what fits together.
    """
    given: tuple[Mapping[str, Any], ...] = getattr(target, "examples", ({},))
    tables = [dict(table) for table in given]
    fields = target.model_fields if kind == "method" else {}
    choices = [
        {**tables[0], name: value}
        for name, field in fields.items()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
        if value != tables[0].get(name, field.default)
    ]
    return [*tables, *(choice for choice in choices if choice not in tables)]
