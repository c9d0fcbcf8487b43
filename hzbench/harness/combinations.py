"""Combinations of a spec's keys that make no sense, each with the reason."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from hzbench.core.lines import DENSE_NODES
from hzbench.core.machine import memory
from hzbench.core.network import contraction, strong_parts
from hzbench.core.setting import NetworkFacts, Protocol
from hzbench.core.spec import NetworkTable, Spec
from hzbench.harness.setting import method_of, network_facts, protocol_of, reference_record

READ_BY: dict[str, tuple[Protocol, ...]] = {
    "edge_law": ("pair",),
    "exchange_probability": ("matrix",),
    "idle_steps": ("matching",),
    "link_failure": ("matrix",),
    "matching_law": ("matching",),
    "matrix": ("matrix",),
    "pair_weight": ("pair", "matching"),
    "silent_rounds": ("matching", "matrix"),
    "weights": ("matrix",),
}
"""Keys of [network] that only some protocols read."""

_WAYS: dict[Protocol, str] = {
    "pair": "averages over partners",
    "matching": "averages over partners",
    "matrix": "averages over a mixing matrix",
    "server": "has a server and workers",
}

SPARSE_GRAPHS = ("ring", "path", "grid", "torus", "random-regular", "circulant", "explicit")
"""Graphs whose edges, and W with them, fit memory beyond DENSE_NODES nodes."""
SPECTRA = ("laplacian_spectrum", "slem", "adjacency_slem")
LEAST = 3
"""Arrays of the size of the iterates that any run holds at a time, wherever."""

_STRONG = (
    "network.matrix: got a W with {parts} strongly connected parts; expected one, so that every "
    "node hears of every other; add shares back"
)


def combination_mistakes(spec: Spec) -> list[str]:
    """Every combination that makes no sense."""
    protocol = protocol_of(spec, method_of(spec))
    facts = network_facts(spec)
    return [
        *_method_mistakes(spec, protocol),
        *_unread(spec, protocol),
        *(_matching_mistakes(facts, spec.node_count) if protocol == "matching" else ()),
        *_law_mistakes(facts),
        *_matrix_mistakes(spec, facts.column_stochastic),
        *_server_mistakes(spec, protocol),
        *_record_mistakes(spec),
    ]


def size_mistakes(spec: Spec) -> list[str]:
    """A spec of which one array alone exceeds the memory of the machine."""
    nodes, dimension = spec.node_count, spec.problem.get("dimension") or 1
    if nodes > DENSE_NODES and (found := _large_mistakes(spec)):
        return found
    needed = {
        f"problem.dimension: got {dimension} with {nodes} nodes; the arrays of one replica": 8
        * LEAST
        * nodes
        * dimension,
        f"run.steps: got {spec.run.steps} steps of {nodes} nodes, whose step sizes": 8
        * spec.run.steps
        * nodes,
        f"run.replicas: got {spec.run.replicas} replicas, of which one observable": 8
        * spec.run.replicas
        * len(spec.record_steps),
    }
    return [
        f"{what} would take {size / 2**30:.3g} GiB; expected less than the {memory() / 2**30:.3g} "
        "GiB of this machine; take fewer"
        for what, size in needed.items()
        if size > memory()
    ]


def _large_mistakes(spec: Spec) -> list[str]:
    """What needs a matrix, of a network too large for one."""
    nodes, network = spec.node_count, spec.network
    size = f"W alone would take {8 * nodes**2 / 2**30:.3g} GiB"
    graph = "explicit" if network.edges else network.graph["name"]
    protocol = protocol_of(spec, method_of(spec))
    found = []
    if protocol == "server":
        found.append(f"nodes: got {nodes} workers; expected at most {DENSE_NODES}; take fewer")
    if graph not in SPARSE_GRAPHS or network.matrix is not None:
        what = "a matrix" if network.matrix is not None else f"graph {graph!r}"
        found.append(
            f"network: got {what} of {nodes} nodes; expected at most {DENSE_NODES} there ({size}), "
            f"or a sparse graph: {', '.join(SPARSE_GRAPHS)}; take one of them, or fewer nodes"
        )
    if spec.clock is not None and protocol == "matrix":
        found.append(
            f"clock: got one with rounds of {nodes} nodes; expected at most {DENSE_NODES} there, "
            "since waiting reads W; drop it"
        )
    asked = [name for name in spec.run.observables if name in SPECTRA]
    if asked:
        found.append(
            f"run.observables: got {', '.join(asked)} of {nodes} nodes; expected at most "
            f"{DENSE_NODES}, since eigenvalues take a time that grows like n³; drop them"
        )
    return found


def _method_mistakes(spec: Spec, protocol: Protocol) -> list[str]:
    """A method under a protocol that it does not know, or whose schedule never starts."""
    found, method = [], method_of(spec)
    if spec.network.gossip not in method.protocols:
        how = _WAYS[method.protocols[0]]
        found.append(
            f"network.gossip: got {spec.network.gossip!r} with method {spec.method['name']!r}; "
            f"expected one of {', '.join(method.protocols)}, since that method {how} only; change "
            "the gossip or the method"
        )
    if protocol in ("pair", "matching") and spec.node_count < 2:
        found.append("nodes: got 1 node; expected at least 2 to form a pair; add nodes")
    if method.schedule.warmup >= spec.run.steps:
        found.append(
            f"method.schedule.warmup: got {method.schedule.warmup} in a run of {spec.run.steps} "
            "steps; expected fewer than run.steps, or the schedule never starts; lower it"
        )
    return found


def _unread(spec: Spec, protocol: Protocol) -> list[str]:
    """Keys away from their defaults that this protocol or method would silently ignore."""
    found, network, own = [], spec.network, method_of(spec).own_network
    for key, readers in READ_BY.items():
        value, default = getattr(network, key), NetworkTable.model_fields[key].default
        if (protocol in readers and not own) or value in (default, {"name": "explicit"}):
            continue
        shown = "a matrix" if key == "matrix" else repr(value)
        others = " or ".join(f"gossip = {reader!r}" for reader in readers)
        whose = f"method {spec.method['name']!r}" if own else f"protocol {protocol!r}"
        found.append(
            f"network.{key}: got {shown} with {whose}, which does not read it; expected it left "
            f"out; drop it or take {'another method' if own else others}"
        )
    return found


def _law_mistakes(facts: NetworkFacts) -> list[str]:
    if facts.edge_law == "explicit" and len(facts.edges) != len(facts.edge_probabilities):
        return [
            f"network.edge_probabilities: got {len(facts.edge_probabilities)} for "
            f"{len(facts.edges)} edges; expected one an edge; give as many as edges"
        ]
    return []


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


def _matrix_mistakes(spec: Spec, pushes: bool) -> list[str]:
    """A given W whose own links do not connect the nodes, or that expands disagreement."""
    matrix = np.array(spec.network.matrix if spec.network.matrix is not None else [[1.0]])
    square = len(matrix) == len(matrix.T) and np.isfinite(matrix).all()
    if pushes:
        parts = strong_parts(matrix) if square else 1
        return [_STRONG.format(parts=parts)] if parts > 1 else []
    parts = connected_components(matrix != 0)[0] if len(matrix) == len(matrix.T) else 1
    if parts > 1:
        return [
            f"network.matrix: got a W that falls into {parts} parts; expected one that connects "
            "all nodes; give the parts a common weight"
        ]
    norm = contraction(matrix) if square else 0.0
    if norm > 1.0 + 1e-9 and np.allclose(matrix.sum(axis=1), 1.0):
        return [
            f"network.matrix: got a W with |W − J/n| = {norm:.4g}; expected at most 1, since more "
            "makes averaging expand disagreement; lower its negative weights"
        ]
    return []


def _server_mistakes(spec: Spec, protocol: Protocol) -> list[str]:
    """What a server cannot use, and work that no clock times."""
    if protocol != "server":
        if spec.clock is not None or all(group.work == 1 for group in spec.nodes):
            return []
        return [
            "nodes: got `work` without a clock, which nothing reads; expected it left out; drop it "
            "or add [clock]"
        ]
    found = method_of(spec).worker_mistakes(spec.node_count)
    if spec.network.graph != {"name": "complete"}:
        found.append(
            f"network.graph: got {spec.network.graph['name']!r} with method "
            f"{spec.method['name']!r}; expected it left out, since workers talk to the server "
            "alone; drop it"
        )
    return found


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
    ] + _versus_mistakes(spec)


def _versus_mistakes(spec: Spec) -> list[str]:
    """Record points of the run that are one and the same of a shorter reference."""
    if spec.versus is None or spec.versus.steps is None:
        return []
    record = reference_record(spec)
    if len(set(record)) == len(record):
        return []
    return [
        f"versus.steps: got {spec.versus.steps} steps against {spec.run.steps}, where record "
        f"points {list(spec.record_steps)} become {list(record)}; expected different ones; record "
        "fewer, or take more steps"
    ]
