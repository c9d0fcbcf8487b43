"""The deviations that floating point alone may cause, by the number format of the run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.trace import Trace

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What counts as rounding in one number format.

    Attributes:
        relative: granted to deterministic values, a fraction of the larger magnitude.
        zero: granted where theory says exactly 0; such observables (residuals of invariants) are
            relative already.
        least: granted at least.
        residue: fraction of the largest prediction below which a number is rounding of 0.
    """

    relative: float
    zero: float
    least: float
    residue: float

    def slack(self, measured: Array, predicted: Array) -> Array:
        """Return the deviation that rounding may cause, shape of the arguments."""
        scale = np.maximum(np.abs(measured), np.abs(predicted))
        granted = np.maximum(self.relative * scale, self.least)
        return np.where(predicted == 0.0, self.zero, granted)


FLOAT64 = Rounding(relative=1e-9, zero=1e-9, least=1e-12, residue=1e-13)
FLOAT32 = Rounding(relative=1e-4, zero=1e-4, least=1e-6, residue=1e-10)
"""Steps of 6e-8, a thousand times less than what is granted; the residue is that of a square."""


def rounding_of(trace: Trace) -> Rounding:
    """Return the rounding of a run, by the dtype in its provenance (float64 unless told)."""
    return FLOAT32 if trace.provenance.get("dtype") == "float32" else FLOAT64
