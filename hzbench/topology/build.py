"""From the network's words to a checked `Network`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hzbench.core.errors import UserMistakeError
from hzbench.core.network import Network
from hzbench.core.registry import find
from hzbench.core.setting import NetworkFacts
from hzbench.topology.graphs import Graph, from_edges


def build_network(facts: NetworkFacts, nodes: int) -> Network:
    """The network on n nodes that the facts describe.

    Edges of a family are sorted; given edges keep their order. Explicit `edge_probabilities` follow
    that order.

    Raises:
        UserMistakeError: unknown names or parameters, a family without such a member, a graph that
            is not connected, weights that are not symmetric and doubly stochastic, a bad law.
    """
    graph = _graph(facts, nodes)
    edges = _edges(graph, keep_order=bool(facts.edges))
    return Network(
        nodes=nodes,
        edges=edges,
        weights=_weights(facts, graph),
        edge_probabilities=_law(facts, edges, nodes),
    )


def _graph(facts: NetworkFacts, nodes: int) -> Graph:
    if facts.edges:
        return from_edges(nodes, facts.edges)
    if facts.graph == "explicit":
        if nodes == 1:
            return from_edges(1, ())
        raise UserMistakeError(
            "got graph 'explicit' without edges; expected edges = [[0, 1], ...]; list them"
        )
    family = _component("graph", facts.graph, dict(facts.graph_parameters))
    graph: Graph = family.build(nodes)
    return graph


def _edges(graph: Graph, *, keep_order: bool) -> NDArray[np.int64]:
    pairs = [(min(i, j), max(i, j)) for i, j in graph.edges]
    if not keep_order:
        pairs.sort()
    return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)


def _weights(facts: NetworkFacts, graph: Graph) -> NDArray[np.float64]:
    if facts.matrix is not None:
        return np.array(facts.matrix, dtype=np.float64)
    if facts.weights == "explicit":
        raise UserMistakeError(
            "got weights 'explicit' without a matrix; expected matrix = [[...], ...]; give W"
        )
    built: NDArray[np.float64] = _component("weights", facts.weights, {}).build(graph)
    return built


def _law(facts: NetworkFacts, edges: NDArray[np.int64], nodes: int) -> NDArray[np.float64]:
    if facts.edge_law == "explicit":
        return np.asarray(facts.edge_probabilities, dtype=np.float64)
    if facts.edge_law == "node-neighbour":
        degree = np.bincount(edges.ravel(), minlength=nodes)
        inverse = 1.0 / np.maximum(degree, 1)
        return np.asarray(inverse[edges].sum(axis=1) / nodes, dtype=np.float64)
    return np.full(len(edges), 1.0 / max(len(edges), 1))


def _component(kind: str, name: str, parameters: dict[str, Any]) -> Any:
    try:
        return find(kind, name).target(**parameters)
    except ValidationError as error:
        raise UserMistakeError("; ".join(_sentences(kind, name, error))) from None


def _sentences(kind: str, name: str, error: ValidationError) -> list[str]:
    found = []
    for item in error.errors():
        key = ".".join(map(str, item["loc"]))
        got = "nothing" if item["type"] == "missing" else repr(item["input"])
        found.append(
            f"got {got} for {key} of {kind} {name}; expected: {item['msg']}; correct {key}"
        )
    return found
