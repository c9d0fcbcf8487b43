"""What peers take for what we do too, each in its own environment: `make bench`.

`tests/benchmarks/peers/setup-*.sh` makes these environments; what is not there is skipped.
"""

import importlib.util
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bench_tools import Run, alternated, tell

pytestmark = pytest.mark.benchmark
HERE = Path(__file__).parent
PEERS = HERE.parents[1] / ".peers"
MORE = 200
PROGRAM = (
    "import time\nbegun = time.process_time()\n"
    "from PEPit.examples.unconstrained_convex_minimization import wc_gradient_descent\n"
    "took = [time.process_time() - begun]\n"
    "for _ in range(2):\n"
    "    begun = time.process_time()\n"
    "    found = wc_gradient_descent(L=1, gamma=1, n=5, verbose=-1)\n"
    "    took.append(time.process_time() - begun)\n"
    "print(found[0], found[1], *took)"
)


def python_of(peer):
    """The Python of a peer's environment."""
    found = PEERS / peer / "bin" / "python"
    if not found.exists():
        pytest.skip(f"no {peer}: tests/benchmarks/peers/setup-{peer}.sh")
    return found


def call(*command, **how):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **how)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def dgd(nodes, graph, replicas, steps):
    """DGD (x+ = Wx − η∇f(x)) on logistic regression, 20 rows a node, d = 20."""
    random = np.random.default_rng(nodes)
    problem = {
        "name": "logistic",
        "features": random.standard_normal((20 * nodes, 20)),
        "targets": random.choice([-1.0, 1.0], 20 * nodes),
        "standardize": False,
        "initial": 1.0,
    }
    network = {"graph": graph, "gossip": "matrix"}
    method = {"name": "dsgd", "order": "simultaneous"}
    full = [{"count": nodes, "batch_size": "full"}]
    return Run(problem, full, network, method, steps, replicas, 0.1)


def given(run):
    """The same in numbers; the penalty's step is in the weights: Wx − ηλx = (W − ηλ)x."""
    problem, W = run.parts.problem, run.plan.matrix
    rows = np.stack(problem.shares.members)
    eta = run.plan.step_sizes[0, 0]
    return {
        "features": problem.shares.features[rows],
        "labels": (problem.shares.targets[rows] + 1) / 2,
        "weights": W - eta * problem.regularization * np.eye(len(W)),
        "edges": np.argwhere(np.triu(W, 1) > 0),
        "x0": problem.initial,
        "step_size": eta,
        "iterations": run.plan.steps,
    }


@pytest.mark.parametrize(
    ("graph", "nodes", "steps", "goals"),
    [("ring", 16, 1000, (50, 250)), ("complete", 256, 10, (500, 1500))],
)
def test_decent_bench(benchmark, tmp_path, graph, nodes, steps, goals):
    python = python_of("decent-bench")
    run, many = dgd(nodes, graph, 1, steps), dgd(nodes, graph, 64, steps)
    data, result = tmp_path / "data.npz", tmp_path / "result.npz"
    np.savez(data, **given(run))

    call(python, HERE / "peers" / "decent_bench_dgd.py", data, result)
    found = np.load(result)
    np.testing.assert_allclose(run()[0], found["x"], rtol=1e-10, atol=1e-12)
    own, torch, batch = alternated(run, run.torch, many)
    theirs = float(found["seconds"])
    benchmark.pedantic(run, rounds=3)
    tell(
        benchmark,
        f"decent-bench 0.3 / fused, DGD, logistic, {graph} {nodes}×20, one replica",
        theirs / own,
        goals,
        with_64_replicas=64 * theirs / batch,
        over_torch=theirs / torch,
        microseconds_a_gradient_there=1e6 * theirs / (nodes * run.plan.steps),
        nanoseconds_a_gradient_here=1e9 * own / (nodes * run.plan.steps),
    )


def test_overhead_of_benchopt(benchmark, tmp_path):
    """benchopt: 100 steps of gradient descent on one quadratic; start-up, and a repetition more."""
    python = python_of("benchopt")
    shutil.copytree(HERE / "peers" / "benchopt_quadratic", tmp_path / "quadratic")
    words = ("--no-plot", "--no-html", "--no-display")

    def peer(repetitions):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        call(
            python,
            "-m",
            "benchopt",
            "run",
            ".",
            "-r",
            repetitions,
            *words,
            cwd=tmp_path / "quadratic",
        )
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime

    peer(1)  # compiles its modules
    once, often = peer(1), peer(1 + MORE)
    assert often > once
    table = pq.read_table(max((tmp_path / "quadratic" / "outputs").glob("*.parquet")))
    curvature = np.linspace(0.1, 1.0, 20)
    problem = {"name": "quadratic", "dimension": 20, "spectrum": curvature.tolist(), "initial": 1.0}
    run = Run(
        problem, [{"count": 1, "batch_size": "full"}], {"gossip": "matrix"}, "dsgd", 100, 1, 0.5
    )
    x = run()[0, 0]
    theirs = np.array(table["objective_value"].to_pylist())
    np.testing.assert_allclose(theirs, 0.5 * (curvature * x * x).sum(), rtol=1e-10)
    each, own = (often - once) / MORE, alternated(run)[0]
    benchmark.pedantic(run, rounds=3)
    tell(
        benchmark,
        "benchopt / fused, 100 steps of gradient descent, d=20: one repetition more",
        each / own,
        seconds_to_start_benchopt=once - each,
        milliseconds_a_run_there=1e3 * each,
        milliseconds_a_run_here=1e3 * own,
    )


def test_overhead_of_a_worst_case_program(benchmark):
    """PEPit: one semidefinite program of gradient descent; no goal."""
    if importlib.util.find_spec("PEPit") is None:
        pytest.skip("no PEPit: pip install 'hzbench[pep]'")

    def program():
        return [
            float(word) for word in call(sys.executable, "-W", "ignore", "-c", PROGRAM).split()[-5:]
        ]

    worst, theory, loading, first, again = program()
    assert abs(worst - theory) < 1e-4
    benchmark.pedantic(program, rounds=1)
    more = {"seconds_to_load": loading, "the_first_program": first}
    tell(benchmark, "PEPit, 5 steps of gradient descent: a program", again, unit="s", **more)
