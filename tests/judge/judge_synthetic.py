"""Runs with known truth: skewed columns, correlated over record points, and their predictions."""

import numpy as np

from hzbench.core.prediction import Prediction, Source
from hzbench.core.trace import Trace

STEPS = (0, 10, 20, 30, 40)


def squares(rng, replicas, points=5, correlation=0.7, scale=0.3):
    """Positive, skewed, mean 1, coefficient of variation `scale`; shape [points, replicas]."""
    z = rng.standard_normal((points, replicas))
    for t in range(1, points):
        z[t] = correlation * z[t - 1] + np.sqrt(1 - correlation**2) * z[t]
    return 1.0 + scale * (z**2 - 1.0) / np.sqrt(2.0)


def make_trace(columns, steps=STEPS, status=None):
    replicas = next(iter(columns.values())).shape[1]
    status = np.zeros(replicas, np.int8) if status is None else status
    return Trace(steps=np.array(steps), columns=columns, status=status)


def predict(values, kind="exact", steps=STEPS, **fields):
    """A prediction; numbers are repeated over the steps."""
    table = {
        name: np.broadcast_to(value, (len(steps), *np.shape(value)[1:])).astype(float)
        for name, value in values.items()
    }
    return Prediction(
        theorem="synthetic",
        statement="known by construction",
        source=Source(locator="test"),
        kind=kind,
        steps=steps,
        values=table,
        **fields,
    )


def recoloured(values, replicas, rng):
    """Normal columns [q, replicas] whose sample mean and covariance equal those of `values`."""
    z = rng.standard_normal((values.shape[0], replicas))
    z -= z.mean(axis=1, keepdims=True)
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(z)))
    colour = np.linalg.cholesky(np.cov(values))
    return values.mean(axis=1, keepdims=True) + colour @ (whiten @ z)
