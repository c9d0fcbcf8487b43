"""Schedules of servers against cases worked by hand, and what must hold of every schedule."""

import math
from fractions import Fraction

import numpy as np
import pytest

from hzbench.clocks.drawn import ExponentialClock, UniformClock
from hzbench.clocks.fixed import FixedClock
from hzbench.clocks.universal import IntervalClock, PowerClock
from hzbench.core.clock import exact
from hzbench.core.errors import UserMistakeError
from hzbench.core.normal_form import component_of
from hzbench.engine import arrivals
from hzbench.engine.arrivals import schedule

HAND = FixedClock(seconds=(1.0, 2.1, 4.05))
RANDOM = np.random.default_rng(5)


def plan(method, clock, workers, updates, work=None, seed=0):
    if isinstance(method, str):
        method = {"name": method}
    work = tuple(work or [1.0] * workers)
    return schedule(component_of("method", method), clock.timer(work, seed), updates)


def finishers(found):
    """(seconds, worker from 1, delay of its estimate) of every update."""
    last = found.received[found.counts - 1]
    delays = np.arange(found.updates) - found.versions[last]
    return [
        (round(float(t), 9), int(w) + 1, int(delay))
        for t, w, delay in zip(found.times, found.workers[last], delays, strict=True)
    ]


def counts(found, workers):
    """b_i of every update."""
    return [
        np.bincount(found.workers[found.samples[found.used(k)]], minlength=workers).tolist()
        for k in range(found.updates)
    ]


def test_asgd():
    found = plan("asgd", FixedClock(seconds=(1.0, 2.5)), 2, 6)
    assert finishers(found) == [
        (1, 1, 0), (2, 1, 0), (2.5, 2, 2), (3, 1, 1), (4, 1, 0), (5, 1, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("stops", [False, True])
def test_ringmaster_starves_a_worker_slower_than_its_threshold(stops):
    method = {"name": "ringmaster", "delay_threshold": 2, "stops": stops}
    found = plan(method, FixedClock(seconds=(1.0, 2.5)), 2, 6)
    assert {worker for _, worker, _ in finishers(found)} == {1}
    late = found.workers[found.received] == 1
    assert late.sum() == (0 if stops else 2)


@pytest.mark.parametrize(
    ("method", "seconds", "b"),
    [
        ({"name": "malenia", "batch": 3}, 4, [4, 2, 1]),
        ({"name": "malenia", "batch": 6}, 6, [6, 3, 1]),  # harmonic mean exactly 2: a tie
        ("malenia", 4, [4, 2, 1]),
        ({"name": "rennala", "batch": 5}, 4, [4, 1, 0]),  # ties go to the lower index
        ("minibatch_sgd", 4, [1, 1, 1]),
    ],
)
def test_rounds(method, seconds, b):
    found = plan(method, FixedClock(seconds=(1.0, 2.0, 4.0)), 3, 2)
    assert found.times.tolist() == [seconds, 2 * seconds]
    assert counts(found, 3) == [b, b]
    assert (found.versions[found.samples[found.used(1)]] == 1).all()


def test_ringleader():
    found = plan("ringleader", HAND, 3, 9)
    expected = [
        (4.05, 3, [4, 1, 1]), (4.2, 2, [4, 2, 1]), (5, 1, [5, 2, 1]),
        (8.1, 3, [3, 1, 1]), (8.4, 2, [3, 2, 1]), (9, 1, [4, 2, 1]),
        (12.15, 3, [3, 1, 1]), (12.6, 2, [3, 2, 1]), (13, 1, [4, 2, 1]),
    ]  # fmt: skip
    assert [(t, w) for t, w, _ in finishers(found)] == [(t, w) for t, w, _ in expected]
    assert counts(found, 3) == [b for _, _, b in expected]


def test_speeds_that_grow_tie_exactly():
    clock = PowerClock(exponents=(2.0, 1.0), seconds=(2.0, 1.0))
    found = [(t, w) for t, w, _ in finishers(plan("asgd", clock, 2, 5))]
    assert found == [
        (1, 2), (round(math.sqrt(2), 9), 1), (2, 1), (2, 2), (round(math.sqrt(6), 9), 1)
    ]  # fmt: skip


def test_equal_times_are_equal():
    found = plan("minibatch_sgd", FixedClock(seconds=(0.1, 0.3)), 2, 1)
    asynchronous = plan("asgd", FixedClock(seconds=(0.1, 0.3)), 2, 4)
    assert found.times[0] == 0.3
    assert [w for _, w, _ in finishers(asynchronous)] == [1, 1, 1, 2]


def test_only_the_fastest_take_part():
    clock = FixedClock(seconds=(3.0, 1.0, 2.0, 1.0))
    found = plan({"name": "fastest_asgd", "fastest": 2}, clock, 4, 20)
    assert set(found.workers.tolist()) == {1, 3}


def test_an_outage_delays_what_runs():
    clock = IntervalClock(rates=((1.0, 0.0), (0.5, 0.5)), interval=1.5)
    found = plan("asgd", clock, 2, 4)
    # worker 1 works in [0, 1.5), [3, 4.5): units done at 1, 3.5, 4.5; worker 2 at 2, 4
    assert [(t, w) for t, w, _ in finishers(found)] == [(1, 1), (2, 2), (3.5, 1), (4, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_outages_by_exact_fractions(seed):
    """Jobs one after another on random one-decimal rates: no crash at the end of an interval."""
    random = np.random.default_rng(seed)
    for _ in range(40):
        rates = random.choice([0.0, 0.0, 0.1, 0.3, 0.5, 1.0, 2.0], int(random.integers(1, 5)))
        rates = rates.tolist() if rates.sum() else [1.0]
        interval, tau = (random.integers(1, 31, 2) / 10).tolist()
        clock = IntervalClock(rates=(tuple(rates),), interval=interval, seconds=(tau,))
        found = plan("asgd", clock, 1, 30).times
        np.testing.assert_allclose(found, by_fractions(rates, interval, tau, 30), rtol=1e-9)


def by_fractions(rates, interval, tau, jobs):
    rates, interval, tau = [exact(r) for r in rates], exact(interval), exact(tau)
    now, k, found = Fraction(0), 0, []
    for _ in range(jobs):
        need = tau
        while rates[k % len(rates)] * ((k + 1) * interval - now) < need:
            need -= rates[k % len(rates)] * ((k + 1) * interval - now)
            k += 1
            now = k * interval
        now += need / rates[k % len(rates)]
        found.append(float(now))
    return found


def test_the_fastest_are_so_with_their_links():
    clock = FixedClock(seconds=(1.0, 2.0, 3.0), upload=(20.0, 0.0, 0.0))
    found = plan({"name": "fastest_asgd", "fastest": 2}, clock, 3, 20)
    assert set(found.workers.tolist()) == {1, 2}


def test_communication_and_work_count():
    clock = FixedClock(seconds=(1.0, 1.0), download=(0.0, 0.25), upload=0.5)
    found = plan("asgd", clock, 2, 3, work=(2.0, 1.0))
    assert [(t, w) for t, w, _ in finishers(found)] == [(1.75, 2), (2.5, 1), (3.5, 2)]


@pytest.mark.parametrize("clock", [ExponentialClock(unit=2.0), UniformClock(unit=2.0, spread=0.9)])
def test_drawn_times_have_their_mean_and_are_addressed(clock):
    found = plan("asgd", clock, 3, 3000)
    took = (found.arrived - found.sent)[np.isfinite(found.arrived)]
    deviation = 2.0 if isinstance(clock, ExponentialClock) else 2.0 * 0.9 / math.sqrt(3)
    assert abs(took.mean() - 2.0) < 5 * deviation / math.sqrt(len(took))
    assert abs(took.std() - deviation) < 0.1 * deviation
    alone = plan("minibatch_sgd", clock, 3, 5)
    for worker in range(3):
        jobs, same = found.workers == worker, alone.workers == worker
        mine, theirs = (found.arrived - found.sent)[jobs], (alone.arrived - alone.sent)[same]
        np.testing.assert_allclose(mine[:5], theirs[:5], rtol=1e-12)


@pytest.mark.parametrize("name", ["asgd", "ia2sgd", "ringleader", "malenia", "minibatch_sgd"])
def test_weights_use_only_what_has_arrived(name):
    clock = FixedClock(seconds=tuple(RANDOM.uniform(0.5, 5, 6).round(2).tolist()))
    found = plan(name, clock, 6, 60)
    for k in range(found.updates):
        used = found.samples[found.used(k)]
        assert (found.arrived[used] <= found.times[k]).all()
        assert found.weights[found.used(k)].sum() == pytest.approx(1)
        assert (found.versions[used] <= k).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_round_of_ringleader_is_short_and_fresh(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 12))
    seconds = tuple(random.uniform(0.1, 3, n).round(3).tolist())
    found = plan("ringleader", FixedClock(seconds=seconds), n, 12 * n)
    ends = np.concatenate([[0], found.times[n - 1 :: n]])
    assert np.diff(ends).max() <= 2 * max(seconds) + 1e-12
    for k in range(found.updates):
        assert (k - found.versions[found.samples[found.used(k)]]).max() <= 2 * n - 2
    for start in range(0, found.updates, n):  # every worker's arrival updates once a round
        last = found.workers[found.received[found.counts[start : start + n] - 1]]
        assert sorted(last.tolist()) == list(range(n))


def test_a_server_that_waits_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(arrivals, "PATIENCE", 50)
    with pytest.raises(UserMistakeError, match="got no update in 50 arrivals after update 0"):
        plan("ringleader", FixedClock(seconds=(1.0, 1000.0)), 2, 1)


@pytest.mark.parametrize(
    "method",
    ["asgd", "ringleader", {"name": "ringmaster", "delay_threshold": 2, "stops": True}],
    ids=str,
)
def test_a_schedule_until_a_time_is_the_beginning_of_a_longer_one(method):
    clock, until = FixedClock(seconds=(1.0, 2.5)), 9.75
    long = plan(method, clock, 2, 40)
    work = (1.0, 1.0)
    words = {"name": method} if isinstance(method, str) else method
    found = schedule(component_of("method", words), clock.timer(work, 0), 1000, until)
    assert 0 < found.updates < 40
    assert long.times[found.updates] > until >= found.times[-1]
    assert found.times.tolist() == long.times[: found.updates].tolist()
    assert found.arrived[found.received].max() <= until
    arrived = np.isfinite(long.arrived) & (long.arrived <= until)
    assert len(found.received) == arrived.sum()
