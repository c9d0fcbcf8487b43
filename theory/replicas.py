"""How many replicas a mean takes: planning from second and fourth moments.

The idea: random directions multiply the distance to the optimum by a random factor, so without
additive noise the relative variance of |mean − x*|² grows like a power of the number of steps, and
soon a mean over replicas is carried by a few of them. Tests of means then need the fourth moment
under control: R of order (F4/F2²)^T.
"""

from dataclasses import dataclass
from math import expm1, inf, log

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GradientLaw, Quadratic
from hzbench.theory.graphs import GraphError
from hzbench.theory.schedules import schedule_shape
from hzbench.theory.stacks import one_if_shared
from hzbench.theory.steady_checks import Check
from hzbench.theory.weights import mixing_matrix

Array = NDArray[np.float64]

RELATIVE_ERROR, LEVEL, POWER = 0.05, 1e-6, 0.9
_SAME = 1e-12
_MOST_LOG = 700.0


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Growth of the moments of |mean − x*| in one step.

    Attributes:
        second: F2 = E|mean+ − x*|²/|mean − x*|².
        fourth: F4 = E|mean+ − x*|⁴/|mean − x*|⁴.
    """

    second: float
    fourth: float


def replicas_for(variation: float, error: float = RELATIVE_ERROR, level: float = LEVEL) -> float:
    """R at which a test of a mean sees a relative error with power 0.9.

    Formula:
        ((z_{1−level/2} + z_{0.9}) CV/error)² for a normal mean.

    Source:
        own derivation (F2).

    Args:
        variation: CV, standard deviation over mean of one replica.
        error: relative error that must be seen.
        level: of the test, two-sided.
    """
    distance = special.ndtri(1 - level / 2) + special.ndtri(POWER)
    return float((distance * variation / error) ** 2)


def gaussian_growth(weights: Array, pull: float, d: int) -> Growth:
    """F2 and F4 of x+ = (1 − f) x − Σ_k w_k u_k u_k'x with independent u_k ~ N(0, I).

    Formula:
        with Y = 1 − f − Σ w_k g_k and B = Σ w_k² g_k, g_k independent χ²_1:
        F2 = E Y² + (d−1) E B, F4 = E Y⁴ + 2(d−1) E Y²B + (d²−1) E B², from the joint cumulants
        2^{r−1}(r−1)! Σ w_k^{...} of (Y, B). One direction, f = 0: F2 = 1 − 2w + (d+2) w²,
        F4 = 1 − 4w + (2d+16) w² − 12(d+4) w³ + 3(d+4)(d+6) w⁴.

    Source:
        own derivation (C11, extended to any weights).

    Args:
        weights: w_k, shape [K].
        pull: f, the exact part of the step.
        d: dimension.
    """
    s1, s2, s3, s4 = (float((weights**power).sum()) for power in (1, 2, 3, 4))
    mean = 1.0 - pull - s1
    second = mean**2 + 2 * s2
    fourth = mean**4 + 12 * mean**2 * s2 - 32 * mean * s3 + 12 * s2**2 + 48 * s4
    mixed = second * s2 - 4 * mean * s3 + 8 * s4
    own = s2**2 + 2 * s4
    return Growth(
        second=second + (d - 1) * s2, fourth=fourth + 2 * (d - 1) * mixed + (d**2 - 1) * own
    )


@register("limit", "replicas")
def replica_plan(setting: Setting) -> tuple[float, str]:
    """Number of replicas that the last mean takes, where the fourth moment is known.

    Setting and assumptions: one node, or all-reduce from a common start, before or after the step
    (not at once: gradients would be taken at unequal points); the same isotropic quadratic
    everywhere; no noise; gradients and Gaussian directions; no momentum.

    Formula:
        CV² = Π_t F4(η_t)/F2(η_t)² − 1; R = ((z_{1−1e-6/2} + z_{0.9}) CV/5 %)².

    Source:
        own derivation (C11, F2).

    Args:
        setting: n nodes.

    Returns:
        (R, sentence); (0, "") where it is not known.
    """
    if not _known(setting):
        return 0.0, ""
    relative = relative_variance(setting)
    needed = replicas_for(np.sqrt(relative)) if relative < inf else inf
    sentence = (
        f"the variance of |mean − x*|² over replicas is {relative:.3g} times its squared mean at "
        f"step {setting.record[-1]}; a 5 % error there takes about {needed:.2g} replicas, and "
        f"{setting.replicas} see little of it; record fewer steps, or lower the step size"
    )
    return needed, sentence


def relative_variance(setting: Setting) -> float:
    """Var|mean − x*|²/(E|mean − x*|²)² at the last record step (inf where it overflows)."""
    total = 0.0
    for t in range(setting.record[-1]):
        growth = step_growth(setting, schedule_shape(setting.schedule, t, setting.steps))
        if growth.second <= 0:
            return 0.0
        total += log(growth.fourth) - 2 * log(growth.second)
    return expm1(total) if total < _MOST_LOG else inf


def step_growth(setting: Setting, shape: float) -> Growth:
    """The growth of one step with step sizes shape · η_i."""
    structure = setting.problem.structure
    assert isinstance(structure, Quadratic)
    gains = shape * setting.step_sizes * structure.hessians[:, 0, 0] / setting.nodes
    pull, weights = 0.0, [np.empty(0)]
    for gain, law in zip(gains, setting.laws, strict=True):
        if isinstance(law, DifferenceLaw):
            weights.append(np.full(law.samples, gain / law.samples))
        else:
            pull += float(gain)
    return gaussian_growth(np.concatenate(weights), pull, setting.problem.dimension)


def growth_checks(setting: Setting) -> tuple[Check, ...]:
    """What `step_growth` needs, in order."""
    structure, update = setting.problem.structure, setting.update.rule
    quadratic = isinstance(structure, Quadratic)

    def alike() -> tuple[bool, str]:
        assert isinstance(structure, Quadratic)
        apart = float(np.ptp(structure.linear, axis=0).max())
        return _isotropic(structure) and apart <= _SAME, f"linear terms differ by {apart:.3g}"

    def together() -> tuple[bool, str]:
        apart = float(np.ptp(setting.problem.initial, axis=0).max())
        return apart <= _SAME, f"largest difference = {apart:.3g}"

    return (
        ("every f_i is a declared quadratic", lambda: (quadratic, type(structure).__name__)),
        ("the iterates move by steps and exchanges alone", lambda: (_plain(setting), update)),
        ("some step is recorded", lambda: (bool(setting.record), f"{setting.record}")),
        ("momentum = 0", lambda: (setting.momentum == 0, f"momentum = {setting.momentum:g}")),
        ("no noise but that of Gaussian directions", lambda: (_noise_free(setting), "")),
        ("all f_i are one quadratic with the Hessian aI", alike),
        ("all nodes start at one point", together),
        ("all nodes estimate at one point in every step", lambda: _all_reduce(setting)),
    )


def _known(setting: Setting) -> bool:
    return all(check()[0] for _, check in growth_checks(setting))


def _plain(setting: Setting) -> bool:
    return setting.moves and setting.update.rule == "plain"


def _isotropic(structure: Quadratic) -> bool:
    """Whether every Hessian is one and the same aI; one matrix at a time."""
    a = structure.hessians[0, 0, 0]
    distances = (m - np.diag(np.full(len(m), a)) for m in one_if_shared(structure.hessians))
    return all(float(np.abs(distance).max()) <= _SAME for distance in distances)


def _all_reduce(setting: Setting) -> tuple[bool, str]:
    """One node, or W = J/n in every round, before or after the step."""
    if setting.protocol != "matrix":
        return False, f"protocol = {setting.protocol}"
    if setting.nodes == 1:
        return True, "one node"
    if setting.order == "simultaneous" or setting.network.silent_rounds:
        silent = setting.network.silent_rounds
        return False, f"order = {setting.order}, silent rounds = {silent}"
    try:
        W = np.asarray(mixing_matrix(setting.network, setting.nodes))
    except GraphError as error:
        return False, str(error)
    worst = float(np.abs(W - 1 / setting.nodes).max())
    return worst <= _SAME, f"largest deviation of W from 1/n = {worst:.3g}"


def _noise_free(setting: Setting) -> bool:
    structure = setting.problem.structure
    assert isinstance(structure, Quadratic)
    for i, law in enumerate(setting.laws):
        quiet = not structure.noise[i].any() or getattr(law, "batch_size", 1) == "full"
        if isinstance(law, DifferenceLaw):
            exact = law.difference == "directional_derivative"
            quiet &= law.directions == "gaussian" and law.sampling == "iid"
            quiet &= exact or (law.difference == "central" and structure.evaluation_noise == 0)
        elif not isinstance(law, GradientLaw):
            return False
        if not quiet:
            return False
    return True
