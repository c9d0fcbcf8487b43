"""Words of networks that the tests of this folder share."""

from typing import Any

from hzbench.core.network import Network
from hzbench.core.setting import NetworkFacts
from hzbench.topology.build import build_network

FAMILIES: list[tuple[str, dict[str, Any], int]] = [
    ("ring", {}, 3),
    ("ring", {}, 9),
    ("path", {}, 1),
    ("path", {}, 7),
    ("star", {}, 1),
    ("star", {}, 8),
    ("complete", {}, 1),
    ("complete", {}, 2),
    ("complete", {}, 6),
    ("grid", {}, 12),
    ("grid", {"rows": 2, "columns": 5}, 10),
    ("grid", {"columns": 4}, 8),
    ("torus", {}, 12),
    ("torus", {"rows": 1}, 7),
    ("torus", {"rows": 2}, 10),
    ("torus", {"rows": 2, "columns": 2}, 4),
    ("torus", {"rows": 1, "columns": 2}, 2),
    ("hypercube", {}, 1),
    ("hypercube", {}, 8),
    ("complete-bipartite", {"left": 2}, 7),
    ("complete-bipartite", {}, 6),
    ("circulant", {"hops": (1, 2)}, 9),
    ("circulant", {"hops": (2, 5)}, 10),
    ("exponential", {}, 2),
    ("exponential", {}, 6),
    ("exponential", {}, 16),
    ("random-regular", {"degree": 3, "seed": 5}, 10),
    ("random-regular", {"degree": 1}, 2),
    ("erdos-renyi", {"probability": 0.3, "seed": 2}, 12),
    ("erdos-renyi", {"probability": 0.5}, 1),
    ("networkx", {"generator": "karate_club_graph"}, 34),
    ("networkx", {"generator": "petersen_graph"}, 10),
]


def network(graph: str, nodes: int, parameters: Any = None, **words: Any) -> Network:
    """The network of some words."""
    return build_network(
        NetworkFacts(graph=graph, graph_parameters=parameters or {}, **words), nodes
    )
