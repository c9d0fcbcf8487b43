"""Theorem: how well a regular graph can mix at most (Alon and Boppana), beside random ones."""

from collections import deque
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.graphs import Edges, GraphError, edge_list, words

MUTANTS = ("two_exchanges",)
_WEIGHT = {"metropolis": 1.0, "max-degree": 1.0, "lazy": 0.5}


@register("theorem", "alon_boppana", mutants=MUTANTS)
def alon_boppana(setting: Setting) -> Prediction:
    """Lower bound on the second largest |eigenvalue| of W on a δ-regular graph.

    Setting and assumptions: matrix protocol, a δ-regular graph with two edges at distance at least
    2, Metropolis, max-degree or lazy weights: W = I − αL, α = 1/(δ + 1) (half of it for lazy ones).

    Formula:
        λ_2(L) ≤ δ − 2 sqrt(δ−1) + (2 sqrt(δ−1) − 1)/(k + 1) if two edges are at distance 2k + 2,
        so the rate is at least 1 − α times that. Random regular graphs come close as n grows: there
        |λ_2(A)| → 2 sqrt(δ−1) (Friedman), which is asymptotic, so the tightness is reported and
        never called a validation.

    Guarantee:
        lower bound; tight on the hypercube of 8 nodes, asymptotically on random graphs.

    Source:
        Nilli, On the second eigenvalue of a graph, Discrete Mathematics 91 (1991).

    Args:
        setting: n nodes.

    Returns:
        Kind lower at step 0: slem [1].

    Example:
        `core-tight`, case `hypercube-exchange`, step 0, δ = 3, two edges at distance 2:
        slem = 0.5 = 1 - (3 - 1)/4.
    """
    network, n = setting.network, setting.nodes
    rule = words(network.weights)
    degree, distance, detail = 0, 0, ""
    try:
        degree, distance = regular_degree(edge_list(network, n), n)
    except GraphError as error:
        detail = str(error)
    assumptions = (
        assume("the graph is regular", degree > 0, detail or f"degree = {degree}"),
        assume("two edges are at distance at least 2", distance >= 2, f"at most {distance}"),
        _constant_weights(setting),
        assume("the start is recorded", 0 in setting.record, f"record = {setting.record}"),
    )

    def compute() -> tuple[Values, Values]:
        bound = connectivity_bound(degree, distance)
        return {"slem": np.array([1.0 - _WEIGHT[rule] * bound / (degree + 1.0)])}, {}

    return conclude(
        "alon_boppana",
        statement="No δ-regular graph of this extent mixes faster; random ones nearly attain it.",
        source=sources.ALON_BOPPANA,
        kind="lower",
        assumptions=assumptions,
        steps=(0,),
        compute=compute,
        validity="every n; nearly tight for large random regular graphs only",
        mutants=MUTANTS,
    )


def connectivity_bound(degree: int, distance: int) -> float:
    """The bound on λ_2(L), from the largest distance of two edges (at least 2)."""
    root = 2.0 * sqrt(degree - 1.0)
    return degree - root + (root - 1.0) / (distance // 2)


def regular_degree(edges: Edges, n: int) -> tuple[int, int]:
    """(δ, the distance of two far edges, found by going to the farthest one three times).

    Any two edges give a bound; the farthest two give the best.

    Raises:
        GraphError: the degrees differ, or the graph is not connected.
    """
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for i, j in edges:
        neighbours[i].append(j)
        neighbours[j].append(i)
    degrees = {len(each) for each in neighbours}
    if len(degrees) != 1 or not edges:
        raise GraphError(f"degrees from {min(degrees)} to {max(degrees)}")
    at, distance, ends = 0, 0, np.array(edges)
    for _ in range(3):
        away = _hops(neighbours, edges[at])[ends].min(1)
        at, distance = int(away.argmax()), max(distance, int(away.max()))
    return degrees.pop(), distance


def _hops(neighbours: list[list[int]], edge: tuple[int, int]) -> NDArray[np.int64]:
    """Distance of every node from an edge, shape [n]."""
    found, queue = dict.fromkeys(edge, 0), deque(edge)
    while queue:
        node = queue.popleft()
        for other in neighbours[node]:
            if other not in found:
                found[other] = found[node] + 1
                queue.append(other)
    if len(found) < len(neighbours):
        raise GraphError("the graph is not connected")
    return np.array([found[node] for node in range(len(neighbours))])


def _constant_weights(setting: Setting) -> Assumption:
    network, rule = setting.network, words(setting.network.weights)
    fine = setting.protocol == "matrix" and network.matrix is None and rule in _WEIGHT
    detail = f"protocol = {setting.protocol}, weights = {rule}"
    return assume("W = I − αL with known α", fine, detail)
