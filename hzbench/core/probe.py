"""Probe sums: what a run adds up at its probe ticks, in an order that harness and theory share.

At a probe tick t the state is seen before and after one step. The step's conditional expectation is
linear in the entries below, so a run records their sums and a theorem declares the coefficients: an
instance of `ProbeSums` holds either. Nodes enter through sums over the groups a of the spec, since
nodes of a group share law and step size.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PROBES = 32  # probe ticks of a run, one in each of min(T, 32) strata


@dataclass(frozen=True, kw_only=True)
class ProbeSums:
    """Sums over the probe ticks passed; G groups, x counted from the optimum (from 0 if unknown).

    Attributes:
        count: number of ticks, shape [..., 1].
        mean_after: |mean|² after the step, shape [..., 1].
        consensus_after: Γ after the step, shape [..., 1].
        squares: Σ_{i in a} |x_i|² before it, as all that follows, shape [..., G].
        products: Σ_{i in a} <x_i, h_i> with h_i = ∇f_i(x_i), shape [..., G].
        powers: Σ_{i in a} |h_i|², shape [..., G].
        noise: Σ_{i in a} tr Cov of the gradient of one data sample at x_i, shape [..., G].
        positions: <X_a, X_b> with X_a = Σ_{i in a} x_i, shape [..., G, G].
        drifts: <X_a, H_b> with H_b = Σ_{i in b} h_i, shape [..., G, G].
        forces: <H_a, H_b>, shape [..., G, G].
    """

    count: Array
    mean_after: Array
    consensus_after: Array
    squares: Array
    products: Array
    powers: Array
    noise: Array
    positions: Array
    drifts: Array
    forces: Array

    def flat(self) -> Array:
        """All entries in the order of the fields, shape [..., 3 + 4G + 3G²]."""
        matrices = ("positions", "drifts", "forces")
        values = [(field.name, getattr(self, field.name)) for field in fields(self)]
        rows = [v.reshape(*v.shape[:-2], -1) if name in matrices else v for name, v in values]
        return np.concatenate(rows, axis=-1)
