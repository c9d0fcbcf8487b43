"""Parameters that a spec leaves to theory: "theory" in place of a number."""

from __future__ import annotations

from typing import Any

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.problem import Problem
from hzbench.core.server import THEORY, ServerMethod
from hzbench.core.spec import Spec
from hzbench.harness.build import build_problem
from hzbench.harness.setting import clock_facts, method_of


def with_parameters(spec: Spec) -> Spec:
    """The spec with numbers where its method says "theory"; any other spec as it is.

    Raises:
        SpecError: no target, unknown constants, or a rule without a theory.
    """
    asked = tuple(key for key, value in spec.method.items() if value == THEORY)
    if not asked:
        return spec
    method = method_of(spec)
    if not isinstance(method, ServerMethod) or method.target is None:
        raise SpecError(
            [
                f"method.{asked[0]}: got {THEORY!r} without a target; expected target = ε, the "
                "E|∇f|² to reach, with a method that has a server; add it, or give a number"
            ],
            f"spec {spec.name!r}",
        )
    _require_promise(spec, method, asked)
    numbers = _parameters(spec, method, asked)
    return spec.replace(method={**spec.method, **numbers})


def _require_promise(spec: Spec, method: ServerMethod, asked: tuple[str, ...]) -> None:
    """Nothing else sets the step sizes that theory is to choose.

    Raises:
        SpecError: step sizes of groups, or a schedule that moves.
    """
    own = [
        f"nodes.{k}.step_size" for k, group in enumerate(spec.nodes) if group.step_size is not None
    ]
    moving = [] if method.schedule_facts().constant else ["method.schedule"]
    if "step_size" in asked and (own or moving):
        raise SpecError(
            [
                f"{(own + moving)[0]}: got one beside step_size = {THEORY!r}; expected it left "
                "out, since the promise E|∇f|² <= ε is that of one constant step size; drop it"
            ],
            f"spec {spec.name!r}",
        )


def _parameters(spec: Spec, method: ServerMethod, asked: tuple[str, ...]) -> dict[str, Any]:
    facts = method.model_copy(update=dict.fromkeys(asked, 1)).server_facts()
    problem = build_problem(spec.model_copy(update={"mutant": None}))
    solve = registry.find("limit", "server_parameters").target
    L, noise = problem.constants.smoothness, noise_of(spec, problem)
    try:
        found = solve(facts, clock_facts(spec, method), L, noise, method.target, asked)
    except ValueError as error:
        raise SpecError(
            [f"method.{asked[0]}: {error}; give a number"], f"spec {spec.name!r}"
        ) from None
    missing = [key for key in asked if key not in found]
    if missing:
        raise SpecError(
            [f"method.{missing[0]}: got {THEORY!r}; expected a number here; give one"],
            f"spec {spec.name!r}",
        )
    return {key: int(v) if key != "step_size" else float(v) for key, v in found.items()}


def noise_of(spec: Spec, problem: Problem) -> float:
    """σ² of one estimate of the noisiest worker; nan where some worker takes no gradients."""
    if any(kind != "first" for kind in spec.kinds()):
        return float("nan")
    each = zip(problem.constants.noise, spec.batch_sizes(), strict=True)
    return max(0.0 if size == "full" else trace / size for trace, size in each)
