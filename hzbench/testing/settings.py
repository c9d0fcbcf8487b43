"""Small standard settings in which every theorem is asked what it says, and is held to it.

Those whose values draw nothing ("without noise", "coordinate differences alone") are compared at
rounding, where an error of a few per cent shows that noise would hide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REPLICAS = 2048
ROWS = [[1, 0], [0, 1], [1, 1], [1, 2]]
HALVES = [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}]
ROUND = {"name": "quadratic", "dimension": 2, "spectrum": "isotropic", "noise": 0.5}
HELPER = {
    "work": 0.5,
    "estimator": {
        "name": "zeroth_order",
        "directions": "gaussian",
        "difference": "directional_derivative",
    },
}
SMOOTH = {"name": "zeroth_order", "directions": "gaussian", "difference": "forward"}

_TABLES: dict[str, dict[str, Any]] = {
    "hybrid pairs": {
        "problem": {"name": "quadratic", "dimension": 3, "noise": 0.1},
        "nodes": HALVES,
    },
    "matching": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 5}],
        "network": {"gossip": "matching"},
    },
    "ring of least squares": {
        "problem": {"name": "ridge", "features": ROWS, "targets": [1, 2, 0, 1]},
        "nodes": [{"count": 4}],
        "network": {"graph": "ring"},
        "method": "dsgd",
    },
    "logistic": {
        "problem": {"name": "logistic", "features": ROWS, "targets": [1, -1, 1, -1]},
        "nodes": HALVES,
    },
    "constants alone": {
        "problem": {"name": "sine_square", "noise": 0.1},
        "nodes": HALVES,
        "method": "dsgd",
    },
    "nothing known": {
        "problem": {
            "name": "blackbox",
            "function": "hzbench.problems.blackbox:bowl",
            "dimension": 2,
        },
        "nodes": [{"count": 4, "estimator": "zeroth_order"}],
        "run": {"replicas": 64},
    },
    "an estimator alone": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 1, "estimator": "zeroth_order"}],
        "method": "probe",
    },
    "biased estimates alone": {
        "problem": {"name": "separable", "dimension": 2, "rates": 0.5},
        "nodes": [{"count": 2, "estimator": {**SMOOTH, "smoothing": 0.8}}],
        "method": "probe",
        "run": {"steps": 2},
    },
    "gossip alone": {
        "problem": {"name": "quadratic", "dimension": 2, "initial_spread": 1.0},
        "nodes": [{"count": 4}],
        "network": {"graph": "path"},
        "method": {"name": "hdo", "step_size": 0.0},
    },
    "gradient descent": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 1, "batch_size": "full"}],
        "network": {"gossip": "matrix"},
        "method": {"name": "dsgd", "step_size": 0.5},
        "run": {"replicas": 4},
    },
    "all-reduce": {
        "problem": ROUND,
        "nodes": HALVES,
        "method": {"name": "centralized", "step_size": 0.5},
        "run": {"steps": 20},
        "versus": {"nodes": [{"count": 2}]},
    },
    "all-reduce without noise": {
        "problem": {"name": "quadratic", "dimension": 2, "spectrum": "isotropic"},
        "nodes": [{"count": 4}],
        "method": {"name": "centralized", "step_size": 0.5},
        "run": {"steps": 30, "replicas": 4},
    },
    "pairs without noise": {
        "problem": {"name": "quadratic", "dimension": 2, "initial_spread": 1.0},
        "nodes": [{"count": 2}],
        "method": {"name": "hdo", "step_size": 0.3},
        "run": {"replicas": 4},
    },
    "coordinate differences alone": {
        "problem": {"name": "separable", "dimension": 2, "rates": 0.5},
        "nodes": [
            {"count": 2, "estimator": {"name": "coordinate_difference", "smoothing": 0.8}},
        ],
        "method": "probe",
        "run": {"steps": 2, "replicas": 4},
    },
    "all-reduce of directions": {
        "problem": {**ROUND, "noise": 0.0},
        "nodes": [{"count": 2, "estimator": {**SMOOTH, "difference": "central", "samples": 4}}],
        "method": {"name": "centralized", "step_size": 0.3},
        "run": {"steps": 4},
    },
    "noisy ring": {
        "problem": ROUND,
        "nodes": [{"count": 4}],
        "network": {"graph": "ring", "gossip": "matrix"},
        "method": {"name": "dsgd", "step_size": 0.3},
        "run": {"steps": 20},
    },
    "heterogeneous ring": {
        "problem": {**ROUND, "noise": 0.0, "heterogeneity": 1.0},
        "nodes": [{"count": 4}],
        "network": {"graph": "ring", "gossip": "matrix"},
        "method": {"name": "dsgd", "step_size": 0.4},
        "run": {"steps": 60, "replicas": 64},
    },
    "noisy pairs": {
        "problem": ROUND,
        "nodes": [{"count": 4}],
        "method": {"name": "hdo", "step_size": 0.4},
        "run": {"steps": 40},
    },
    "noisy hybrid pairs": {
        "problem": ROUND,
        "nodes": HALVES,
        "method": {"name": "hdo", "step_size": 0.4},
        "run": {"steps": 40},
    },
    "hybrid pairs at rest": {
        "problem": {**ROUND, "initial": 0.0},
        "nodes": HALVES,
        "method": {"name": "hdo", "step_size": 0.1},
        "run": {"replicas": 8192},
    },
    "small steps in pairs": {
        "problem": ROUND,
        "nodes": [{"count": 4}],
        "method": {"name": "hdo", "step_size": 0.01},
    },
    "small steps on a ring": {
        "problem": ROUND,
        "nodes": [{"count": 4}],
        "network": {"graph": "ring", "gossip": "matrix"},
        "method": {"name": "dsgd", "step_size": 0.02},
    },
    "regular graph": {
        "problem": {"name": "quadratic", "dimension": 1},
        "nodes": [{"count": 20}],
        "network": {
            "graph": {"name": "random-regular", "degree": 3},
            "gossip": "matrix",
            "weights": "max-degree",
        },
        "method": "dsgd",
        "run": {"replicas": 4},
    },
    "random graph": {
        "problem": {"name": "quadratic", "dimension": 1},
        "nodes": [{"count": 20}],
        "network": {
            "graph": {"name": "erdos-renyi", "probability": 0.3},
            "gossip": "matrix",
            "weights": "max-degree",
        },
        "method": "dsgd",
        "run": {"replicas": 64},
    },
    "server": {
        "problem": ROUND | {"heterogeneity": 1.0},
        "nodes": HALVES,
        "clock": {"name": "fixed", "seconds": [1.0, 2.0, 1.0, 5.0]},
        "method": "ringleader",
    },
    "rounds of a server": {
        "problem": ROUND | {"heterogeneity": 1.0},
        "nodes": [{"count": 3}],
        "clock": {"name": "fixed", "seconds": [1.0, 2.0, 4.0]},
        "method": {"name": "rennala", "batch": 5, "step_size": 0.5},
        "run": {"steps": 60},
    },
    "zero-chain": {
        "problem": {"name": "zero_chain", "dimension": 4, "probability": 0.5},
        "nodes": [{"count": 2}],
        "clock": {"name": "fixed", "seconds": [1.0, 2.0]},
        "method": {"name": "asgd", "step_size": 152.0},
        "run": {"steps": 8, "record": [4, 8]},
    },
    "pool with helpers": {
        "problem": ROUND | {"initial": 0.0},
        "nodes": [{"count": 2, "step_size": 0.01}, {"count": 6, "step_size": 0.0025, **HELPER}],
        "clock": {"name": "fixed"},
        "method": "asgd",
        "versus": {"nodes": [{"count": 2, "step_size": 0.025}]},
        "run": {"steps": 900, "record": [900]},
    },
    "server with a biased limit": {
        "problem": {**ROUND, "noise": 0.0, "heterogeneity": 2.0},
        "nodes": [{"count": 3, "batch_size": "full"}],
        "clock": {"name": "fixed", "seconds": [1.0, 2.0, 4.0]},
        "method": {"name": "asgd", "step_size": 0.3},
        "run": {"steps": 280, "record": [161, 280], "replicas": 4},
    },
    "pools at one time": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 9, "step_size": 0.5, **HELPER}],
        "clock": {"name": "fixed"},
        "method": {"name": "minibatch_sgd", "step_size": 0.1},
        "versus": {"nodes": [{"count": 1, "step_size": 1.0}], "steps": 4},
        "run": {"record": [4, 8]},
    },
}


def _table(own: Mapping[str, Any]) -> dict[str, Any]:
    return {**own, "run": {"steps": 8, "replicas": REPLICAS, **own.get("run", {})}}


SETTINGS: Mapping[str, Mapping[str, Any]] = {name: _table(own) for name, own in _TABLES.items()}
