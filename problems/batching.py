"""Products of many rows with their node's matrix, without gathering a matrix a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hzbench.core import streams

if TYPE_CHECKING:
    from torch import Tensor


def node_matmul(points: Tensor, node: Tensor, matrices: Tensor) -> Tensor:
    """points[b] @ matrices[node[b]], by one batched product over the nodes that occur.

    Arguments:
        points: shape [B, k, d].
        node: shape [B].
        matrices: shape [n, d, e], or [1, d, e] when all nodes share one.

    Returns:
        Shape [B, k, e].
    """
    import torch

    if len(matrices) == 1:
        flat = points.reshape(-1, points.shape[-1]) @ matrices[0]
        return flat.reshape(*points.shape[:-1], matrices.shape[-1])
    if not streams.on_host(node):
        return _tiled(points, node, matrices)
    if _in_order(node, len(matrices)):
        product = torch.bmm(points.reshape(len(matrices), -1, points.shape[-1]), matrices)
        return product.reshape(*points.shape[:-1], matrices.shape[-1])
    present, group, counts = torch.unique(node, return_inverse=True, return_counts=True)
    order = torch.argsort(group, stable=True)
    first = torch.cumsum(counts, 0) - counts
    place = torch.empty_like(group)
    place[order] = torch.arange(len(node), device=node.device) - first[group[order]]
    largest = int(counts.max()) if len(counts) else 0
    padded = points.new_zeros(len(present), largest, *points.shape[1:])
    padded[group, place] = points
    those = matrices if len(present) == len(matrices) else matrices[present]
    product = torch.bmm(padded.flatten(1, 2), those)
    shaped: Tensor = product.reshape(len(present), largest, points.shape[1], -1)[group, place]
    return shaped


def _tiled(points: Tensor, node: Tensor, matrices: Tensor) -> Tensor:
    """The same without a question to the device: how many rows a node has stays unknown.

    Rows lie in tiles of B/n rows of one node. At most 2n of them are needed however the rows share
    out; those that are not hold zeros.
    """
    import torch

    n, rows, inner = len(matrices), len(node), points.shape[1]
    size = max(1, -(-rows // n))
    tiles = torch.arange(rows // size + n, device=node.device)
    counts = node.new_zeros(n).index_add_(0, node, torch.ones_like(node))
    last = torch.cumsum((counts + size - 1) // size, 0)  # behind the last tile of every node
    order = torch.argsort(node, stable=True)
    owner = node[order]
    before = torch.cumsum(counts, 0) - counts
    first = torch.cat([last.new_zeros(1), last[:-1]])
    place = torch.empty_like(node)
    place[order] = size * first[owner] + torch.arange(rows, device=node.device) - before[owner]
    padded = points.new_zeros(size * len(tiles), *points.shape[1:])
    padded[place] = points
    those = matrices[torch.searchsorted(last, tiles, right=True).clamp_max(n - 1)]
    product = torch.bmm(padded.view(len(tiles), size * inner, -1), those)
    return product.view(len(padded), inner, -1)[place]


def _in_order(node: Tensor, nodes: int) -> bool:
    """Whether the rows are those of node 0, then of node 1, ..., equally many of each."""
    import torch

    if len(node) % nodes:
        return False
    expected = torch.arange(nodes, device=node.device)[:, None]
    return bool((node.view(nodes, -1) == expected).all())
