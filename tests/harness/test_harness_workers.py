"""What worker processes are sent: what arrays repeat, once."""

from multiprocessing.reduction import ForkingPickler

import numpy as np

from hzbench.core.spec import Spec
from hzbench.harness.prepare import prepare
from hzbench.harness.workers import worker_pool


def has_repeats(array):
    return any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))


def told(array):
    """In a worker: the sum, whether memory is repeated, and the shape."""
    return float(array.sum()), has_repeats(array), array.shape


def test_a_case_with_one_hessian_of_many_nodes_is_sent_with_one_hessian():
    """Hessians and noise of 400 nodes, d = 100, are 2 · 32 MB when written out."""
    problem = {"name": "quadratic", "dimension": 100, "heterogeneity": 0.5, "noise": 0.1}
    network = {"graph": "ring", "gossip": "matrix"}
    table = {"problem": problem, "nodes": [{"count": 400}], "network": network, "method": "dsgd"}
    case = prepare(Spec.parse(table | {"checks": [{"theorem": "graph_spectrum"}]}))
    declared = case.setting.problem.structure
    assert declared.hessians.nbytes + declared.noise.nbytes == 2 * 400 * 100**2 * 8
    sent = ForkingPickler.dumps(case)
    assert len(sent) < 8 * (4 * 100**2 + 40 * 400 * 100)  # some iterates, and what repeats once
    found = ForkingPickler.loads(sent).setting.problem.structure
    np.testing.assert_array_equal(found.hessians, declared.hessians)
    np.testing.assert_array_equal(found.noise, declared.noise)
    assert found.hessians.strides[0] == 0


def test_every_array_arrives_as_it_was():
    arrays = [
        np.arange(12.0).reshape(3, 4),
        np.broadcast_to(np.arange(4.0)[:, None], (3, 4, 5)),
        np.broadcast_to(2.5, (7,)),
        np.broadcast_to(np.arange(1.0), (1, 1)),
        np.zeros((0, 3)),
        np.arange(24.0).reshape(4, 6).T[::2],
    ]
    with worker_pool(1) as pool:
        there = list(pool.map(told, arrays))
    for array, (summed, repeats, shape) in zip(arrays, there, strict=True):
        assert (summed, shape) == (array.sum(), array.shape)
        assert repeats == has_repeats(array)
        np.testing.assert_array_equal(ForkingPickler.loads(ForkingPickler.dumps(array)), array)
