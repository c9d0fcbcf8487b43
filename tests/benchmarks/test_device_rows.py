"""What is measured on a GPU, at tiny sizes on the CPU: no row rots, and wrong numbers show."""

import json
import time
from types import SimpleNamespace

import bench_tools
import device_networks
import device_rows
import numpy as np
import pytest
import torch
from bench_device import Replayed
from device_networks import ETA, NU, One, resnet
from device_rows import INTERACTIONS, STEPS, dense, draws, interactions, launches, ring
from test_device_benchmark import ROWS, measured

from hzbench.commands.run import report
from hzbench.core.streams import words
from hzbench.engine.torch_executor import Execution

LIMITS = {"triad": 1000, "steps": 12}
FEW = {"nodes": 4, "replicas": (2, 3), "steps": 9}
TINY = {
    **{label: (interactions, FEW | {"label": label}) for label in INTERACTIONS},
    **{label: (launches, FEW | {"label": label, "replicas": 2}) for label in STEPS},
    "ring": (ring, {"nodes": 30, "dimension": 4, **LIMITS}),
    "dense": (dense, {"dimension": 6, "nodes": 4, "replicas": 2, "product": 20, **LIMITS}),
    "draws": (draws, {"rows": 80, "count": 33}),
    **{
        kind: (resnet, {"kind": kind, "sizes": (1, 8, 12), "nodes": (3, 4), "batch": 2, "steps": 6})
        for kind in ("FO", "ZO")
    },
}
EXECUTED = [name for name, (measure, _) in TINY.items() if measure not in (draws, resnet)]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(bench_tools, "TURN", 1e-4)


def rows_of(name):
    measure, sizes = TINY[name]
    return list(measure("cpu", **sizes))


def test_whatever_a_gpu_is_asked_runs_here_too():
    assert {measure for measure, _ in ROWS.values()} == {measure for measure, _ in TINY.values()}
    for measure, sizes in ROWS.values():
        assert any(sizes.keys() == here.keys() for other, here in TINY.values() if other == measure)


@pytest.mark.parametrize("name", TINY)
def test_every_row_is_measured_and_drawn(name, tmp_path):
    kept = SimpleNamespace(extra_info={}, pedantic=lambda call, **_: call())
    measured(kept, "cpu", *TINY[name])
    told = kept.extra_info["rows"]
    for each in told:
        numbers = [each["value"], *each["besides"].values()]
        assert np.isfinite(numbers).all()
        assert each["value"] > 0
        assert each["good"] is None
        assert each["besides"].get("by graphs", 0) == 0  # which are CUDA's
    assert len({each["row"] for each in told}) == len(told)
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps({"benchmarks": [{"extra_info": kept.extra_info}]}))
    page = report(None, None, path).read_text()
    assert all(each["row"].split(":")[0] in page for each in told)


COUNTED = {"ring": (9 * 30 * 4, (9 / 24, 9 / 12)), "dense": (4 * 2 * 2 * 6**2, (6 / 8,))}


@pytest.mark.parametrize("name", COUNTED)
def test_a_step_is_counted_under_the_roof_that_was_measured(name):
    flops, a_byte = COUNTED[name]
    for row, intensity in zip(rows_of(name), a_byte, strict=True):
        roof = row["roofline"]
        assert (roof["flops"], roof["flops"] / roof["bytes"]) == (flops, intensity)
        [seconds] = roof["seconds"].values()
        assert 1e6 * seconds == pytest.approx(np.median(row["microseconds_a_step"]))
        told = {"terabytes_a_second_of_the_triad": "bandwidth", "teraflops_of_the_product": "peak"}
        [(given, limit)] = told.items() & {(key, told.get(key)) for key in row}
        assert roof[limit] == pytest.approx(1e12 * np.median(row[given]))


@pytest.mark.parametrize("name", EXECUTED)
def test_an_execution_that_computes_something_else_is_not_measured(name, monkeypatch):
    right = Execution.step_size
    monkeypatch.setattr(Execution, "step_size", lambda run, batch: 1.0001 * right(run, batch))
    with pytest.raises(AssertionError):
        rows_of(name)


@pytest.mark.parametrize("label", STEPS)
def test_nor_is_one_that_goes_wrong_with_graphs_alone(label, monkeypatch):
    right = Replayed.go

    def go(run, recorder):
        right(run, recorder)
        if type(run) is Replayed:
            recorder.x = recorder.x + 1e-6

    monkeypatch.setattr(Replayed, "go", go)
    with pytest.raises(AssertionError):
        rows_of(label)


def test_nor_are_draws_with_another_bit(monkeypatch):
    def one_more(rows, purpose, count):
        return words(rows, purpose, count) ^ int(len(rows) == TINY["draws"][1]["rows"])

    monkeypatch.setitem(device_rows.DRAWS, "words", one_more)
    with pytest.raises(AssertionError):
        rows_of("draws")


def test_nor_is_another_network(monkeypatch):
    monkeypatch.setattr("hzbench.problems.layers.EPSILON", 1.001e-5)
    with pytest.raises(AssertionError):
        rows_of("FO")


def test_the_plain_model_takes_the_steps_that_it_is_timed_for():
    one, index = One("cpu", (1, 8, 12), 2, torch.float64), torch.tensor([3, 5])
    one.index = lambda: index
    random = torch.Generator().manual_seed(1)
    x = 0.3 * torch.randn(one.flat.shape, generator=random, dtype=torch.float64)
    slopes = torch.autograd.grad(one.at(x).loss(index), list(one.module.parameters()))
    one.first_order()
    expected = x - ETA * torch.cat([slope.flatten() for slope in slopes])
    torch.testing.assert_close(one.flat, expected, rtol=1e-12, atol=1e-14)
    torch.manual_seed(2)
    u = torch.randn_like(x)
    above, below = (one.at(x + sign * NU * u).loss(index).item() for sign in (1, -1))
    torch.manual_seed(2)
    one.at(x).zeroth_order()
    expected = x - ETA * (above - below) / (2 * NU) * u
    torch.testing.assert_close(one.flat, expected, rtol=1e-9, atol=1e-12)


def test_a_gpu_is_waited_for_and_named(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: asked.append(time.perf_counter()))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"H1 ({device})")
    assert bench_tools.clock_of("cuda")() >= asked[0]
    assert bench_tools.clock_of("cpu") is time.process_time
    assert bench_tools.machine_of("cuda") == f"{bench_tools.machine_of('cpu')}, H1 (cuda)"


def test_what_a_population_holds_of_a_gpu_is_told(monkeypatch):
    reset = []
    monkeypatch.setattr(device_networks, "on_cuda", lambda _: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    monkeypatch.setattr(device_networks, "peak_device_memory", lambda _: 7 * 2**30)
    assert [row["gibibytes_held"] for row in rows_of("ZO")] == [7, 7]
    assert reset == ["cpu", "cpu"]


def test_graphs_that_were_replayed_are_told():
    run = Replayed.__new__(Replayed)
    assert run.by_graphs == 0
    for graphs in ({}, {0: None}):
        run.replayed = SimpleNamespace(graphs=graphs)
        assert run.by_graphs == len(graphs)
