"""Constants of the assumptions that bounds make on an estimate: bias, noise and its growth.

Every node satisfies |E G − ∇f_i| ≤ b and E|G − E G|² ≤ σ² + τ|∇f_i|² with the numbers given here.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import Setting
from hzbench.core.structure import (
    DifferenceLaw,
    DirectionLaw,
    GeneralizedLinear,
    GradientLaw,
    Quadratic,
    Separable,
)
from hzbench.theory.directions import ROTATION_INVARIANT, direction_moments
from hzbench.theory.gradients import evaluation_noise, term
from hzbench.theory.oracles import batch_factor, call_noise
from hzbench.theory.stacks import one_if_shared

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EstimatorBounds:
    """Constants over all nodes.

    Attributes:
        bias: B, the mean of b_i.
        bias_square: the mean of b_i².
        noise: the mean of σ_i².
        growth: τ, the largest τ_i.
    """

    bias: float
    bias_square: float
    noise: float
    growth: float


def estimator_bounds(setting: Setting) -> EstimatorBounds:
    """The constants of a setting whose declared constants are known and hold everywhere."""
    rows = np.array([_node_bounds(setting, i) for i in range(setting.nodes)])
    b, noise, growth = rows.T
    return EstimatorBounds(
        bias=float(b.mean()),
        bias_square=float((b**2).mean()),
        noise=float(noise.mean()),
        growth=float(growth.max()),
    )


def bias_bound(law: DifferenceLaw, d: int, smoothness: float) -> float:
    """A bound b on |E G − ∇f| of an L-smooth f.

    Formula:
        gaussian and sphere (a gradient of a smoothed f) L ν sqrt(d); rademacher and coordinate
        (Cauchy–Schwarz) ½ L ν sqrt(E|u|⁴) = ½ L ν d; 0 for exact directional derivatives.

    Source:
        own derivation (A12).
    """
    if law.difference == "directional_derivative":
        return 0.0
    factor = sqrt(d) if law.directions in ROTATION_INVARIANT else 0.5 * d
    return smoothness * law.smoothing * factor


def row_bias_bound(structure: GeneralizedLinear, node: int, law: DifferenceLaw) -> float:
    """A bound b on |E G − ∇f_i| of central differences on one node's rows, at every point.

    Formula:
        0 for the squared loss and exact derivatives. Logistic: mean_j over rows a of, with
        z = a'u, the second and third derivatives at most ¼ and M = 1/(6√3):
        gaussian and sphere (κ = 1, d/(d+2))
        |a| min(1, ¼ν|a|√κ, ½Mν²κ|a|²); rademacher and coordinate
        min(ν sqrt(E z⁴)/8, Mν² sqrt(E z⁶)/6).

    Source:
        own derivation (A12 along a row: only a'u enters, so no factor d).
    """
    if structure.loss == "squared" or law.difference == "directional_derivative":
        return 0.0
    a, nu = structure.features[structure.members[node]], law.smoothing
    third = 1.0 / (6.0 * sqrt(3.0))
    if law.directions in ROTATION_INVARIANT:
        length = np.linalg.norm(a, axis=1)
        reach = nu * length * sqrt(direction_moments(law.directions, a.shape[1]).kappa)
        slope = np.minimum(1.0, np.minimum(reach / 4.0, third / 2.0 * reach**2))
        return float((length * slope).mean())
    fourth, sixth = _projections(law.directions, a)
    limits = nu / 8.0 * np.sqrt(fourth), third * nu**2 / 6.0 * np.sqrt(sixth)
    return float(np.minimum(*limits).mean())


def _projections(directions: DirectionLaw, a: Array) -> tuple[Array, Array]:
    """E (a'u)⁴ and E (a'u)⁶ for every row a, for rademacher and coordinate."""
    d = a.shape[1]
    s2, s4, s6 = ((a**power).sum(1) for power in (2, 4, 6))
    if directions == "coordinate":
        return d * s4, d**2 * s6
    return 3 * s2**2 - 2 * s4, 15 * s2**3 - 30 * s2 * s4 + 16 * s6


def _node_bounds(setting: Setting, node: int) -> tuple[float, float, float]:
    """(b, σ², τ) of one node.

    Formula:
        gradients (0, tr Σ/b, 0); differences τ = 2ω/m, σ² = tr Σ (1 + 2ω/m) + ν²L²E|u|⁶/(2m) + call
        noise; for the logistic loss on batches tr Σ is widened to (sqrt(tr Σ) + β)², β the bias
        bound of one sample, since the bias then depends on the rows drawn.
    """
    constants, d = setting.problem.constants, setting.problem.dimension
    law = setting.laws[node]
    if isinstance(law, GradientLaw):
        return 0.0, constants.noise[node] * batch_factor(law.batch_size), 0.0
    if not isinstance(law, DifferenceLaw):
        raise TypeError(f"got the law {law}; expected a gradient or a difference")
    u = direction_moments(law.directions, d)
    data = constants.noise[node] * batch_factor(law.batch_size)
    growth = 2 * u.omega / law.samples
    if law.difference == "directional_derivative":
        return 0.0, data * (1 + growth), growth
    rough = sample_smoothness(setting, node)
    own = data
    if data and _bias_varies(setting):
        own = (sqrt(data) + bias_bound(law, d, rough)) ** 2
    curvature = law.smoothing**2 * rough**2 * u.sixth / (2 * law.samples)
    calls = evaluation_noise(setting.problem.structure)
    noise = own + growth * data + curvature + d * call_noise(law, calls)
    return bias_bound(law, d, constants.smoothness), noise, growth


def sample_smoothness(setting: Setting, node: int) -> float:
    """Smoothness of what one evaluation sees: one row's loss on random batches, f_i otherwise."""
    L = setting.problem.constants.smoothness
    structure, law = setting.problem.structure, setting.laws[node]
    if not isinstance(structure, GeneralizedLinear) or law is None or law.batch_size == "full":
        return L
    rows = structure.features[structure.members[node]]
    curvature = 0.25 if structure.loss == "logistic" else 1.0
    largest = float((rows**2).sum(1).max(initial=0.0))
    return max(L, curvature * largest + structure.regularization)


def _bias_varies(setting: Setting) -> bool:
    structure = setting.problem.structure
    return isinstance(structure, GeneralizedLinear) and structure.loss == "logistic"


def objective(setting: Setting, x: Array) -> float:
    """f(x) from the declared structure.

    Raises:
        TypeError: no structure is declared.
    """
    structure = setting.problem.structure
    if isinstance(structure, Quadratic):
        A, b = one_if_shared(structure.hessians).mean(0), structure.linear.mean(0)
        return float(0.5 * x @ A @ x - b @ x)
    if isinstance(structure, Separable):
        z = structure.rates * x
        return float(structure.coefficients.mean(0) @ term(structure.term, z)) - float(
            structure.linear.mean(0) @ x
        )
    if not isinstance(structure, GeneralizedLinear):
        raise TypeError("got no structure; expected a declared one")
    values = []
    for members in structure.members:
        scores, y = structure.features[members] @ x, structure.targets[members]
        squared = structure.loss == "squared"
        losses = 0.5 * (scores - y) ** 2 if squared else np.logaddexp(0.0, -y * scores)
        values.append(losses.mean())
    return float(np.mean(values) + 0.5 * structure.regularization * (x @ x))
