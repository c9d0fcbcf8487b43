"""Graph families: frozen parameters with `build(nodes) -> networkx.Graph` on nodes 0 ... n−1.

A theorem rebuilds every family from its name and parameters alone, so both are frozen. A family
raises for a node count it cannot have; connectivity is checked once more by `core.network`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING, TypeAlias

import networkx as nx
from pydantic import Field

from hzbench.core.component import Component
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.registry import register

if TYPE_CHECKING:
    Graph: TypeAlias = nx.Graph[int]
else:
    Graph = nx.Graph


class GraphFamily(Component):
    """Base of graph families."""

    def build(self, nodes: int) -> Graph:
        """The member with that many nodes, labelled 0 ... n−1.

        Raises:
            UserMistakeError: the family has no such member.
        """
        raise NotImplementedError


def from_edges(nodes: int, edges: Iterable[Sequence[int]]) -> Graph:
    """The simple graph with exactly these edges, in this order.

    Raises:
        SpecError: every edge that is no pair, leaves 0 ... n−1 or is a loop, or those that come
            twice.
    """
    pairs = [tuple(edge) for edge in edges]
    mistakes = [text for edge in pairs if (text := _edge_mistake(nodes, edge))]
    if mistakes:
        raise SpecError(mistakes, "the edges")
    ordered = [(min(edge), max(edge)) for edge in pairs]
    twice = [edge for edge, times in Counter(ordered).items() if times > 1]
    if twice:
        raise SpecError(
            [
                f"got the edges {twice} more than once; expected every edge once; drop the "
                "repetitions"
            ],
            "the edges",
        )
    return _graph(nodes, ordered)


@register("graph", "ring")
class Ring(GraphFamily):
    """Every node joined to the next one, the last to the first.

    Formula: Laplacian spectrum 2 − 2cos(2πk/n), k = 0 ... n−1.
    """

    def build(self, nodes: int) -> Graph:
        """The ring; n >= 3."""
        _require(nodes >= 3, f"{_nodes(nodes)} for a ring", "at least 3", "take path or complete")
        return _graph(nodes, [(i, (i + 1) % nodes) for i in range(nodes)])


@register("graph", "path")
class Path(GraphFamily):
    """Nodes in a line.

    Formula: Laplacian spectrum 2 − 2cos(πk/n), k = 0 ... n−1.
    """

    def build(self, nodes: int) -> Graph:
        """The path; n >= 1."""
        _at_least_one(nodes)
        return _graph(nodes, pairwise(range(nodes)))


@register("graph", "star")
class Star(GraphFamily):
    """Node 0 joined to all others.

    Formula: Laplacian spectrum {0, 1 (n−2 times), n}.
    """

    def build(self, nodes: int) -> Graph:
        """The star; n >= 1."""
        _at_least_one(nodes)
        return _graph(nodes, [(0, i) for i in range(1, nodes)])


@register("graph", "complete")
class Complete(GraphFamily):
    """Every pair of nodes joined.

    Formula: Laplacian spectrum {0, n (n−1 times)}.
    """

    def build(self, nodes: int) -> Graph:
        """The complete graph; n >= 1."""
        _at_least_one(nodes)
        return _graph(nodes, [(i, j) for j in range(nodes) for i in range(j)])


class _Rectangle(GraphFamily):
    rows: int | None = Field(
        None, ge=1, description="rows; default: the largest divisor of n not above sqrt(n)"
    )
    columns: int | None = Field(None, ge=1, description="columns; default: n / rows")

    def sides(self, nodes: int) -> tuple[int, int]:
        """(rows, columns) of the member with that many nodes."""
        _at_least_one(nodes)
        rows, columns = self.rows, self.columns
        if rows is None and columns is None:
            rows = max(k for k in range(1, math.isqrt(nodes) + 1) if nodes % k == 0)
            _require(
                rows > 1 or nodes == 1,
                f"{_nodes(nodes)}, a prime number, for rows and columns",
                "at least two of each",
                "change the number of nodes, or say rows = 1",
            )
        if rows is None:
            rows = nodes // (columns or 1)
        if columns is None:
            columns = nodes // rows
        _require(
            rows * columns == nodes,
            f"{_nodes(nodes)} for {rows} rows and {columns} columns",
            "rows · columns = nodes",
            "change one of them, or leave rows and columns out",
        )
        return rows, columns


@register("graph", "grid")
class Grid(_Rectangle):
    """A rectangle of rows and columns; node = row · columns + column.

    Formula: Laplacian spectrum: the sums of those of the two paths.
    """

    def build(self, nodes: int) -> Graph:
        """The grid; n = rows · columns."""
        rows, columns = self.sides(nodes)
        across = [(i, i + 1) for i in range(nodes) if (i + 1) % columns]
        down = [(i, i + columns) for i in range((rows - 1) * columns)]
        return _graph(nodes, across + down)


@register("graph", "torus")
class Torus(_Rectangle):
    """A grid whose opposite sides are joined; node = row · columns + column.

    The graph is simple: a side of 2 gives one edge, not two, and a side of 1 gives none.

    Formula: Laplacian spectrum, sides >= 3: the sums of those of the two rings.
    """

    def build(self, nodes: int) -> Graph:
        """The torus; n = rows · columns."""
        rows, columns = self.sides(nodes)
        cells = list(product(range(rows), range(columns)))
        across = [(r * columns + c, r * columns + (c + 1) % columns) for r, c in cells]
        down = [(r * columns + c, (r + 1) % rows * columns + c) for r, c in cells]
        return _graph(nodes, [(i, j) for i, j in across + down if i != j])


@register("graph", "hypercube")
class Hypercube(GraphFamily):
    """Nodes joined when their numbers differ in one binary digit; n = 2^k.

    Formula: Laplacian spectrum 2j with multiplicity C(k, j), j = 0 ... k.
    """

    def build(self, nodes: int) -> Graph:
        """The hypercube; n a power of 2."""
        _at_least_one(nodes)
        below, power = 2 ** (nodes.bit_length() - 1), nodes & (nodes - 1) == 0
        fix = f"take {below} or {2 * below} nodes"
        _require(power, f"{_nodes(nodes)} for a hypercube", "a power of 2", fix)
        digits = [2**k for k in range(nodes.bit_length() - 1)]
        return _graph(nodes, [(i, i ^ bit) for i in range(nodes) for bit in digits])


@register("graph", "complete-bipartite")
class CompleteBipartite(GraphFamily):
    """Nodes 0 ... left−1 joined to all of left ... n−1.

    Formula: Laplacian spectrum {0, q (p−1 times), p (q−1 times), p + q} for sides p and q.
    """

    left: int | None = Field(
        None, ge=1, description="nodes of the first side, p; default n // 2 (the second has n − p)"
    )

    def build(self, nodes: int) -> Graph:
        """The complete bipartite graph; n > left."""
        left = nodes // 2 if self.left is None else self.left
        _require(
            0 < left < nodes,
            f"{_nodes(nodes)} for a first side of {left}",
            "at least one node on each side",
            "lower left or add nodes",
        )
        return _graph(nodes, product(range(left), range(left, nodes)))


def _graph(nodes: int, edges: Iterable[tuple[int, int]]) -> Graph:
    graph: Graph = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges)
    return graph


def _edge_mistake(nodes: int, edge: tuple[int, ...]) -> str:
    if len(edge) != 2:
        return f"got the edge {list(edge)}; expected a pair of nodes; write [i, j]"
    if not all(0 <= end < nodes for end in edge):
        return (
            f"got the edge {list(edge)}; expected nodes 0 ... {nodes - 1}; number nodes from 0 in "
            "the order of the spec"
        )
    if edge[0] == edge[1]:
        return f"got the edge {list(edge)}; expected two different nodes; drop the loop"
    return ""


def _at_least_one(nodes: int) -> None:
    _require(nodes >= 1, f"{nodes} nodes", "at least 1", "add nodes")


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _require(holds: bool, got: str, expected: str, do: str) -> None:
    if not holds:
        raise UserMistakeError(f"got {got}; expected {expected}; {do}")
