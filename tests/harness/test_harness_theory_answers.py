"""Every theorem answers on every problem and estimator, with values or with what fails."""

import pytest

from hzbench.core import registry
from hzbench.core.spec import Spec
from hzbench.harness.build import build_problem
from hzbench.harness.prepare import predict
from hzbench.harness.setting import setting_of

PROBLEMS = {
    "quadratic": {"name": "quadratic", "dimension": 3, "noise": 0.1, "evaluation_noise": 0.1},
    "cosine": {"name": "separable", "dimension": 3, "noise": 0.1, "evaluation_noise": 0.1},
    "exponential": {"name": "separable", "term": "exponential", "dimension": 3},
    "quartic": {"name": "separable", "term": "quartic", "dimension": 3},
    "ridge": {"name": "ridge"},
    "logistic": {"name": "logistic"},
}
ESTIMATORS = {
    "gaussian-forward": {"name": "zeroth_order", "directions": "gaussian", "difference": "forward"},
    "orthonormal": {"name": "zeroth_order", "sampling": "orthonormal", "samples": 2},
    "one_point": "one_point",
    "coordinate_difference": "coordinate_difference",
}
RUNS = (("hdo", "pair"), ("dsgd", "matrix"), ("probe", "matrix"))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_theorem_answers(problem, estimator):
    for method, gossip in RUNS:
        spec = Spec.parse(
            {
                "problem": PROBLEMS[problem],
                "nodes": [{"count": 2}, {"count": 2, "estimator": ESTIMATORS[estimator]}],
                "method": {"name": method, "step_size": 0.01},
                "network": {"gossip": gossip},
                "run": {"steps": 3},
            }
        )
        setting = setting_of(spec, build_problem(spec))
        for name in registry.entries("theorem"):
            prediction = predict(name, setting)
            assert prediction.applies == bool(prediction.values), name
            failed = [a for a in prediction.assumptions if not a.holds]
            assert prediction.applies == (not failed), name
