"""Products of many rows with their node's matrix, without gathering a matrix a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def _in_order(node: Tensor, nodes: int) -> bool:
    """Whether the rows are those of node 0, then of node 1, ..., equally many of each."""
    import torch

    if len(node) % nodes:
        return False
    expected = torch.arange(nodes, device=node.device)[:, None]
    return bool((node.view(nodes, -1) == expected).all())
