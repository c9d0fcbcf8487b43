"""Who executes a run: equal numbers, names in the store, what only torch can take, and messages."""

import contextlib
import fcntl
import json
import signal
import threading

import numpy as np
import pytest
import torch

from hzbench.core.compiled import Kernel, ready
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.machine import threads
from hzbench.core.mutant import Mutant
from hzbench.core.spec import Spec
from hzbench.engine.fused.server import kernels as server_kernels
from hzbench.harness import compiling
from hzbench.harness.build import build
from hzbench.harness.engines import why_not_fused
from hzbench.harness.prepare import Case, prepare
from hzbench.harness.run import execute_case, run
from hzbench.harness.simulate import simulate
from hzbench.harness.store import Store, run_digest
from hzbench.harness.suite import parse
from hzbench.harness.sweep import Options, run_suite
from hzbench.problems.transformer_pass import compiled as passes

torch.set_num_threads(1)
NAMES = ("objective_gap", "path_gradient_norm", "consensus_potential", "mean_iterate", "probe_sums")


def spec_of(**changes):
    table = {
        "problem": {"name": "quadratic", "dimension": 3, "noise": 0.3, "initial": 1.0},
        "nodes": [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}],
        "run": {"steps": 150, "replicas": 300, "seed": 4},
        "checks": [{"theorem": "quadratic_dynamics"}],
    }
    return Spec.parse(table | changes)


def test_a_run_measures_the_same_whoever_executes_it():
    versus = {"nodes": [{"count": 4}]}
    names = (*NAMES, "objective_gap_difference")
    by = {e: simulate(spec_of(versus=versus), names, engine=e) for e in ("torch", "fused")}
    assert by["fused"].columns.keys() == by["torch"].columns.keys()
    for name, values in by["torch"].columns.items():
        np.testing.assert_allclose(by["fused"].columns[name], values, rtol=1e-11, atol=1e-12)
    assert {engine: trace.provenance["engine"] for engine, trace in by.items()} == {
        "torch": "torch",
        "fused": "fused",
    }


def test_the_store_keeps_the_engines_apart_and_spares_torch_runs_what_kernels_are_made_of(tmp_path):
    spec, store = spec_of(), Store(tmp_path)
    case = prepare(spec)
    results = [execute_case(case, 1e-4, store, engine=e) for e in ("torch", "fused", "fused")]
    assert [result.reused for result in results] == [False, False, True]
    assert len({result.digest for result in results}) == 2
    assert results[0].verdicts[0].outcome == results[1].verdicts[0].outcome


def test_editing_a_kernel_reruns_what_it_ran_alone(monkeypatch):
    from hzbench.harness import store

    def digests():
        return [run_digest(spec_of(), ("objective_gap",), "cpu", e) for e in ("torch", "fused")]

    before, known = digests(), store.source_hash
    monkeypatch.setattr(
        store, "source_hash", lambda name: known(name) + "!" * name.endswith("fused.kernels")
    )
    after = digests()
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_auto_takes_kernels_for_long_runs_alone():
    long = {"steps": 200_000, "replicas": 4096, "record": [1]}
    assert prepare(spec_of()).engine("auto") == "torch"
    assert prepare(spec_of()).engine("fused") == "fused"
    assert prepare(spec_of(run=long)).engine("auto") == "fused"
    assert prepare(spec_of(run=long | {"replicas": 20})).engine("auto") == "torch"
    assert prepare(spec_of(run=long)).engine("auto", "cuda") == "torch"
    assert prepare(spec_of(run=long, mutant="step_size_plus_5")).engine("auto") == "torch"


@pytest.mark.parametrize(("batch", "expected"), [(1, "torch"), (64, "fused")])
def test_auto_counts_the_rows_of_a_minibatch(batch, expected):
    """A step of 64 rows takes torch fourteen times as long as one of a row."""
    logistic = {"name": "logistic", "planted": {"rows": 2000, "dimension": 20}}
    spec = spec_of(
        problem=logistic,
        nodes=[{"count": 16, "batch_size": batch}],
        network={"graph": "ring", "gossip": "matrix"},
        method="dsgd",
        checks=[{"theorem": "graph_spectrum"}],
        run={"steps": 4000, "replicas": 640, "record": [1]},
    )
    assert prepare(spec).engine("auto") == expected


def test_wide_products_stay_with_torch():
    long = {"steps": 100_000, "replicas": 4096, "record": [1]}
    checks = [{"theorem": "graph_spectrum"}]

    def chosen(problem, gossip, engine="auto"):
        nodes = [{"count": 4, "batch_size": "full"}]
        method = "dsgd" if gossip == "matrix" else "hdo"
        network = {"gossip": gossip}
        spec = spec_of(problem=problem, nodes=nodes, network=network, method=method, checks=checks)
        return prepare(spec.replace(run=long)).engine(engine)

    def quadratic(d):
        return {"name": "quadratic", "dimension": d, "rotation": True}

    logistic = {"name": "logistic", "planted": {"rows": 40, "dimension": 5}}
    assert [chosen(quadratic(d), "pair") for d in (80, 120)] == ["fused", "torch"]
    assert chosen(quadratic(120), "pair", "fused") == "fused"
    assert chosen(quadratic(120), "matrix") == "fused"
    found = [chosen(logistic, gossip) for gossip in ("pair", "matching", "matrix")]
    assert found == ["fused", "fused", "torch"]


def test_every_kernel_a_run_needs_is_compiled_before_it(tmp_path, monkeypatch):
    """And told: of the protocol, of servers, of a transformer's passes; those at hand are not."""
    server = {"clock": {"name": "fixed"}, "method": "ringleader"}
    tokens = {"name": "brackets", "training": 40, "validation": 12, "shortest": 12, "longest": 14}
    cases = [
        {**TABLE, "name": "pair"},
        {**TABLE, "name": "server", **server, "checks": [{"theorem": "server_moments"}]},
        {
            "name": "net",
            "problem": {"name": "transformer", "data": tokens},
            "nodes": [{"count": 2}],
        },
    ]
    cases[2]["run"] = {"steps": 1, "replicas": 2}
    known = ["run_pair"]
    monkeypatch.setattr(compiling, "ready", lambda function, _: function in known)
    monkeypatch.setattr(Case, "engine", lambda case, *_: "torch" if case.obstacle else "fused")
    told, entries = [], (server_kernels().run_server, passes().run_transformer)
    before = [set(entry.signatures) for entry in entries]  # of other tests in this process
    suite = parse({"suite": {"name": "kernels"}, "case": cases}, "here")
    record = run_suite(suite, Options(out=tmp_path), lambda text, _: told.append(text))
    assert [text for text in told if text.startswith("compiling")] == [
        f"compiling the {title} kernel, once on this machine" for title in ("server", "transformer")
    ]
    assert record["provenance"]["compile_seconds"] > 0
    for entry, known in zip(entries, before, strict=True):
        assert len(set(entry.signatures) - known) <= 1  # that of the run itself
        assert ready(entry.__name__, "float64")


def test_python_callers_are_told_of_compilation_too(monkeypatch, capsys):
    monkeypatch.setattr(compiling, "ready", lambda *_: False)
    run(spec_of(run={"steps": 2, "replicas": 4}), engine="fused")
    told = "hzbench: compiling the pair kernel, once on this machine\n"
    assert capsys.readouterr().err == told
    monkeypatch.setattr(compiling, "ready", lambda *_: True)
    run(spec_of(run={"steps": 2, "replicas": 4}), engine="fused")
    assert capsys.readouterr().err == ""


def test_logistic_losses_are_measured_by_a_kernel_of_their_own(monkeypatch, capsys):
    monkeypatch.setattr(compiling, "ready", lambda *_: False)
    rows = {"name": "logistic", "planted": {"rows": 20, "dimension": 2}}
    run(spec_of(problem=rows, run={"steps": 2, "replicas": 4}), engine="fused")
    told = "hzbench: compiling the {} kernel, once on this machine\n"
    assert capsys.readouterr().err == told.format("pair") + told.format("mean loss")


def test_an_interrupt_while_a_kernel_is_compiled_is_not_lost(monkeypatch, capsys):
    """Not even one that a callback of the compiler swallows, as here the kernel does."""

    def compile_while_interrupted():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        compiled.append(True)

    compiled = []
    monkeypatch.setattr(compiling, "ready", lambda *_: False)
    monkeypatch.setattr(
        compiling, "kernel_of", lambda _: Kernel("pair", "run_pair", compile_while_interrupted)
    )
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(spec_of(), engine="fused")
    assert compiled
    assert "interrupted; stops once this kernel is compiled" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_ends_the_compilation(monkeypatch, capsys):
    def compile_while_interrupted():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        compiled.append(True)

    compiled = []
    kernel = Kernel("pair", "run_pair", compile_while_interrupted)
    monkeypatch.setattr(compiling, "ready", lambda *_: False)
    monkeypatch.setattr(compiling, "kernel_of", lambda _: kernel)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(spec_of(), engine="fused")
    assert not compiled
    assert capsys.readouterr().err.count("or at the next interrupt") == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_one_process_compiles_at_a_time(monkeypatch, tmp_path):
    """The others wait, and load what it has kept."""
    compiled = []
    monkeypatch.setattr(compiling, "folder", lambda: tmp_path)
    monkeypatch.setattr(compiling, "ready", lambda *_: False)
    kernel = Kernel("pair", "run_pair", lambda: compiled.append(True))
    monkeypatch.setattr(compiling, "_kernels", lambda *_: [kernel])
    given = [None], "fused", "cpu", None
    other = threading.Thread(target=compiling.compile_missing, args=given)
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other.start()
        other.join(0.3)
        assert other.is_alive()
        assert not compiled
    other.join(60)
    assert compiled


def test_without_locks_everyone_compiles(monkeypatch, tmp_path):
    compiled = []
    kernel = Kernel("pair", "run_pair", lambda: compiled.append(True))
    monkeypatch.setattr(compiling, "folder", lambda: tmp_path / "none")
    monkeypatch.setattr(compiling, "ready", lambda *_: False)
    monkeypatch.setattr(compiling, "_kernels", lambda *_: [kernel])
    compiling.compile_missing([None], "fused", "cpu", None)
    assert compiled


def test_a_mutant_of_any_kind_needs_torch():
    class Quiet(Mutant):
        pass

    parts = build(spec_of(), mutant=Quiet())
    assert "planted" in why_not_fused(parts, NAMES)
    assert why_not_fused(build(spec_of()), NAMES) is None
    assert "every single step" in why_not_fused(build(spec_of()), ("idle_change",))


def test_kernels_that_cannot_take_a_run_are_a_mistake_before_it(tmp_path):
    suite = parse(
        {
            "suite": {"name": "two"},
            "case": [
                {**TABLE, "name": "other", "problem": {"name": "rosenbrock"}},
                {**TABLE, "name": "narrow", "run": {"dtype": "float32", "steps": 2}},
                {**TABLE, "name": "fine"},
            ],
        },
        "here",
    )
    with pytest.raises(SpecError) as error:
        run_suite(suite, Options(out=tmp_path / "out", engine="fused"))
    assert [mistake.split(":")[0] for mistake in error.value.mistakes] == ["other", "narrow"]
    assert "--engine auto" in str(error.value)
    assert not (tmp_path / "out").exists()


TABLE = {
    "problem": {"name": "quadratic", "dimension": 2, "noise": 0.1},
    "nodes": [{"count": 2}],
    "run": {"steps": 2, "replicas": 4},
    "checks": [{"theorem": "dsgd_pl_bound"}],
}


def test_an_unknown_engine_is_named():
    with pytest.raises(UserMistakeError, match="got engine 'fuse'; expected one of auto"):
        run(spec_of(), engine="fuse")


@pytest.mark.parametrize("device", ["tpu", "mps", "cuda:x"])
def test_an_unknown_device_is_named(device):
    with pytest.raises(UserMistakeError, match=f"got device '{device}'; expected auto, cpu or"):
        run(spec_of(), device=device)


def test_no_cuda_is_a_mistake_with_a_way_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserMistakeError, match="got device 'cuda', but torch sees no CUDA device"):
        run(spec_of(), device="cuda")


@pytest.mark.parametrize("told", ["abc", "0", "-1", "1.5"])
def test_a_senseless_number_of_threads_is_a_mistake(monkeypatch, told):
    monkeypatch.setenv("NUMBA_NUM_THREADS", told)
    with pytest.raises(UserMistakeError, match=f"got NUMBA_NUM_THREADS='{told}'.*from 1 on"):
        threads()
    monkeypatch.setenv("NUMBA_NUM_THREADS", " 3 ")
    assert threads() == 3


def test_a_spec_without_checks_can_be_taken_by_kernels():
    """Its checks look at every step only where torch has to take it anyway."""
    case = prepare(spec_of(checks=[]))
    names = {check.theorem for check in case.checks}
    assert "quadratic_dynamics" in names
    assert "step_invariants" not in names
    assert case.engine("fused") == "fused"
    nodes = [{"count": 2, "estimator": "coordinate_difference"}]
    other = prepare(spec_of(checks=[], nodes=nodes))
    assert "step_invariants" in {check.theorem for check in other.checks}


def test_servers_have_both_engines():
    spec = spec_of(
        problem={"name": "quadratic", "dimension": 3, "noise": 0.3, "heterogeneity": 1.0},
        clock={"name": "fixed", "pace": "sqrt"},
        method="ringleader",
        checks=[{"theorem": "server_moments"}],
    )
    names = ("objective_gap", "mean_iterate", "seconds", "arrivals", "gradient_calls")
    torch_run, fused_run = (simulate(spec, names, engine=e) for e in ("torch", "fused"))
    for name, values in torch_run.columns.items():
        np.testing.assert_allclose(fused_run.columns[name], values, rtol=1e-11, atol=1e-12)
    assert why_not_fused(build(spec), names) is None


def test_float32_refuses_a_smoothing_below_its_rounding():
    def given(problem, nu, dtype="float32"):
        nodes = [{"count": 2, "estimator": {"name": "zeroth_order", "smoothing": nu}}]
        return Spec.parse({"problem": problem, "nodes": nodes, "run": {"steps": 2, "dtype": dtype}})

    rosenbrock = {"name": "rosenbrock"}
    with pytest.raises(SpecError, match=r"got smoothing 1e-07 in float32.*at least 1e-06.*float64"):
        build(given(rosenbrock, 1e-7))
    build(given(rosenbrock, 1e-6))
    build(given(rosenbrock, 1e-7, "float64"))
    build(given({"name": "quadratic", "dimension": 2}, 1e-7))  # differenced without cancellation


def without_times(value):
    """A record but for how long things took."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "created")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def test_any_number_of_workers_gives_the_same_bits(tmp_path):
    """Two replica blocks of every protocol: here on all cores, and in two processes."""
    half = [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}]
    cases = [
        {"name": gossip, "nodes": half, "network": {"gossip": gossip}, "method": method}
        for gossip, method in (("pair", "hdo"), ("matching", "hdo"), ("matrix", "dsgd"))
    ]
    shared = {
        "problem": {"name": "quadratic", "dimension": 3, "noise": 0.3, "initial": 1.0},
        "run": {"steps": 40, "replicas": 300},
        "checks": [{"theorem": "quadratic_dynamics"}],
    }
    suite = parse({"suite": {"name": "three"}, "case": [shared | case for case in cases]}, "here")
    found, columns = [], []
    for workers in (1, 2):
        options = Options(out=tmp_path / str(workers), workers=workers, engine="fused")
        record = run_suite(suite, options)
        assert record["provenance"]["workers"] == workers
        found.append(json.dumps(without_times(record["runs"])))
        store = Store(options.out / "runs")
        columns.append([store.load(run["digest"]).columns for run in record["runs"]])
    assert found[0] == found[1]
    for here, there in zip(*columns, strict=True):
        assert {k: v.tobytes() for k, v in here.items()} == {
            k: v.tobytes() for k, v in there.items()
        }
        assert here["objective_gap"].shape[1] == 300
