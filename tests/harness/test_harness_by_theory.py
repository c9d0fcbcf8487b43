"""Parameters that a spec leaves to theory: the numbers, that they keep their promise, mistakes."""

import numpy as np
import pytest
import torch

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.build import build
from hzbench.harness.by_theory import with_parameters
from hzbench.harness.prepare import prepare

METHODS = {
    "ringmaster": {"delay_threshold": "theory"},
    "stopping": {"name": "ringmaster", "delay_threshold": "theory", "stops": True},
    "rennala": {"batch": "theory"},
    "malenia": {"batch": "theory"},
    "waiting": {"name": "malenia"},
    "asgd": {},
    "fastest_asgd": {"fastest": "theory"},
    "minibatch_sgd": {},
    "ringleader": {},
}
ALIKE_ONLY = ("ringmaster", "stopping", "rennala", "asgd", "fastest_asgd")


def spec_of(method, steps=1, nodes=None, clock=None, **problem):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 4, "noise": 0.5, "initial": 3.0}
            | problem,
            "nodes": nodes or [{"count": 3}],
            "clock": clock or {"name": "fixed", "seconds": [1.0, 1.5, 4.0]},
            "method": {"step_size": "theory", "target": 0.35} | method,
            "run": {"steps": steps, "replicas": 1600, "record": list(range(steps + 1))},
        }
    )


def named(name):
    return {"name": name} | METHODS[name]


@pytest.mark.parametrize("name", METHODS)
def test_the_target_is_reached_on_average(name):
    """avg E|∇f|² <= ε after 4Δ/(γε) updates, by the exact moments of the run."""
    alike = name in ALIKE_ONLY
    problem = {} if alike else {"heterogeneity": 1.0}
    first = with_parameters(spec_of(named(name), **problem))
    built = build(first).problem
    start = torch.as_tensor(built.initial[:1])
    gap = float(built.objective(start)[0]) - built.constants.minimum
    steps = int(np.ceil(4 * gap / (first.method["step_size"] * 0.35)))
    spec = spec_of({**first.method}, steps=steps, **problem)
    spec = spec.replace(checks=[{"theorem": "server_moments", "steps": [steps]}])
    prediction = prepare(spec).predictions[0]
    assert prediction.applies
    assert prediction.values["gradient_norm"][:-1].mean() <= 0.35
    assert prediction.values["gradient_norm"][0] > 0.35  # there was something to do


def test_a_batch_makes_noise_smaller():
    spec = spec_of(
        {"name": "ringmaster", "delay_threshold": 4}, nodes=[{"count": 3, "batch_size": 5}]
    )
    # L = 1, σ² = 4 · .25/5 = .2, R as given
    assert with_parameters(spec).method["step_size"] == pytest.approx(min(1 / 8, 0.35 / (4 * 0.2)))


def test_numbers_stay_as_they_are():
    spec = spec_of({"name": "ringleader", "step_size": 0.3})
    assert with_parameters(spec) is spec


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": {"name": "ia2sgd"}}, r"method.step_size: got the rule of IA²SGD"),
        ({"method": {"name": "asgd"}, "clock": {"name": "exponential"}}, "expected fixed"),
        (
            {"method": {"name": "asgd"}, "nodes": [{"count": 3, "estimator": "zeroth_order"}]},
            "expected known constants",
        ),
        ({"method": {"name": "ringleader", "target": None}}, "without a target"),
        (
            {"method": {"name": "ringleader"}, "nodes": [{"count": 3, "step_size": 1.9}]},
            r"nodes.0.step_size: got one beside step_size = 'theory'",
        ),
        (
            {"method": {"name": "ringleader", "schedule": {"name": "inverse-time"}}},
            r"method.schedule: got one beside step_size = 'theory'",
        ),
        ({"method": {"name": "dsgd", "target": None}}, "target"),
    ],
)
def test_what_theory_cannot_choose(changes, sentence):
    with pytest.raises(SpecError, match=sentence):
        prepare(spec_of(**changes))


def test_gossip_has_no_such_theory():
    table = {"problem": {"name": "quadratic", "dimension": 2}, "nodes": [{"count": 2}]}
    with pytest.raises(SpecError, match="with a method that has a server"):
        prepare(Spec.parse(table | {"method": {"name": "hdo", "step_size": "theory"}}))
