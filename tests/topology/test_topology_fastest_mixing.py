"""Fastest mixing weights: no crash, no digit lost where edges are alike, optimal elsewhere."""

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog

from hzbench.topology import fastest_mixing
from hzbench.topology.fastest_mixing import FastestMixing

ALIKE = {
    **{f"star-{n}": nx.star_graph(n - 1) for n in range(13, 21)},
    **{f"complete-{n}": nx.complete_graph(n) for n in (9, 11)},
    "path-21": nx.path_graph(21),
    "ring-18": nx.cycle_graph(18),
    "complete-bipartite-7-5": nx.complete_bipartite_graph(7, 5),
}


def rate(W):
    return np.abs(np.linalg.eigvalsh(W - 1 / len(W))).max()


def closed(graph):
    """Of the best equal weights, from networkx's Laplacian; cos(π/n) on paths agrees."""
    values = np.linalg.eigvalsh(nx.laplacian_matrix(graph).toarray().astype(float))
    weight = min(1 / max(d for _, d in graph.degree), 2 / (values[1] + values[-1]))
    return np.abs(1 - weight * values[1:]).max()


def torus_rate(rows, columns):
    """The least rate of a torus: by symmetry one weight a direction, so a linear program.

    Eigenvalues 1 − v(2 − 2cos 2πi/r) − w(2 − 2cos 2πj/c); minimise s with |each| ≤ s but the first,
    2v + 2w ≤ 1.
    """
    i, j = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    waves = np.stack(
        [2 - 2 * np.cos(2 * np.pi * i / rows), 2 - 2 * np.cos(2 * np.pi * j / columns)]
    )
    waves = waves.reshape(2, -1)[:, 1:].T
    one = np.ones((len(waves), 1))
    sides = np.vstack([np.hstack([-waves, -one]), np.hstack([waves, -one]), [[2, 2, 0]]])
    limits = np.concatenate([-np.ones(len(waves)), np.ones(len(waves)), [1]])
    return linprog([0, 0, 1], A_ub=sides, b_ub=limits).fun


@pytest.mark.parametrize("name", ALIKE)
def test_no_digit_is_lost_where_equal_weights_are_optimal(name, monkeypatch):
    graph = ALIKE[name]
    assert rate(FastestMixing().build(graph)) == pytest.approx(closed(graph), rel=1e-12, abs=1e-14)
    monkeypatch.setattr(fastest_mixing, "_equal_weights", lambda e: np.zeros(e.shape[1]))
    program = rate(FastestMixing().build(graph))  # without their help: as accurate as the solver
    assert program == pytest.approx(closed(graph), abs=2e-8)


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (3, 6), (4, 6), (3, 7)])
def test_a_torus_with_unequal_sides_has_two_weights(rows, columns):
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, columns, periodic=True))
    best = torus_rate(rows, columns)
    assert rate(FastestMixing().build(graph)) == pytest.approx(best, abs=1e-8)
    assert best < closed(graph) - 0.01
