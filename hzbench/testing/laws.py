"""Laws that every component must obey, whoever wrote it; each raises CheckFailed in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import torch

from hzbench.core import registry
from hzbench.core.component import Component
from hzbench.core.estimator import Estimator
from hzbench.core.method import Method
from hzbench.core.network import Network
from hzbench.core.problem import Kind, Placement, Problem, ProblemComponent
from hzbench.core.setting import NetworkFacts
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.harness.simulate import simulate
from hzbench.topology.build import build_network

if TYPE_CHECKING:
    from torch import Tensor

NODES = 4
STEP = 1e-5


class CheckFailed(AssertionError):  # noqa: N818 (an assertion, read in a test report)
    """A law or a check that does not hold; the message is a readable paragraph."""


def require(holds: bool, sentence: str) -> None:
    """Raise CheckFailed with the sentence unless it holds."""
    if not holds:
        raise CheckFailed(sentence)


def addresses(replicas: int, nodes: int) -> Rows:
    """One row for every (replica, node), at step 0."""
    replica = torch.arange(replicas).repeat_interleave(nodes)
    node = torch.arange(nodes).repeat(replicas)
    keys = replica_keys(7, range(replicas))
    return Rows(keys=keys[replica], replica=replica, node=node, step=torch.zeros_like(node))


def build_problem(component: ProblemComponent, nodes: int = NODES) -> Problem:
    """The problem on `nodes` nodes, half of each kind."""
    kinds: list[Kind] = ["first" if node < nodes // 2 else "zeroth" for node in range(nodes)]
    placement = Placement(kinds=kinds)
    found = component.mistakes(placement)
    require(not found, f"{type(component).__name__} cannot be built: {'; '.join(found)}")
    return component.build(placement)


def problem_laws(component: ProblemComponent) -> None:
    """Gradients are those of the values; f is their mean; the optimum is one; constants hold.

    Raises:
        CheckFailed: a law does not hold.
    """
    problem = build_problem(component)
    near = torch.as_tensor(problem.initial).mean(0)
    noise = torch.randn(32, problem.dimension, generator=torch.Generator().manual_seed(1))
    x = near + 0.3 * noise.double()
    _gradients_match_values(problem, x)
    _objective_is_the_mean(problem, x)
    _optimum_is_one(problem, x)
    _constants_hold(problem, x)
    _draws_are_addressed(problem)


def _gradients_match_values(problem: Problem, x: Tensor) -> None:
    rows = addresses(8, problem.nodes)
    at, d = x[: len(rows)], problem.dimension
    sample = problem.sample(rows, 2, 1)
    exact = problem.gradients(at, rows.node, sample)[:, 0]
    ends = torch.cat([at[:, None] + STEP * torch.eye(d), at[:, None] - STEP * torch.eye(d)], 1)
    values = problem.values(ends[:, None], rows.node, sample)[:, 0]
    difference = (values[:, :d] - values[:, d:]) / (2 * STEP)
    gap = float((exact - difference).abs().max() / (1 + exact.abs().max()))
    require(
        gap < 1e-5,
        f"gradients differ from central differences of values by {gap:.2g} (relative), on the same "
        "data sample; make them derivatives of each other",
    )


def _objective_is_the_mean(problem: Problem, x: Tensor) -> None:
    rows = addresses(1, problem.nodes)
    full = problem.sample(rows, "full", 1)
    for point in x[:4]:
        at = point.expand(problem.nodes, -1)
        mean = problem.values(at[:, None, None], rows.node, full).mean()
        slope = problem.gradients(at, rows.node, full)[:, 0].mean(0)
        require(
            bool(torch.isclose(problem.objective(point[None])[0], mean, rtol=1e-8, atol=1e-10)),
            "objective differs from the mean of the nodes' full values; f is (1/n) Σ f_i",
        )
        own = problem.objective_gradient(point[None])[0]
        require(
            bool(torch.allclose(own, slope, rtol=1e-8, atol=1e-10)),
            "objective_gradient differs from the mean of the nodes' full gradients",
        )


def _optimum_is_one(problem: Problem, x: Tensor) -> None:
    if not np.size(problem.optimum):
        return
    best = torch.as_tensor(problem.optimum)[None]
    slope = float(problem.objective_gradient(best).norm())
    scale = float(problem.objective_gradient(x).norm(dim=1).max())
    require(slope < 1e-7 * (1 + scale), f"the gradient at the declared optimum is {slope:.2g}")
    gap = float(problem.objective(best)[0]) - problem.constants.minimum
    require(abs(gap) < 1e-8 * (1 + abs(gap)), f"f(optimum) − declared minimum is {gap:.2g}")


def _constants_hold(problem: Problem, x: Tensor) -> None:
    slope, length = problem.objective_gradient(x), x.shape[0] // 2
    change = (slope[:length] - slope[length:]).norm(dim=1)
    apart = (x[:length] - x[length:]).norm(dim=1)
    most = float((change / apart).max())
    L, mu = problem.constants.smoothness, problem.constants.strong_convexity
    require(
        not most > L * (1 + 1e-9),
        f"got |∇f(x) − ∇f(y)| = {most:.4g} |x − y|; expected at most L = {L:.4g}; declare more",
    )
    inner = ((slope[:length] - slope[length:]) * (x[:length] - x[length:])).sum(1) / apart**2
    least = float(inner.min())
    require(
        not least < mu * (1 - 1e-9) - 1e-12,
        f"got a curvature of {least:.4g} between two points; expected at least μ = {mu:.4g}",
    )


def _draws_are_addressed(problem: Problem) -> None:
    rows = addresses(6, problem.nodes)
    x = torch.as_tensor(problem.initial).mean(0).expand(len(rows), -1)
    whole = problem.gradients(x, rows.node, problem.sample(rows, 1, 1))
    last = torch.arange(len(rows) // 2, len(rows))
    part = rows.take(last)
    again = problem.gradients(x[last], part.node, problem.sample(part, 1, 1))
    require(
        bool(torch.allclose(whole[last], again, rtol=1e-12, atol=1e-12)),
        "draws depend on which rows are computed together; draw from the rows' addresses",
    )


def graph_laws(component: Any, nodes: int) -> None:
    """Connected, simple, n nodes, and every weight rule is doubly stochastic or refuses."""
    graph = component.build(nodes)
    require(graph.number_of_nodes() == nodes, f"got {graph.number_of_nodes()} nodes of {nodes}")
    require(set(graph.nodes) == set(range(nodes)), "nodes are not labelled 0 ... n − 1")
    require(nx.is_connected(graph), "the graph is not connected")
    require(nx.number_of_selfloops(graph) == 0, "the graph has a loop")


def weights_laws(component: Any) -> None:
    """Symmetric, doubly stochastic, on the graph's edges, contracting (checked by Network)."""
    graph = nx.complete_graph(5)
    weights = np.asarray(component.build(graph))
    edges = np.array(sorted(graph.edges), dtype=np.int64)
    law = np.full(len(edges), 1 / len(edges))
    network = Network(nodes=5, edges=edges, weights=weights, edge_probabilities=law)
    require(network.slem < 1, f"|W − J/n| is {network.slem:.4g}: repeated averaging never agrees")


def estimator_laws(estimator: Estimator) -> None:
    """The shape of x, oracle calls counted, and no dependence on which rows run together."""
    problem = build_problem(_quadratic())
    rows = addresses(6, problem.nodes)
    x = torch.as_tensor(problem.initial).repeat(6, 1)
    found = estimator.estimate(problem, x, rows, 1)
    require(found.gradient.shape == x.shape, f"got shape {tuple(found.gradient.shape)}")
    calls = sum(int(count.sum()) for count in found.calls.values())
    require(calls > 0, "no oracle calls were counted; report them in `calls`")
    last = torch.arange(len(rows) // 2, len(rows))
    again = estimator.estimate(problem, x[last], rows.take(last), 1)
    require(
        bool(torch.allclose(found.gradient[last], again.gradient, rtol=1e-9, atol=1e-9)),
        "estimates depend on which rows are computed together; draw from the rows' addresses",
    )


def method_laws(name: str, method: Method) -> None:
    """The optimum is a fixed point, and one node alone does gradient descent at the first step."""
    if not method.moves:
        return
    protocol = method.protocols[0]
    table = {"name": name, **method.model_dump(mode="json", exclude_defaults=True)}
    if method.step_size:
        start = Spec.parse(
            {
                "problem": {"name": "quadratic", "dimension": 3, "initial": 0.0},
                "nodes": [{"count": NODES, "batch_size": "full"}],
                "network": {"gossip": protocol},
                "method": table,
                "run": {"steps": 5, "replicas": 2, "record": [5]},
            }
        )
        away = simulate(start, ["node_distance"]).at("node_distance", 5).max()
        require(away < 1e-20, f"the optimum is not a fixed point: after 5 steps |x|² = {away:.2g}")
    if protocol == "matrix":
        _descends_alone(table, method)


def _descends_alone(table: dict[str, Any], method: Method) -> None:
    """N = 1: x+ = x − η (1 − m) ∇f(x) at the first step."""
    spec = Spec.parse(
        {
            "problem": {
                "name": "quadratic",
                "hessian": [[2.0, 0.5], [0.5, 1.0]],
                "initial": [1, 2],
            },
            "nodes": [{"count": 1, "batch_size": "full"}],
            "network": {"gossip": "matrix"},
            "method": {**table, "step_size": 0.1},
            "run": {"steps": 1, "replicas": 1, "record": [1]},
        }
    )
    found = simulate(spec, ["mean_iterate"]).at("mean_iterate", 1)[0]
    x, hessian = np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    expected = x - 0.1 * (1 - method.momentum) * hessian @ x
    require(
        bool(np.allclose(found, expected, rtol=1e-12)),
        f"one node alone went to {found}; gradient descent goes to {expected}",
    )


def network_laws(graph: str, parameters: dict[str, Any], nodes: int) -> None:
    """A registered graph builds a checked network with Metropolis weights."""
    facts = NetworkFacts(graph=graph, graph_parameters=parameters)
    network = build_network(facts, nodes)
    require(network.slem < 1, "Metropolis weights do not contract on it")


def examples(kind: str, name: str) -> list[Component]:
    """The example components of a registered class."""
    target = registry.find(kind, name).target
    return [target.model_validate(dict(table)) for table in target.examples]


def _quadratic() -> ProblemComponent:
    component = registry.find("problem", "quadratic").target(dimension=3, noise=0.5)
    assert isinstance(component, ProblemComponent)
    return component
