"""On a device nothing within a segment waits for the host: shown on "meta", which has no numbers.

A tensor there knows its shape alone, so whatever reads a value (a branch, an index by truth values,
a copy back) raises, wherever it is. What was drawn on the host would show as a copy to the device.
"""

import os
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from engine_cells import CELLS, PROBLEMS, cell_spec
from engine_reference import HYBRID, spec_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hzbench.core.machine import keep_all_digits
from hzbench.engine.mixing import Mixing, lines_times
from hzbench.engine.torch_executor import Execution, execute
from hzbench.estimators.first_order import Gradient
from hzbench.harness.build import build, build_plan
from hzbench.harness.simulate import simulate

FULL = [c for c in CELLS if c[0] != "quadratic" and c[1] == "gradient"]
"""Full batches of data that differ by node: how many rows each node has is not known."""
SOME = [
    c
    for c in CELLS
    if c[2] == "pair" or c[:2] in {("logistic", "minibatch"), ("quadratic", "sphere")} or c in FULL
]


class Traffic(TorchDispatchMode):
    """Counts copies to the device, and names operations on arrays of more than one device."""

    def __init__(self):
        super().__init__()
        self.copies, self.mixed = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        found = func(*args, **(kwargs or {}))
        devices = {a.device.type for a in given if a.dim()}
        if isinstance(found, torch.Tensor) and devices == {"cpu"} and found.is_meta:
            self.copies += 1
        elif len(devices) > 1:
            self.mixed.append(str(func))
        return found


class Recorder:
    """Notes how many copies were made up to every boundary."""

    watch = None

    def __init__(self, boundaries, traffic):
        self.boundaries, self.traffic, self.copies = boundaries, traffic, []

    def record(self, state):
        assert state.x.is_meta
        self.copies.append(self.traffic.copies)


def copies(spec, boundaries=(1, 4), parts=None):
    """Copies to the device in each segment after the first, which fetches what stays there."""
    parts = build(spec, "meta") if parts is None else parts
    plan = build_plan(parts, range(spec.run.replicas))
    start = torch.as_tensor(parts.problem.initial, device="meta")
    with Traffic() as traffic, torch.no_grad():
        recorder = Recorder(boundaries, traffic)
        execute(plan, start, parts.problem, parts.population, parts.method, recorder)
    assert traffic.mixed == []
    return [after - before for before, after in pairwise(recorder.copies)]


def few_steps(*cell):
    return cell_spec(*cell, run={"steps": 4, "replicas": 2})


@pytest.mark.parametrize(("problem", "estimator", "protocol"), SOME)
def test_a_segment_takes_at_most_one_copy_and_no_answer(problem, estimator, protocol):
    spec = few_steps(problem, estimator, protocol)
    assert copies(spec) == [0 if protocol == "matrix" else 1]


@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_nor_do_hybrid_populations_with_momentum(gossip):
    name = "dsgd" if gossip == "matrix" else "hdo"
    spec = spec_of(HYBRID, gossip, {"name": name, "momentum": 0.3}, steps=6)
    assert copies(spec, (1, 3, 6)) == ([1, 1] if gossip == "pair" else [0, 0])


@pytest.mark.parametrize(
    "network", [{"link_failure": 0.4}, {"exchange_probability": 0.5}, {"silent_rounds": 2}]
)
def test_links_and_coins_go_there_once(network):
    spec = spec_of(HYBRID, "matrix", "dsgd", steps=6, network={"graph": "ring", **network})
    assert copies(spec, (3, 4, 6)) == [0, 0]


@pytest.mark.parametrize("problem", ["quadratic", "ridge", "logistic"])
def test_nor_do_matrices_of_the_nodes_and_estimators_that_remember(problem):
    residual = {"name": "residual_feedback", "samples": 2, "previous": (1.0, 0.0, 0.0, 0.0, 2.0)}
    own = np.eye(5) + np.ones((5, 5)) * np.arange(5)[:, None, None]
    table = {"name": "quadratic", "hessians": own} if problem == "quadratic" else PROBLEMS[problem]
    for nodes in ({"batch_size": "full"}, {"batch_size": 2, "estimator": residual}):
        spec = cell_spec(table, nodes, "pair", run={"steps": 4, "replicas": 2})
        assert copies(spec) == [1]


ANSWERS = {
    "a branch": lambda x: x if bool((x > 0).all()) else -x,
    "a number": lambda x: x * float(x[0, 0]),
    "a list of indices": lambda x: x[(x > 0).nonzero()[:1, 0]].expand_as(x),
    "a copy back": lambda x: x.cpu().to(x.device),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_who_asks_is_found(answer):
    class Asking(Gradient):
        def estimate(self, problem, x, rows, batch_size):
            return super().estimate(problem, answer(x), rows, batch_size)

    spec = few_steps("quadratic", "gradient", "matrix")
    parts = build(spec, "meta")
    group = replace(parts.population.groups[0], estimator=Asking())
    other = replace(parts, population=replace(parts.population, groups=(group,)))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        copies(spec, parts=other)


def test_what_is_made_on_the_host_is_counted():
    class Host(Gradient):
        def estimate(self, problem, x, rows, batch_size):
            ones = torch.ones(x.shape, dtype=x.dtype).to(x.device)
            return super().estimate(problem, x * ones, rows, batch_size)

    spec = few_steps("quadratic", "gradient", "matrix")
    parts = build(spec, "meta")
    group = replace(parts.population.groups[0], estimator=Host())
    assert copies(
        spec, parts=replace(parts, population=replace(parts.population, groups=(group,)))
    ) == [3]


def older_words():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def words_of_all():
    torch.backends.fp32_precision = torch.backends.cudnn.fp32_precision = "tf32"


def words_of_each():
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = "tf32"


def words_of_products():
    torch.set_float32_matmul_precision("medium")


@pytest.fixture
def as_it_was():
    yield
    if hasattr(torch.backends, "fp32_precision"):
        torch.backends.fp32_precision = torch.backends.cudnn.fp32_precision = "none"
    keep_all_digits()


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("told", [older_words, words_of_all, words_of_each, words_of_products])
def test_a_run_keeps_the_digits_of_float32(told):
    if told in (words_of_all, words_of_each) and not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("PyTorch before 2.9 has no such words")
    told()
    simulate(few_steps("quadratic", "gradient", "matrix"), ("objective_gap",))
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
    if hasattr(torch.backends, "fp32_precision"):
        kinds = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
        assert [kind.fp32_precision for kind in kinds] == ["ieee"] * 3


def test_a_run_asks_for_convolutions_in_one_order():
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    simulate(few_steps("quadratic", "gradient", "matrix"), ("objective_gap",))
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert "CUBLAS_WORKSPACE_CONFIG" in os.environ


@pytest.mark.parametrize(("schedule", "lines"), [("constant", 1), ("cosine", 6)])
def test_a_line_of_step_sizes_that_is_that_of_all_steps_goes_there_once(schedule, lines):
    spec = spec_of(HYBRID, "matrix", {"name": "dsgd", "schedule": schedule}, steps=6)
    parts = build(spec)
    plan = build_plan(parts, range(2))
    start = torch.as_tensor(parts.problem.initial)
    run = Execution(plan, start, parts.problem, parts.population, parts.method)
    assert torch.equal(run.step_sizes, torch.as_tensor(np.array(plan.step_sizes)))
    assert run.step_sizes.untyped_storage().nbytes() == 8 * lines * plan.nodes


def test_rounds_with_equal_weights_are_one_phase():
    spec = cell_spec("quadratic", "gradient", "matrix", {"name": "local_sgd", "local_steps": 4})
    parts = build(spec)
    mixing = Mixing(build_plan(parts, range(2)), torch.zeros(1, dtype=torch.float64))
    assert [mixing.phase(step) for step in range(9)] == [0, 0, 0, 3, 0, 0, 0, 3, 0]


def test_compressed_lines_times_columns():
    random = np.random.default_rng(3)
    dense = random.normal(size=(30, 30)) * (random.random((30, 30)) < 0.2)
    dense[7] = 0.0
    columns = random.normal(size=(30, 11))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)
        lines = torch.from_numpy(dense).to_sparse_csr()
    found = lines_times(lines, torch.from_numpy(columns)).numpy()
    np.testing.assert_allclose(found, dense @ columns, rtol=0, atol=1e-13)
    assert (found[7] == 0.0).all()
