"""Runs that must fit a CUDA device: what is cut by its memory, and what is told when it is short.

There is no device here: torch is told of one by its size alone, or of an allocation that failed.
"""

from dataclasses import replace

import pytest
import torch

from hzbench.cli import main
from hzbench.core import machine
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.machine import AT_ONCE, at_once, memory, share
from hzbench.core.plan import BLOCK
from hzbench.core.spec import Spec
from hzbench.harness import run as running
from hzbench.harness import simulate as simulation
from hzbench.harness.build import build
from hzbench.harness.mutation import study
from hzbench.harness.prepare import prepare, refuse_sizes
from hzbench.harness.run import run
from hzbench.harness.simulate import bytes_of_a_replica, bytes_on_device, fitting
from hzbench.harness.suite import parse
from hzbench.harness.sweep import Options, run_suite

GIB = 2**30
OUT = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB of "
    "which 5.25 GiB is free. Including non-PyTorch memory, this process has 70.00 GiB memory in "
    "use. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF."
)


@pytest.fixture
def device(monkeypatch):
    """Sets the bytes of the only CUDA device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def of(total, free=0):
        machine._device_memory.cache_clear()
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, total))

    yield of
    machine._device_memory.cache_clear()


def spec_of(nodes=64, d=500, steps=4, dtype="float64", name="a", **network):
    return Spec.parse(
        {
            "name": name,
            "problem": {"name": "quadratic", "dimension": d},
            "nodes": [{"count": nodes, "batch_size": "full"}],
            "network": {"graph": "complete", "gossip": "matrix"} | network,
            "checks": [{"theorem": "dsgd_pl_bound"}],
            "method": "hdo" if network.get("gossip") == "matching" else "dsgd",
            "run": {"steps": steps, "replicas": 600, "dtype": dtype},
        }
    )


def test_a_worker_has_its_share_of_all_that_the_device_has(device, monkeypatch):
    device(80 * GIB, free=GIB)
    assert memory("cuda") == memory("cuda:1") == 80 * GIB
    assert memory() == memory("cpu") != 80 * GIB
    assert share("cuda") == 20 * GIB
    monkeypatch.setenv(machine.WORKERS, "5")
    assert share("cuda") == 8 * GIB


@pytest.mark.parametrize("free", [0, 70 * GIB])
def test_replicas_fit_the_device_whatever_is_free(device, free):
    """25 arrays of 64 × 500 numbers a replica; of the host's limits that of malloc is void."""
    parts = build(spec_of())
    device(80 * GIB, free)
    assert fitting(parts, "torch", "cuda") == BLOCK
    assert fitting(parts, "torch") == simulation.REUSED // (8 * 64 * 500) < BLOCK
    device(4 * 10 * 25 * 8 * 64 * 500, free)
    assert fitting(parts, "torch", "cuda") == 10
    device(1000, free)
    assert fitting(parts, "torch", "cuda") == 1


def test_draws_of_a_replica_stay_within_the_host(device, monkeypatch):
    device(80 * GIB)
    parts = build(spec_of(steps=1000, gossip="matching"))
    drawn = 16 * 64 * 1000
    assert bytes_of_a_replica(parts, "torch", "cuda") == 8 * 64 * 500 + drawn
    assert bytes_on_device(parts) == 25 * 8 * 64 * 500 + 4 * 64 * 1000  # partners, four bytes each
    monkeypatch.setattr(simulation, "share", lambda where="cpu": GIB if where == "cuda" else drawn)
    assert fitting(parts, "torch", "cuda") == 1


def test_tables_of_links_lie_on_the_device():
    parts = build(spec_of(steps=1000, link_failure=0.1, exchange_probability=0.5))
    links, state = 64 * 63 // 2 + 1, 8 * (25 * 64 * 500 + 2 * 64**2)
    assert bytes_on_device(parts) == links * 1000 + state


def test_a_block_is_cut_by_the_device_that_it_runs_on(monkeypatch):
    seen = []

    def fits(*given):
        seen.append(given[1:])
        return 4

    monkeypatch.setattr(simulation, "fitting", fits)
    spec = spec_of(nodes=2, d=2).sized(9)
    assert simulation.simulate(spec, ("objective_gap",)).replicas == 9
    assert seen == [("torch", "cpu")]


def test_temporaries_are_a_power_of_two_that_fits(device, monkeypatch):
    """Four arrays in a quarter of the device; a half, from two workers on, is shared out."""
    assert at_once("cpu", 77) == at_once("meta", 77) == 77
    device(80 * GIB)
    assert at_once("cuda", 77) == AT_ONCE
    device(100 * GIB)
    assert at_once("cuda", 77) == AT_ONCE  # equal bits on all that are large enough
    device(24 * GIB)
    assert at_once("cuda", 77) == 1 << 27
    assert 4 * 8 * at_once("cuda", 77) <= share("cuda")
    monkeypatch.setenv(machine.WORKERS, "8")
    assert at_once("cuda", 77) == 1 << 25
    device(100)
    assert at_once("cuda", 77) == 1


def test_networks_go_by_the_device_in_larger_batches(device):
    """One parameter vector of 11.2 million numbers at a time on the CPU, all of 16 nodes here."""
    spec = spec_of().replace(
        problem={"name": "resnet18", "data": "digits", "stem": "cifar", "channels": 64}
    )
    network = build(spec.replace(nodes=[{"count": 2}])).problem
    assert network._models(10, network._held) == 1
    for total, models in ((80 * GIB, 16), (24 * GIB, 9)):
        device(total)
        there = replace(network, device="cuda")
        each = network.dimension + 10 * network._held
        assert there._models(10, network._held) == at_once("cuda", 0) // each >= models


def test_what_can_never_fit_is_a_mistake_before_the_run(device, monkeypatch):
    """Three arrays of 8 × 20 numbers, in either type; a server has one point."""
    monkeypatch.setattr(running, "execute_case", None)
    device(3 * 8 * 8 * 20 - 1)
    cases = [prepare(spec_of(8, 20, name="wide")), prepare(spec_of(8, 20, dtype="float32"))]
    served = Spec.parse(
        {
            "name": "served",
            "problem": {"name": "quadratic", "dimension": 20},
            "nodes": [{"count": 8}],
            "method": "asgd",
            "checks": [{"theorem": "dsgd_pl_bound"}],
        }
    )
    cases.append(prepare(served))
    with pytest.raises(SpecError) as error:
        refuse_sizes(cases, "cuda")
    (mistake,) = error.value.mistakes
    assert mistake.startswith("wide: got 8 points of d = 20; 3 arrays of one replica take")
    assert mistake.endswith("take fewer nodes or dimensions, or --device cpu")
    refuse_sizes(cases, "cpu")
    device(3 * 8 * 8 * 20)
    refuse_sizes(cases, "cuda")
    device(1000)
    with pytest.raises(SpecError, match="1 mistake in the sizes"):
        run(spec_of(8, 20), device="cuda")


@pytest.mark.parametrize("doing", [run_suite, study])
def test_so_it_is_for_suites_and_mutants(doing, device, tmp_path):
    table = spec_of(8, 20).model_dump(exclude_defaults=True)
    table["checks"] = [{"theorem": "dsgd_pl_bound", "mutants": ["step_size_plus_5"]}]
    suite = parse({"suite": {"name": "wide"}, "case": [table]}, "here")
    device(1000)
    with pytest.raises(SpecError, match="8 points of d = 20; 3 arrays of one replica take"):
        doing(suite, Options(out=tmp_path / "out", device="cuda"))
    assert not (tmp_path / "out").exists()


def failing(error):
    def execute(*_):
        raise error

    return execute


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            torch.OutOfMemoryError(OUT),
            "got 600 replicas of 4 nodes: CUDA out of memory: tried to allocate 20.00 GiB on a "
            "device of 79.11 GiB, of which 5.25 GiB is free; expected what fits this machine; take "
            "fewer nodes, dimensions or replicas",
        ),
        (
            torch.OutOfMemoryError("worded otherwise"),
            "got 600 replicas of 4 nodes: CUDA out of memory; expected",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "got 600 replicas of 4 nodes: CUDA out of memory; expected",
        ),
    ],
)
def test_a_device_that_is_full_is_told_as_memory_of_the_host_is(error, told, monkeypatch):
    monkeypatch.setattr(simulation, "execute", failing(error))
    with pytest.raises(UserMistakeError) as found:
        run(spec_of(nodes=4, d=3), engine="torch")
    assert str(found.value).startswith(told)


def test_the_way_out_names_the_device(device, monkeypatch):
    device(80 * GIB)

    def simulate(*_, **__):
        raise MemoryError("CUDA out of memory")

    monkeypatch.setattr(running, "simulate", simulate)
    with pytest.raises(UserMistakeError, match="fewer --workers, or --device cpu"):
        run(spec_of(nodes=4, d=3), device="cuda")


def test_so_is_a_host_without_room_for_a_tensor(monkeypatch):
    monkeypatch.setattr(simulation, "execute", lambda *_: torch.empty(10**14))
    with pytest.raises(UserMistakeError, match="nodes: can't allocate memory: you tried to"):
        run(spec_of(nodes=4, d=3), engine="torch")


def test_other_errors_of_torch_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(simulation, "execute", failing(RuntimeError("shape '[2]' is invalid")))
    with pytest.raises(RuntimeError, match="is invalid"):
        run(spec_of(nodes=4, d=3), engine="torch")


def test_workers_of_one_device_are_told_their_share(device, monkeypatch, tmp_path, capsys):
    """And without a number there is one of them."""
    device(80 * GIB)
    seen = []

    def run_suite(suite, options, report):
        seen.append(options.workers)
        raise UserMistakeError("got enough; expected no more; stop")

    monkeypatch.setattr("hzbench.commands.run.run_suite", run_suite)
    for given in ("4", "0"):
        with pytest.raises(SystemExit) as ended:
            main(["run", "quick", "--device", "cuda", "--workers", given, "--out", str(tmp_path)])
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert ("4 workers share the CUDA device: 20 GiB each" in told) == (given == "4")
    assert seen == [4, 1]


def test_the_peak_of_the_device_is_kept_with_every_run(device, monkeypatch):
    device(80 * GIB)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 3 * GIB)
    assert run(spec_of(nodes=2, d=2)).device_memory == 0

    def simulate(spec, names, device, progress, **_):
        return simulation.simulate(spec, names)

    monkeypatch.setattr(running, "simulate", simulate)
    assert run(spec_of(nodes=2, d=2), device="cuda").device_memory == 3 * GIB
