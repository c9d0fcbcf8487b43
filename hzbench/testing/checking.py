"""`check`: put a user's component in place of a declared one and let theory judge the run.

The run is that of a planted bug, with the user's code as the suspect: theory predicts what the
declared component must do; the user's component runs instead; the judge compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from hzbench.core import registry
from hzbench.core.errors import UserMistakeError
from hzbench.core.estimator import Estimator
from hzbench.core.method import Method
from hzbench.core.mutant import Mutant
from hzbench.core.plan import Plan
from hzbench.core.problem import ProblemComponent
from hzbench.core.spec import Spec
from hzbench.harness.build import step_sizes
from hzbench.harness.prepare import prepare
from hzbench.harness.run import ALPHA, Result, verdict_of
from hzbench.harness.simulate import simulate
from hzbench.testing.laws import CheckFailed

# Estimators: few dimensions and a gradient without small components, so that 4096 replicas see 5 %
# of its mean for m >= 4; methods: node-wise terms and noise, so that the disagreement has a size.
ESTIMATOR_PROBLEM = {
    "name": "quadratic",
    "dimension": 4,
    "strong_convexity": 0.5,
    "noise": 0.1,
    "initial": 3.0,
}
MOMENTS = ("estimator_moments", (["estimate_square", "estimate_power"], ["estimate"]))
MEANS = ("separable_means", (["estimate"],))  # where bias is: quadratics are blind to it
METHOD_PROBLEM = {
    "name": "quadratic",
    "dimension": 6,
    "rotation": True,
    "heterogeneity": 0.5,
    "noise": 0.3,
    "initial": 2.0,
}


class Substitute(Mutant):
    """Replaces every estimator, or the method, by the user's.

    A method brings its own step size and schedule if its object was given any.
    """

    def __init__(self, component: Estimator | Method, spec: Spec) -> None:
        self.component = component
        given = component.model_fields_set & {"step_size", "schedule"}
        words = component.model_dump(mode="json", include=given)
        self.schedule_of = spec.replace(method={**spec.method, **words}) if words else spec

    def estimator(self, estimator: Estimator) -> Estimator:
        """The user's, if it is an estimator."""
        return self.component if isinstance(self.component, Estimator) else estimator

    def method(self, method: Method) -> Method:
        """The user's, if it is a method."""
        return self.component if isinstance(self.component, Method) else method

    def plan(self, plan: Plan) -> Plan:
        """The step sizes of the user's method."""
        if not isinstance(self.component, Method):
            return plan
        return replace(plan, step_sizes=step_sizes(self.schedule_of))


def check(
    suspect: Any,
    *,
    against: str = "",
    alpha: float = ALPHA,
    tolerance: float = 0.05,
    nodes: int | None = None,
    problem: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Result | None:
    """Check one component against the theory of a declared one.

    Arguments:
        suspect: an Estimator or Method (instance or class; a method's own step size and schedule
            are used if they were given to it); a function `(f, x, rng) -> g` against
            an estimator, or `(gradient, x, step_size) -> x` against a method; or a problem
            component, checked for the laws every problem must obey.
        against: name of the declared estimator or method ("zeroth_order", "hdo", "dsgd", ...).
        alpha: probability that a correct component is called violated.
        tolerance: the error that matters.
        nodes: n; 8 unless told, 2 for an estimator that is a plain function, which is called once
            a replica and node (what is seen hardly depends on n).
        problem, run, network: tables of the spec, instead of the defaults; on a problem "separable"
            an estimator is judged by its exact bias, which the default quadratic does not show.
        parameters: of the declared component (directions = "sphere", samples = 4, ...).

    Returns:
        The result, when every outcome is *consistent*; None for a problem.

    Raises:
        CheckFailed: an outcome is not; the message says what was expected and what came.
        UserMistakeError: nothing can be checked as asked.
    """
    if isinstance(suspect, type) and issubclass(suspect, BaseModel):
        suspect = suspect()
    if isinstance(suspect, ProblemComponent):
        from hzbench.testing.problem_laws import problem_laws

        problem_laws(suspect)
        return None
    plain = against in registry.entries("estimator") and not isinstance(suspect, Estimator)
    size = nodes or (2 if plain else 8)
    spec = _spec(against, parameters, tolerance, size, problem, run, network)
    result = _judge(spec, Substitute(_component(suspect, spec), spec), alpha)
    if not result.met:
        raise CheckFailed(paragraph(result, f"{_name(suspect)} against {against}"), result)
    return result


def paragraph(result: Result, title: str) -> str:
    """What came of a run, for someone who reads a test report."""
    lines = [
        f"{title}: {sum(v.met for v in result.verdicts)} of {len(result.verdicts)} as expected"
    ]
    for verdict in result.verdicts:
        if not verdict.met:
            lines.append(
                f"  {verdict.theorem}: expected {verdict.expected}, got {verdict.outcome}: "
                f"{verdict.reason}"
            )
            lines += [
                f"    {s.observable} at step {s.step}: measured {s.measured:.6g} "
                f"± {s.standard_error:.2g}, predicted {s.predicted:.6g}"
                for s in verdict.statistics
            ]
    return "\n".join(lines)


def _judge(spec: Spec, substitute: Mutant, alpha: float) -> Result:
    case = prepare(spec)
    level = alpha / max(1, case.statistical)
    trace = simulate(case.spec, case.observables, mutant=substitute)
    pairs = zip(case.checks, case.predictions, strict=True)
    verdicts = tuple(verdict_of(trace, check, prediction, level) for check, prediction in pairs)
    return Result(
        spec=spec,
        trace=trace,
        predictions=case.predictions,
        verdicts=verdicts,
        warnings=case.warnings,
    )


def _spec(
    against: str,
    parameters: Mapping[str, Any],
    tolerance: float,
    nodes: int,
    problem: Mapping[str, Any] | None,
    run: Mapping[str, Any] | None,
    network: Mapping[str, Any] | None,
) -> Spec:
    """The run that shows whether a component does what the declared one must."""
    spec: dict[str, Any] = {"name": f"check against {against}"}
    if against in registry.entries("estimator"):
        estimator = {"name": against, **parameters}
        batch = estimator.pop("batch_size", 1)
        spec["nodes"] = [{"count": nodes, "estimator": estimator, "batch_size": batch}]
        spec["method"] = "probe"
        spec["problem"] = dict(problem or ESTIMATOR_PROBLEM)
        spec["run"] = {"steps": 1, "record": [1], **(run or {})}
        theorem, named = MEANS if spec["problem"].get("name") == "separable" else MOMENTS
        checks = [{"theorem": theorem, "observables": names} for names in named]
    elif against in registry.entries("method"):
        spec["nodes"] = [{"count": nodes, "estimator": "gradient"}]
        spec["method"] = {"name": against, **parameters}
        spec["problem"] = dict(problem or METHOD_PROBLEM)
        spec["run"] = {"steps": 20, "record": [5, 20], **(run or {})}
        last: dict[str, Any] = {"theorem": "quadratic_dynamics", "steps": [20]}
        checks = [{**last, "observables": [n]} for n in ("objective_gap", "consensus_potential")]
    else:
        known = sorted([*registry.entries("estimator"), *registry.entries("method")])
        raise UserMistakeError(
            f"got against = {against!r}; expected an estimator or a method "
            f"({', '.join(known)}); name the one that yours claims to be"
        )
    spec["network"] = dict(network or {})
    spec["checks"] = [{**each, "tolerance": tolerance} for each in checks]
    return Spec.parse(spec)


def _component(suspect: Any, spec: Spec) -> Estimator | Method:
    from hzbench.harness.setting import estimator_of, method_of
    from hzbench.testing.functions import FunctionEstimator, FunctionMethod

    if isinstance(suspect, (Estimator, Method)):
        return suspect
    if not callable(suspect):
        raise UserMistakeError(
            f"got {suspect!r}; expected an Estimator, a Method, a ProblemComponent or a function; "
            "pass the object itself"
        )
    if spec.method["name"] == "probe":
        declared = estimator_of(spec.nodes[0].estimator)
        return FunctionEstimator(function=suspect, declared=declared)
    return FunctionMethod(function=suspect, inner=method_of(spec))


def _name(suspect: Any) -> str:
    return str(getattr(suspect, "__name__", type(suspect).__name__))
