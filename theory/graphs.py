"""Edges of every graph family, rebuilt from the words of NetworkFacts.

The regular families are built here from their definitions; random graphs and networkx's own
graphs come from networkx with the declared seed. Edges are pairs i < j in lexicographic order,
except explicit ones, which keep the order given (edge probabilities refer to it).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from math import isqrt
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts

Array = NDArray[np.float64]
Edges = tuple[tuple[int, int], ...]

_DRAWS = 1_000


class GraphError(ValueError):
    """The words do not describe a graph on n nodes that theory can rebuild."""


def words(name: str) -> str:
    """A family's name with hyphens, whatever the separator."""
    return name.replace("_", "-")


def edge_list(network: NetworkFacts, n: int) -> Edges:
    """The edges of the declared graph on n nodes.

    Args:
        network: the words.
        n: number of nodes.

    Raises:
        GraphError: an unknown family, or parameters that do not fit n.
    """
    if network.edges:
        return _checked(tuple((min(e), max(e)) for e in network.edges), n)
    family = words(network.graph)
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise GraphError(
            f"got graph {network.graph!r}; theory knows {known}, and explicit network.edges of any"
        )
    try:
        return _family_edges(family, n, tuple(sorted(network.graph_parameters.items())))
    except TypeError:  # parameters that cannot be hashed
        return FAMILIES[family](n, network.graph_parameters)


@lru_cache(maxsize=8)
def _family_edges(family: str, n: int, parameters: tuple[tuple[str, Any], ...]) -> Edges:
    """Theorems ask for the same edges again and again; there may be millions."""
    return FAMILIES[family](n, dict(parameters))


def adjacency(edges: Edges, n: int) -> Array:
    """The 0/1 adjacency matrix, shape [n, n]."""
    matrix = np.zeros((n, n))
    if edges:
        i, j = np.array(edges, dtype=np.int64).T
        matrix[i, j] = matrix[j, i] = 1.0
    return matrix


def laplacian(edges: Edges, n: int) -> Array:
    """L = diag(degrees) − adjacency, shape [n, n]."""
    matrix = adjacency(edges, n)
    result: Array = np.diag(matrix.sum(1)) - matrix
    return result


def sides(n: int, parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns of a grid; rows default to the largest divisor of n not above sqrt(n).

    Raises:
        GraphError: rows times columns is not n.
    """
    rows: Any = parameters.get("rows")
    columns: Any = parameters.get("columns")
    if rows is None and columns is None:
        rows = max(r for r in range(1, isqrt(n) + 1) if n % r == 0)
    if rows is None:
        rows = n // int(columns) if int(columns) else 0
    columns = (n // int(rows) if int(rows) else 0) if columns is None else columns
    if int(rows) * int(columns) != n:
        raise GraphError(f"got rows = {rows}, columns = {columns}; rows times columns is not {n}")
    return int(rows), int(columns)


def hypercube_dimension(n: int) -> int:
    """The k of n = 2^k.

    Raises:
        GraphError: n is no power of two.
    """
    k = n.bit_length() - 1
    if n != 2**k:
        raise GraphError(f"got n = {n}; a hypercube needs a power of two")
    return k


def left_size(n: int, parameters: Mapping[str, Any]) -> int:
    """Size of the left side of a complete bipartite graph; n // 2 by default.

    Raises:
        GraphError: not between 1 and n − 1.
    """
    left = int(parameters.get("left", n // 2))
    if not 1 <= left <= n - 1:
        raise GraphError(f"got left = {left}; expected 1 to {n - 1}")
    return left


def edge_law(network: NetworkFacts, n: int) -> tuple[Edges, Array]:
    """Edges and the probability that a tick of the pair protocol draws each.

    Formula:
        uniform 1/|E|; node-neighbour (1/n)(1/deg i + 1/deg j); explicit as given.

    Source:
        the contract of `NetworkFacts`.

    Returns:
        Edges and probabilities, shape [|E|].

    Raises:
        GraphError: no edges, or as many probabilities as edges are missing.
    """
    edges = edge_list(network, n)
    if not edges:
        raise GraphError(f"the graph on {n} nodes has no edge to draw")
    if network.edge_law == "explicit":
        given = np.asarray(network.edge_probabilities, dtype=float)
        if not network.edges or given.shape != (len(edges),):
            raise GraphError(
                f"got {given.size} edge probabilities for {len(network.edges)} listed edges; "
                "expected one for each listed edge"
            )
        return edges, given
    if network.edge_law == "uniform":
        return edges, np.full(len(edges), 1.0 / len(edges))
    degrees = adjacency(edges, n).sum(1)
    if degrees.min() == 0:
        raise GraphError("a node without neighbours cannot draw one")
    return edges, np.array([(1 / degrees[i] + 1 / degrees[j]) / n for i, j in edges])


def exponential_hops(n: int) -> tuple[int, ...]:
    """1, 2, 4, ... below n: ⌈log2 n⌉ of them."""
    return tuple(2**k for k in range(n) if 2**k < n)


def edge_transitive(edges: Edges, n: int) -> bool:
    """Whether an automorphism of the graph carries every edge into every other one."""
    if not edges:
        return True
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(n))
    degrees = {frozenset((graph.degree[i], graph.degree[j])) for i, j in edges}
    return len(degrees) == 1 and all(_carried(graph, edges[0], edge) for edge in edges[1:])


def _carried(graph: Any, first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether some automorphism maps the ends of one edge to those of the other."""
    marked: list[Any] = []
    for edge in (first, second):
        copy = graph.copy()
        nx.set_node_attributes(copy, {node: node in edge for node in copy}, "end")
        marked.append(copy)
    same = nx.algorithms.isomorphism.categorical_node_match("end", None)
    return bool(nx.is_isomorphic(marked[0], marked[1], node_match=same))


def uniform_pairs(network: NetworkFacts, n: int) -> bool:
    """Whether every pair of the n nodes is equally likely (complete graph, uniform edges).

    Raises:
        GraphError: the graph cannot be rebuilt.
    """
    edges, probabilities = edge_law(network, n)
    return len(edges) == n * (n - 1) // 2 and bool(np.ptp(probabilities) < 1e-12)


def _checked(edges: Edges, n: int) -> Edges:
    wrong = [e for e in edges if not 0 <= e[0] < e[1] < n]
    if wrong or len(set(edges)) != len(edges):
        raise GraphError(f"got edges {wrong or 'listed twice'}; expected distinct pairs below {n}")
    return edges


def _sorted(edges: Iterable[tuple[int, int]]) -> Edges:
    return tuple(sorted({(min(e), max(e)) for e in edges if e[0] != e[1]}))


def _ring(n: int, _: Mapping[str, Any]) -> Edges:
    return _sorted((i, (i + 1) % n) for i in range(n))


def _path(n: int, _: Mapping[str, Any]) -> Edges:
    return tuple((i, i + 1) for i in range(n - 1))


def _star(n: int, _: Mapping[str, Any]) -> Edges:
    return tuple((0, i) for i in range(1, n))


def _complete(n: int, _: Mapping[str, Any]) -> Edges:
    return tuple((i, j) for i in range(n) for j in range(i + 1, n))


def _grid(n: int, parameters: Mapping[str, Any]) -> Edges:
    rows, columns = sides(n, parameters)
    right = [(i, i + 1) for i in range(n) if (i + 1) % columns]
    down = [(i, i + columns) for i in range(columns * (rows - 1))]
    return _sorted(right + down)


def _torus(n: int, parameters: Mapping[str, Any]) -> Edges:
    _, columns = sides(n, parameters)
    right = [(i, i - i % columns + (i % columns + 1) % columns) for i in range(n)]
    down = [(i, (i + columns) % n) for i in range(n)]
    return _sorted(right + down)


def _circulant(n: int, parameters: Mapping[str, Any]) -> Edges:
    hops = tuple(int(hop) for hop in parameters.get("hops", ()))
    if not hops or not all(0 < hop < n for hop in hops):
        raise GraphError(f"got hops {hops}; expected some of 1 to {n - 1}")
    return _sorted((i, (i + hop) % n) for i in range(n) for hop in hops)


def _exponential(n: int, _: Mapping[str, Any]) -> Edges:
    return _circulant(n, {"hops": exponential_hops(n)})


def _hypercube(n: int, _: Mapping[str, Any]) -> Edges:
    k = hypercube_dimension(n)
    return _sorted((i, i ^ (1 << bit)) for i in range(n) for bit in range(k))


def _complete_bipartite(n: int, parameters: Mapping[str, Any]) -> Edges:
    left = left_size(n, parameters)
    return tuple((i, j) for i in range(left) for j in range(left, n))


def _random_regular(n: int, parameters: Mapping[str, Any]) -> Edges:
    degree = int(parameters.get("degree", 3))
    return _connected(lambda seed: nx.random_regular_graph(degree, n, seed=seed), n, parameters)


def _erdos_renyi(n: int, parameters: Mapping[str, Any]) -> Edges:
    probability = float(parameters.get("probability", 0.5))
    return _connected(lambda seed: nx.gnp_random_graph(n, probability, seed=seed), n, parameters)


def _networkx(n: int, parameters: Mapping[str, Any]) -> Edges:
    make = getattr(nx, str(parameters.get("generator", "")), None)
    if not callable(make):
        raise GraphError(
            f"got generator {parameters.get('generator')!r}; networkx has none so named"
        )
    try:
        graph = make()
    except (nx.NetworkXException, TypeError, ValueError) as error:
        raise GraphError(f"networkx refused: {error}") from error
    return _relabelled(graph, n)


def _connected(draw: Callable[[int], Any], n: int, parameters: Mapping[str, Any]) -> Edges:
    first = int(parameters.get("seed", 0))
    for seed in range(first, first + _DRAWS):
        try:
            graph = draw(seed)
        except (nx.NetworkXException, ValueError) as error:
            raise GraphError(f"networkx refused: {error}") from error
        if graph.number_of_nodes() == n and nx.is_connected(graph):
            return _relabelled(graph, n)
    raise GraphError(f"no connected draw among the seeds {first} to {first + _DRAWS - 1}")


def _relabelled(graph: Any, n: int) -> Edges:
    if graph.number_of_nodes() != n:
        raise GraphError(f"the graph has {graph.number_of_nodes()} nodes; the setting has {n}")
    label = {node: i for i, node in enumerate(graph)}
    return _sorted((label[a], label[b]) for a, b in graph.edges())


FAMILIES: Mapping[str, Callable[[int, Mapping[str, Any]], Edges]] = {
    "ring": _ring,
    "path": _path,
    "star": _star,
    "complete": _complete,
    "grid": _grid,
    "torus": _torus,
    "circulant": _circulant,
    "exponential": _exponential,
    "hypercube": _hypercube,
    "complete-bipartite": _complete_bipartite,
    "random-regular": _random_regular,
    "erdos-renyi": _erdos_renyi,
    "networkx": _networkx,
}
