"""The numbers of a quadratic setting, coordinate by coordinate, in the basis that decouples it.

Where all Hessians are diagonal (or commute, under rotation-invariant direction laws), node i has
in coordinate k, with x* = 0,

    E G_ik = h_ik = a_ik x_ik − β_ik,   Var G_ik = s_ik + α_i E h_ik² + θ_i Σ_l E h_il²,

and nothing else of the problem enters a second moment. Closed forms and fast recursions start here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, EstimatorLaw, GradientLaw, Quadratic
from hzbench.theory.directions import ROTATION_INVARIANT
from hzbench.theory.oracles import covariance_diagonal, law_constants, quadratic_constants
from hzbench.theory.stacks import is_diagonal, minimiser, one_if_shared

Array = NDArray[np.float64]
_COMMUTE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """n nodes in d decoupled coordinates, the optimum at 0.

    Attributes:
        curvature: a, shape [n, d].
        offset: β, the negative gradients at the optimum, shape [n, d]; they sum to 0 over nodes
            if all curvatures are equal.
        constant: s, the noise that does not depend on the point, shape [n, d].
        own: α, growth of the noise with the gradient in its own coordinate, shape [n].
        shared: θ, growth with the whole gradient, shape [n].
        steps: η, shape [n].
        start: starting points, shape [n, d].
        optimum: x* in the problem's coordinates, shape [d].
        basis: columns are the directions of the coordinates, shape [d, d]; None for the problem's.
    """

    curvature: Array
    offset: Array
    constant: Array
    own: Array
    shared: Array
    steps: Array
    start: Array
    optimum: Array
    basis: Array | None

    @property
    def growth(self) -> Array:
        """τ = α + dθ, the growth of the trace of the noise with |h|², shape [n]."""
        total: Array = self.own + self.curvature.shape[1] * self.shared
        return total

    @property
    def floor_noise(self) -> Array:
        """Noise at the optimum, s_ik + α β_ik² + θ |β_i|², shape [n, d]."""
        squares = self.offset**2
        total = squares.sum(1, keepdims=True)
        result: Array = self.constant + self.own[:, None] * squares + self.shared[:, None] * total
        return result


def coordinates(setting: Setting) -> Coordinates | None:
    """The decoupled numbers of a setting, or None if it does not decouple.

    Args:
        setting: quadratic f_i, gradients and differences along random vectors; otherwise None.
    """
    structure = setting.problem.structure
    known = all(isinstance(law, GradientLaw | DifferenceLaw) for law in setting.laws)
    if not isinstance(structure, Quadratic) or not known:
        return None
    A = one_if_shared(structure.hessians)
    found = _basis(A, setting.laws)
    if found is None:
        return None
    basis = found if found.size else None
    n, d = structure.linear.shape
    a = np.broadcast_to(_diagonals(A, basis), (n, d))
    optimum = minimiser(structure.hessians, structure.linear)
    offset = structure.linear - A @ optimum
    start = setting.problem.initial - optimum
    constant, own, shared = _noise(setting, structure, basis)
    return Coordinates(
        curvature=a,
        offset=offset if basis is None else offset @ basis,
        constant=constant,
        own=own,
        shared=shared,
        steps=np.asarray(setting.step_sizes, dtype=float),
        start=start if basis is None else start @ basis,
        optimum=optimum,
        basis=basis,
    )


def _basis(A: Array, laws: tuple[EstimatorLaw, ...]) -> Array | None:
    """Common eigenvectors, an empty array if the axes will do, None if there are none."""
    if is_diagonal(A):
        return np.empty((0, 0))
    differences = [law for law in laws if isinstance(law, DifferenceLaw)]
    if any(law.directions not in ROTATION_INVARIANT for law in differences):
        return None
    weights = 1.0 + 0.1 * np.cos(np.arange(len(A)))
    vectors = np.linalg.eigh(np.tensordot(weights, A, axes=1))[1]
    rotated = vectors.T @ A @ vectors
    off = np.abs(rotated * (1.0 - np.eye(A.shape[1]))).max(initial=0.0)
    return vectors if off <= _COMMUTE * np.abs(A).max(initial=1e-300) else None


def _diagonals(stack: Array, basis: Array | None) -> Array:
    """Diagonals of Q'MQ, shape [m, d]."""
    result: Array = np.einsum("nkk->nk", stack)
    if basis is not None:
        result = np.einsum("lk,nlm,mk->nk", basis, stack, basis, optimize=True)
    return result


def _noise(
    setting: Setting, structure: Quadratic, basis: Array | None
) -> tuple[Array, Array, Array]:
    """(s [n, d], α [n], θ [n]), read off the covariance of an estimate, linear in E hh'."""
    n, d = structure.linear.shape
    laws = law_constants(setting.laws, d)
    S = np.broadcast_to(_diagonals(one_if_shared(structure.noise), basis), (n, d))
    S, zero = S.T * laws.batch, np.zeros((d, n))
    constant = covariance_diagonal(laws, zero, S, call_noise(setting.laws, structure, basis).T)
    unit = zero.copy()
    unit[0] = 1.0
    response = covariance_diagonal(laws, unit, zero, zero)
    shared = response[-1] if d > 1 else np.zeros(n)
    return constant.T, response[0] - shared, shared


def call_noise(
    laws: tuple[EstimatorLaw, ...], structure: Quadratic, basis: Array | None = None
) -> Array:
    """Diagonals of the curvature and call noise of every node, each distinct node once, [n, d]."""
    n, d = structure.linear.shape
    alike = len(one_if_shared(structure.hessians)) == 1
    known: dict[tuple[EstimatorLaw, int], Array] = {}
    rows = np.empty((n, d))
    for i, law in enumerate(laws):
        key = (law, 0 if alike else i)
        if key not in known:
            single = Quadratic(
                hessians=structure.hessians[i : i + 1],
                linear=structure.linear[i : i + 1],
                noise=structure.noise[i : i + 1],
                evaluation_noise=structure.evaluation_noise,
            )
            known[key] = _diagonals(quadratic_constants(single, (law,)), basis)[0]
        rows[i] = known[key]
    return rows
