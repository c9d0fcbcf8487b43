"""Which runs the fused kernels can execute: a pure function of a run's components."""

from __future__ import annotations

from typing import Any

from hzbench.core import registry
from hzbench.core.method import Method
from hzbench.core.problem import Problem
from hzbench.engine.population import Group, Population

METHODS = ("hdo", "dsgd", "centralized")
ESTIMATORS = ("gradient", "zeroth_order")


def obstacle(problem: Problem, population: Population, method: Method) -> str | None:
    """Why a run needs the torch executor; None: the fused kernels can take it.

    Types are compared exactly: a component that wraps or extends a known one may compute something
    else.
    """
    if type(method) not in _types("method", METHODS):
        return f"method {_named(method)}; fused kernels know {', '.join(METHODS)}"
    return oracle_obstacle(problem, population)


def oracle_obstacle(problem: Problem, population: Population) -> str | None:
    """What keeps estimates from the kernels: all that a server needs, whatever its schedule."""
    found: Any = vars(type(problem)).get("compiled")
    if found is None or problem.compiled() is None:  # type: ignore[attr-defined]
        return f"problem {_named(problem)} has no compiled form"
    if getattr(problem, "device", "cpu") != "cpu":
        return "kernels run on the CPU alone"
    if getattr(problem, "dtype", "") != "float64":
        return "kernels compute in float64 alone"
    return next(filter(None, (_group(group) for group in population.groups)), None)


def _group(group: Group) -> str | None:
    estimator: Any = group.estimator
    if type(estimator) not in _types("estimator", ESTIMATORS):
        return f"estimator {_named(estimator)}; fused kernels know {', '.join(ESTIMATORS)}"
    if getattr(estimator, "sampling", "iid") != "iid":
        return f"sampling {estimator.sampling!r}; fused kernels draw independent vectors"
    return None


def _types(kind: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(registry.find(kind, name).target for name in names)


def _named(component: Any) -> str:
    return str(getattr(component, "registered_name", type(component).__name__))
