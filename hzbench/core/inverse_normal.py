"""Inverse of the normal distribution: one rational approximation, for compiled code and for torch.

Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
Statistics 37 (1988). With q = u − 1/2 the centre, |q| ≤ .425, is q P(r)/Q(r), r = .425² − q²; the
tails are ± P(r)/Q(r), r = √(−log(1/2 − |q|)) − 1.6, down to exp(−25), which uniforms of 32 bits do
not reach. Compiled: `hzbench.core.philox.to_normals`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MIDDLE = 2147483647.5
"""What is taken from a word of 32 bits: q = (word − MIDDLE) 2⁻³²."""
CENTRE = 0.180625
"""The square of .425."""
SHIFT = 1.6
"""What is taken from the root of −log."""

# Coefficients, the highest power first.
P = (
    2509.0809287301226727,
    33430.575583588128105,
    67265.770927008700853,
    45921.953931549871457,
    13731.693765509461125,
    1971.5909503065514427,
    133.14166789178437745,
    3.387132872796366608,
)
Q = (
    5226.495278852545925,
    28729.085735721942674,
    39307.89580009271061,
    21213.794301586595867,
    5394.1960214247511077,
    687.1870074920579083,
    42.313330701600911252,
    1.0,
)
P_TAIL = (
    7.7454501427834140764e-4,
    0.0227238449892691845833,
    0.24178072517745061177,
    1.27045825245236838258,
    3.64784832476320460504,
    5.7694972214606914055,
    4.6303378461565452959,
    1.42343711074968357734,
)
Q_TAIL = (
    1.05075007164441684324e-9,
    5.475938084995344946e-4,
    0.0151986665636164571966,
    0.14810397642748007459,
    0.68976733498510000455,
    1.6763848301838038494,
    2.05319162663775882187,
    1.0,
)

SLOPE, LEVEL = 2.5, 2.0
REST = tuple(float(Fraction(p) - Fraction(SLOPE) * Fraction(q)) for p, q in zip(P, Q, strict=True))
REST_TAIL = tuple(
    float(Fraction(p) - Fraction(LEVEL) * Fraction(q)) for p, q in zip(P_TAIL, Q_TAIL, strict=True)
)
"""P − 2.5 Q and, in the tails, P − 2 Q: quotients minus most of themselves, so that products
rounded on their own do little."""


def inverse_normal(words: Tensor) -> Tensor:
    """Standard normals of words below 2³², float64 on any device, in their shape."""
    import torch

    q = (words.double() - MIDDLE) * 2.0**-32
    r = CENTRE - q * q
    centre = SLOPE * q + q * (_polynomial(REST, r) / _polynomial(Q, r))
    s = (0.5 - q.abs()).log_().neg_().sqrt_().sub_(SHIFT)
    tail = torch.copysign(LEVEL + _polynomial(REST_TAIL, s) / _polynomial(Q_TAIL, s), q)
    return torch.where(r < 0, tail, centre)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    value = coefficients[0] * x
    for c in coefficients[1:-1]:
        value.add_(c).mul_(x)
    return value.add_(coefficients[-1])
