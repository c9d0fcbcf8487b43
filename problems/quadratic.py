"""The quadratic problem as a spec words it: given numbers or seeded generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.machine import memory
from hzbench.core.problem import Placement
from hzbench.core.registry import register
from hzbench.problems.arrays import (
    LINEAR,
    ROTATION,
    Matrix,
    Stack,
    Vector,
    array,
    array_mistakes,
    diagonal_of,
    generator,
    last_length,
    psd_mistakes,
    raise_mistakes,
    when,
)
from hzbench.problems.convexity import ROUNDING, least_curvature
from hzbench.problems.quadratic_model import QuadraticProblem
from hzbench.problems.starting import StartedComponent

Array = NDArray[np.float64]
_LEAST = 1e-150  # eigenvalues below leave no room for the squares of what is divided by them
_EXCLUSIVE = (
    ("hessian", ("hessians", "spectrum", "rotation", "strong_convexity", "smoothness")),
    ("hessians", ("spectrum", "rotation", "strong_convexity", "smoothness")),
    ("linear_terms", ("heterogeneity",)),
    ("noise_covariance", ("noise",)),
)


@register("problem", "quadratic")
class QuadraticComponent(StartedComponent):
    """Strongly convex quadratics whose moments are known exactly for every linear method.

    Everything that a generator draws can be given as numbers instead.

    Formula:
    f_i(x) = ½ x'A_i x − b_i'x, one sample F_i(x, ζ) = f_i(x) + ζ'x with ζ ~ N(0, Σ_i/b) shared by
    all evaluations of the sample; A = Q diag(a_1, ..., a_d) Q' unless given.

    Source: Ansaripour, Talaei, Nadiradze, Alistarh, "Hybrid Decentralized Optimization", AAAI 2025,
    the strongly convex case; exact moments derived in hzbench.theory.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"dimension": 3, "noise": 0.3, "heterogeneity": 0.5},
        {"dimension": 2, "rotation": True, "evaluation_noise": 0.1},
    )

    dimension: int | None = Field(None, ge=1, description="d; may be left out if an array has it")
    spectrum: Literal["isotropic", "linear", "log", "power", "tridiagonal"] | Vector = Field(
        "linear",
        description="eigenvalues of the Hessian: all = smoothness; evenly spaced; evenly spaced "
        "logs; smoothness · k^(−p) down to strong_convexity; those of α tridiag(−1, 2, −1) + βI, "
        "Nesterov's worst case with its linear term αe_1 (start at 0); or the d numbers themselves",
    )
    strong_convexity: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="least eigenvalue μ of a named spectrum; default smoothness / 10",
    )
    smoothness: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="largest eigenvalue L of a named spectrum"
    )
    rotation: bool | Matrix = Field(
        False, description="false: diagonal Hessian; true: Haar-random Q; or Q itself, d×d"
    )
    hessian: Matrix | None = Field(None, description="the Hessian of all nodes, d×d")
    hessians: Stack | None = Field(None, description="one Hessian a node, n×d×d")
    linear_terms: Matrix | None = Field(None, description="b_i, n×d")
    heterogeneity: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="ζ: b_i are seeded Gaussians of mean zero over the nodes with "
        "(1/n) Σ|b_i|² = ζ² (0 for one node)",
    )
    noise: float | Vector = Field(
        0.0, description="standard deviation of ζ a coordinate: one number or d of them"
    )
    noise_covariance: Matrix | Stack | None = Field(None, description="Σ, d×d or n×d×d")
    evaluation_noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="standard deviation that a function call adds"
    )

    def mistakes(self, placement: Placement) -> list[str]:
        """Every mistake: conflicting keys, shapes, non-finite, asymmetric or indefinite values."""
        found = self._conflicts()
        d = self._dimension()
        if d is None:
            return [*found, "got no dimension; expected dimension = d; give it, or an array"]
        if 8 * d**2 > memory():
            found.append(
                f"dimension: got {d}, whose Hessian would take {8 * d**2 / 2**30:.3g} GiB; "
                f"expected less than the {memory() / 2**30:.3g} GiB of this machine; lower it"
            )
            return found
        shapes = self._shape_mistakes(placement.nodes, d)
        return [*found, *(shapes or self._value_mistakes(d))]

    def build(self, placement: Placement) -> QuadraticProblem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), "quadratic")
        n, d = placement.nodes, self._dimension() or 1
        return QuadraticProblem(
            hessians=self._hessians(d),
            linear=self._linear(n, d),
            noise=self._noise(d),
            evaluation_noise=self.evaluation_noise,
            initial=self.starts(n, d),
            device=placement.device,
            dtype=placement.dtype,
            edges=self._edges(d),
        )

    def _dimension(self) -> int | None:
        """The declared dimension, else that of the first array given."""
        if self.dimension is not None:
            return self.dimension
        lengths = (last_length(value) for _, value, _ in self._arrays(0, 0))
        return next((length for length in lengths if length), None)

    def _arrays(self, n: int, d: int) -> list[tuple[str, Any, tuple[tuple[int, ...], ...]]]:
        """Name, value and allowed shapes of every array that the spec gives."""
        listed: list[tuple[str, Any, tuple[tuple[int, ...], ...]]] = [
            ("hessian", self.hessian, ((d, d),)),
            ("hessians", self.hessians, ((n, d, d),)),
            ("spectrum", None if isinstance(self.spectrum, str) else self.spectrum, ((d,),)),
            ("rotation", None if isinstance(self.rotation, bool) else self.rotation, ((d, d),)),
            ("linear_terms", self.linear_terms, ((n, d),)),
            ("noise", self.noise, ((), (d,))),
            ("noise_covariance", self.noise_covariance, ((d, d), (n, d, d))),
            ("initial", self.initial, ((), (d,), (n, d))),
        ]
        return [item for item in listed if item[1] is not None]

    def _conflicts(self) -> list[str]:
        given = {key for key in self.model_fields_set if getattr(self, key) is not None}
        return [
            f"got both {key} and {other}; expected one of them; drop {other}"
            for key, others in _EXCLUSIVE
            for other in others
            if key in given and other in given
        ]

    def _shape_mistakes(self, n: int, d: int) -> list[str]:
        return [
            mistake
            for name, value, shapes in self._arrays(n, d)
            for mistake in array_mistakes(name, value, *shapes)
        ]

    def _value_mistakes(self, d: int) -> list[str]:
        spectrum = self._spectrum_mistakes() or self._rounding_mistakes(d)
        found = self._noise_mistakes() + spectrum + self._rotation_mistakes(d)
        for name, value in (("hessian", self.hessian), ("hessians", self.hessians)):
            if value is not None:
                matrices = array(value).reshape(-1, d, d)
                found += psd_mistakes(name, matrices) or _mean_mistakes(name, matrices)
        return found

    def _noise_mistakes(self) -> list[str]:
        least = float(array(self.noise).min())
        text = f"got noise {least:.4g}; expected standard deviations >= 0; drop the sign"
        if self.noise_covariance is None:
            return when(least < 0, text)
        return when(least < 0, text) + psd_mistakes(
            "noise_covariance", array(self.noise_covariance)
        )

    def _spectrum_mistakes(self) -> list[str]:
        smooth = self.smoothness
        mu = smooth if self.strong_convexity is None else self.strong_convexity
        if not isinstance(self.spectrum, str):
            least = min(self.spectrum)
            return when(
                least <= 0,
                f"got the eigenvalue {least:.4g} in spectrum; expected positive eigenvalues (a "
                "unique optimum); raise it",
            )
        if self.spectrum == "isotropic":
            return when(
                mu != smooth,
                f"got strong_convexity {mu:g} with an isotropic spectrum of {smooth:g}; expected "
                "equal numbers; leave strong_convexity out",
            )
        found = when(
            self.spectrum == "tridiagonal" and self.rotation is not False,
            "got a rotation of the tridiagonal worst case; expected none, since its basis is what "
            "makes it hard; drop rotation",
        )
        return found + when(
            mu > smooth,
            f"got strong_convexity {mu:g} above smoothness {smooth:g}; expected at most that; "
            "lower it or raise smoothness",
        )

    def _rounding_mistakes(self, d: int) -> list[str]:
        """Eigenvalues that no full matrix of doubles has; a diagonal one holds nearly all."""
        edges = self._edges(d)
        if edges is None:
            return []
        least, largest = edges
        full = d > 1 and (self.rotation is not False or self._chained(d))
        floor = ROUNDING * largest if full else _LEAST
        return when(
            not least > floor,
            f"got eigenvalues from {least:.4g} to {largest:.4g} of a "
            f"{'full' if full else 'diagonal'} Hessian; expected the least above {floor:.4g}, "
            "since doubles lose it below; raise strong_convexity or spectrum"
            f"{', or drop rotation' if full else ''}",
        )

    def _rotation_mistakes(self, d: int) -> list[str]:
        if isinstance(self.rotation, bool):
            return []
        q = array(self.rotation)
        error = float(np.abs(q @ q.T - np.eye(d)).max())
        return when(
            error > 1e-8,
            f"got a rotation with |QQ' − I| = {error:.3g}; expected an orthogonal matrix; "
            "orthogonalise it",
        )

    def _hessians(self, d: int) -> Array:
        """[1 or n, d] if all are diagonal, else [1 or n, d, d]."""
        given = self.hessian if self.hessian is not None else self.hessians
        if given is not None:
            full = array(given).reshape(-1, d, d)
            full = 0.5 * (full + np.swapaxes(full, 1, 2))
            shared = full[:1] if (full == full[0]).all() else full
            diagonal = diagonal_of(shared)
            return shared if diagonal is None else diagonal
        if self._chained(d):
            return self._tridiagonal(d)[0][None]
        eigenvalues = self._eigenvalues(d)
        if self.rotation is False:
            return eigenvalues[None]
        q = array(self.rotation) if self.rotation is not True else _haar(self.instance_seed, d)
        rotated = (q * eigenvalues) @ q.T
        return np.asarray(0.5 * (rotated + rotated.T)[None])

    def _eigenvalues(self, d: int) -> Array:
        """The spectrum; a named one ascends, and is L alone for d = 1."""
        high = self.smoothness
        low = high / 10 if self.strong_convexity is None else self.strong_convexity
        if not isinstance(self.spectrum, str):
            return array(self.spectrum)
        if self.spectrum == "isotropic" or d == 1:
            return np.full(d, high)
        if self.spectrum == "linear":
            return np.linspace(low, high, d)
        if self.spectrum == "log":
            return np.geomspace(low, high, d)
        exponent = np.log(high / low) / np.log(d)
        return np.asarray(high * np.arange(d, 0, -1.0) ** -exponent)

    def _edges(self, d: int) -> tuple[float, float] | None:
        """Least and largest eigenvalue that the spec states, None with Hessians of its own."""
        if self.hessian is not None or self.hessians is not None:
            return None
        if self._chained(d):
            low = self.strong_convexity
            return self.smoothness / 10 if low is None else low, self.smoothness
        eigenvalues = self._eigenvalues(d)
        return float(eigenvalues.min()), float(eigenvalues.max())

    def _chained(self, d: int) -> bool:
        """Whether the Hessian is the tridiagonal worst case."""
        given = self.hessian is not None or self.hessians is not None
        return self.spectrum == "tridiagonal" and d > 1 and not given

    def _tridiagonal(self, d: int) -> tuple[Array, float]:
        """α tridiag(−1, 2, −1) + βI with extreme eigenvalues L and μ, [d, d], and α.

        The eigenvalues of the first matrix are 2 − 2 cos(kπ/(d + 1)), k = 1 ... d.
        """
        high = self.smoothness
        low = high / 10 if self.strong_convexity is None else self.strong_convexity
        edge = 2.0 * np.cos(np.pi / (d + 1))
        alpha = (high - low) / (2.0 * edge)
        chain = 2.0 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
        return alpha * chain + (low - alpha * (2.0 - edge)) * np.eye(d), alpha

    def _linear(self, n: int, d: int) -> Array:
        drawn = self._tilts(n, d)
        if self.linear_terms is None and self._chained(d):
            drawn[:, 0] += self._tridiagonal(d)[1]
        return drawn

    def _tilts(self, n: int, d: int) -> Array:
        """b_i as given, or seeded with mean zero over the nodes."""
        if self.linear_terms is not None:
            return array(self.linear_terms)
        drawn = generator(self.instance_seed, LINEAR).standard_normal((n, d))
        drawn -= drawn.mean(axis=0)
        size = np.sqrt((drawn**2).sum() / n)
        if n == 1 or self.heterogeneity == 0:
            return np.zeros((n, d))
        return np.asarray(drawn * (self.heterogeneity / size))

    def _noise(self, d: int) -> Array:
        """Σ: [1 or n, d] if all are diagonal, else [1 or n, d, d]."""
        if self.noise_covariance is None:
            return np.broadcast_to(array(self.noise) ** 2, (1, d)).copy()
        full = array(self.noise_covariance).reshape(-1, d, d)
        diagonal = diagonal_of(full)
        return full if diagonal is None else diagonal


def _haar(seed: int, d: int) -> Array:
    """Haar up to the signs of its columns, which Q diag(a) Q' does not see; shape [d, d]."""
    return np.asarray(np.linalg.qr(generator(seed, ROTATION).standard_normal((d, d)))[0])


def _mean_mistakes(name: str, matrices: Array) -> list[str]:
    least = least_curvature(matrices.mean(axis=0))
    return when(
        not least > _LEAST,
        f"got {name} whose mean has the eigenvalue {least:.3g}; expected a positive definite "
        "mean (a unique optimum); add a multiple of the identity",
    )
