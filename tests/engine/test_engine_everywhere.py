"""Every component computes on a device what it computes on the CPU: on CUDA, and on its stand-in.

Whole runs of the harness, with everything that can be recorded. The stand-in refuses what CUDA
would (tensors of two devices, numpy on a device), and what a captured round must not do.
"""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_reference import HYBRID, PROBLEM
from engine_stand_in import DEVICE, stand_in

from hzbench.core import registry
from hzbench.core.server import ServerMethod
from hzbench.core.spec import Spec
from hzbench.harness.build import build_problem
from hzbench.harness.measurable import VALIDATION, lacking
from hzbench.harness.simulate import graphics_card, simulate
from hzbench.problems.network_model import NetworkProblem
from hzbench.problems.residual import Residual, statistics_of
from hzbench.testing.laws import example_tables

QUADRATIC = {**PROBLEM, "evaluation_noise": 0.1}
LOGISTIC = {"name": "logistic", "planted": {"rows": 40, "dimension": 4}, "initial": 1.0}
TOKENS = {"name": "brackets", "training": 40, "validation": 12, "shortest": 12, "longest": 14}
MORE = {  # of a problem whose examples leave some of its code out
    "mlp": [{"hidden": [5], "activation": "relu"}],
    "cnn": [{"channels": [2, 2], "hidden": [], "activation": "relu"}],
    "transformer": [{"data": TOKENS, "feedforward": 4, "dropout": 0.2}],
}
OWN = {  # problems that are more than a function of margins
    "blackbox",
    "cnn",
    "log_sum_exp",
    "logistic",
    "matrix_sensing",
    "mlp",
    "multinomial",
    "quadratic",
    "ridge",
    "separable",
    "transformer",
    "zero_chain",
}
CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    ],
)
everywhere = pytest.mark.parametrize("device", [DEVICE, CUDA])


def table(problem, nodes, network=(), method="dsgd", run=(), **more):
    run = {"steps": 5, "replicas": 2, "seed": 2, "record": [5], **dict(run)}
    tables = {"problem": problem, "nodes": nodes, "network": dict(network), "method": method}
    return Spec.parse(tables | {"run": run} | more)


def assert_equal_runs(spec, names, device, monkeypatch, rounding=()):
    """All that is recorded, to 1e-10 of its largest value; `rounding` itself to 1e-13."""
    here = simulate(spec, names)
    with stand_in(monkeypatch) if device == DEVICE else nullcontext() as there:
        found = simulate(spec, names, device=device)
    assert found.columns.keys() == here.columns.keys() >= set(names)
    for name, values in here.columns.items():
        assert np.isfinite(values).all(), name
        bound = 1e-13 if name in rounding else 1e-10 * np.abs(values).max()
        assert np.abs(found.columns[name] - values).max() <= bound, name
    return there


def examples(kind, chosen=lambda _: True):
    """All examples of all components; by default one of each that has code of its own."""
    found = [
        pytest.param(
            name,
            example,
            id=f"{name}-{index}",
            marks=[pytest.mark.slow] if index or (kind == "problem" and name not in OWN) else [],
        )
        for name, entry in registry.entries(kind).items()
        if chosen(entry.target)
        for index, example in enumerate(tables(kind, name, entry.target))
    ]
    return pytest.mark.parametrize(("name", "example"), found)


def tables(kind, name, target):
    return [*example_tables(kind, target), *(MORE.get(name, []) if kind == "problem" else [])]


def group(count, batch_size, **estimator):
    return {"count": count, "batch_size": batch_size, "estimator": estimator or "gradient"}


VALUES = {"name": "zeroth_order", "samples": 2, "smoothing": 0.1}
SLOPES = {
    "name": "zeroth_order",
    "samples": 3,
    "directions": "rademacher",
    "difference": "directional_derivative",
}
OF_A_PROBLEM = (
    "objective",
    "objective_gap",
    "node_distance",
    "gradient_norm",
    "path_weighted_gap",
    "hidden_coordinates",
    "probe_sums",
    *VALIDATION,
)


@everywhere
@examples("problem")
def test_every_problem(name, example, device, monkeypatch):
    nodes = [group(2, 2), group(1, "full"), group(2, 2, **VALUES), group(3, 2, **SLOPES)]
    if name == "blackbox":
        nodes = [group(8, 2, **VALUES)]
    elif len(example.get("linear_terms", ())) == 4:
        nodes = [group(2, 2), group(2, "full", **VALUES)]
    spec = table(
        {"name": name, **example}, nodes, {"graph": "ring"}, {"name": "dsgd", "step_size": 0.01}
    )
    problem = build_problem(spec)
    missing = lacking(problem) | dict.fromkeys(
        ["probe_sums"] if isinstance(problem, NetworkProblem) else []
    )
    names = [each for each in OF_A_PROBLEM if each not in missing]
    with pytest.warns(RuntimeWarning, match="wait") if name == "blackbox" else nullcontext():
        there = assert_equal_runs(spec, names, device, monkeypatch)
    if there:
        assert there.captures == (name != "blackbox")


@everywhere
@pytest.mark.parametrize("momentum", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
@examples("method", lambda target: not issubclass(target, ServerMethod))
def test_every_method(name, example, momentum, device, monkeypatch):
    target = registry.find("method", name).target
    names = ["objective_gap", "mean_iterate"]
    if name == "probe":
        names += ["estimate", "estimate_power", "estimate_bias_square"]
    for gossip in target.protocols:
        network = {"gossip": gossip} | ({"idle_steps": True} if gossip == "matching" else {})
        method = {"name": name, "momentum": momentum, **example}
        nodes = [group(2, 2), group(2, "full", **VALUES)]
        there = assert_equal_runs(
            table(LOGISTIC, nodes, network, method), names, device, monkeypatch
        )
        if there:
            assert there.captures == (gossip != "pair")


OF_A_SERVER = (
    "objective_gap",
    "mean_iterate",
    "seconds",
    "used_weight",
    "used_version",
    "used_point",
    "path_gradient_norm",
)


@everywhere
@examples("method", lambda target: issubclass(target, ServerMethod))
def test_every_method_with_a_server(name, example, device, monkeypatch):
    problem = {key: value for key, value in QUADRATIC.items() if key != "initial_spread"}
    method = {"name": name, "step_size": 0.05, **example}
    clock = {"name": "exponential"}
    spec = table(problem, HYBRID, {"gossip": "server"}, method, clock=clock)
    assert_equal_runs(spec, OF_A_SERVER, device, monkeypatch)


@everywhere
@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(QUADRATIC, id="noise"),
        pytest.param(LOGISTIC, id="rows", marks=pytest.mark.slow),
    ],
)
@examples("estimator")
def test_every_estimator(name, example, problem, device, monkeypatch):
    for batch_size, gossip in ((2, "pair"), (2, "matrix"), ("full", "matrix")):
        nodes = [group(2, batch_size, name=name, **example), group(2, 1)]
        method = "hdo" if gossip == "pair" else "dsgd"
        spec = table(problem, nodes, {"gossip": gossip}, method)
        assert_equal_runs(spec, ["objective_gap", "mean_iterate"], device, monkeypatch)


NETWORKS = {
    "silence": {"graph": "ring", "silent_rounds": 5},
    "links": {"graph": "ring", "link_failure": 0.4},
    "coin": {"graph": "ring", "exchange_probability": 0.5},
    "period": {"graph": "exponential", "weights": "one-peer-exponential"},
    "lines": {"graph": "ring"},
    "matching": {"gossip": "matching"},
    "idle": {"gossip": "matching", "idle_steps": True, "silent_rounds": 4},
    "greedy": {"gossip": "matching", "graph": "ring", "matching_law": "greedy"},
    "pairs": {"gossip": "pair", "pair_weight": 0.3, "graph": "ring"},
}


@everywhere
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_every_network(network, device, monkeypatch):
    table_of = {"gossip": "matrix"} | network
    method = "dsgd" if table_of["gossip"] == "matrix" else "hdo"
    run = {"steps": 20, "record": [7, 20]}
    spec = table(LOGISTIC, [group(20, 2)], table_of, method, run)
    names = ("objective_gap", "mean_iterate", "mean_shift", "consensus_potential")
    assert_equal_runs(spec, names, device, monkeypatch)


@everywhere
@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_what_looks_at_every_step(gossip, device, monkeypatch):
    rounding = {"mass_residual", "pair_disagreement", "idle_change"}
    names = [*rounding, "probe_sums", "slem"]
    method = "dsgd" if gossip == "matrix" else "hdo"
    spec = table(QUADRATIC, HYBRID, {"gossip": gossip}, method)
    assert_equal_runs(spec, names, device, monkeypatch, rounding)


@everywhere
def test_a_paired_comparison_and_two_blocks(device, monkeypatch):
    names = ("objective_gap_difference", "gradient_norm_difference", "seconds")
    more = {"versus": {"nodes": [{"count": 3}]}, "clock": {"name": "exponential"}}
    spec = table(QUADRATIC, HYBRID, {"gossip": "matrix"}, run={"replicas": 257}, **more)
    assert_equal_runs(spec, names, device, monkeypatch)


@everywhere
def test_a_graph_too_large_for_a_matrix(device, monkeypatch):
    problem = {"name": "quadratic", "dimension": 2, "noise": 0.1}
    spec = table(
        problem, [group(4100, 1)], {"gossip": "matrix", "graph": "ring"}, run={"replicas": 1}
    )
    assert_equal_runs(spec, ["objective_gap", "mean_iterate"], device, monkeypatch)


def test_statistics_of_layers_go_there_once(monkeypatch):
    plain = Residual(shape=(1, 8, 8), classes=3, channels=1, stem="cifar")
    random = np.random.default_rng(4)
    kept = {
        name: torch.tensor(random.random(shape)) for name, shape in statistics_of(plain).items()
    }
    network = replace(plain, statistics=kept)
    flat = torch.from_numpy(network.start(random))[None]
    images = torch.from_numpy(random.random((1, 2, 1, 8, 8)))
    expected = network.scores(flat, images)
    with stand_in(monkeypatch) as device:
        there = flat.to(DEVICE), images.to(DEVICE)
        found = [network.scores(*there)]
        device.computes.waits.clear()
        found.append(network.scores(*there))
        assert device.computes.waits == []
        for each in found:
            assert torch.allclose(each.cpu(), expected, rtol=1e-12, atol=1e-12)


@everywhere
def test_results_say_which_card_computed_them(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda asked: f"card of {asked}")
    card = graphics_card("cuda" if device == DEVICE else device)
    assert card == {"gpu": "card of cuda", "cuda": str(torch.version.cuda)}
    assert graphics_card("cpu") == {}
    spec = table(LOGISTIC, [group(2, 1)], {"gossip": "pair"}, "hdo")
    where = "cpu" if device == DEVICE else device
    found = simulate(spec, ["objective_gap"], device=where).provenance
    assert ("gpu" in found) == (where == "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@examples("problem")
def test_a_repetition_gives_the_same_bits_on_cuda(name, example):
    nodes = [group(4, 2), group(4, 2, **VALUES)]
    if name == "blackbox":
        pytest.skip("a user's function")
    elif len(example.get("linear_terms", ())) == 4:
        nodes = [group(2, 2), group(2, "full", **VALUES)]
    spec = table({"name": name, **example}, nodes, {"graph": "ring"}, run={"replicas": 64})
    once, again = (simulate(spec, ["mean_iterate"], device="cuda") for _ in range(2))
    assert np.array_equal(once.columns["mean_iterate"], again.columns["mean_iterate"])
