"""The quadratic problem at run time: closed forms on a torch device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.core.objective import DENSE, DIAGONAL, Objective, objective
from hzbench.core.streams import Purpose, Rows, normals
from hzbench.core.structure import BatchSize, Quadratic
from hzbench.problems.batching import node_matmul
from hzbench.problems.convexity import least_curvature

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]
_LOST = 1e-9  # of f*: more than this that rounding may take is told


@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """One data sample: ζ, shared by all evaluations of the sample.

    Attributes:
        count: s, samples a row.
        zeta: shape [B, s, d], or None for no noise.
    """

    count: int
    zeta: Tensor | None


@dataclass(frozen=True, kw_only=True, eq=False)
class QuadraticProblem:
    """f_i(x) = ½ x'A_i x − b_i'x with sample noise ζ'x. `m` below is 1 (shared by all nodes) or n.

    Attributes:
        hessians: A_i, shape [m, d] (their diagonals, when all are diagonal) or [m, d, d].
        linear: b_i, shape [n, d].
        noise: Σ_i, shape [m, d] (diagonals) or [m, d, d].
        evaluation_noise: standard deviation that every function call adds.
        initial: starting points, shape [n, d].
        device: torch device name.
        dtype: "float64" or "float32".
        edges: (least, largest) eigenvalue of the shared Hessian where they were given before it.
    """

    hessians: Array
    linear: Array
    noise: Array
    evaluation_noise: float
    initial: Array
    device: str
    dtype: Literal["float64", "float32"]
    edges: tuple[float, float] | None = None

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return len(self.linear)

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.linear.shape[1])

    @cached_property
    def structure(self) -> Quadratic:
        """The closed form; matrices shared by all nodes are read-only views."""
        return Quadratic(
            hessians=_stacked(self.hessians, self.nodes),
            linear=self.linear,
            noise=_stacked(self.noise, self.nodes),
            evaluation_noise=self.evaluation_noise,
        )

    @cached_property
    def optimum(self) -> Array:
        """Ā⁻¹ b̄, shape [d]."""
        mean, b = self._mean_hessian, self.linear.mean(axis=0)
        solved = b / mean if mean.ndim == 1 else np.linalg.solve(mean, b)
        return np.asarray(solved, dtype=np.float64)

    @cached_property
    def constants(self) -> Constants:
        """Exact; heterogeneity holds everywhere only when all nodes share one Hessian."""
        shared = len(self.hessians) == 1
        least, largest = self._edges
        node_gradients = self._times_hessian(self.optimum) - self.linear
        return Constants(
            smoothness=largest,
            sample_smoothness=largest,
            strong_convexity=least,
            polyak_lojasiewicz=least,
            noise=tuple(map(float, np.broadcast_to(_traces(self.noise), (self.nodes,)))),
            heterogeneity=float((node_gradients**2).sum(axis=1).mean()),
            heterogeneity_holds="everywhere" if shared else "at the optimum",
            hessian_lipschitz=0.0,
            minimum=float(-0.5 * self.linear.mean(axis=0) @ self.optimum),
            how={
                "smoothness": "exact: largest eigenvalue of the nodes' Hessians",
                "sample_smoothness": "exact: a sample adds a linear term",
                "strong_convexity": "exact: least eigenvalue of the mean Hessian",
                "polyak_lojasiewicz": "exact: strong convexity",
                "noise": "exact: the trace of Σ_i",
                "heterogeneity": "exact: (1/n) Σ|∇f_i(x*)|²",
                "hessian_lipschitz": "exact: Hessians are constant",
                "minimum": f"closed form: −½ b̄'Ā⁻¹b̄{self._rounding}",
            },
        )

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> GradientNoise:
        """ζ ~ N(0, Σ_i/b); none for "full" or without noise."""
        if batch_size == "full" or not self.noise.any():
            return GradientNoise(count=count, zeta=None)
        normal = normals(rows, Purpose.DATA, count * self.dimension).to(self._torch_dtype)
        normal = normal.view(len(rows), count, self.dimension).div_(batch_size**0.5)
        if self.noise.ndim == 2:
            return GradientNoise(count=count, zeta=normal.mul_(_of(self._factor, rows.node, 1)))
        return GradientNoise(count=count, zeta=node_matmul(normal, rows.node, self._factor))

    def values(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """F_i(points; ζ): [B, s, p, d] -> [B, s, p]."""
        slope = 0.5 * self._product(points, node) - _of(self._linear, node, 2)
        if sample.zeta is not None:
            slope = slope + sample.zeta[:, :, None, :]
        return (points * slope).sum(-1)

    def gradients(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """A_i x − b_i + ζ: [B, d] -> [B, s, d]."""
        exact = self._product(points, node).sub_(_of(self._linear, node, 0))
        if sample.zeta is None:
            return exact[:, None, :].expand(-1, sample.count, -1)
        return exact[:, None, :] + sample.zeta

    def directional_difference(
        self, points: Tensor, offsets: Tensor, node: Tensor, sample: GradientNoise
    ) -> Tensor:
        """F_i(points + offsets) − F_i(points) without cancellation: [B, s, p, d] -> [B, s, p].

        offsets'(A_i(points + ½ offsets) − b_i + ζ); `points` may have one p for all offsets.
        """
        slope = self._product(points.add(offsets, alpha=0.5), node)
        slope.sub_(_of(self._linear, node, 2))
        if sample.zeta is not None:
            slope.add_(sample.zeta[:, :, None, :])
        return (offsets * slope).sum(-1)

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """The trace of Σ_i, whatever x: [B, d], [B] -> [B]."""
        del x
        trace = self._tensor(_traces(self.noise))
        return trace.expand(len(node)) if len(trace) == 1 else trace[node]

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Σ_i, whatever x: [B, d], [B] -> [B, d, d]."""
        del x
        full = self._tensor(self.structure.noise)
        return full[node]

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """b; the noise-free oracle "full" counts as one sample."""
        import torch

        return torch.full_like(node, 1 if batch_size == "full" else batch_size)

    def objective(self, x: Tensor) -> Tensor:
        """f* + ½ (x − x*)'Ā(x − x*), which loses no digits near the optimum: [R, d] -> [R]."""
        offset = x - self._optimum
        return self.constants.minimum + 0.5 * (offset * self._mean_product(offset)).sum(-1)

    def objective_gradient(self, x: Tensor) -> Tensor:
        """Ā(x − x*): [R, d] -> [R, d]."""
        return self._mean_product(x - self._optimum)

    def compiled(self) -> Objective:
        """The same problem for compiled code."""
        dense, full = self.hessians.ndim == 3, self.noise.ndim == 3
        noise = (2 if full else 1) if self.noise.any() else 0
        linear = self.linear if self.linear.any() else self.linear[:1]
        return objective(
            DENSE if dense else DIAGONAL,
            linear=linear,
            noise=noise,
            call_noise=self.evaluation_noise,
            **{"hessians" if dense else "diagonal": self.hessians},
            **({"factor" if full else "root": self._roots} if noise else {}),
        )

    def _product(self, points: Tensor, node: Tensor) -> Tensor:
        """A_i times points [B, ..., d]."""
        if self.hessians.ndim == 2:
            return points * _of(self._hessians, node, points.ndim - 2)
        flat = points.reshape(len(points), -1, self.dimension)
        return node_matmul(flat, node, self._hessians).reshape(points.shape)

    def _mean_product(self, x: Tensor) -> Tensor:
        mean = self._mean_matrix
        return x * mean if mean.ndim == 1 else x @ mean

    def _times_hessian(self, x: Array) -> Array:
        return np.asarray(self.hessians * x if self.hessians.ndim == 2 else self.hessians @ x)

    @cached_property
    def _mean_hessian(self) -> Array:
        return np.asarray(self.hessians.mean(axis=0))

    @cached_property
    def _edges(self) -> tuple[float, float]:
        """Least eigenvalue of the mean, largest of all: as given, else computed."""
        if self.edges is not None:
            return self.edges
        mean = self._mean_hessian
        least = float(mean.min()) if mean.ndim == 1 else least_curvature(mean)
        return least, float(_eigenvalues(self.hessians).max())

    @property
    def _rounding(self) -> str:
        """What a solve with a full matrix loses, where that is worth a word."""
        least, largest = self._edges
        lost = self.dimension * np.finfo(np.float64).eps * largest / least
        return "" if self.hessians.ndim == 2 or lost < _LOST else f", to {lost:.0e} of it"

    @cached_property
    def _hessians(self) -> Tensor:
        return self._tensor(self.hessians)

    @cached_property
    def _mean_matrix(self) -> Tensor:
        return self._tensor(self._mean_hessian)

    @cached_property
    def _linear(self) -> Tensor:
        return self._tensor(self.linear if self.linear.any() else self.linear[:1])

    @cached_property
    def _optimum(self) -> Tensor:
        return self._tensor(self.optimum)

    @cached_property
    def _factor(self) -> Tensor:
        return self._tensor(self._roots)

    @cached_property
    def _roots(self) -> Array:
        """Roots sd [m, d], or S [m, d, d] with S'S = Σ, so that z'S ~ N(0, Σ) for normal z."""
        if self.noise.ndim == 2:
            return np.sqrt(self.noise)
        values, vectors = np.linalg.eigh(self.noise)
        roots = np.sqrt(np.maximum(values, 0.0))
        return np.asarray(roots[..., :, None] * np.swapaxes(vectors, -1, -2))

    @property
    def _torch_dtype(self) -> torch.dtype:
        import torch

        return torch.float64 if self.dtype == "float64" else torch.float32

    def _tensor(self, values: Array) -> Tensor:
        import torch

        copy = np.ascontiguousarray(values).copy()
        return torch.from_numpy(copy).to(device=self.device, dtype=self._torch_dtype)


def _of(table: Tensor, node: Tensor, inner: int) -> Tensor:
    """The node's line of a table [m, d], with `inner` axes of length 1 before d."""
    lines = table if len(table) == 1 else table.index_select(0, node)
    return lines.reshape(len(lines), *(1,) * inner, lines.shape[-1])


def _stacked(values: Array, nodes: int) -> Array:
    full = values if values.ndim == 3 else values[:, :, None] * np.eye(values.shape[1])
    return np.broadcast_to(full, (nodes, *full.shape[1:]))


def _eigenvalues(matrices: Array) -> Array:
    return np.asarray(matrices if matrices.ndim == 2 else np.linalg.eigvalsh(matrices))


def _traces(matrices: Array) -> Array:
    full = matrices.ndim == 3
    return np.asarray(np.trace(matrices, axis1=1, axis2=2) if full else matrices.sum(axis=1))
