"""Mutants of clocks and delays change what their formulas say, and refuse other runs."""

import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.build import build, build_server_plan

TWO = {"name": "fixed", "pace": "two-speed", "slow_factor": 4.0}
SQRT = {"name": "fixed", "pace": "sqrt", "unit": 0.5}
STOPS = {"name": "ringmaster", "delay_threshold": 2, "stops": True}


def schedules(method, clock, mutant):
    table = {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 3}],
        "clock": clock,
        "method": method,
        "run": {"steps": 24, "replicas": 64},
    }
    specs = [Spec.parse({**table, "mutant": which}) for which in (None, mutant)]
    return [build_server_plan(build(spec), range(2)).schedule for spec in specs]


def test_the_way_there_takes_no_time():
    right, wrong = schedules(
        "minibatch_sgd", {**TWO, "download": 2.0, "upload": 1.0}, "links_ignored"
    )
    assert (right.times[0], wrong.times[0]) == (7.0, 5.0)


@pytest.mark.parametrize(
    ("clock", "slowest"), [(TWO, (4.0, 4.2)), (SQRT, (0.5 * 3**0.5, 0.5 * 3**0.55))]
)
def test_paces_a_little_off(clock, slowest):
    right, wrong = schedules("minibatch_sgd", clock, "wrong_pace")
    np.testing.assert_allclose((right.times[0], wrong.times[0]), slowest, rtol=1e-14)


def test_factors_of_the_next_delay():
    right, wrong = schedules({"name": "asgd", "adaptive": "ratio"}, TWO, "wrong_adaptive")
    delays = np.arange(24) - right.versions[right.samples]
    assert delays.max() > 3
    np.testing.assert_allclose(right.scales, 3 / np.maximum(3, delays))
    np.testing.assert_allclose(wrong.scales, 3 / np.maximum(3, delays + 1))


def test_stops_come_one_version_late():
    """Jobs of 1, 1 and 4 s, R = 2: the slow one restarts every 2 and every 3 versions."""
    for found, age in zip(schedules(STOPS, TWO, "stops_one_late"), (2, 3), strict=True):
        stopped = ~np.isfinite(found.arrived) & (found.workers == 2)
        sent = found.versions[found.workers == 2]
        assert set(np.diff(sent)) == {age}
        assert stopped.any()


@pytest.mark.parametrize(
    ("mutant", "method", "clock"),
    [
        ("links_ignored", "asgd", TWO),
        ("wrong_pace", "asgd", {"name": "fixed", "pace": "linear"}),
        ("wrong_adaptive", "asgd", TWO),
        ("stops_one_late", {**STOPS, "stops": False}, TWO),
    ],
)
def test_they_refuse_runs_where_they_mean_nothing(mutant, method, clock):
    with pytest.raises(SpecError, match="where it means nothing"):
        schedules(method, clock, mutant)
