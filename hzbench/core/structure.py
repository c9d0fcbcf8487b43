"""Declared facts as data: what a problem or an estimator *says* it is.

Theory and fused kernels read these descriptors and nothing else of a component. They hold numbers
and names, no behaviour, so that a prediction made from them is independent of the code it judges.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

DirectionLaw = Literal["gaussian", "sphere", "rademacher", "coordinate"]
Difference = Literal["central", "forward", "directional_derivative"]
Sampling = Literal["iid", "orthonormal", "without_replacement"]
Term = Literal["exponential", "cosine", "quartic"]
BatchSize = int | Literal["full"]


@dataclass(frozen=True, kw_only=True)
class Quadratic:
    """f_i(x) = ½ x'A_i x − b_i'x, and one sample F_i(x, ζ) = f_i(x) + ζ'x with ζ ~ N(0, Σ_i).

    Attributes:
        hessians: A_i, shape [n, d, d], symmetric.
        linear: b_i, shape [n, d].
        noise: Σ_i, covariance of one gradient sample, shape [n, d, d].
        evaluation_noise: standard deviation s of the independent noise that every *function call*
            adds to its value (a call on a batch of any size adds it once); gradients are free
            of it.
    """

    hessians: NDArray[np.float64]
    linear: NDArray[np.float64]
    noise: NDArray[np.float64]
    evaluation_noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GeneralizedLinear:
    """f_i(x) = (1/|M_i|) Σ_{j in M_i} loss(a_j'x, y_j) + (λ/2)|x|²; a sample is a row j of M_i.

    A batch of b draws b rows of M_i with replacement. The squared loss is ½(a'x − y)²; the logistic
    loss is log(1 + exp(−y a'x)) with y in {−1, +1}.

    Attributes:
        features: all rows a_j, shape [N, d].
        targets: all y_j, shape [N].
        members: M_i, the row indices that node i holds, one integer array a node.
        loss: "squared" or "logistic".
        regularization: λ.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    members: tuple[NDArray[np.int64], ...]
    loss: Literal["squared", "logistic"]
    regularization: float


@dataclass(frozen=True, kw_only=True)
class Separable:
    """f_i(x) = Σ_k [c_ik φ(a_k x_k) − b_ik x_k], one sample F_i = f_i + ζ'x with ζ ~ N(0, Σ_i).

    φ(z) is e^z (exponential), cos z (cosine) or z⁴/4 (quartic). Here the smoothing bias of every
    zeroth-order estimator is known in closed form and is not 0. Only the cosine is smooth and
    Hessian-Lipschitz everywhere; the exponential and the quartic are on bounded sets.

    Attributes:
        term: which φ.
        coefficients: c_ik, shape [n, d].
        rates: a_k, shape [d].
        linear: b_i, shape [n, d].
        noise: variances of ζ (Σ_i is diagonal), shape [n, d].
        evaluation_noise: standard deviation that every function call adds to its value.
    """

    term: Term
    coefficients: NDArray[np.float64]
    rates: NDArray[np.float64]
    linear: NDArray[np.float64]
    noise: NDArray[np.float64]
    evaluation_noise: float = 0.0


Structure = Quadratic | GeneralizedLinear | Separable | None


@dataclass(frozen=True, kw_only=True)
class ZeroChain:
    """A chain of coordinates of which gradients show at most one more than the point holds.

    Coordinate k is revealed once some |x_j| > λ/4 with j >= k; at x = 0 all are hidden. A gradient
    sample shows the next one with probability p; a batch shows it if any of its samples does.

    Attributes:
        probability: p.
        scale: λ.
    """

    probability: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class GradientLaw:
    """A first-order oracle: mean of `batch_size` gradient samples ("full": no sampling noise)."""

    batch_size: BatchSize


@dataclass(frozen=True, kw_only=True)
class DifferenceLaw:
    """A zeroth-order oracle: the mean over m vectors u of u times a difference along u.

    Every law is scaled so that E uu' = I (sphere and coordinate carry the factor sqrt(d)).
    central: [F(x+νu) − F(x−νu)]/(2ν); forward: [F(x+νu) − F(x)]/ν, one base evaluation shared by
    the m vectors; directional_derivative: <∇F(x), u>, exact (forward mode).

    Each of the m vectors follows the law `directions`; `sampling` says how they depend on each
    other: "iid"; "orthonormal": the columns of a Haar matrix times sqrt(d) (law sphere);
    "without_replacement": different coordinates with independent fair signs (law coordinate).

    Attributes:
        directions: law of u. coordinate is ±sqrt(d) e_i, i uniform, the sign fair.
        difference: which difference.
        samples: m, the number of random vectors averaged.
        smoothing: ν, the smoothing radius.
        batch_size: data samples in one evaluation, the same in all evaluations of a difference.
        data: "shared": the m differences use the same data sample; "fresh": each draws its own.
    """

    directions: DirectionLaw
    difference: Difference
    samples: int
    smoothing: float
    batch_size: BatchSize
    data: Literal["shared", "fresh"]
    sampling: Sampling = "iid"


@dataclass(frozen=True, kw_only=True)
class OnePointLaw:
    """A zeroth-order oracle without differences: the mean over m vectors of u [F(x+νu) − r]/ν.

    Attributes:
        directions: law of the independent vectors u.
        samples: m.
        smoothing: ν.
        batch_size: data samples in one evaluation; all m share them.
        baseline: r. "none": 0; "residual": F'(x'+νu'), the node's previous query, with its own
            vector u' for each of the m and its own data sample F', independent of those at x.
        previous: x' of a node's first estimate; empty: x itself. Later, x' is where the node made
            its last estimate.
    """

    directions: DirectionLaw
    samples: int
    smoothing: float
    batch_size: BatchSize
    baseline: Literal["none", "residual"]
    previous: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CoordinateLaw:
    """A zeroth-order oracle without randomness: a difference along every coordinate.

    central: G_k = [F(x+νe_k) − F(x−νe_k)]/(2ν); forward: [F(x+νe_k) − F(x)]/ν, one base evaluation
    for all k. All evaluations share one data sample.

    Attributes:
        difference: central or forward.
        smoothing: ν.
        batch_size: data samples in one evaluation.
    """

    difference: Literal["central", "forward"]
    smoothing: float
    batch_size: BatchSize


EstimatorLaw = GradientLaw | DifferenceLaw | OnePointLaw | CoordinateLaw | None
