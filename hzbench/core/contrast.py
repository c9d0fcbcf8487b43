"""Contrasts: statistics of a prediction that follow from recorded vectors."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Contrast, Prediction
from hzbench.core.trace import Trace

Array = NDArray[np.float64]


def contrasted(trace: Trace, prediction: Prediction) -> Trace:
    """The trace with a column [T', R] for every contrast of the prediction that it can form."""
    found = {
        name: contrast_column(trace.columns[contrast.source], contrast)
        for name, contrast in prediction.contrasts.items()
        if contrast.source in trace.columns
    }
    return replace(trace, columns={**trace.columns, **found}) if found else trace


def contrast_column(values: Array, contrast: Contrast) -> Array:
    """The statistic of every replica: [T', R, k] -> [T', R].

    Where the scale is 0 nothing has been added up yet, and the statistic is 0.
    """
    raw = values @ contrast.coefficients
    scale = np.abs((values @ contrast.scale).mean(axis=1, keepdims=True))
    return np.asarray(np.divide(raw, scale, out=np.zeros_like(raw), where=scale > 0.0))
