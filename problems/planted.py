"""Rows drawn around a known truth, so that a problem's minimum is known where labels are clean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hzbench.core.errors import UserMistakeError
from hzbench.problems.arrays import TRUTH, generator
from hzbench.problems.loss import Targets

Array = NDArray[np.float64]
_MOST = 36.0  # e^36 < 2^53 by a thousand standard deviations


class Planted(BaseModel):
    """Gaussian rows a_j ~ N(0, I), a truth x° of given length, and targets from the margins a'x°.

    real: a'x° + noise; signs: the sign of that; counts: Poisson(exp(a'x°)); nonnegative: (a'x°)²
    plus noise, not below 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=1, description="N, rows drawn")
    dimension: int = Field(ge=1, description="d")
    radius: float = Field(1.0, gt=0, allow_inf_nan=False, description="|x°|, length of the truth")
    label_noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="standard deviation added to the margins"
    )
    outliers: float = Field(
        0.0, ge=0, le=1, description="fraction of the targets that a tenfold error replaces"
    )

    def draw(self, targets: Targets, seed: int) -> tuple[Array, Array, Array]:
        """Features [N, d], targets [N] and the truth [d], from the seed alone.

        Raises:
            UserMistakeError: counts too large to be exact as numbers of double precision.
        """
        source = generator(seed, TRUTH)
        truth = source.standard_normal(self.dimension)
        truth *= self.radius / np.linalg.norm(truth)
        features = source.standard_normal((self.rows, self.dimension))
        margins = features @ truth
        noise = self.label_noise * source.standard_normal(self.rows)
        wild = source.random(self.rows) < self.outliers
        noise = np.where(wild, 10.0 * self.radius * source.standard_normal(self.rows), noise)
        if targets == "counts":
            return features, _counts(source, margins + noise), truth
        if targets == "nonnegative":
            return features, np.maximum(margins**2 + noise, 0.0), truth
        noisy = margins + noise
        return features, np.where(noisy < 0, -1.0, 1.0) if targets == "signs" else noisy, truth

    @property
    def clean(self) -> bool:
        """Whether the truth explains every target."""
        return self.label_noise == 0 and self.outliers == 0


def _counts(source: np.random.Generator, logs: Array) -> Array:
    """Poisson counts with the means exp(logs)."""
    if logs.max() > _MOST:
        raise UserMistakeError(
            f"got planted counts with a mean of e^{logs.max():.3g}; expected at most e^{_MOST:g}, "
            "so that every count is exact; lower radius, label_noise or outliers"
        )
    return source.poisson(np.exp(logs)).astype(np.float64)
