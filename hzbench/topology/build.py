"""From the network's words to a checked `Network`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.lines import DENSE_NODES, Lines, lines_of
from hzbench.core.network import Network
from hzbench.core.normal_form import component_from
from hzbench.core.setting import NetworkFacts
from hzbench.topology.digraphs import arcs_of
from hzbench.topology.graphs import Graph, from_edges


def build_network(facts: NetworkFacts, nodes: int) -> Network:
    """The network on n nodes that the facts describe.

    Edges of a family are sorted; given edges keep their order. Explicit `edge_probabilities` follow
    that order.

    Raises:
        UserMistakeError: unknown names or parameters, a family without such a member, a graph that
            is not connected, weights that are not doubly stochastic (for push-sum: whose columns
            do not sum to 1), a directed graph for a method that cannot use one, a bad law.
    """
    graph = _graph(facts, nodes)
    if graph.is_directed() and not facts.column_stochastic:
        raise UserMistakeError(
            f"got the directed graph {facts.graph!r} with a method that needs edges both ways; "
            "expected an undirected graph; take another graph, or method push_sum"
        )
    edges = _edges(facts, graph)
    lines = _lines(facts, edges, nodes) if nodes > DENSE_NODES else None
    dense = np.zeros((0, 0)) if lines is not None else _weights(facts, graph)
    network = Network(
        nodes=nodes,
        edges=edges,
        directed=graph.is_directed(),
        column_stochastic=facts.column_stochastic,
        weights=_with_pauses(dense, facts.exchange_period),
        lines=lines,
        edge_probabilities=_law(facts, edges, nodes),
        pair_weight=facts.pair_weight,
        matching_law=facts.matching_law,
        link_failure=facts.link_failure,
        exchange_probability=facts.exchange_probability,
    )
    graph.clear()  # its views refer to it: its dictionaries would stay until garbage is collected
    return network


def _lines(facts: NetworkFacts, edges: NDArray[np.int64], nodes: int) -> Lines:
    """W of a large graph, from degrees alone."""
    degree = np.bincount(edges.ravel(), minlength=nodes)
    rule = None if facts.weights == "explicit" else _component("weights", facts.weights, {})
    weight = None if rule is None else rule.edge_weights(degree[edges])
    varies = facts.exchange_period > 1 or facts.link_failure or facts.exchange_probability < 1
    if weight is None or varies or facts.column_stochastic:
        raise UserMistakeError(
            f"got weights {facts.weights!r} on {nodes} nodes; expected a fixed W that degrees "
            f"determine beyond {DENSE_NODES} nodes; take metropolis, max-degree or lazy, without "
            "failing links, coins or periods"
        )
    return lines_of(edges, weight, nodes)


def _with_pauses(weights: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """W of every round when only each K-th exchanges: [n, n] or [P, n, n] -> [PK, n, n]."""
    if period == 1:
        return weights
    own = weights.reshape(-1, *weights.shape[-2:])
    cycle = np.tile(np.eye(own.shape[-1]), (len(own) * period, 1, 1))
    cycle[period - 1 :: period] = own
    return cycle


def _graph(facts: NetworkFacts, nodes: int) -> Graph:
    if facts.edges:
        try:
            return from_edges(nodes, facts.edges)
        except SpecError as error:
            found = [f"network.edges: {mistake}" for mistake in error.mistakes]
            raise SpecError(found, "the network") from None
    if facts.graph == "explicit":
        if nodes == 1:
            return from_edges(1, ())
        raise UserMistakeError(
            "got graph 'explicit' without edges; expected edges = [[0, 1], ...]; list them"
        )
    family = _component("graph", facts.graph, facts.graph_parameters)
    graph: Graph = family.build(nodes)
    return graph


def _edges(facts: NetworkFacts, graph: Graph) -> NDArray[np.int64]:
    """Pairs i < j, shape [E, 2], or arcs; networkx itself keeps no order of insertion."""
    if graph.is_directed():
        return arcs_of(graph)
    pairs = facts.edges or sorted((min(i, j), max(i, j)) for i, j in graph.edges)
    return np.sort(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=1)


def _weights(facts: NetworkFacts, graph: Graph) -> NDArray[np.float64]:
    if facts.matrix is not None:
        return np.array(facts.matrix, dtype=np.float64)
    if facts.weights == "explicit":
        raise UserMistakeError(
            "got weights 'explicit' without a matrix; expected matrix = [[...], ...]; give W"
        )
    rule = _component("weights", facts.weights, {})
    if graph.is_directed() and not rule.directed:
        raise UserMistakeError(
            f"got weights {facts.weights!r} on the directed graph {facts.graph!r}; expected a rule "
            "whose columns sum to 1 there; take weights push or one-peer-push"
        )
    built: NDArray[np.float64] = rule.build(graph)
    return built


def _law(facts: NetworkFacts, edges: NDArray[np.int64], nodes: int) -> NDArray[np.float64]:
    if facts.edge_law == "explicit":
        if not facts.edges:
            raise UserMistakeError(
                "got edge probabilities without a list of edges; expected edges = [[0, 1], ...] in "
                "the same order; list them"
            )
        return np.asarray(facts.edge_probabilities, dtype=np.float64)
    if facts.edge_law == "node-neighbour":
        degree = np.bincount(edges.ravel(), minlength=nodes)
        inverse = 1.0 / np.maximum(degree, 1)
        return np.asarray(inverse[edges].sum(axis=1) / nodes, dtype=np.float64)
    return np.full(len(edges), 1.0 / max(len(edges), 1))


def _component(kind: str, name: str, parameters: Mapping[str, Any]) -> Any:
    return component_from(kind, {**parameters, "name": name}, f"{kind} {name}")
