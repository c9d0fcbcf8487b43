"""The conformance suite: every law on everything registered, third-party components included.

    pytest --pyargs hzbench.testing.conformance

A component needs no test of its own here: what is registered (in this package or through an entry
point) is found. Give `examples` to a class whose parameters have no defaults, or which has several
kinds of behaviour: every example is tested, and every value of a method's Literal fields. A law
that does not hold is a paragraph.
"""

from __future__ import annotations

from typing import Any

import pytest

from hzbench.core import registry
from hzbench.testing import estimator_laws, laws, method_laws, problem_laws, theorem_laws
from hzbench.testing.plugin import readable
from hzbench.testing.settings import SETTINGS


def _all(kind: str) -> pytest.MarkDecorator:
    found = [
        pytest.param(name, index, id=f"{name}-{index}" if index else name)
        for name, entry in registry.entries(kind).items()
        for index in range(len(laws.example_tables(kind, entry.target)))
    ]
    return pytest.mark.parametrize(("name", "index"), found)


def _example(kind: str, name: str, index: int) -> Any:
    return laws.examples(kind, name)[index]


@_all("problem")
def test_problem(name: str, index: int) -> None:
    """Gradients, objective, optimum, constants and certificates, addressed draws."""
    with readable():
        problem_laws.problem_laws(_example("problem", name, index))


@_all("graph")
def test_graph(name: str, index: int) -> None:
    """Connected, simple, labelled, and fit for Metropolis weights."""
    component = _example("graph", name, index)
    parameters = component.model_dump(mode="json", exclude_defaults=True)
    with readable():
        laws.graph_laws(component, component.example_nodes)
        laws.network_laws(name, parameters, component.example_nodes)


@_all("weights")
def test_weights(name: str, index: int) -> None:
    """Symmetric and doubly stochastic."""
    with readable():
        laws.weights_laws(_example("weights", name, index))


@_all("estimator")
def test_estimator(name: str, index: int) -> None:
    """Shape, oracle calls, addressed draws; and theory's verdict where a law is declared."""
    component = _example("estimator", name, index)
    with readable():
        estimator_laws.estimator_laws(name, component)
    if component.law(1) is None:
        pytest.skip("no law is declared, so no moments are known")


@_all("method")
def test_method(name: str, index: int) -> None:
    """The exact recursion of what it declares; rest at the optimum, descent, agreement."""
    with readable():
        method_laws.method_laws(name, _example("method", name, index))


@pytest.mark.parametrize("setting", list(SETTINGS))
@pytest.mark.parametrize("name", list(registry.entries("theorem")))
def test_theorem(name: str, setting: str) -> None:
    """A prediction on every setting: not violated where it applies, a failing assumption else."""
    with readable():
        verdict = theorem_laws.theorem_laws(name, setting)
    if verdict is not None and verdict.outcome == "inconclusive":
        pytest.skip(f"this run cannot judge it: {verdict.reason}")
