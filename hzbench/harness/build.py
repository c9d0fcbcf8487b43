"""Build: a spec's components on a device, and the plan of each block of replicas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.sparse.csgraph import connected_components

from hzbench.core import registry
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.explain import explain
from hzbench.core.method import Method
from hzbench.core.mutant import Mutant
from hzbench.core.network import Network
from hzbench.core.plan import Plan
from hzbench.core.problem import Placement, Problem, ProblemComponent
from hzbench.core.setting import NetworkFacts
from hzbench.core.spec import Spec
from hzbench.core.streams import replica_keys
from hzbench.engine.population import Group, Population
from hzbench.harness.setting import (
    base_step_sizes,
    estimator_of,
    method_of,
    network_facts,
    protocol_of,
)
from hzbench.topology.build import build_network


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
    mistakes = _combination_mistakes(spec)
    parts: dict[str, object] = {}
    with _collecting(mistakes):
        parts["problem"] = build_problem(spec, device)
        mistakes += _estimator_mistakes(spec, parts["problem"])
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
        **draw(network, keys, spec.run.steps),
    )
    return parts.mutant.plan(plan)


def step_sizes(spec: Spec) -> NDArray[np.float64]:
    """η of every step and node, shape [T, n]."""
    schedule, steps = method_of(spec).schedule, spec.run.steps
    ramp = (np.arange(min(schedule.warmup, steps)) + 1.0) / max(1, schedule.warmup)
    s = np.arange(steps - ramp.size, dtype=np.float64)
    after = {
        "constant": np.ones(s.size),
        "inverse-time": 1 / (1 + s / schedule.offset),
        "cosine": (1 + np.cos(np.pi * s / max(1, s.size))) / 2,
    }
    shape = np.concatenate([ramp, after[schedule.name]])
    sizes: NDArray[np.float64] = shape[:, None] * base_step_sizes(spec)[None, :]
    return sizes


def _combination_mistakes(spec: Spec) -> list[str]:
    """Combinations that make no sense, each with the reason."""
    found = []
    method = method_of(spec)
    if spec.network.gossip not in method.protocols:
        how = "a mixing matrix" if method.protocols == ("matrix",) else "partners"
        found.append(
            f"network.gossip: got {spec.network.gossip!r} with method {spec.method['name']!r}; "
            f"expected one of {', '.join(method.protocols)}, since that method averages over {how}"
            " only; change the gossip or the method"
        )
    protocol = protocol_of(spec, method)
    facts = network_facts(spec)
    if protocol == "matching":
        found += _matching_mistakes(facts, spec.node_count)
    if facts.link_failure and protocol != "matrix":
        found.append(
            f"network.link_failure: got {facts.link_failure:g} with protocol {protocol!r}; "
            "expected 0, since links fail under a mixing matrix; drop it or take gossip = 'matrix'"
        )
    if facts.exchange_probability < 1 and protocol != "matrix":
        found.append(
            f"network.exchange_probability: got {facts.exchange_probability:g} with protocol "
            f"{protocol!r}; expected 1, since the coin decides for a round under a mixing matrix; "
            "drop it or take gossip = 'matrix'"
        )
    if protocol in ("pair", "matching") and spec.node_count < 2:
        found.append("nodes: got 1 node; expected at least 2 to form a pair; add nodes")
    if facts.edge_law == "explicit" and len(facts.edges) != len(facts.edge_probabilities):
        found.append(
            f"network.edge_probabilities: got {len(facts.edge_probabilities)} for "
            f"{len(facts.edges)} edges; expected one an edge; give as many as edges"
        )
    return [*found, *_matrix_mistakes(spec), *_record_mistakes(spec)]


def _estimator_mistakes(spec: Spec, problem: Any) -> list[str]:
    """Estimators that do not fit the dimension or the method, and a method that does not fit it."""
    method = method_of(spec)
    moves = method.moves
    return [f"method: {mistake}" for mistake in method.mistakes(problem.dimension)] + [
        f"nodes.{index}.estimator: {mistake}"
        for index, group in enumerate(spec.nodes)
        for mistake in estimator_of(group.estimator).mistakes(problem.dimension, moves)
    ]


def _matching_mistakes(facts: NetworkFacts, nodes: int) -> list[str]:
    """A matching law that does not fit the graph."""
    if facts.matching_law == "uniform" and facts.graph != "complete":
        return [
            f"network.gossip: got 'matching' on graph {facts.graph!r}; expected 'complete', since "
            "uniform perfect matchings are drawn among all nodes; use gossip = 'pair' or "
            "matching_law = 'greedy' there"
        ]
    even_ring = facts.graph == "ring" and not facts.edges and nodes % 2 == 0
    if facts.matching_law == "alternating" and not even_ring:
        return [
            f"network.matching_law: got 'alternating' on graph {facts.graph!r} with {nodes} nodes; "
            "expected a ring with an even number of nodes; take matching_law = 'greedy'"
        ]
    return []


def _matrix_mistakes(spec: Spec) -> list[str]:
    """A given W whose own links do not connect the nodes, whatever the graph says."""
    matrix = np.array(spec.network.matrix if spec.network.matrix is not None else [[1.0]])
    parts = connected_components(matrix != 0)[0] if len(matrix) == len(matrix.T) else 1
    if parts > 1:
        return [
            f"network.matrix: got a W that falls into {parts} parts; expected one that connects "
            "all nodes; give the parts a common weight"
        ]
    return []


def _record_mistakes(spec: Spec) -> list[str]:
    places = {"run.record": spec.run.record_steps}
    places |= {f"checks.{i}.steps": check.steps for i, check in enumerate(spec.checks)}
    beyond = {
        place: [step for step in steps if not 0 <= step <= spec.run.steps]
        for place, steps in places.items()
    }
    return [
        f"{place}: got {bad}; expected steps in 0 ... {spec.run.steps}; drop them or raise "
        "run.steps"
        for place, bad in beyond.items()
        if bad
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
