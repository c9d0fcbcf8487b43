"""A network from a spec to its results: hybrid nodes, validation at the record points."""

import numpy as np
import pytest
import torch

from hzbench.core.errors import SpecError
from hzbench.core.registry import find
from hzbench.core.spec import Spec
from hzbench.estimators import zeroth_order
from hzbench.harness.build import build
from hzbench.harness.measurable import validated
from hzbench.harness.prepare import prepare
from hzbench.harness.simulate import simulate
from hzbench.reports.curves import panels
from hzbench.testing.laws import addresses

ZEROTH = {"name": "zeroth_order", "directions": "gaussian", "samples": 8, "smoothing": 1e-4}
TABLE = {
    "problem": {"name": "mlp", "hidden": [8]},
    "nodes": [
        {"count": 2, "batch_size": 4},
        {"count": 2, "batch_size": 4, "estimator": ZEROTH, "step_size": 0.02},
    ],
    "network": {"gossip": "matching"},
    "method": {"name": "hdo", "step_size": 0.2},
    "run": {"steps": 40, "replicas": 2, "record": [40]},
}
NAMES = (
    "validation_loss",
    "validation_loss_spread",
    "validation_accuracy",
    "validation_accuracy_spread",
)


def test_a_hybrid_population_learns():
    prepared = prepare(Spec.parse(TABLE))
    assert set(NAMES) <= set(prepared.observables)
    trace = simulate(Spec.parse(TABLE), ("objective", *NAMES))
    assert (trace.at("objective", 40) < trace.at("objective", 0)).all()
    assert (trace.at("validation_accuracy", 40) > trace.at("validation_accuracy", 0)).all()
    assert (trace.at("validation_loss_spread", 0) == 0).all()  # all nodes start from one point
    assert (trace.at("validation_loss_spread", 40) > 0).all()
    assert (trace.at("gradient_calls", 40) == 40 * 2 * 4).all()
    assert (trace.at("function_calls", 40) == 40 * 2 * 4 * 16).all()


def test_validation_is_the_mean_and_the_deviation_over_the_nodes():
    spec = Spec.parse(TABLE | {"run": {"steps": 1, "replicas": 2, "record": [1]}})
    problem = build(spec).problem
    trace = simulate(spec, (*NAMES, "mean_iterate"))
    start = torch.as_tensor(problem.initial)[None]
    each = problem.validation(start)["validation_loss"][0]
    assert trace.at("validation_loss", 0) == pytest.approx(np.full(2, float(each[0])), rel=1e-12)
    state = type("State", (), {"x": torch.stack([start[0] * scale for scale in (0.5, 1.0, 2.0)])})
    state.x[:, 1:] *= 1.5
    found = validated(state, problem)
    for name, values in problem.validation(state.x).items():
        expected = values.numpy()
        assert found[name].numpy() == pytest.approx(expected.mean(axis=1))
        assert found[f"{name}_spread"].numpy() == pytest.approx(expected.std(axis=1))


def test_only_problems_with_data_set_aside_have_it():
    table = TABLE | {"problem": {"name": "quadratic", "dimension": 2}}
    assert not set(NAMES) & set(prepare(Spec.parse(table)).observables)
    asked = Spec.parse(table | {"run": {"observables": ["validation_loss"]}})
    with pytest.raises(SpecError, match="a problem with data set aside"):
        prepare(asked)


def test_the_report_draws_it():
    entry = {"mean": [1.0, 0.5], "standard_error": [0.0, 0.1]}
    run = {"steps": [0, 40], "observables": dict.fromkeys(("objective", *NAMES), entry)}
    assert {panel.observable for panel in panels(run)} == {"objective", *NAMES}


def test_a_network_beyond_memory_is_one_message():
    table = TABLE | {"problem": {"name": "mlp", "hidden": [10**6, 10**6]}}
    with pytest.raises(SpecError, match="take narrower layers or fewer nodes") as caught:
        prepare(Spec.parse(table))
    assert len(caught.value.mistakes) == 1


def test_estimates_in_parts_are_the_same_numbers(monkeypatch):
    """Directions are drawn and used a bounded part at a time: nodes first, then vectors."""
    problem = build(Spec.parse(TABLE)).problem
    at = addresses(2, 4)
    x = torch.as_tensor(problem.initial).repeat(2, 1)
    for directions in ("gaussian", "sphere", "rademacher", "coordinate"):
        for difference in ("central", "forward", "directional_derivative"):
            estimator = find("estimator", "zeroth_order").target(
                directions=directions, difference=difference, samples=7
            )
            monkeypatch.setattr(zeroth_order, "_AT_ONCE", 1 << 24)
            whole = estimator.estimate(problem, x, at, 4)
            for numbers in (3 * 7 * problem.dimension, 3 * problem.dimension, 1):
                monkeypatch.setattr(zeroth_order, "_AT_ONCE", numbers)
                parts = estimator.estimate(problem, x, at, 4)
                torch.testing.assert_close(parts.gradient, whole.gradient, rtol=1e-9, atol=1e-8)
                for name, calls in whole.calls.items():
                    assert torch.equal(parts.calls[name], calls)
