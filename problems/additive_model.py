"""One function on all nodes, made heterogeneous by tilts and noisy by a random linear term."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.core.streams import Purpose, Rows, normals
from hzbench.core.structure import BatchSize
from hzbench.problems.quadratic_model import GradientNoise

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


class Function(Protocol):
    """A differentiable function g on R^d, on one device and in one number format."""

    def value(self, x: Tensor) -> Tensor:
        """g(x): [..., d] -> [...]."""

    def gradient(self, x: Tensor) -> Tensor:
        """∇g(x): [..., d] -> [..., d]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AdditiveProblem:
    """f_i(x) = g(x) − b_i'x with Σ b_i = 0, so f = g; one sample F_i(x, ζ) = f_i(x) + ζ'x.

    Attributes:
        function: g.
        tilts: b_i, shape [n, d].
        deviation: standard deviations of ζ ~ N(0, diag) a coordinate, shape [d].
        evaluation_noise: standard deviation that every function call adds.
        constants: declared constants.
        optimum: argmin g, shape [d]; empty when unknown.
        initial: starting points, shape [n, d].
        device: torch device name.
        dtype: "float64" or "float32".
    """

    function: Function
    tilts: Array
    deviation: Array
    evaluation_noise: float
    constants: Constants
    optimum: Array
    initial: Array
    device: str
    dtype: Literal["float64", "float32"]

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return len(self.tilts)

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.tilts.shape[1])

    @property
    def structure(self) -> None:
        """None: theory knows these problems by their constants alone."""
        return

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> GradientNoise:
        """ζ ~ N(0, Σ/b); none for "full" or without noise."""
        if batch_size == "full" or not self.deviation.any():
            return GradientNoise(count=count, zeta=None)
        normal = normals(rows, Purpose.DATA, count * self.dimension).to(self._scale.dtype)
        zeta = normal.view(len(rows), count, -1) * (self._scale / batch_size**0.5)
        return GradientNoise(count=count, zeta=zeta)

    def values(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """F_i(points; ζ): [B, s, p, d] -> [B, s, p]."""
        slope = -self._tilts[node][:, None, None]
        if sample.zeta is not None:
            slope = slope + sample.zeta[:, :, None]
        return self.function.value(points) + (slope * points).sum(-1)

    def gradients(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """∇g(x) − b_i + ζ: [B, d] -> [B, s, d]."""
        exact = (self.function.gradient(points) - self._tilts[node])[:, None]
        if sample.zeta is None:
            return exact.expand(-1, sample.count, -1)
        return exact + sample.zeta

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """The trace of Σ, whatever x: [B, d], [B] -> [B]."""
        return (self._scale**2).sum().to(x.dtype).expand(len(node))

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Σ, whatever x: [B, d], [B] -> [B, d, d]."""
        del x
        return (self._scale**2).diag_embed().expand(len(node), -1, -1)

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """b; the noise-free oracle "full" counts as one sample."""
        import torch

        return torch.full_like(node, 1 if batch_size == "full" else batch_size)

    def objective(self, x: Tensor) -> Tensor:
        """f(x) = g(x): [R, d] -> [R]."""
        return self.function.value(x)

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x) = ∇g(x): [R, d] -> [R, d]."""
        return self.function.gradient(x)

    @cached_property
    def _tilts(self) -> Tensor:
        return tensor(self.tilts, self.device, self.dtype)

    @cached_property
    def _scale(self) -> Tensor:
        return tensor(self.deviation, self.device, self.dtype)


def tensor(values: Array, device: str, dtype: Literal["float64", "float32"]) -> Tensor:
    """An array on the device, in the number format."""
    import torch

    return torch.from_numpy(np.array(values)).to(device=device, dtype=getattr(torch, dtype))
