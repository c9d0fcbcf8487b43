"""Probe ticks against plain numpy, on states of a real run."""

import numpy as np
import pytest
import torch

from hzbench.core.spec import Spec
from hzbench.core.state import State
from hzbench.harness.build import build, build_problem
from hzbench.harness.simulate import simulate
from hzbench.harness.ticks import TickProbe, sums_before

QUADRATIC = {
    "name": "quadratic",
    "dimension": 3,
    "rotation": True,
    "heterogeneity": 0.7,
    "noise": [0.1, 0.2, 0.5],
}
CANCER = {"name": "logistic", "data": "breast_cancer", "partition": "sorted"}
GROUPS = (2, 1, 3)


def spec_of(problem, **run):
    return Spec.parse(
        {
            "problem": problem,
            "nodes": [{"count": count} for count in GROUPS],
            "run": {"steps": 6, "replicas": 2, **run},
        }
    )


def samples_of(problem, node):
    """(gradient of one row as a function of x, probability) for every row of a node."""
    glm = problem.structure
    for j in glm.members[node]:
        a, y = glm.features[j], glm.targets[j]
        yield lambda x, a=a, y=y: -y * a / (1 + np.exp(y * (a @ x))) + glm.regularization * x


def plain_facts(problem, x):
    """h_i and the trace of the covariance of one sample's gradient, node by node."""
    if problem.evaluation_noise == 0 and hasattr(problem.structure, "features"):
        rows = [np.array([g(x[i]) for g in samples_of(problem, i)]) for i in range(len(x))]
        return np.array([g.mean(0) for g in rows]), [g.var(axis=0).sum() for g in rows]
    quadratic = problem.structure
    h = [A @ v - b for A, b, v in zip(quadratic.hessians, quadratic.linear, x, strict=True)]
    return np.array(h), [0.1**2 + 0.2**2 + 0.5**2] * len(x)


@pytest.mark.parametrize("table", [QUADRATIC, CANCER], ids=["quadratic", "logistic"])
def test_sums_before_a_tick(table):
    problem = build_problem(spec_of(table))
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 6, problem.dimension))
    state = State(step=0, arrays={"x": torch.from_numpy(x)}, counters={})
    found = sums_before(state, problem, GROUPS)
    group = np.repeat(np.arange(3), GROUPS)
    for r in range(2):
        h, noise = plain_facts(problem, x[r])
        offset = x[r] - problem.optimum
        for a in range(3):
            mine = group == a
            assert found.count[r] == 1
            assert found.squares[r, a] == pytest.approx((offset[mine] ** 2).sum())
            assert found.products[r, a] == pytest.approx((offset[mine] * h[mine]).sum())
            assert found.powers[r, a] == pytest.approx((h[mine] ** 2).sum())
            assert found.noise[r, a] == pytest.approx(np.array(noise)[mine].sum())
            for b in range(3):
                theirs = group == b
                X, H = offset[mine].sum(0), h[theirs].sum(0)
                assert found.positions[r, a, b] == pytest.approx(X @ offset[theirs].sum(0))
                assert found.drifts[r, a, b] == pytest.approx(X @ H)
                assert found.forces[r, a, b] == pytest.approx(h[mine].sum(0) @ H)


def test_a_tick_sees_the_state_before_and_after():
    problem = build_problem(spec_of(QUADRATIC))
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    probe = TickProbe(marks=frozenset({1, 2}), problem=problem, groups=(6,))
    assert probe.boundaries == {1, 2, 3}
    for step in range(5):
        state = State(step=step, arrays={"x": x * (step + 1)}, counters={})
        probe.finish(state)
        probe.begin(state)
    centre = torch.from_numpy(problem.optimum)
    means = [(step * x).mean(1) - centre for step in (3, 4)]  # after ticks 1 and 2
    expected = sum((mean**2).sum(-1) for mean in means)
    assert np.allclose(probe.value(2)[:, 1], expected.numpy())
    assert probe.value(2)[:, 0].tolist() == [2, 2]


def test_every_step_of_a_short_run_is_a_tick():
    trace = simulate(spec_of(QUADRATIC, record=[3, 6]), ("probe_sums",))
    assert trace.columns["probe_sums"][:, 0, 0].tolist() == [0, 3, 6]


def test_a_long_run_has_32_ticks_and_the_same_states():
    words = {"steps": 200, "record": [200]}
    names = ("mean_iterate", "probe_sums")
    with_ticks = simulate(spec_of(QUADRATIC, **words), names)
    without = simulate(spec_of(QUADRATIC, **words), names[:1])
    assert with_ticks.at("probe_sums", 200)[:, 0].tolist() == [32, 32]
    same = with_ticks.columns["mean_iterate"] == without.columns["mean_iterate"]
    assert same.all()


def test_a_planted_bug_does_not_predict_itself():
    """Noise is evaluated on the problem of the spec, not on that of the mutant."""
    table = {**QUADRATIC, "noise": 0.3}
    run = {"steps": 6, "replicas": 2, "record": [6]}
    words = {"problem": table, "nodes": [{"count": 6}], "run": run}
    mutated = simulate(Spec.parse({**words, "mutant": "noise_plus_5"}), ("probe_sums",))
    noise = mutated.at("probe_sums", 6)[:, 6]
    assert noise == pytest.approx(6 * 6 * 3 * 0.09)
    assert build(Spec.parse({**words, "mutant": "noise_plus_5"})).problem.structure.noise[
        0, 0, 0
    ] == pytest.approx(0.09 * 1.1025)
