"""Arrays of the size of the iterates that a round in torch makes: few, since all are in memory.

None is kept for the next round: malloc hands out the same memory again (`core/machine.py`), and
buffers of our own measured no faster. Drawn normals and signs come on top, one each.
"""

import pytest
import torch
from engine_cells import cell_spec
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hzbench.engine.rounds import rounds
from hzbench.engine.torch_executor import Execution
from hzbench.harness.build import build, build_plan

ROWS = {"planted": {"rows": 40, "dimension": 30}, "initial": 1.0}
PROBLEMS = {
    "quadratic": {"name": "quadratic", "dimension": 30, "heterogeneity": 1.0, "noise": 0.4},
    "ridge": {"name": "ridge", **ROWS},
    "logistic": {"name": "logistic", **ROWS},
}
ESTIMATORS = {
    "gradient": {"batch_size": "full"},
    "minibatch": {"batch_size": 1},
    "gaussian": "gaussian",
}
MOST = {  # of every estimator, in a round of all nodes; rows of data that are gathered count
    "quadratic": (5, 7, 11),
    "ridge": (6, 6, 13),
    "logistic": (12, 6, 13),
}


class Made(TorchDispatchMode):
    """Counts new storages of at least some bytes."""

    def __init__(self, least):
        super().__init__()
        self.least, self.count = least, 0

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        out = call(*args, **(kwargs or {}))
        given = {storage for storage, _ in storages((args, kwargs))}
        self.count += sum(s not in given and size >= self.least for s, size in storages(out))
        return out


def storages(tree):
    """Addresses and sizes of the dense tensors in it."""
    tensors = [each for each in tree_leaves(tree) if isinstance(each, torch.Tensor)]
    held = [each.untyped_storage() for each in tensors if each.layout == torch.strided]
    return [(each.data_ptr(), each.nbytes()) for each in held]


def made(spec):
    """Arrays made by the second round."""
    parts = build(spec)
    plan, start = build_plan(parts, range(20)), torch.as_tensor(parts.problem.initial)
    run = Execution(plan, start, parts.problem, parts.population, parts.method)
    for each in rounds(plan, 0, 2):  # the first makes the tables that stay
        (batch,) = run.batches.of_window([each])
        with torch.no_grad(), Made(len(each.node) * 30 * 8 // 2) as counting:
            run.run_round(each, batch, None)
    return counting.count


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("place", range(3), ids=ESTIMATORS)
@pytest.mark.parametrize(("protocol", "more"), [("matrix", 0), ("matching", 3), ("pair", 3)])
def test_a_round_makes_few_arrays(problem, place, protocol, more):
    """Of some nodes, the rows that take part are gathered, and so are those of each node's data."""
    group = list(ESTIMATORS.values())[place]
    spec = cell_spec(PROBLEMS[problem], group, protocol, run={"replicas": 20})
    assert made(spec) <= MOST[problem][place] + more
