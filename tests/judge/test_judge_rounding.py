"""What floating point may do, in float64 and in float32, and what it may not excuse."""

import dataclasses

import numpy as np
import pytest
from judge_synthetic import STEPS, make_trace, predict

import hzbench as hz
from hzbench.judge import judge
from hzbench.judge.rounding import FLOAT32, FLOAT64

LEVEL = 1e-4


@pytest.mark.parametrize(
    ("measured", "predicted", "slack"),
    [(3.0, 2.0, 3e-9), (2.0, 3.0, 3e-9), (5e-8, 0.0, 1e-9), (1e-20, 1e-19, 1e-12)],
)
def test_rounding_is_relative_with_a_floor(measured, predicted, slack):
    assert FLOAT64.slack(np.array(measured), np.array(predicted)) == pytest.approx(slack)


@pytest.mark.parametrize(("error", "outcome"), [(1e-6, "consistent"), (1e-3, "violated")])
def test_the_run_tells_its_number_format(error, outcome):
    values = {"slem": np.full((len(STEPS), 3), 0.5 * (1.0 + error))}
    trace = make_trace(values)
    narrow = dataclasses.replace(trace, provenance={"dtype": "float32"})
    prediction = predict({"slem": 0.5})
    assert judge(trace, prediction, level=LEVEL).outcome == "violated"
    verdict = judge(narrow, prediction, level=LEVEL)
    assert verdict.outcome == outcome
    assert verdict.tolerance == FLOAT32.relative


def test_residue_is_measured_by_the_largest_prediction():
    residue = 1e-4 * np.random.default_rng(3).random((len(STEPS), 50))
    trace = make_trace(
        {"consensus_potential": residue, "mean_distance": np.full((len(STEPS), 50), 1e12)}
    )
    huge = predict({"consensus_potential": 1e-7, "mean_distance": 1e12})
    assert judge(trace, huge, level=LEVEL).outcome == "consistent"
    small = predict({"consensus_potential": 1e-7})
    assert judge(trace, small, level=LEVEL).outcome != "consistent"


def run(gossip):
    spec = {
        "problem": {
            "name": "quadratic",
            "dimension": 6,
            "spectrum": "linear",
            "strong_convexity": 0.2,
            "heterogeneity": 1.0,
            "initial": 2.0,
        },
        "network": {"graph": "complete", "gossip": gossip},
        "method": {"name": "dsgd" if gossip == "matrix" else "hdo", "step_size": 0.05},
        "run": {"steps": 60, "replicas": 1600, "seed": 5, "dtype": "float32"},
        "nodes": [{"count": 4}],
    }
    return hz.run(hz.Spec.model_validate(spec)).verdicts


@pytest.mark.parametrize("gossip", ["matrix", "matching"])
def test_a_noise_free_float32_run_is_not_violated(gossip):
    """Matching: the disagreement varies, the distance of the mean does not, and both add up."""
    outcomes = {verdict.theorem: verdict.outcome for verdict in run(gossip)}
    assert {"quadratic_dynamics", "step_invariants"} <= set(outcomes)
    assert "violated" not in outcomes.values()
