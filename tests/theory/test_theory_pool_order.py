"""Rule P1 for pools: ratios of floors against the exact moments of both runs; what it refuses."""

import numpy as np
import pytest

from hzbench.core.spec import Spec
from hzbench.harness.build import build_problem
from hzbench.harness.prepare import predict
from hzbench.harness.setting import reference_spec, setting_of
from hzbench.theory.pool_order import pool_of

HELPER = {"name": "zeroth_order", "directions": "gaussian", "difference": "directional_derivative"}


def setting(n0, w, step=0.02, steps=None, **changes):
    x = n0 / (0.5 * 4)
    size = step / (1 + w * x)
    table = {
        "problem": {
            "name": "quadratic",
            "dimension": 10,
            "spectrum": "linear",
            "strong_convexity": 0.7,
            "initial": 0.0,
            "noise": 1.0,
        },
        "nodes": [
            {"count": 4, "step_size": size},
            {"count": n0, "work": 0.5, "step_size": w * size, "estimator": HELPER},
        ],
        "clock": {"name": "fixed"},
        "method": "asgd",
        "versus": {"nodes": [{"count": 4, "step_size": step}]},
        "run": {"steps": steps or 30 * (4 + 2 * n0), "replicas": 4},
    }
    for key, value in changes.items():
        table[key] = {**table[key], **value} if isinstance(value, dict) else value
    spec = Spec.parse(table)
    return setting_of(spec, build_problem(spec), build_problem(reference_spec(spec)))


@pytest.mark.parametrize("n0", [8, 16, 48])
@pytest.mark.parametrize("w", [1.0, 1 / 12, 0.4])
def test_the_ratio_of_floors_is_that_of_the_exact_moments(n0, w):
    asked = setting(n0, w)
    mine = predict("server_moments", asked).values["objective_gap"][-1]
    theirs = predict("server_moments", asked.reference).values["objective_gap"][-1]
    x = n0 / 2
    rule = (1 + 12 * w**2 * x) / (1 + w * x) ** 2
    assert pool_of(asked).variance / pool_of(asked.reference).variance == pytest.approx(rule)
    assert mine / theirs == pytest.approx(rule, rel=0.12)  # delays and growing noise are left out
    found = predict("pool_floor_order", asked)
    if found.applies:
        assert found.values["objective_gap_difference"][-1] == np.sign(mine - theirs)
    else:
        assert abs(rule - 1) <= 0.25


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "ringleader"}, "plain asynchronous SGD"),
        ({"clock": {"name": "exponential"}}, "a fixed clock"),
        ({"steps": 40}, "the floor is reached"),
        ({"step": 0.2}, "noise decides"),
        ({"problem": {"heterogeneity": 1.0}}, "the same data at every worker"),
        ({"problem": {"initial": 1.0}}, "the start is the optimum"),
        ({"versus": {"nodes": [{"count": 4, "step_size": 0.03}]}}, "both pools drift equally fast"),
    ],
)
def test_what_it_does_not_speak_of(changes, text):
    found = predict("pool_floor_order", setting(16, 1.0, **changes))
    assert text in {each.text for each in found.assumptions if not each.holds}
    assert not found.values
