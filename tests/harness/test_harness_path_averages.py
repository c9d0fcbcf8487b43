"""Path averages and the mean's shift, against the observables recorded at every step."""

from collections import Counter

import numpy as np

from hzbench.core.spec import Spec
from hzbench.harness.path_averages import path_weights
from hzbench.harness.simulate import simulate

SPEC = {
    "problem": {"name": "quadratic", "dimension": 3, "noise": 0.3, "strong_convexity": 0.5},
    "nodes": [{"count": 2}, {"count": 2, "estimator": "zeroth_order", "step_size": 0.3}],
    "network": {"gossip": "pair"},
    "method": {"name": "hdo", "step_size": 0.1},
    "run": {"steps": 6, "replicas": 40, "record": [1, 2, 3, 4, 5, 6]},
}
NAMES = (
    "objective_gap",
    "gradient_norm",
    "mean_iterate",
    "mean_distance",
    "mean_shift",
    "path_objective_gap",
    "path_gradient_norm",
    "path_weighted_gap",
)


def test_averages_of_what_every_step_shows():
    trace = simulate(Spec.parse(SPEC), NAMES)
    weights = (1 - 0.2 * 0.5 / 8) ** -np.arange(6.0)
    gaps = trace.columns["objective_gap"]
    for t in range(1, 7):
        for name in ("objective_gap", "gradient_norm"):
            found = trace.at(f"path_{name}", t)
            np.testing.assert_allclose(found, trace.columns[name][:t].mean(0), rtol=1e-12)
    found = trace.at("path_weighted_gap", 6)
    np.testing.assert_allclose(found, weights @ gaps[:6] / weights.sum(), rtol=1e-12)


def test_shift_and_distance_of_the_mean():
    spec = Spec.parse({**SPEC, "run": {**SPEC["run"], "record": [2, 5, 6]}})
    trace = simulate(spec, NAMES)
    means = trace.columns["mean_iterate"]
    moved = ((means[1:] - means[:-1]) ** 2).sum(-1)
    np.testing.assert_allclose(trace.columns["mean_shift"][1:], moved, rtol=1e-12)
    assert not trace.columns["mean_shift"][0].any()
    distance = (means**2).sum(-1)  # the optimum is 0
    np.testing.assert_allclose(trace.columns["mean_distance"], distance, rtol=1e-12)


def test_long_paths_are_sampled_without_bias():
    """With T = 300 the 128 looks of many blocks average to the weighted mean over all steps."""
    from hzbench.harness.build import build
    from hzbench.harness.recorder import probe_steps

    spec = Spec.parse({**SPEC, "run": {**SPEC["run"], "steps": 300, "record": [300]}})
    weights = path_weights(spec, build(spec).problem)
    np.testing.assert_allclose(weights.mean(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(weights[1:] / weights[:-1], 1 / (1 - 0.0125), rtol=1e-12)
    curve = np.exp(-np.arange(300) / 40)
    totals = [
        sum(count * weights[s] * curve[s] for s, count in Counter(probe_steps(300, 0, k)).items())
        for k in range(400)
    ]
    error = np.std(totals) / 128 / np.sqrt(400)
    assert abs(np.mean(totals) / 128 - weights @ curve / 300) < 5 * error
