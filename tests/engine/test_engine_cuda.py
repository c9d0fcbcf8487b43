"""On CUDA: the same draws, so the same numbers up to rounding."""

import numpy as np
import pytest
import torch
from engine_reference import HYBRID, spec_of

from hzbench.harness.simulate import simulate

NAMES = ("objective_gap", "mean_iterate", "mass_residual", "path_gradient_norm", "function_calls")


@pytest.mark.gpu
@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_cuda_equals_cpu(gossip, momentum):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    name = "dsgd" if gossip == "matrix" else "hdo"
    spec = spec_of(HYBRID, gossip, {"name": name, "momentum": momentum}, run={"replicas": 300})
    here, there = (simulate(spec, NAMES, device) for device in ("cpu", "cuda"))
    for column, values in here.columns.items():
        np.testing.assert_allclose(there.columns[column], values, rtol=1e-9, atol=1e-9)
