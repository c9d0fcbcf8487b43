"""Random graph families (seeded, first connected draw) and the named graphs of networkx."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import networkx as nx
from pydantic import Field

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.topology.graphs import Graph, GraphFamily, from_edges

TRIES = 1000


@register("graph", "random-regular")
class RandomRegular(GraphFamily):
    """A random graph whose nodes all have the same degree, drawn until connected.

    The first connected one of `networkx.random_regular_graph(degree, n, seed)` over the seeds
    seed, seed + 1, ... (1000 tries).

    Source: Steger and Wormald, "Generating random regular graphs quickly", 1999.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"degree": 3},)

    degree: int = Field(ge=1, description="neighbours of every node")
    seed: int = Field(0, ge=0, description="first seed tried")

    def build(self, nodes: int) -> Graph:
        """The graph; degree < n, degree · n even, and degree >= 2 for n > 2."""
        degree = self.degree
        possible = degree < nodes and degree * nodes % 2 == 0 and (degree > 1 or nodes == 2)
        if not possible:
            raise UserMistakeError(
                f"got degree {degree} on {nodes} nodes; expected 2 <= degree < nodes with "
                "degree · nodes even (degree 1: 2 nodes); change the degree or the node count"
            )
        return _first_connected(
            lambda seed: nx.random_regular_graph(degree, nodes, seed=seed),
            self.seed,
            f"random-regular graph of degree {degree}",
        )


@register("graph", "erdos-renyi")
class ErdosRenyi(GraphFamily):
    """Every pair of nodes joined with the same probability, drawn until connected.

    The first connected one of `networkx.gnp_random_graph(n, probability, seed)` over the seeds
    seed, seed + 1, ... (1000 tries).

    Source: Gilbert, "Random graphs", Annals of Mathematical Statistics, 1959.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"probability": 0.5},)

    probability: float = Field(gt=0, le=1, description="probability of an edge")
    seed: int = Field(0, ge=0, description="first seed tried")

    def build(self, nodes: int) -> Graph:
        """The graph; a mistake if 1000 draws are all disconnected."""
        if nodes < 1:
            raise UserMistakeError(f"got {nodes} nodes; expected at least 1; add nodes")
        return _first_connected(
            lambda seed: nx.gnp_random_graph(nodes, self.probability, seed=seed),
            self.seed,
            f"erdos-renyi graph on {nodes} nodes with probability {self.probability:g}",
        )


@register("graph", "networkx")
class Named(GraphFamily):
    """A graph of networkx that needs no arguments, such as the karate club.

    Nodes are numbered in the order in which networkx lists them; edge weights are ignored.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"generator": "petersen_graph"},)
    example_nodes: ClassVar[int] = 10

    generator: str = Field(description='function of networkx, such as "karate_club_graph"')

    def build(self, nodes: int) -> Graph:
        """The graph; n must be its number of nodes."""
        graph = _generator(self.generator)()
        if not isinstance(graph, nx.Graph) or graph.is_directed() or graph.is_multigraph():
            raise UserMistakeError(
                f"got generator {self.generator!r}, which makes no simple undirected graph; "
                "expected one that does; take another generator"
            )
        if len(graph) != nodes:
            raise UserMistakeError(
                f"got {nodes} nodes for {self.generator}; expected {len(graph)}; "
                f"declare {len(graph)} nodes or take another graph"
            )
        number = {label: index for index, label in enumerate(graph)}
        return from_edges(nodes, [(number[i], number[j]) for i, j in graph.edges])


def _first_connected(draw: Callable[[int], Graph], seed: int, what: str) -> Graph:
    for offset in range(TRIES):
        graph = draw(seed + offset)
        if nx.is_connected(graph):
            return graph
    raise UserMistakeError(
        f"got {TRIES} draws of the {what}, none connected; expected a connected graph; "
        "raise the degree or the probability"
    )


def _generator(name: str) -> Callable[[], Any]:
    known: dict[str, Callable[..., Any]] = {
        key: value
        for key, value in vars(nx).items()
        if str(getattr(value, "__module__", "")).startswith("networkx.generators")
        and callable(value)
        and not inspect.isclass(value)
    }
    if name not in known:
        free = sorted(key for key, value in known.items() if not _needs(value))
        near = difflib.get_close_matches(name, free, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near or free[:3]))}?"
        raise UserMistakeError(f"got generator {name!r}; expected a graph of networkx; {hint}")
    if needed := _needs(known[name]):
        raise UserMistakeError(
            f"got generator {name!r}, which needs {', '.join(needed)}; expected one without "
            "arguments; give the edges themselves or take another graph family"
        )
    return known[name]


def _needs(function: Callable[..., Any]) -> list[str]:
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    ]
