"""Low-rank recovery: symmetric factorization of a matrix, seen whole or through measurements."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.registry import register
from hzbench.problems.additive_component import AdditiveComponent, Facts, Maker
from hzbench.problems.arrays import ROTATION, TRUTH, Vector, array, array_mistakes, generator, when

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
_GROWTH = "fails: quartic growth"


@dataclass(frozen=True, kw_only=True)
class _Factorization:
    target: Tensor  # M, [k, k]
    rank: int

    def value(self, x: Tensor) -> Tensor:
        return 0.25 * self._residual(x)[1].square().sum((-2, -1))

    def gradient(self, x: Tensor) -> Tensor:
        U, residual = self._residual(x)
        return (residual @ U).flatten(-2)

    def _residual(self, x: Tensor) -> tuple[Tensor, Tensor]:
        U = x.reshape(*x.shape[:-1], -1, self.rank)
        return U, U @ U.mT - self.target


@dataclass(frozen=True, kw_only=True)
class _Sensing:
    matrices: Tensor  # A_j, [N, k, k], symmetric
    targets: Tensor  # y_j, [N]
    rank: int

    def value(self, x: Tensor) -> Tensor:
        return 0.25 * self._residual(x)[1].square().mean(-1)

    def gradient(self, x: Tensor) -> Tensor:
        U, residual = self._residual(x)
        weighted = residual @ self.matrices.flatten(1)
        k = self.matrices.shape[1]
        return (weighted.reshape(*x.shape[:-1], k, k) @ U).flatten(-2) / len(self.targets)

    def _residual(self, x: Tensor) -> tuple[Tensor, Tensor]:
        U = x.reshape(*x.shape[:-1], -1, self.rank)
        return U, (U @ U.mT).flatten(-2) @ self.matrices.flatten(1).T - self.targets


class _MatrixComponent(AdditiveComponent):
    size: int = Field(4, ge=1, description="k, the matrix is k×k")
    rank: int = Field(2, ge=1, description="r, columns of U; the dimension is d = k·r")
    initial_spread: float = Field(
        0.3,
        ge=0,
        allow_inf_nan=False,
        description="standard deviation a coordinate of seeded offsets, one a node; columns that "
        "start equal stay equal",
    )

    @property
    def d(self) -> int:
        """The dimension k·r."""
        return self.size * self.rank

    def own_mistakes(self) -> list[str]:
        """A rank above the size."""
        return when(
            self.rank > self.size,
            f"got rank {self.rank} of a matrix of size {self.size}; expected at most that; lower "
            "the rank",
        )


@register("problem", "matrix_factorization")
class MatrixFactorizationComponent(_MatrixComponent):
    """Nearest low-rank factor of a positive semidefinite matrix: saddles, but no bad minimum.

    Formula:
    f_i(U) = ¼|UU' − M|_F² − <B_i, U>, U k×r, M = Q diag(λ) Q', Q Haar-random, Σ B_i = 0; one sample
    adds <Z, U>.

    Source: Eckart and Young, "The approximation of one matrix by another of lower rank", 1936 (the
    minimum); Ge, Jin and Zheng, "No spurious local minima in nonconvex low rank problems", 2017.
    """

    label: ClassVar[str] = "matrix_factorization"
    spectrum: Vector | None = Field(
        None, description="eigenvalues of M, k numbers ≥ 0; default 1, 1/2, ..., 1/k"
    )

    def own_mistakes(self) -> list[str]:
        """A spectrum of another length, or with a negative eigenvalue."""
        found = super().own_mistakes()
        if self.spectrum is None:
            return found
        found += array_mistakes("spectrum", self.spectrum, (self.size,))
        return found or when(
            min(self.spectrum) < 0 or max(self.spectrum) == 0,
            f"got eigenvalues from {min(self.spectrum):g} to {max(self.spectrum):g}; expected "
            "numbers ≥ 0, not all 0; change them",
        )

    def function(self, make: Maker) -> _Factorization:
        """The function on tensors."""
        q, spectrum = self._basis()
        return _Factorization(target=make((q * spectrum) @ q.T), rank=self.rank)

    def facts(self) -> Facts:
        """v'∇²f v = ½|UV' + VU'|² + <UU' − M, VV'> ≥ −λ_max |V|², attained at U = 0."""
        spectrum = self._basis()[1]
        rest = np.sort(spectrum)[: self.size - self.rank]
        return Facts(
            smoothness=inf,
            strong_convexity=-float(spectrum.max()),
            polyak_lojasiewicz=0.0,
            hessian_lipschitz=inf,
            minimum=0.25 * float((rest**2).sum()),
            how={
                "smoothness": _GROWTH,
                "sample_smoothness": _GROWTH,
                "strong_convexity": "exact: −λ_max(M), the curvature at U = 0",
                "polyak_lojasiewicz": "fails: U = 0 is a stationary saddle",
                "hessian_lipschitz": _GROWTH,
                "minimum": "closed form (Eckart and Young): ¼ of the squares of the eigenvalues "
                "left out; there are several minimisers, since columns may be rotated",
            },
        )

    def _basis(self) -> tuple[Array, Array]:
        """Q [k, k] and the eigenvalues [k]."""
        drawn = generator(self.instance_seed, ROTATION).standard_normal((self.size, self.size))
        given = 1 / np.arange(1.0, self.size + 1) if self.spectrum is None else array(self.spectrum)
        return np.asarray(np.linalg.qr(drawn)[0]), given


@register("problem", "matrix_sensing")
class MatrixSensingComponent(_MatrixComponent):
    """Recover a low-rank matrix from seeded Gaussian measurements of it: f* = 0 at the truth.

    Formula:
    f_i(U) = (1/4N) Σ_j (<A_j, UU'> − y_j)² − <B_i, U>, y_j = <A_j, U°U°'>, A_j symmetric Gaussian,
    |U°|_F² = r, Σ B_i = 0; one sample adds <Z, U>.

    Source: Bhojanapalli, Neyshabur and Srebro, "Global optimality of local search for low rank
    matrix recovery", 2016.
    """

    label: ClassVar[str] = "matrix_sensing"
    measurements: int = Field(40, ge=1, description="N")

    def function(self, make: Maker) -> _Sensing:
        """The function on tensors."""
        matrices, truth = self._drawn()
        targets = np.einsum("jkl,kl->j", matrices, truth @ truth.T)
        return _Sensing(matrices=make(matrices), targets=make(targets), rank=self.rank)

    def facts(self) -> Facts:
        """A sum of squares that vanishes at the truth."""
        return Facts(
            smoothness=inf,
            strong_convexity=nan,
            polyak_lojasiewicz=0.0,
            hessian_lipschitz=inf,
            minimum=0.0,
            how={
                "smoothness": _GROWTH,
                "sample_smoothness": _GROWTH,
                "polyak_lojasiewicz": "fails: U = 0 is stationary and not a minimum",
                "hessian_lipschitz": _GROWTH,
                "minimum": "closed form: a sum of squares, 0 at the truth, one of several "
                "minimisers, since its columns may be rotated",
            },
        )

    def _drawn(self) -> tuple[Array, Array]:
        """A_j [N, k, k] and the truth U° [k, r]."""
        source = generator(self.instance_seed, TRUTH)
        truth = source.standard_normal((self.size, self.rank))
        truth *= np.sqrt(self.rank) / np.linalg.norm(truth)
        drawn = source.standard_normal((self.measurements, self.size, self.size))
        return 0.5 * (drawn + drawn.swapaxes(1, 2)), truth
