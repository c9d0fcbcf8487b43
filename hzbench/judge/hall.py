"""Hall's skewness-corrected t for one mean: p-values and visible shift.

P. Hall (1992), On the removal of skewness by transformation, J. R. Stat. Soc. B 54, 221-228. With
a = skewness/√R the statistic t = √R (mean - value)/sd becomes

    g(t) = t + a t²/3 + a² t³/27 + a/6 = ((1 + a t/3)³ - 1)/a + a/6,

monotone in t and standard normal up to O(1/R); it is compared with Student's law on R - 1
degrees, to which the test reduces when the skewness is zero.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hzbench.judge.statistics import POWER

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What Hall's t needs of q columns of R replicas.

    Attributes:
        mean: shape [q].
        deviation: standard deviation of one replica, shape [q], positive.
        standardized: centred and divided by the deviation, shape [q, R].
        replicas: R; another number asks what that many replicas of the same law would do.
    """

    mean: Array
    deviation: Array
    standardized: Array
    replicas: int

    @property
    def skewness(self) -> Array:
        """Third standardized moment, shape [q]."""
        return np.asarray(np.mean(self.standardized * self.standardized**2, axis=-1))

    @property
    def standard_error(self) -> Array:
        """Of the mean, shape [q]."""
        return np.asarray(self.deviation / np.sqrt(self.replicas))

    @property
    def bend(self) -> Array:
        """The coefficient a = skewness/√R, shape [q]."""
        return np.asarray(self.skewness / np.sqrt(self.replicas))


def summarize(values: Array) -> Sample:
    """Return mean, deviation and skewness of each column (values [q, R], none constant)."""
    mean = values.mean(axis=-1)
    centred = values - mean[..., None]
    variance = np.mean(centred**2, axis=-1)
    replicas = values.shape[-1]
    return Sample(
        mean=mean,
        deviation=np.sqrt(variance * replicas / (replicas - 1)),
        standardized=centred / np.sqrt(variance)[..., None],
        replicas=replicas,
    )


def transform(t: Array, bend: Array) -> Array:
    """Return g(t), shape of t."""
    return t + bend * t**2 / 3.0 + bend**2 * t**3 / 27.0 + bend / 6.0


def inverse(y: Array, bend: Array) -> Array:
    """Return t with g(t) = y; written without the cancellation of (∛(1 + a y) - 1)/a."""
    shifted = y - bend / 6.0
    root = np.cbrt(1.0 + bend * shifted)
    return np.asarray(3.0 * shifted / (root**2 + root + 1.0))


def p_values(sample: Sample, value: Array) -> tuple[Array, Array]:
    """Return the p-values against "mean <= value" and against "mean >= value", each [q]."""
    t = (sample.mean - value) / sample.standard_error
    corrected = transform(t, sample.bend)
    below = special.stdtr(sample.replicas - 1, corrected)
    return np.asarray(special.stdtr(sample.replicas - 1, -corrected)), np.asarray(below)


def two_sided(sample: Sample, value: Array) -> Array:
    """Return the p-value against "mean = value", shape [q]."""
    above, below = p_values(sample, value)
    return np.asarray(np.minimum(1.0, 2.0 * np.minimum(above, below)))


def visible(sample: Sample, tail: float) -> tuple[Array, Array]:
    """Return the rise and the fall of the mean seen with power 0.9, each shape [q].

    Args:
        sample: q columns.
        tail: level spent on this side (half of the level of a two-sided test).
    """
    rise, fall = (_distance(sample, sign, tail) for sign in (1.0, -1.0))
    return rise * sample.standard_error, fall * sample.standard_error


def _distance(sample: Sample, sign: float, tail: float) -> Array:
    """Return the visible shift towards one side in standard errors, shape [q].

    The test rejects when t exceeds c = g⁻¹(z). With y the standardized replicas and λ the shift,
    this reads Σ h_i/√R > c - λ to first order, h = y - c (y² - 1)/(2√R), since the deviation that
    divides t is estimated from the same replicas. λ puts the 10 % quantile of that sum, with its
    skewness (Cornish-Fisher), at c.
    """
    reject, power = -special.stdtrit(sample.replicas - 1, np.array([tail, 1.0 - POWER]))
    y, root = sign * sample.standardized, np.sqrt(sample.replicas)
    edge = inverse(np.full(sample.bend.shape, reject), sign * sample.bend)
    h = y - edge[:, None] * (y**2 - 1.0) / (2.0 * root)
    deviation = h.std(axis=-1)
    bend = np.mean((h - h.mean(axis=-1, keepdims=True)) ** 3, axis=-1) / deviation**3 / root
    return np.asarray(edge + deviation * (power - bend * (power**2 - 1.0) / 6.0))
