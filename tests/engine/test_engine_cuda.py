"""On CUDA: equal plans, equal words and integers, iterates to 1e-10, for the same spec as here."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from engine_cells import PROTOCOLS, cell_spec
from engine_reference import HYBRID, Watcher, spec_of

from hzbench.core import streams
from hzbench.core.streams import Purpose, Rows, integers, masks, normals, replica_keys, signs, words
from hzbench.engine.torch_executor import Execution, execute
from hzbench.harness.build import build, build_plan
from hzbench.harness.simulate import simulate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NAMES = ("objective_gap", "mean_iterate", "mass_residual", "path_gradient_norm", "function_calls")
DEVICES = ("cpu", "cuda")


def assert_close(found, expected):
    """To 1e-10 of the largest entry."""
    assert np.isfinite(expected).all()
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


def hybrid(gossip, momentum=0.5):
    name = "dsgd" if gossip == "matrix" else "hdo"
    return spec_of(HYBRID, gossip, {"name": name, "momentum": momentum}, run={"replicas": 300})


def planned(spec, device):
    parts = build(spec, device)
    return parts, build_plan(parts, range(spec.run.replicas))


def executed(spec, device):
    """Arrays and counters after every step."""
    parts, plan = planned(spec, device)
    recorder = Watcher(range(spec.run.steps + 1))
    start = torch.as_tensor(parts.problem.initial, device=device)
    execute(plan, start, parts.problem, parts.population, parts.method, recorder)
    return recorder


@pytest.mark.parametrize("gossip", PROTOCOLS)
def test_plans_are_identical(gossip):
    here, there = (planned(hybrid(gossip), device)[1] for device in DEVICES)
    for field in dataclasses.fields(here):
        one, other = (getattr(plan, field.name) for plan in (here, there))
        if isinstance(one, torch.Tensor):
            one, other = one.numpy(), other.cpu().numpy()
        assert type(one) is type(other)
        assert np.array_equal(one, other), field.name


def addresses(device):
    row = torch.arange(500)
    rows = {"replica": row % 7, "node": row % 11, "step": 37 * row}
    keys = replica_keys(4, range(7))[rows["replica"]]
    return Rows(keys=keys.to(device), **{name: each.to(device) for name, each in rows.items()})


EXACT = {
    "words": lambda rows: words(rows, Purpose.DATA, 33, 5),
    "integers": lambda rows: integers(rows, Purpose.DATA, rows.node + 1000, 33),
    "signs": lambda rows: signs(rows, Purpose.DIRECTION, 45),
    "masks": lambda rows: masks(rows, Purpose.MASK, 3, 45),
}


DRAWN = {**EXACT, "normals": lambda rows: normals(rows, Purpose.DIRECTION, 200)}


@pytest.fixture(params=["kernel", "operators"])
def drawing(request, monkeypatch):
    """Draws on the device by the Triton kernel, and by torch's operators."""
    if request.param == "operators":
        monkeypatch.setattr(streams, "kernel", lambda _: None)
    elif find_spec("triton") is None:
        pytest.skip("no triton")
    else:
        assert streams.kernel(addresses("cuda")) is not None


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("draw", EXACT.values(), ids=EXACT)
def test_draws_without_rounding_are_identical(draw):
    here, there = (draw(addresses(device)) for device in DEVICES)
    assert there.is_cuda
    assert torch.equal(there.cpu(), here)


@pytest.mark.usefixtures("drawing")
def test_normals_differ_by_rounding_alone():
    here, there = (normals(addresses(device), Purpose.DIRECTION, 200) for device in DEVICES)
    unit = np.spacing(np.abs(here.numpy()))
    assert (np.abs(there.cpu().numpy() - here.numpy()) <= 8 * unit).all()  # either errs by 4


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_captured_draws_are_those_of_the_step_of_the_replay(draw):
    rows, now = addresses("cuda"), torch.zeros((), dtype=torch.int64, device="cuda")
    rows = dataclasses.replace(rows, step=now.expand(len(rows)))
    for _ in range(3):
        draw(rows)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = draw(rows)
    for step in (1, 2**32 - 1):
        now.fill_(step)
        graph.replay()
        assert torch.equal(found, draw(rows))


@pytest.mark.parametrize("problem", ["quadratic", "ridge", "logistic"])
@pytest.mark.parametrize("estimator", ["gradient", "minibatch", "gaussian", "rademacher"])
@pytest.mark.parametrize("gossip", PROTOCOLS)
def test_iterates_are_equal_after_every_step(problem, estimator, gossip):
    assert_equal_paths(cell_spec(problem, estimator, gossip))


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("gossip", PROTOCOLS)
def test_so_are_those_of_hybrid_populations(gossip, momentum):
    assert_equal_paths(hybrid(gossip, momentum))


def assert_equal_paths(spec):
    here, there = (executed(spec, device) for device in DEVICES)
    for step, arrays in here.states.items():
        for name, values in arrays.items():
            assert there.states[step][name].is_cuda
            assert_close(there.states[step][name].cpu().numpy(), values.numpy())
        for name, counts in here.counters[step].items():
            assert torch.equal(there.counters[step][name].cpu(), counts), name


class OneByOne(Execution):
    repeats = False


def recorded(spec, kind):
    """Arrays and counters at a few boundaries, and the execution."""
    parts, plan = planned(spec, "cuda")
    recorder = Watcher((2, 5, spec.run.steps))
    start = torch.as_tensor(parts.problem.initial, device="cuda")
    run = kind(plan, start, parts.problem, parts.population, parts.method)
    with torch.no_grad():
        run.go(recorder)
    return recorder, run


@pytest.mark.parametrize("problem", ["quadratic", "ridge", "logistic"])
@pytest.mark.parametrize("estimator", ["gradient", "minibatch", "gaussian", "rademacher"])
@pytest.mark.parametrize("gossip", ["matching", "matrix"])
def test_graphs_replay_what_rounds_compute(problem, estimator, gossip):
    network = {"idle_steps": True} if gossip == "matching" else {"link_failure": 0.3}
    spec = cell_spec(problem, estimator, gossip, {"momentum": 0.5}, network)
    expected, _ = recorded(spec, OneByOne)
    found, run = recorded(spec, Execution)  # a warning that it fell back would be an error
    assert run.repeats
    for step, arrays in expected.states.items():
        for name, values in arrays.items():
            assert_close(found.states[step][name].cpu().numpy(), values.cpu().numpy())
        for name, counts in expected.counters[step].items():
            assert torch.equal(found.counters[step][name], counts), name


@pytest.mark.parametrize("gossip", PROTOCOLS)
def test_what_a_run_records_is_equal(gossip):
    here, there = (simulate(hybrid(gossip, 0.0), NAMES, device) for device in DEVICES)
    for column, values in here.columns.items():
        found = there.columns[column]
        if column == "mass_residual":  # rounding itself
            assert max(values.max(), found.max()) < 1e-13
        elif column == "function_calls":
            assert np.array_equal(found, values)
        else:
            assert_close(found, values)
