"""Laws of search directions, each scaled so that E uu' = I, drawn from the rows' own streams."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from hzbench.core import streams
from hzbench.core.streams import Purpose, Rows
from hzbench.core.structure import DirectionLaw

if TYPE_CHECKING:
    from torch import Tensor

Draw = Callable[[Rows, int, int], "Tensor"]


def gaussian(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u ~ N(0, I), shape [B, m, d]."""
    return streams.normals(rows, Purpose.DIRECTION, m * d).view(-1, m, d)


def sphere(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u uniform on the sphere of radius sqrt(d), shape [B, m, d]."""
    import torch

    u = gaussian(rows, m, d)
    length = torch.linalg.vector_norm(u, dim=-1, keepdim=True)
    scaled: Tensor = u.mul_(math.sqrt(d)).div_(length)
    return scaled


def rademacher(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u with independent fair signs, shape [B, m, d]."""
    return streams.signs(rows, Purpose.DIRECTION, m * d).view(-1, m, d)


def coordinate(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u = ± sqrt(d) e_i, i uniform and the sign fair, shape [B, m, d]."""
    drawn = streams.words(rows, Purpose.DIRECTION, m)
    return _axes((drawn >> 1) * d >> 31, drawn, d)


def orthonormal(rows: Rows, m: int, d: int) -> Tensor:
    """Draw the first m columns of a Haar matrix, times sqrt(d); shape [B, m, d], m <= d.

    Q of the QR factors of a Gaussian matrix, with the signs that make R's diagonal positive (Haar
    only then: Mezzadri, How to generate random matrices from the classical compact groups, 2007).
    """
    import torch

    q, r = torch.linalg.qr(gaussian(rows, m, d).mT)
    signs = r.diagonal(dim1=-2, dim2=-1).sign()
    scaled: Tensor = math.sqrt(d) * (q * signs[:, None, :]).mT
    return scaled


def without_replacement(rows: Rows, m: int, d: int) -> Tensor:
    """Draw ± sqrt(d) e_i for m different i, uniformly, the signs fair; shape [B, m, d], m <= d."""
    import torch

    drawn = streams.words(rows, Purpose.DIRECTION, d + m)
    order = torch.argsort(drawn[:, :d], dim=1, stable=True)
    return _axes(order[:, :m], drawn[:, d:], d)


def _axes(index: Tensor, word: Tensor, d: int) -> Tensor:
    """± sqrt(d) e_index, the sign from the last bit of a word: [B, m], [B, m] -> [B, m, d]."""
    import torch

    sign = 1 - 2 * (word & 1)
    u = torch.zeros(*index.shape, d, dtype=torch.float64, device=index.device)
    return u.scatter_(2, index[:, :, None], (math.sqrt(d) * sign.double())[:, :, None])


DIRECTIONS: dict[str, Draw] = {
    "gaussian": gaussian,
    "sphere": sphere,
    "rademacher": rademacher,
    "coordinate": coordinate,
}
DEPENDENT: dict[str, tuple[DirectionLaw, Draw]] = {
    "orthonormal": ("sphere", orthonormal),
    "without_replacement": ("coordinate", without_replacement),
}
"""Samplings whose vectors depend on each other: the law of each vector, and how all are drawn."""
