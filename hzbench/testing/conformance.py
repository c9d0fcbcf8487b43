"""The conformance suite: every law on everything registered, third-party components included.

    pytest --pyargs hzbench.testing.conformance

A component needs no test of its own here: what is registered (in this package or through an entry
point) is found. Give `examples` to a class whose parameters have no defaults.
"""

from __future__ import annotations

from typing import Any

import pytest

from hzbench.core import registry
from hzbench.core.prediction import Prediction
from hzbench.core.setting import Setting
from hzbench.core.spec import Spec
from hzbench.harness.run import prepare
from hzbench.testing import laws, problem_laws
from hzbench.testing.checking import check


def _all(kind: str) -> pytest.MarkDecorator:
    found = [
        pytest.param(name, index, id=f"{name}-{index}" if index else name)
        for name, entry in registry.entries(kind).items()
        for index in range(len(getattr(entry.target, "examples", ({},))))
    ]
    return pytest.mark.parametrize(("name", "index"), found)


def _example(kind: str, name: str, index: int) -> Any:
    return laws.examples(kind, name)[index]


@_all("problem")
def test_problem(name: str, index: int) -> None:
    """Gradients, objective, optimum, constants and certificates, addressed draws."""
    problem_laws.problem_laws(_example("problem", name, index))


@_all("graph")
def test_graph(name: str, index: int) -> None:
    """Connected, simple, labelled, and fit for Metropolis weights."""
    component = _example("graph", name, index)
    laws.graph_laws(component, component.example_nodes)
    parameters = component.model_dump(mode="json", exclude_defaults=True)
    laws.network_laws(name, parameters, component.example_nodes)


@_all("weights")
def test_weights(name: str, index: int) -> None:
    """Symmetric and doubly stochastic."""
    laws.weights_laws(_example("weights", name, index))


@_all("estimator")
def test_estimator(name: str, index: int) -> None:
    """Shape, oracle calls, addressed draws; and theory's verdict where a law is declared."""
    component = _example("estimator", name, index)
    laws.estimator_laws(component)
    if component.law(1) is None:
        pytest.skip("no law is declared, so no moments are known")
    parameters = component.model_dump(mode="json", exclude_defaults=True)
    check(component, against=name, tolerance=0.25, run={"replicas": 2048}, **parameters)


@_all("method")
def test_method(name: str, index: int) -> None:
    """The optimum is a fixed point; one node alone does gradient descent."""
    laws.method_laws(name, _example("method", name, index))


SETTINGS: dict[str, dict[str, Any]] = {
    "hybrid pairs": {
        "problem": {"name": "quadratic", "dimension": 3, "noise": 0.1},
        "nodes": [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}],
    },
    "matching": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 5}],
        "network": {"gossip": "matching"},
    },
    "ring of least squares": {
        "problem": {
            "name": "ridge",
            "features": [[1, 0], [0, 1], [1, 1], [1, 2]],
            "targets": [1, 2, 0, 1],
        },
        "nodes": [{"count": 4}],
        "network": {"graph": "ring"},
        "method": "dsgd",
    },
    "logistic": {
        "problem": {
            "name": "logistic",
            "features": [[1, 0], [0, 1], [1, 1], [1, 2]],
            "targets": [1, -1, 1, -1],
        },
        "nodes": [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}],
    },
    "constants alone": {
        "problem": {"name": "sine_square", "noise": 0.1},
        "nodes": [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}],
        "method": "dsgd",
    },
    "nothing known": {
        "problem": {
            "name": "blackbox",
            "function": "hzbench.problems.blackbox:bowl",
            "dimension": 2,
        },
        "nodes": [{"count": 4, "estimator": "zeroth_order"}],
    },
    "an estimator alone": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 1, "estimator": "zeroth_order"}],
        "method": "probe",
    },
}


def _setting(name: str) -> Setting:
    theorem = next(iter(registry.entries("theorem")))  # one is enough: only the setting is used
    table = {**SETTINGS[name], "checks": [{"theorem": theorem}], "run": {"steps": 8}}
    return prepare(Spec.parse(table)).setting


@pytest.mark.parametrize("setting", list(SETTINGS))
@pytest.mark.parametrize("name", list(registry.entries("theorem")))
def test_theorem(name: str, setting: str) -> None:
    """A prediction on every setting: values where it applies, a failing assumption elsewhere."""
    prediction = registry.find("theorem", name).target(_setting(setting))
    assert isinstance(prediction, Prediction)
    assert prediction.assumptions, "a theorem lists what it assumes"
    assert prediction.source.locator, "a theorem names its source"
    assert bool(prediction.values) == prediction.applies
    for observable, values in prediction.values.items():
        assert len(values) == len(prediction.steps), observable
