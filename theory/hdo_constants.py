"""Constants of the HDO paper's lemmas, per node: second moments, bias, heterogeneity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear, Quadratic
from hzbench.theory.checks import assume
from hzbench.theory.estimator_bounds import sample_smoothness
from hzbench.theory.gradients import evaluation_noise
from hzbench.theory.oracles import batch_factor
from hzbench.theory.stacks import eigenvalue_range, largest_difference

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HdoConstants:
    """Numbers of one setting; M = (1/n) Σ E|G_i|².

    Attributes:
        nodes: n.
        smoothness: L.
        convexity: l, every f_i is l-strongly convex (0: none is known).
        consensus: M has at most this times L²Γ.
        gradient: M has at most this times |∇f(mean)|².
        variance: the part of M that is left, without what the smoothing radius adds.
        smoothing: what the smoothing radius adds to M (grows like ν²).
        bias: B, the mean over nodes of the bias bounds (grows like ν).
    """

    nodes: int
    smoothness: float
    convexity: float
    consensus: float
    gradient: float
    variance: float
    smoothing: float
    bias: float

    @property
    def noise(self) -> float:
        """V, all of M that neither Γ nor the gradient carries."""
        return self.variance + self.smoothing


def power_coefficients(setting: Setting) -> tuple[Array, Array, Array]:
    """(a, v, w), each [n]: E|G_i|² ≤ a_i |∇f_i|² + v_i + w_i, w_i the part of the smoothing radius.

    Formula:
        gradients (1, s², 0); differences (2(d+4), 2(d+4)s², ν²L²(d+6)³/2), s² the trace of the
        batch's covariance and L the smoothness of what one evaluation sees.

    Source:
        Lemma 5 of Ansaripour et al. 2025, after Nesterov and Spokoiny 2017; it holds for every law
        here, since E|uu'e|² ≤ d + 2 and E|u|⁶ ≤ (d+6)³, and for the mean of m by convexity.
    """
    d, noise = setting.problem.dimension, setting.problem.constants.noise
    rows = []
    for i, law in enumerate(setting.laws):
        assert law is not None
        data = noise[i] * batch_factor(law.batch_size)
        if not isinstance(law, DifferenceLaw):
            rows.append((1.0, data, 0.0))
            continue
        curved = law.difference != "directional_derivative"
        radius = law.smoothing * sample_smoothness(setting, i) if curved else 0.0
        rows.append((2.0 * (d + 4), 2.0 * (d + 4) * data, radius**2 * (d + 6) ** 3 / 2))
    slope, variance, smoothing = np.array(rows).T
    return slope, variance, smoothing


def mean_bias(setting: Setting) -> float:
    """B = (1/n) Σ b_i with b_i = (ν/2) L (d+3)^(3/2) for differences (Lemma 1), 0 otherwise."""
    d, L = setting.problem.dimension, setting.problem.constants.smoothness
    radii = [
        law.smoothing
        if isinstance(law, DifferenceLaw) and law.difference != "directional_derivative"
        else 0.0
        for law in setting.laws
    ]
    return float(np.mean(radii) / 2 * L * (d + 3) ** 1.5)


def node_heterogeneity(setting: Setting) -> Array:
    """Bounds on |∇f_i − ∇f|² for every x, shape [n]; nζ² where only their mean is known."""
    structure, n = setting.problem.structure, setting.nodes
    zeta = setting.problem.constants.heterogeneity
    if isinstance(structure, Quadratic) and _shared_hessian(structure):
        result: Array = ((structure.linear - structure.linear.mean(0)) ** 2).sum(1)
        return result
    return np.full(n, n * zeta)


def weighted_heterogeneity(setting: Setting, slope: Array) -> float:
    """A bound on (1/n) Σ a_i |∇f_i − ∇f|²: node by node, or max a_i ζ² if only ζ² is known."""
    known = float(slope.max()) * setting.problem.constants.heterogeneity
    return min(known, float((slope * node_heterogeneity(setting)).mean()))


def hdo_constants(setting: Setting) -> HdoConstants:
    """The constants of a setting whose declared constants are known and hold everywhere."""
    slope, variance, smoothing = power_coefficients(setting)
    return HdoConstants(
        nodes=setting.nodes,
        smoothness=setting.problem.constants.smoothness,
        convexity=node_convexity(setting),
        consensus=3.0 * float(slope.max()),
        gradient=3.0 * float(slope.mean()),
        variance=3.0 * weighted_heterogeneity(setting, slope) + float(variance.mean()),
        smoothing=float(smoothing.mean()),
        bias=mean_bias(setting),
    )


def node_convexity(setting: Setting) -> float:
    """The largest known l for which every f_i is l-strongly convex; 0 if none is known."""
    structure = setting.problem.structure
    if isinstance(structure, Quadratic):
        return max(0.0, eigenvalue_range(structure.hessians)[0])
    if isinstance(structure, GeneralizedLinear):
        return structure.regularization
    return 0.0


def silent_calls(setting: Setting) -> Assumption:
    """The lemmas know no noise that is added to function values."""
    noise = evaluation_noise(setting.problem.structure)
    calls = any(isinstance(law, DifferenceLaw) for law in setting.laws)
    return assume(
        "function values carry no noise but that of their data sample",
        noise == 0 or not calls,
        f"evaluation noise = {noise:g}",
    )


def _shared_hessian(structure: Quadratic) -> bool:
    return largest_difference(structure.hessians) == 0
