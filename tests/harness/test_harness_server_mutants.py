"""Each mutant of servers changes what its formula says, and refuses runs where it means nothing."""

import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.build import build, build_server_plan
from hzbench.harness.simulate import simulate


def spec_of(method, mutant=None, seconds=(1.0, 2.0, 4.0), **problem):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 4, "noise": 0.5} | problem,
            "nodes": [{"count": 3}],
            "clock": {"name": "fixed", "seconds": list(seconds)},
            "method": method,
            "run": {"steps": 24, "replicas": 2000},
            "mutant": mutant,
        }
    )


def plans(method, mutant, seconds=(1.0, 2.0, 4.0)):
    specs = [spec_of(method, which, seconds) for which in (None, mutant)]
    return [build_server_plan(build(spec), range(2)) for spec in specs]


def counts(plan, update):
    table = plan.schedule
    return np.bincount(table.workers[table.samples[table.used(update)]], minlength=3).tolist()


def test_a_table_that_is_not_reset_only_grows():
    right, wrong = plans("ringleader", "table_not_reset")
    np.testing.assert_array_equal(right.schedule.times[:3], wrong.schedule.times[:3])
    assert counts(right, 3) < counts(wrong, 3)
    totals = [sum(counts(wrong, k)) for k in range(24)]
    assert totals == sorted(totals)


def test_stale_estimates_counted_twice():
    right, wrong = plans("asgd", "stale_counted_twice")
    table = right.schedule
    stale = table.versions[table.samples] < np.arange(24)
    np.testing.assert_array_equal(wrong.schedule.weights, np.where(stale, 2.0, 1.0))
    assert 0 < stale.sum() < 24


def test_the_arithmetic_mean_ends_a_round_early():
    right, wrong = plans({"name": "malenia", "batch": 9}, "arithmetic_for_harmonic")
    assert (counts(right, 0), counts(wrong, 0)) == ([8, 4, 2], [6, 2, 1])
    assert right.schedule.times[0] == 8
    assert wrong.schedule.times[0] == 6


def test_ties_the_other_way():
    right, wrong = (p.schedule for p in plans("asgd", "last_worker_first"))
    np.testing.assert_allclose(right.times, wrong.times, rtol=1e-11)
    first, second = (s.workers[s.samples].tolist() for s in (right, wrong))
    assert first[:4] == [0, 0, 1, 0]
    assert second[:4] == [0, 1, 0, 0]


def test_one_more_delay_is_accepted():
    method = {"name": "ringmaster", "delay_threshold": 3}
    right, wrong = (p.schedule for p in plans(method, "threshold_plus_one", (1.0, 3.0, 4.0)))
    delays = [np.arange(24) - s.versions[s.samples] for s in (right, wrong)]
    assert [d.max() for d in delays] == [0, 3]


def test_the_point_from_before_the_update():
    right, wrong = (p.schedule for p in plans("asgd", "old_point_sent"))
    np.testing.assert_array_equal(wrong.versions, np.maximum(right.versions - 1, 0))


def test_steps_of_a_server_that_are_too_long():
    right, wrong = plans("asgd", "step_size_plus_5")
    np.testing.assert_allclose(wrong.step_sizes, 1.05 * right.step_sizes)


def test_scalar_noise_has_every_coordinates_variance_and_rank_one():
    columns = [
        simulate(spec_of("asgd", mutant), ("mean_iterate",)).columns["mean_iterate"][-1]
        for mutant in (None, "scalar_noise")
    ]
    right, wrong = (np.cov(values.T) for values in columns)
    np.testing.assert_allclose(np.diag(right), np.diag(wrong), rtol=0.15)
    correlation = np.corrcoef(columns[1].T)
    assert correlation[0, 1] > 0.9
    assert abs(np.corrcoef(columns[0].T)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("mutant", "method"),
    [
        ("table_not_reset", "asgd"),
        ("arithmetic_for_harmonic", "ringleader"),
        ("threshold_plus_one", "asgd"),
        ("everyone_restarted", "minibatch_sgd"),
        ("latest_estimate_only", "asgd"),
        ("batch_per_worker", "malenia"),
        ("one_endpoint", "asgd"),
        ("undamped_momentum", "asgd"),
    ],
)
def test_mutants_refuse_runs_where_they_mean_nothing(mutant, method):
    with pytest.raises(SpecError, match="expected"):
        build(spec_of(method, mutant))


def test_everyone_starts_over_at_every_update():
    """Equal workers under asynchronous SGD: only the first ever arrives, one update a second."""
    right, wrong = (p.schedule for p in plans("asgd", "everyone_restarted", (1.0, 1.0, 1.0)))
    assert set(right.workers[right.samples].tolist()) == {0, 1, 2}
    assert set(wrong.workers[wrong.samples].tolist()) == {0}
    assert wrong.times.tolist() == list(range(1, 25))


def test_a_table_of_latest_estimates():
    right, wrong = plans("ringleader", "latest_estimate_only")
    assert counts(right, 0) == [4, 2, 1]
    assert all(counts(wrong, k) == [1, 1, 1] for k in range(24))


@pytest.mark.parametrize(("method", "b"), [("rennala", [11, 5, 2]), ("malenia", [16, 8, 4])])
def test_a_batch_of_every_worker(method, b):
    """S = 6 of three workers becomes 18: the harmonic mean must reach 6, not 2."""
    right, wrong = plans({"name": method, "batch": 6}, "batch_per_worker")
    assert sum(counts(right, 0)) < sum(counts(wrong, 0))
    total = sum(counts(wrong, 0))
    assert total == 18 if method == "rennala" else total > 18
    assert counts(wrong, 0) == b
