"""Build: a spec's components on a device, and the plan of each block of replicas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from pydantic import ValidationError

from hzbench.core import registry
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.estimator import Estimator
from hzbench.core.explain import explain
from hzbench.core.method import Method
from hzbench.core.mutant import Mutant
from hzbench.core.network import Network
from hzbench.core.plan import Plan
from hzbench.core.problem import Placement, Problem, ProblemComponent
from hzbench.core.server import ServerMethod, ServerPlan
from hzbench.core.spec import Spec
from hzbench.core.streams import replica_keys
from hzbench.engine.population import Group, Population
from hzbench.harness.combinations import combination_mistakes, size_mistakes
from hzbench.harness.server import schedule_of
from hzbench.harness.setting import (
    base_step_sizes,
    clock_of,
    estimator_of,
    method_of,
    network_facts,
    protocol_of,
    work_of,
)
from hzbench.topology.build import build_network

SHORTEST, LONGEST = 1e-300, 1e306  # seconds, of a job and of all jobs of a run
LEAST_SMOOTHING = 1e-6
"""ν below which a difference of float32 values around 1 is rounding, where it is subtracted."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """What one run is made of; `mutant` has already been applied to each.

    `measured_on` is the problem whose f observables mean (None: its own): the reference of a paired
    comparison is measured on the objective of the other population.
    """

    spec: Spec
    problem: Problem
    network: Network
    population: Population
    method: Method
    mutant: Mutant
    measured_on: Problem | None = None


def build(spec: Spec, device: str = "cpu", mutant: Mutant | None = None) -> Components:
    """Build every component.

    Arguments:
        spec: what to build.
        device: torch device.
        mutant: replaces components as a planted bug does (a user's own component to be checked);
            None: the mutant that the spec names, if any.

    Raises:
        SpecError: every mistake that building shows, in one message.
    """
    if mutant is None:
        mutant = registry.find("mutant", spec.mutant).target() if spec.mutant else Mutant()
    spec = mutant.spec(spec)
    mistakes = size_mistakes(spec)
    if mistakes:
        raise SpecError(mistakes, f"spec {spec.name!r}")
    mistakes = [*combination_mistakes(spec), *_clock_mistakes(spec)]
    parts: dict[str, object] = {}
    with _collecting(mistakes):
        parts["problem"] = build_problem(spec, device)
        mistakes += _estimator_mistakes(spec, parts["problem"])
        mistakes += _start_mistakes(spec, parts["problem"])
    with _collecting(mistakes):
        parts["network"] = build_network(network_facts(spec), spec.node_count)
    if mistakes:
        raise SpecError(mistakes, f"spec {spec.name!r}")
    return Components(
        spec=spec,
        population=build_population(spec, mutant),
        method=mutant.method(method_of(spec)),
        mutant=mutant,
        **parts,  # type: ignore[arg-type]
    )


def build_problem(spec: Spec, device: str = "cpu") -> Problem:
    """Build the problem alone."""
    component = spec.component("problem", spec.problem)
    assert isinstance(component, ProblemComponent)
    placement = Placement(kinds=spec.kinds(), device=device, dtype=spec.run.dtype)
    found = component.mistakes(placement)
    if found:
        raise SpecError([f"problem: {mistake}" for mistake in found])
    return component.build(placement)


def build_population(spec: Spec, mutant: Mutant) -> Population:
    """Which node uses which estimator."""
    ends = np.cumsum([group.count for group in spec.nodes]).tolist()
    return Population(
        groups=tuple(
            Group(
                first=end - group.count,
                last=end,
                estimator=mutant.estimator(estimator_of(group.estimator)),
                batch_size=group.batch_size,
            )
            for group, end in zip(spec.nodes, ends, strict=True)
        )
    )


def build_server_plan(parts: Components, replicas: range) -> ServerPlan:
    """The plan of one block of a server's run; the schedule is that of every block."""
    assert isinstance(parts.method, ServerMethod)
    plan = ServerPlan(
        nodes=parts.spec.node_count,
        keys=replica_keys(parts.spec.run.seed, replicas),
        schedule=schedule_of(parts.spec, parts.method),
        step_sizes=step_sizes(parts.spec),
    )
    return parts.mutant.server_plan(plan)


def build_plan(parts: Components, replicas: range) -> Plan:
    """The plan of one block."""
    spec, network = parts.spec, parts.network
    protocol = protocol_of(spec, method_of(spec))
    keys = replica_keys(spec.run.seed, replicas)
    draw = registry.find("gossip", protocol).target
    plan = Plan(
        protocol=protocol,
        nodes=spec.node_count,
        keys=keys,
        step_sizes=step_sizes(spec),
        idle_steps=spec.network.idle_steps,
        silent=spec.network.silent_rounds,
        **draw(network, keys, spec.run.steps),
    )
    return parts.mutant.plan(plan)


def step_sizes(spec: Spec) -> NDArray[np.float64]:
    """η of every step and node, shape [T, n]; of a constant schedule all lines are one memory."""
    schedule, steps = method_of(spec).schedule, spec.run.steps
    base = base_step_sizes(spec)
    if schedule.name == "constant" and not schedule.warmup:
        return as_strided(base, (steps, len(base)), (0, base.strides[0]))
    ramp = (np.arange(min(schedule.warmup, steps)) + 1.0) / max(1, schedule.warmup)
    s = np.arange(steps - ramp.size, dtype=np.float64)
    after = {
        "constant": np.ones(s.size),
        "inverse-time": 1 / (1 + s / schedule.offset),
        "cosine": (1 + np.cos(np.pi * s / max(1, s.size))) / 2,
    }
    shape = np.concatenate([ramp, after[schedule.name]])
    sizes: NDArray[np.float64] = shape[:, None] * base[None, :]
    return sizes


def _clock_mistakes(spec: Spec) -> list[str]:
    """Keys that do not fit, and seconds that floats cannot add up."""
    if spec.clock is None and not isinstance(method_of(spec), ServerMethod):
        return []
    clock = clock_of(spec)
    found = [f"clock.{mistake}" for mistake in clock.mistakes(spec.node_count)]
    if found:
        return found
    most = LONGEST / spec.run.steps
    try:
        totals = clock.timer(work_of(spec), spec.run.seed).times.totals
    except OverflowError:
        return [
            "clock: got seconds times work beyond the largest float; expected at most "
            f"{most:.3g} s; lower them"
        ]
    return [
        f"clock: got {_digits(total)} s of work and links of node {node}, in a run of "
        f"{spec.run.steps} steps; expected {SHORTEST:g} to {most:.3g}, since times are floats; "
        "correct its seconds or work"
        for node, total in enumerate(totals)
        if not SHORTEST <= total <= most
    ]


def _digits(number: Fraction) -> str:
    """Three digits, also of numbers beyond floats."""
    return f"{Decimal(number.numerator) / Decimal(number.denominator):.3g}"


def _start_mistakes(spec: Spec, problem: Any) -> list[str]:
    """Nodes that start apart, where one server has one point."""
    starts = np.asarray(problem.initial)
    if not isinstance(method_of(spec), ServerMethod) or (starts == starts[0]).all():
        return []
    return [
        f"problem: got nodes that start at different points with method {spec.method['name']!r}; "
        "expected one start, that of the server; drop initial_spread, or give one point"
    ]


def _estimator_mistakes(spec: Spec, problem: Any) -> list[str]:
    """Estimators that do not fit the dimension or the method, and a method that does not fit it."""
    method = method_of(spec)
    moves = method.moves
    found = [f"method: {mistake}" for mistake in method.mistakes(problem.dimension)]
    for index, group in enumerate(spec.nodes):
        estimator = estimator_of(group.estimator)
        place = f"nodes.{index}.estimator"
        found += [f"{place}: {text}" for text in estimator.mistakes(problem.dimension, moves)]
        if isinstance(method, ServerMethod) and estimator.memory_size:
            found.append(
                f"{place}: got {group.estimator['name']!r} that remembers, with method "
                f"{spec.method['name']!r}; expected estimates from one point alone, since jobs are "
                "stopped and discarded; take two evaluations a direction"
            )
        if getattr(problem, "gradient_free", False) and estimator.uses_gradients:
            found.append(
                f"{place}: got {group.estimator['name']!r}, which needs gradients, on problem "
                f"{spec.problem['name']!r}; expected function values only; take zeroth_order with "
                "a central or forward difference"
            )
        found += [f"{place}: {text}" for text in _rounding_mistakes(spec, problem, estimator)]
    return found


def _rounding_mistakes(spec: Spec, problem: Any, estimator: Estimator) -> list[str]:
    """Differences of two float32 values whose rounding is a tenth of a slope of 1 or more."""
    nu = getattr(estimator, "smoothing", 1.0)
    stable = hasattr(problem, "directional_difference") or estimator.uses_gradients
    if spec.run.dtype == "float64" or stable or nu >= LEAST_SMOOTHING:
        return []
    return [
        f"got smoothing {nu:g} in float32 on problem {spec.problem['name']!r}; expected at least "
        f"{LEAST_SMOOTHING:g}, since it subtracts values that are rounded at 6e-8 of their size; "
        'raise it (1e-3 loses little), or take dtype = "float64"'
    ]


@contextmanager
def _collecting(mistakes: list[str]) -> Iterator[None]:
    """Turn the mistakes that a part raises into entries of one list."""
    try:
        yield
    except SpecError as error:
        mistakes.extend(error.mistakes)
    except UserMistakeError as error:
        mistakes.append(str(error))
    except ValidationError as error:
        mistakes.extend(explain(error))
