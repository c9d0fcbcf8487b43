"""Theorem: how well connected a random graph can be, beside the edge of the semicircle (B13)."""

from math import sqrt

import numpy as np

from hzbench.core.prediction import Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.graphs import Edges, GraphError, edge_list

MUTANTS = ("edges_drawn_twice",)


@register("theorem", "random_graph_edge", mutants=MUTANTS)
def random_graph_edge(setting: Setting) -> Prediction:
    """Lower bound on the second largest |eigenvalue| of the normalised adjacency of a drawn graph.

    Setting and assumptions: an Erdős–Rényi graph with p < 1, n >= 3, as drawn.

    Formula:
        N = D^(−1/2) A D^(−1/2) has the eigenvalue 1 once, so the others have the mean square
        (tr N² − 1)/(n − 1), tr N² = 2 Σ_edges 1/(d_i d_j), and the largest |λ| of them is at least
        its root, for every graph. For Erdős–Rényi graphs that root is about sqrt((1−p)/(np)), and
        the eigenvalues fill a semicircle whose edge is twice its standard deviation:
        |λ_2| → 2 sqrt((1−p)/(np)) as np/log n grows. That limit is asymptotic: it is printed beside
        the bound, the ratio measured/bound is reported (it tends to 2), and nothing is validated.

    Guarantee:
        lower bound; tight for flat spectra, 2 for large random graphs.

    Source:
        own derivation; for the limit Chung, Lu, Vu 2003.

    Args:
        setting: n nodes.

    Returns:
        Kind lower at step 0: adjacency_slem [1].

    Example:
        `core-tight`, case `random-graph-dense`, step 0: adjacency_slem = 0.0241438.
    """
    network, n = setting.network, setting.nodes
    probability = float(network.graph_parameters.get("probability", 0.5))
    edges: Edges = ()
    detail = f"graph = {network.graph}"
    try:
        edges = edge_list(network, n)
    except GraphError as error:
        detail = str(error)
    drawn = network.graph == "erdos-renyi" and probability < 1 and n >= 3 and len(edges) > 0

    def compute() -> tuple[Values, Values]:
        return {"adjacency_slem": np.array([spectral_deviation(edges, n)])}, {}

    limit = 2 * sqrt(max(1 - probability, 0.0) / (n * probability))
    return conclude(
        "random_graph_edge",
        statement="No graph has a smaller second eigenvalue than the root mean square of all; "
        f"for these random graphs the limit is 2 sqrt((1−p)/(np)) = {limit:.3g}.",
        source=sources.RANDOM_GRAPH_EDGE,
        kind="lower",
        assumptions=(
            assume("a connected Erdős–Rényi graph with p < 1", drawn, detail),
            assume("the start is recorded", 0 in setting.record, f"record = {setting.record}"),
        ),
        steps=(0,),
        compute=compute,
        validity="every n; half of the measured value for large random graphs",
        mutants=MUTANTS,
    )


def spectral_deviation(edges: Edges, n: int) -> float:
    """Root mean square of the eigenvalues of N other than its 1."""
    i, j = np.array(edges).T
    degrees = np.bincount(np.concatenate([i, j]), minlength=n)
    square = 2.0 * float((1.0 / (degrees[i] * degrees[j])).sum())
    return sqrt((square - 1.0) / (n - 1.0))
