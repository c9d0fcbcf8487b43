"""Rounds are fit to be captured: shown on the CPU by tapes that keep what a CUDA graph keeps.

A tape writes down every operation of one round with the tensors it takes. Whatever is not read from
a tensor, such as the number of the step, is a constant on it; tensors that were there before keep
their place; who asks for a number of a tensor is an error. All as in a capture. The tape is played
for the steps that follow, and must leave the same bits as rounds that run one by one. Draws and
products are those of a device that is not the host.
"""

import warnings
from contextlib import contextmanager, nullcontext

import pytest
import torch
from engine_cells import CELLS, cell_spec
from engine_reference import HYBRID, Watcher, spec_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from hzbench.core import registry, streams
from hzbench.core.server import ServerMethod
from hzbench.engine import graphs
from hzbench.engine.torch_executor import Execution
from hzbench.harness.build import build, build_plan

STEPS = 9
RESIDUAL = {"name": "residual_feedback", "samples": 2, "smoothing": 0.4}
ANSWERS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class Tape(TorchDispatchMode):
    """The operations of what runs within, to be played again."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_place = func.name() == "aten::index.Tensor" and not any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if any(tag in func.tags for tag in ANSWERS) and not by_place:
            raise RuntimeError(f"{func} asks the device")
        found = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, found))
        return found

    def replay(self):
        made = {}

        def current(tensor):
            return made.get(id(tensor), tensor)

        for func, args, kwargs, found in self.operations:
            again = func(*tree_map(current, args), **tree_map(current, kwargs))
            made |= zip(map(id, tree_leaves(found)), tree_leaves(again), strict=True)


class OneByOne(Execution):
    """Notes what estimators keep, too."""

    def state(self, step):
        state = super().state(step)
        state.arrays["memory"] = self.by_replica(self.memory)
        return state


class ByTape(OneByOne):
    """Rounds as on CUDA, where a tape is a graph."""

    repeats = True
    running = None

    def replay(self):
        ByTape.running, self.by_graphs = self, super().replay()
        return self.by_graphs

    def held(self):
        return [self.now, self.memory, *self.arrays.values(), *self.counters.values()]


@contextmanager
def capture(tape, pool, stream):
    """Nothing of what is captured has run."""
    held = ByTape.running.held()
    kept = [tensor.clone() for tensor in held]
    try:
        with tape:
            yield
    finally:
        for tensor, value in zip(held, kept, strict=True):
            tensor.copy_(value)


class Stream:
    def __init__(self, device):
        self.device, self.waited = device, []

    def wait_stream(self, other):
        self.waited.append(other)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """As on CUDA: nothing compiled, no questions, tapes for graphs."""
    monkeypatch.setattr(streams, "on_host", lambda _: False)
    monkeypatch.setattr(graphs, "WARM_UP", 1)
    monkeypatch.setattr(graphs, "BROKEN", [])
    mode = ["default"]
    for name, stand_in in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": nullcontext,
        "graph_pool_handle": object,
        "CUDAGraph": Tape,
        "graph": capture,
        "get_sync_debug_mode": lambda: mode[-1],
        "set_sync_debug_mode": mode.append,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)


def recorded(spec, kind, boundaries):
    """What a recorder sees of an execution, and the execution."""
    parts = build(spec)
    plan = build_plan(parts, range(spec.run.replicas))
    start = torch.as_tensor(parts.problem.initial)
    run = kind(plan, start, parts.problem, parts.population, parts.method)
    recorder = Watcher(boundaries)
    with torch.no_grad():
        run.go(recorder)
    return recorder, run


def assert_replays(spec, kind=ByTape, boundaries=None):
    """The same bits of all arrays, memories and counters at every boundary."""
    boundaries = boundaries or range(1, spec.run.steps + 1)
    expected, _ = recorded(spec, OneByOne, boundaries)
    found, run = recorded(spec, kind, boundaries)
    assert run.batches.together
    assert run.by_graphs.graphs.keys() == run.by_graphs.warm.keys()
    assert not run.by_graphs.plain
    for step in boundaries:
        assert found.states[step].keys() == expected.states[step].keys()
        for name, values in expected.states[step].items():
            same = (found.states[step][name] == values) | values.isnan()
            assert same.all(), (step, name)
        for name, counts in expected.counters[step].items():
            assert torch.equal(found.counters[step][name], counts), (step, name)
    return expected


def cell(problem, estimator, protocol, **changes):
    """A cell with a step size that changes; idle nodes of a matching step too."""
    table = {"schedule": {"name": "cosine"}, **changes.pop("method", {})}
    network = {"idle_steps": True} if protocol == "matching" else {}
    network |= changes.pop("network", {})
    run = {"steps": STEPS, **changes.pop("run", {})}
    return cell_spec(problem, estimator, protocol, table, network, run, **changes)


TOGETHER = [each for each in CELLS if each[2] != "pair"]


@pytest.mark.parametrize(("problem", "estimator", "protocol"), TOGETHER)
def test_a_tape_of_one_round_plays_all(problem, estimator, protocol):
    recorder = assert_replays(cell(problem, estimator, protocol))
    assert (recorder.states[STEPS]["x"] != recorder.states[STEPS - 1]["x"]).any()


METHODS = [
    pytest.param(name, example, id=f"{name}-{index}")
    for name, entry in registry.entries("method").items()
    if not issubclass(entry.target, ServerMethod)
    for index, example in enumerate(entry.target.examples)
]


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize(("name", "example"), METHODS)
def test_so_it_does_for_every_method(name, example, momentum):
    target = registry.find("method", name).target
    gossip = "matrix" if "matrix" in target.protocols else "matching"
    table = {"name": name, "momentum": momentum, **example}
    assert_replays(cell("logistic", "minibatch", gossip, method=table))


@pytest.mark.parametrize("previous", [(), (1.0, -0.5, 0.3, 2.0)])
@pytest.mark.parametrize("gossip", ["matching", "matrix"])
def test_and_for_estimators_that_remember(gossip, previous):
    residual = {"count": 3, "estimator": RESIDUAL | {"previous": previous}}
    method = "dsgd" if gossip == "matrix" else "hdo"
    noise = {"noise": 0.4, "evaluation_noise": 0.2}
    spec = spec_of([*HYBRID[:1], residual, *HYBRID[2:]], gossip, method, STEPS, problem=noise)
    assert_replays(spec)


NETWORKS = {
    "silence": {"graph": "ring", "silent_rounds": 3},
    "links": {"graph": "ring", "link_failure": 0.4},
    "coin": {"graph": "ring", "exchange_probability": 0.5},
    "silent matchings": {"gossip": "matching", "idle_steps": True, "silent_rounds": 3},
    "period": {"graph": "exponential", "weights": "one-peer-exponential"},
    "lines": {"graph": "ring"},
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_and_whatever_the_rounds_exchange(network):
    table = {"gossip": "matrix"} | network
    method = "dsgd" if table["gossip"] == "matrix" else "hdo"
    nodes = [{"count": 5, "batch_size": 3}, {"count": 15, "batch_size": "full"}]
    problem = {"name": "logistic", "planted": {"rows": 60, "dimension": 4}}
    run = {"steps": 30, "replicas": 3}
    spec = spec_of(nodes, None, method, network=table, run=run).replace(problem=problem)
    assert_replays(spec, boundaries=(4, 5, 17, 30))


class BakesTheStep(ByTape):
    """The number of the step comes from the host."""

    def round_in_place(self, step):
        self.now.fill_(step)
        super().round_in_place(step)


class Moves(ByTape):
    """New arrays take the place of the old ones."""

    def round_in_place(self, step):
        self.arrays |= self.advance(self.batches.of_all(self.now), step, [])
        self.now.add_(1)


class Overwrites(ByTape):
    """An old iterate that lives on under another name is read where the new one lies."""

    def round_in_place(self, step):
        for name, value in self.advance(self.batches.of_all(self.now), step, []).items():
            self.arrays[name].copy_(value)
        self.now.add_(1)


DELAYED = {"name": "delayed_sgd", "delay": 2}


@pytest.mark.parametrize("mutant", [BakesTheStep, Moves, Overwrites])
def test_a_round_that_is_not_fit_shows(mutant):
    spec = cell("logistic", "minibatch", "matrix", method=DELAYED)
    assert_replays(spec)
    with pytest.raises(AssertionError, match=r"\(\d, '(x|past_1)'\)"):
        assert_replays(spec, mutant)


class Asks(ByTape):
    """A round that asks the device, which a capture refuses."""

    def round_in_place(self, step):
        assert bool((self.arrays["x"] < 1e6).all())
        super().round_in_place(step)


class Waits(ByTape):
    """A round that torch says waits for the device."""

    def round_in_place(self, step):
        if torch.cuda.get_sync_debug_mode() == "warn":
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        super().round_in_place(step)


@pytest.mark.parametrize(
    ("kind", "told"), [(Asks, "cannot be captured .*asks the device"), (Waits, "that wait for")]
)
def test_rounds_that_cannot_be_captured_run_one_by_one_and_say_so(kind, told):
    spec = cell("logistic", "minibatch", "matrix", network={"silent_rounds": 3})
    expected, _ = recorded(spec, OneByOne, (2, STEPS))
    with pytest.warns(RuntimeWarning, match=told) as warned:
        found, run = recorded(spec, kind, (2, STEPS))
    assert len(warned) == 1
    assert run.by_graphs.plain
    assert not run.by_graphs.graphs
    for step in (2, STEPS):
        for name, values in expected.states[step].items():
            assert torch.equal(found.states[step][name], values), name


def test_other_warnings_and_errors_of_a_round_come_through():
    class Warns(ByTape):
        def round_in_place(self, step):
            warnings.warn("beware", stacklevel=1)
            super().round_in_place(step)

    class Fails(ByTape):
        def round_in_place(self, step):
            raise RuntimeError(f"no step {step}")

    spec = cell("logistic", "minibatch", "matrix")
    with pytest.warns(UserWarning, match="beware"):
        recorded(spec, Warns, (1,))
    with pytest.raises(RuntimeError, match="no step 0"):
        recorded(spec, Fails, (1,))


def test_only_rounds_of_all_nodes_on_cuda_repeat():
    pairs = cell("logistic", "minibatch", "pair")
    idle = cell("logistic", "minibatch", "matching", network={"idle_steps": False})
    whole = cell("logistic", "minibatch", "matching")
    assert [recorded(s, OneByOne, (1,))[1].batches.together for s in (pairs, idle, whole)] == [
        False,
        False,
        True,
    ]
    assert not recorded(whole, OneByOne, (1,))[1].repeats


def test_a_warm_up_waits_for_what_came_before_it_and_what_follows_waits_for_it(monkeypatch):
    order = []

    class Told(Stream):
        def wait_stream(self, other):
            order.append((self.device, other.device))

    side, current = Told("side"), Told("current")
    monkeypatch.setattr(graphs, "side_stream", lambda _: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: current)
    replay = graphs.Replay(lambda _: order.append("round"), lambda _: 0, torch.zeros(()))
    replay.run(0, 1)
    assert order == [("side", "current"), "round", ("current", "side")]
