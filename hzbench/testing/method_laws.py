"""Laws that every method must obey, under every protocol that it knows.

- The exact recursion: what the method declares (`update_order`, `update_facts`, `network_facts`,
  momentum, schedule) predicts the means of a run on quadratics, and the run must show them: without
  noise step by step to 1e-9, and with noise and random exchanges in mean, where an error of a tenth
  would be seen with power 0.9. One whose network needs columns that sum to 1 alone gets a digraph,
  where rows do not, under both rules of push weights.
- A method with a server: its schedule is that of its `server_facts`, by estimate, on clocks
  with ties, links, draws and outages; so are the means of a run with noise.
- One that declares not to move keeps every node where it started.
- Where nothing is known of its recursion: it stays at, or comes back to, an optimum that is not 0;
  it descends; and its nodes agree and keep their mean once nobody takes steps, unless it declares
  that it never exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hzbench.core.method import Method
from hzbench.core.normal_form import component_of
from hzbench.core.server import ServerMethod
from hzbench.core.setting import NetworkFacts, Protocol
from hzbench.core.spec import Spec
from hzbench.harness.prepare import prepare
from hzbench.harness.run import ALPHA, execute_case
from hzbench.harness.setting import network_facts
from hzbench.harness.simulate import simulate
from hzbench.testing.checking import paragraph
from hzbench.testing.laws import CheckFailed, require
from hzbench.topology.build import build_network

Table = dict[str, Any]

NODES, LONG = 4, 300
SEEN = 0.1  # the error of a mean that must be visible
CURVATURES = ((1.0, 0.6, 0.3), (0.5, 1.0, 0.8), (0.9, 0.4, 0.7), (0.6, 0.8, 1.0))
TILTS = ((1.0, 0.5, -0.4), (-0.3, 0.8, 0.9), (0.6, -0.7, 0.2), (0.1, 0.4, 1.1))
STARTS = ((2.0, -1.0, 0.5), (0.5, 1.5, -2.0), (-1.0, 0.0, 1.0), (3.0, 1.0, 2.0))
DIGRAPH = {"name": "digraph", "arcs": [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]}
PUSH, ONE_PEER = (
    {"gossip": "matrix", "graph": DIGRAPH, "weights": rule} for rule in ("push", "one-peer-push")
)
OPTIMUM = (0.8, -0.5, 1.2)
CLOCKS: dict[str, Table] = {
    "with ties": {"name": "fixed", "seconds": [1.0, 2.0, 1.0, 4.0]},
    "with links": {
        "name": "fixed",
        "pace": "sqrt",
        "download": [0.0, 1.0, 0.3, 0.0],
        "upload": 0.2,
    },
    "with exponential times": {"name": "exponential", "pace": "linear"},
    "with outages": {"name": "intervals", "rates": [[1, 0], [1, 1], [0, 2], [0.5, 0.5]]},
}
HEAVY_BALL = {"momentum": 0.4, "schedule": {"name": "inverse-time", "offset": 4.0, "warmup": 2}}


def method_laws(name: str, method: Method) -> None:
    """Every law above, under every protocol.

    Raises:
        CheckFailed: a law does not hold.
    """
    table = {"name": name, **method.model_dump(mode="json", exclude_defaults=True)}
    for protocol in method.protocols:
        if isinstance(method, ServerMethod):
            _serves_as_declared(table)
            _rests(table, protocol)
            _descends(table, protocol)
            continue
        if not method.moves:
            _stays(table, protocol)
            continue
        _moves_as_declared(table, protocol, "without noise")
        if protocol == "matrix" and _pushes(method):
            _moves_as_declared(table, protocol, "without noise, one peer at a time", ONE_PEER)
        heavy = {**table, **HEAVY_BALL}
        _moves_as_declared(heavy, protocol, "without noise, with momentum and a schedule")
        _moments_as_declared(table, protocol)
        _rests(table, protocol)
        _descends(table, protocol)
        _agrees(table, protocol)


def _moves_as_declared(
    table: Table, protocol: Protocol, how: str, network: Mapping[str, Any] | None = None
) -> None:
    """Without noise, between fixed partners: every replica follows the recursion, to 1e-9.

    A method that draws masks or coins varies; `_moments_as_declared` has it.
    """
    nodes = NODES if protocol == "matrix" else 2
    checks = [{"theorem": "quadratic_dynamics", "steps": [1, 2, 6]}]
    run = {"steps": 6, "replicas": 4, "record": [1, 2, 6]}
    problem = _quadratics(nodes)
    spec = _spec(table, protocol, problem, run, nodes=nodes, checks=checks, network=network)
    _judge(spec, how, {"violated"})


def _serves_as_declared(table: Table) -> None:
    """On clocks with ties, links, outages and draws: the schedule and the exact moments."""
    for how, clock in CLOCKS.items():
        run = {"steps": 24, "replicas": 4096, "max_replicas": 16384, "record": [5, 24]}
        problem = {**_quadratics(NODES), "initial": STARTS[0], "noise": 0.35}
        check = {"theorem": "server_moments", "steps": [24], "observables": ["objective_gap"]}
        checks = [{"theorem": "server_schedule"}, {**check, "tolerance": SEEN}]
        spec = _spec(table, "server", problem, run, checks=checks, batch_size=3, clock=clock)
        _judge(spec, how, {"violated", "inconclusive"})


def _moments_as_declared(table: Table, protocol: Protocol) -> None:
    """With noise and random exchanges: the means are those of the recursion."""
    named = (["objective_gap"], ["consensus_potential"])
    check = {"theorem": "quadratic_dynamics", "steps": [12], "tolerance": SEEN}
    checks = [{**check, "observables": each} for each in named]
    run = {"steps": 12, "replicas": 4096, "max_replicas": 32768, "record": [12]}
    problem = {**_quadratics(NODES), "noise": 0.35}
    spec = _spec(table, protocol, problem, run, checks=checks, batch_size=3)
    _judge(spec, "with noise", {"violated", "inconclusive"})


def _judge(spec: Spec, how: str, refused: set[str]) -> None:
    """Refuse a run with one of these outcomes."""
    case = prepare(spec)
    result = execute_case(case, ALPHA / case.statistical)
    if refused.isdisjoint(verdict.outcome for verdict in result.verdicts):
        return
    title = (
        f"{_where(spec)}, {spec.node_count} nodes on quadratics {how}, does not move as its "
        "update_order, update_facts and network_facts, or its server_facts, declare"
    )
    raise CheckFailed(paragraph(result, title), result)


def _stays(table: Table, protocol: Protocol) -> None:
    """Neither a gradient nor an exchange moves it, from places that differ."""
    spec = _spec(table, protocol, {**_alike(OPTIMUM), "initial": STARTS}, _long(3))
    before = ((np.array(STARTS) - OPTIMUM) ** 2).sum(1).mean()
    change = abs(_last(spec, "node_distance") - before)
    require(
        change < 1e-9,
        f"{_where(spec)} declares moves = False and moves: after 3 steps the mean squared distance "
        f"to the optimum is off by {change:.3g}; expected 0",
    )


def _rests(table: Table, protocol: Protocol) -> None:
    """From the optimum of nodes that are all alike, it stays there or comes back.

    It may leave: copies that neighbours hold (`choco_sgd`) begin at 0.
    """
    spec = _spec({**table, "step_size": 0.1}, protocol, _alike(OPTIMUM), _long(LONG))
    away = _last(spec, "node_distance")
    require(
        away < 1e-9,
        f"{_where(spec)} does not keep the optimum: started there, its nodes are at a mean squared "
        f"distance of {away:.3g} after {LONG} steps without noise; expected 0",
    )


def _descends(table: Table, protocol: Protocol) -> None:
    """From elsewhere it comes nearer, with steps small enough for delays of dozens of rounds."""
    start = tuple(value + 1.0 for value in OPTIMUM)
    spec = _spec({**table, "step_size": 0.02}, protocol, _alike(start), _long(LONG))
    before, after = float(len(start)), _last(spec, "node_distance")
    require(
        after < before / 2,
        f"{_where(spec)} does not descend: {LONG} steps of size 0.02 without noise take the mean "
        f"squared distance to the optimum from {before:.3g} to {after:.3g}; expected half at most",
    )


def _agrees(table: Table, protocol: Protocol) -> None:
    """With step size 0 exchanges bring all nodes to the mean of where they started."""
    problem = {**_alike(OPTIMUM), "initial": STARTS}
    spec = _spec({**table, "step_size": 0.0}, protocol, problem, _long(LONG))
    facts = network_facts(spec)
    if facts.exchange_period > 1:
        steps = LONG * facts.exchange_period
        spec = _spec({**table, "step_size": 0.0}, protocol, problem, _long(steps))
    mean = np.array(STARTS).mean(0)
    shift = np.abs(_values(spec, "mean_iterate") - mean).max()
    require(
        shift < 1e-9,
        f"{_where(spec)} does not keep the mean: with step size 0 it moves by {shift:.3g}; "
        "expected exchanges that only redistribute",
    )
    pushes = facts.column_stochastic  # its W contracts in another norm
    if protocol == "matrix" and not pushes and build_network(facts, NODES).slem >= 1:
        return  # it declares that it never exchanges
    apart = _last(spec, "consensus_potential")
    first = ((np.array(STARTS) - mean) ** 2).sum()
    require(
        apart < 1e-3 * first,
        f"{_where(spec)} does not mix: with step size 0 the disagreement is {apart:.3g} after "
        f"{spec.run.steps} steps; expected next to nothing of the {first:.3g} at the start, since "
        "its network connects all nodes",
    )


def _last(spec: Spec, observable: str) -> float:
    """The largest value over replicas at the last step (inf if it is no number)."""
    return float(np.nan_to_num(_values(spec, observable), nan=np.inf).max())


def _values(spec: Spec, observable: str) -> Any:
    return simulate(spec, [observable]).at(observable, spec.run.steps)


def _where(spec: Spec) -> str:
    return f"{spec.method['name']} under {spec.network.gossip!r}"


def _long(steps: int) -> Table:
    return {"steps": steps, "replicas": 2, "record": [steps]}


def _quadratics(nodes: int) -> Table:
    """Different quadratics, diagonal, so that masks of coordinates can be followed too."""
    return {
        "name": "quadratic",
        "hessians": [np.diag(row).tolist() for row in CURVATURES[:nodes]],
        "linear_terms": TILTS[:nodes],
        "initial": STARTS[:nodes],
    }


def _alike(start: tuple[float, ...]) -> Table:
    """The same quadratic at every node, with its optimum away from 0."""
    curvature = np.array(CURVATURES[3])
    return {
        "name": "quadratic",
        "hessian": np.diag(curvature).tolist(),
        "linear_terms": [(curvature * OPTIMUM).tolist()] * NODES,
        "initial": start,
    }


def _spec(
    table: Table,
    protocol: Protocol,
    problem: Mapping[str, Any],
    run: Mapping[str, Any],
    *,
    nodes: int = NODES,
    checks: Any = (),
    batch_size: int | str = "full",
    network: Mapping[str, Any] | None = None,
    clock: Mapping[str, Any] | None = None,
) -> Spec:
    """A run of the method; nodes of the second half take half the step."""
    group = {"count": nodes // 2, "batch_size": batch_size}
    method = component_of("method", table)
    assert isinstance(method, Method)
    size = float(method.step_size)
    return Spec.parse(
        {
            "name": str(table["name"]),
            "problem": dict(problem),
            "nodes": [group, {**group, "step_size": size / 2}],
            "network": dict(network or _network(method, protocol, nodes)),
            "clock": clock,
            "method": table,
            "run": dict(run),
            "checks": list(checks),
        }
    )


def _network(method: Method, protocol: Protocol, nodes: int) -> Mapping[str, Any]:
    """A path, all pairs for matchings, and a digraph where the method can use one."""
    if protocol == "server":
        return {}
    if protocol == "matrix":
        return PUSH if _pushes(method) else {"gossip": protocol, "graph": "path"}
    network: Table = {"gossip": protocol}
    if protocol == "pair":
        network["graph"] = "path"
    if nodes == 2:
        network["pair_weight"] = 0.3
    return network


def _pushes(method: Method) -> bool:
    """Whether columns of W that sum to 1 are enough for it, as it declares."""
    return method.network_facts(NetworkFacts(graph="path"), NODES).column_stochastic
