"""Setting: the declared facts of a spec, for theory.

Nothing built is read but the problem's declared facts; the components of nodes and method are only
asked what they *declare* about the parameters in the spec.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hzbench.core.clock import Clock, ClockFacts
from hzbench.core.estimator import Estimator
from hzbench.core.method import Method
from hzbench.core.problem import HidesCoordinates, Problem
from hzbench.core.server import ServerMethod
from hzbench.core.setting import NetworkFacts, ProblemFacts, Protocol, Setting
from hzbench.core.spec import Spec


def setting_of(spec: Spec, problem: Problem, reference: Problem | None = None) -> Setting:
    """The setting of a spec.

    Arguments:
        spec: what is run (a mutant in it is ignored: theory knows nothing of it).
        problem: built from the same spec; only its declared facts are read.
        reference: the problem of the reference population, for paired comparisons.
    """
    method = method_of(spec)
    groups = [(estimator_of(group.estimator), group) for group in spec.nodes]
    compared = None
    if spec.versus is not None and reference is not None:
        compared = setting_of(reference_spec(spec), reference)
    return Setting(
        nodes=spec.node_count,
        problem=_facts(problem),
        laws=tuple(law for e, g in groups for law in (e.law(g.batch_size),) * g.count),
        kinds=tuple(kind for e, g in groups for kind in (e.kind,) * g.count),
        groups=tuple(group.count for group in spec.nodes),
        step_sizes=base_step_sizes(spec),
        schedule=method.schedule_facts(),
        momentum=method.momentum,
        update=method.update_facts(),
        protocol=protocol_of(spec, method),
        order=method.update_order,
        network=network_facts(spec),
        idle_steps=spec.network.idle_steps,
        moves=method.moves,
        steps=spec.run.steps,
        record=spec.record_steps,
        replicas=spec.run.replicas,
        clock=clock_facts(spec, method),
        server=method.server_facts() if isinstance(method, ServerMethod) else None,
        reference=compared,
    )


def clock_of(spec: Spec) -> Clock:
    """The clock component; one second an estimate where the spec names none."""
    clock = spec.component("clock", spec.clock or {"name": "fixed"})
    assert isinstance(clock, Clock)
    return clock


def work_of(spec: Spec) -> tuple[float, ...]:
    """The work of one estimate of every node."""
    return tuple(group.work for group in spec.group_of_node())


def clock_facts(spec: Spec, method: Method) -> ClockFacts | None:
    """How long the nodes take; None where nothing is timed."""
    if spec.clock is None and not isinstance(method, ServerMethod):
        return None
    return clock_of(spec).facts(work_of(spec), spec.run.seed)


def reference_spec(spec: Spec) -> Spec:
    """The spec of the reference population: the same but for its nodes, and perhaps its length."""
    assert spec.versus is not None
    nodes = [group.model_dump(mode="json") for group in spec.versus.nodes]
    changes: dict[str, Any] = {
        "nodes": nodes,
        "versus": None,
        "checks": [],
        "name": spec.versus.label,
    }
    if spec.versus.steps is not None:
        changes["run"] = {
            **spec.run.model_dump(mode="json"),
            "steps": spec.versus.steps,
            "record": reference_record(spec),
        }
    return spec.replace(**changes)


def reference_record(spec: Spec) -> tuple[int, ...]:
    """The reference's record points: at the same fractions of its run."""
    assert spec.versus is not None
    longer = (spec.versus.steps or spec.run.steps) / spec.run.steps
    return tuple(round(k * longer) for k in spec.record_steps)


def method_of(spec: Spec) -> Method:
    """The method component."""
    method = spec.component("method", spec.method)
    assert isinstance(method, Method)
    return method


def estimator_of(table: dict[str, object]) -> Estimator:
    """The estimator component of one group."""
    from hzbench.core.normal_form import component_of

    estimator = component_of("estimator", table)
    assert isinstance(estimator, Estimator)
    return estimator


def protocol_of(spec: Spec, method: Method) -> Protocol:
    """The protocol of the run: the spec's, unless the method knows only one."""
    return method.protocols[0] if len(method.protocols) == 1 else spec.network.gossip


def base_step_sizes(spec: Spec) -> np.ndarray:
    """Base step size of every node, shape [n]."""
    default = method_of(spec).step_size
    assert default != "theory", "see harness/by_theory.py"
    chosen = [default if g.step_size is None else g.step_size for g in spec.group_of_node()]
    return np.array(chosen, dtype=np.float64)


def network_facts(spec: Spec) -> NetworkFacts:
    """The words of the [network] table, as the method uses them."""
    table = spec.network
    graph = {k: v for k, v in table.graph.items() if k != "name"}
    declared = NetworkFacts(
        graph=table.graph["name"],
        graph_parameters=graph,
        weights="explicit" if table.matrix is not None else table.weights["name"],
        edges=tuple((min(e), max(e)) for e in table.edges),
        edge_law=table.edge_law,
        edge_probabilities=table.edge_probabilities,
        matrix=None if table.matrix is None else np.array(table.matrix, dtype=np.float64),
        pair_weight=table.pair_weight,
        matching_law=table.matching_law,
        link_failure=table.link_failure,
        exchange_probability=table.exchange_probability,
        silent_rounds=table.silent_rounds,
    )
    return method_of(spec).network_facts(declared, spec.node_count)


def _facts(problem: Problem) -> ProblemFacts:
    return ProblemFacts(
        dimension=problem.dimension,
        constants=problem.constants,
        structure=problem.structure,
        optimum=np.asarray(problem.optimum, dtype=np.float64),
        initial=np.asarray(problem.initial, dtype=np.float64),
        chain=problem.zero_chain if isinstance(problem, HidesCoordinates) else None,
    )
