"""Products with the matrices of the nodes, against one row at a time."""

import pytest
import torch

from hzbench.core import streams
from hzbench.problems.batching import node_matmul

N, K, D, E = 5, 2, 3, 4
NODES = {
    "in order": [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
    "one node": [3] * 11,
    "some": [1, 1, 1, 1, 4],
    "mixed": [4, 0, 2, 2, 0, 1, 4, 0, 0],
    "a row": [2],
    "none": [],
}


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
@pytest.mark.parametrize("on_host", [True, False])
def test_every_row_meets_the_matrix_of_its_node(node, on_host, monkeypatch):
    monkeypatch.setattr(streams, "on_host", lambda _: on_host)
    random = torch.Generator().manual_seed(1)
    points = torch.rand(len(node), K, D, generator=random, dtype=torch.float64)
    matrices = torch.rand(N, D, E, generator=random, dtype=torch.float64)
    found = node_matmul(points, torch.tensor(node, dtype=torch.int64), matrices)
    assert found.shape == (len(node), K, E)
    for row, i in enumerate(node):
        for k in range(K):
            expected = [float(points[row, k] @ matrices[i, :, e]) for e in range(E)]
            assert found[row, k].tolist() == pytest.approx(expected, rel=1e-14)
