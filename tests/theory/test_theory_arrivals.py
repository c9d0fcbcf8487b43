"""Theory's account of arrivals: cases worked by hand, and what is proved of delays and rounds."""

from fractions import Fraction
from math import inf, isclose, sqrt

import numpy as np
import pytest
from theory_servers import (
    ASGD,
    MALENIA,
    MALENIA_ALL,
    MINIBATCH,
    RENNALA,
    RINGLEADER,
    SERVERS,
    TABLE,
    clock,
    clocks,
)

from hzbench.clocks.universal import IntervalClock, PowerClock
from hzbench.core.server_facts import ServerFacts
from hzbench.theory import arrivals, server_rounds
from hzbench.theory.arrivals import history
from hzbench.theory.clocks import Chains, profile_of
from hzbench.theory.server_history import NeverError


def updates(found):
    """(seconds, worker, delay) of every update, workers from 1 on."""
    last = found.served - 1
    delays = np.arange(found.updates) - found.versions[last]
    return list(zip(found.times.tolist(), (found.workers[last] + 1).tolist(), delays, strict=True))


def counts(found, update, n):
    """b_i of the bins that an update uses."""
    used = found.used[found.offsets[update] : found.offsets[update + 1]]
    early = found.bins[: found.served[update]]
    owner = {b: found.workers[np.flatnonzero(early == b)[0]] for b in used}
    return [sum(int((early == b).sum()) for b in used if owner[b] == i) for i in range(n)]


def used_delays(found):
    """The age of the oldest estimate in every bin at every update that uses it."""
    oldest = np.full(found.bins.max() + 1, found.updates)
    np.minimum.at(oldest, found.bins, found.versions)
    return found.update_of_use - oldest[found.used]


def served(found):
    """(seconds of the update, worker) where every arrival updates."""
    return [(t, i - 1) for t, i, _ in updates(found)]


def test_asgd_by_hand():
    expected = [(1, 1, 0), (2, 1, 0), (2.5, 2, 2), (3, 1, 1), (4, 1, 0), (5, 1, 0)]
    assert updates(history(clock(1, 2.5), ASGD, 6)) == expected


@pytest.mark.parametrize("stops", [False, True])
def test_a_slow_worker_starves_under_ringmaster(stops):
    server = ServerFacts(rule="ringmaster", delay_threshold=2, stops=stops)
    found = history(clock(1, 2.5), server, 6)
    assert updates(found) == [(k + 1.0, 1, 0) for k in range(6)]
    assert (found.bins == -1).sum() == (0 if stops else 2)  # at 2.5 and at 5


@pytest.mark.parametrize(
    ("server", "end", "b"),
    [
        (ServerFacts(rule="collect", collection="harmonic", batch=3), 4, [4, 2, 1]),
        (ServerFacts(rule="collect", collection="harmonic", batch=6), 6, [6, 3, 1]),
        (ServerFacts(rule="collect", collection="sum", batch=5), 4, [4, 1, 0]),
        (MALENIA_ALL, 4, [4, 2, 1]),
        (MINIBATCH, 4, [1, 1, 1]),
    ],
)
def test_rounds_by_hand(server, end, b):
    """The harmonic mean of 6, 3, 1 is exactly 2 = S/n: a tie that ends the round."""
    found = history(clock(1, 2, 4), server, 3)
    assert found.times.tolist() == [end, 2 * end, 3 * end]
    for update in range(3):
        assert counts(found, update, 3) == b
        used = slice(found.offsets[update], found.offsets[update + 1])
        shares = [1 / 5] * 2 if server.collection == "sum" else [1 / (3 * each) for each in b]
        np.testing.assert_allclose(found.weights[used], shares, rtol=1e-15)


def test_ringleader_by_hand():
    found = history(clock(1, 2.1, 4.05), RINGLEADER, 9)
    expected = [
        (4.05, 3, [4, 1, 1]),
        (4.2, 2, [4, 2, 1]),
        (5, 1, [5, 2, 1]),
        (8.1, 3, [3, 1, 1]),
        (8.4, 2, [3, 2, 1]),
        (9, 1, [4, 2, 1]),
        (12.15, 3, [3, 1, 1]),
        (12.6, 2, [3, 2, 1]),
        (13, 1, [4, 2, 1]),
    ]
    told = [(t, i, counts(found, k, 3)) for k, (t, i, _) in enumerate(updates(found))]
    assert told == expected
    np.testing.assert_allclose(found.weights[:3], [1 / 12, 1 / 3, 1 / 3])


def test_the_table_fills_before_anything_moves():
    found = history(clock(1, 2, 4), TABLE, 4)
    expected = [(4.0, 3, 0), (5.0, 1, 1 - 1), (6.0, 1, 0), (6.0, 2, 3)]
    told = updates(found)
    assert [each[:2] for each in told] == [each[:2] for each in expected]
    assert found.served.tolist() == [7, 8, 9, 10]
    assert found.versions[:7].tolist() == [0] * 7
    assert counts(found, 3, 3) == [1, 1, 1]


def test_universal_by_hand():
    """v_1 = t, v_2 = 1: V_1 = t²/2; both arrive at t = 2, and worker 1 is served first."""
    found = history(clock(2, 1, law="power", exponents=(2.0, 1.0)), ASGD, 5)
    expected = [(1.0, 1), (sqrt(2), 0), (2.0, 0), (2.0, 1), (sqrt(6), 0)]
    # with x² seconds the first arrival of worker 1 is where t²/2 = 1
    told = served(found)
    assert [worker for _, worker in told] == [worker for _, worker in expected]
    np.testing.assert_allclose([t for t, _ in told], [t for t, _ in expected], rtol=1e-15)


@pytest.mark.parametrize("exponent", [2.0, 3.0, 5.0])
def test_ties_do_not_hang_on_rounding(exponent):
    """Worker 0 does t^p units; at whole t it ties with worker 1, and is served first."""
    found = history(clock(1, 1, law="power", exponents=(exponent, 1.0)), ASGD, 1100)
    order = found.workers.tolist()
    for t in range(1, 5):
        at = [i for i, when in zip(order, found.times, strict=True) if isclose(when, t)]
        assert at == [0, 1]


def test_a_fixed_clock_is_a_power_clock_of_exponent_1_and_an_even_profile():
    seconds = (0.1, 0.3, 0.7)
    for server in SERVERS.values():
        plain = history(clock(*seconds), server, 60)
        for other in (
            clock(*seconds, law="power", exponents=(1.0,) * 3),
            clock(*seconds, law="intervals", rates=((1.0,),) * 3, interval=0.25),
        ):
            same = history(other, server, 60)
            np.testing.assert_allclose(same.times, plain.times, rtol=1e-11)
            assert same.workers.tolist() == plain.workers.tolist()
            assert same.versions.tolist() == plain.versions.tolist()


def test_profiles_stand_still_in_outages():
    profile = profile_of((0.5, 0.0, 1.0), 2.0, Fraction(1))
    assert [profile.when(w) for w in map(Fraction, (0.5, 1.0, 1.5, 3.0, 3.5))] == [
        1.0,
        2.0,
        4.5,
        6.0,
        7.0,
    ]
    for t in np.linspace(0.1, 20.0, 57):
        work = profile.work(float(t))
        fine = np.arange(0.0, t, 1e-3)
        rate = np.array([0.5, 0.0, 1.0])[(fine // 2.0).astype(int) % 3]
        assert abs(work - rate.sum() * 1e-3) < 2e-3
        assert profile.when(work) <= t + 1e-9
    assert profile_of((0.0, 0.0), 1.0, Fraction(1)).when(1) == inf


RATES = (0.0, 0.0, 0.1, 0.3, 0.7, 1.0, 2.0, 0.2)


def walked(rates, interval, seconds, links, jobs):
    """Arrivals of one worker by walking from interval to interval in fractions, and no formula."""
    rates, (down, up) = [Fraction(str(r)) for r in rates], [Fraction(str(x)) for x in links]
    step, job, now, found = Fraction(str(interval)), Fraction(str(seconds)), Fraction(0), []
    for _ in range(jobs):
        now += down
        k, left = now // step, job
        while rates[k % len(rates)] * ((k + 1) * step - now) < left:
            left -= rates[k % len(rates)] * ((k + 1) * step - now)
            k, now = k + 1, (k + 1) * step
        now += left / rates[k % len(rates)] + up
        found.append(now)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_outages_with_links_are_exact(seed):
    """The product's timer and theory's chains on random decimals, equal to the last digit."""
    random = np.random.default_rng(seed)
    for _ in range(25):
        rates = random.choice(RATES, int(random.integers(1, 6))).tolist()
        rates = rates if sum(rates) else [0.3]
        interval, seconds = random.choice([0.1, 0.3, 0.7, 1.0]), random.choice([0.1, 0.4, 1.0, 4.0])
        links = random.choice([0.0, 0.1, 0.2, 0.05, 0.7], 2).tolist()
        made = IntervalClock(
            rates=(tuple(rates),),
            interval=float(interval),
            seconds=(float(seconds),),
            download=links[0],
            upload=links[1],
        )
        expected = walked(rates, interval, seconds, links, 60)
        timer, times = made.timer((1.0,), 0), [0]
        for _ in range(60):
            times.append(timer.arrive(0, times[-1]))
        assert times[1:] == expected
        assert Chains(made.facts((1.0,), 0)).arrivals(0, 0, 0, 60) == expected


def test_fractions_stay_short():
    """Links and rates of 0.3 and 0.7 multiply denominators at every job: they are cut."""
    made = IntervalClock(rates=((0.3, 0.7, 0.0),), interval=0.7, seconds=(0.9,), upload=0.1)
    timer, now = made.timer((1.0,), 0), 0
    for _ in range(3000):
        now = timer.arrive(0, now)
    told = Chains(made.facts((1.0,), 0)).arrivals(0, 0, 0, 3000)
    assert now.denominator <= 1 << 1024
    assert float(told[-1]) == float(now)
    assert float(now) == float(walked((0.3, 0.7, 0.0), 0.7, 0.9, (0.0, 0.1), 3000)[-1])


def test_a_worker_that_hardly_ever_finishes():
    """t^0.001: jobs end at 1, 2^1000 and never; the others go on."""
    found = history(clock(1, 1, law="power", exponents=(1.0, 1e-3)), ASGD, 50)
    assert found.workers.tolist() == [0, 1] + [0] * 48
    timer = PowerClock(exponents=(1.0, 1e-3)).timer((1.0, 1.0), 0)
    assert [timer.arrive(1, t) for t in (0.0, 1.0, 2.0**1000)] == [1.0, 2.0**1000, inf]


@pytest.mark.parametrize("law", clocks(4))
@pytest.mark.parametrize("name", SERVERS)
def test_every_rule_is_consistent_on_every_clock(name, law):
    """Workers' own arrivals follow their chains; versions are those when the job was sent."""
    found = history(clocks(4)[law], SERVERS[name], 80)
    assert found.updates == 80
    assert (np.diff(found.times) >= 0).all()
    assert (np.diff(found.served) >= 1).all()
    assert found.served[-1] == len(found.workers)
    when = np.searchsorted(found.served, np.arange(len(found.workers)), side="right")
    assert (found.versions <= when).all()
    restarts = SERVERS[name].rule == "collect" or SERVERS[name].stops
    for i in range(4):
        own = found.workers == i
        if not restarts and own.any():
            # a job is sent as soon as the one before has been served
            before = np.flatnonzero(own)[:-1]
            sent = np.searchsorted(found.served, before + 1, side="right")
            assert found.versions[own].tolist() == [0, *sent.tolist()]
    if SERVERS[name].rule == "collect":
        assert (found.versions == when).all()


def test_a_hopeless_wait_is_told(monkeypatch):
    for module in (arrivals, server_rounds):
        monkeypatch.setattr(module, "MOST_ARRIVALS", 10_000)
    with pytest.raises(NeverError, match="0 of 3 updates"):
        history(clock(1e-7, 1e3), TABLE, 3)
    dead = clock(1, 1, law="intervals", rates=((1.0,), (0.0,)))
    for server in (TABLE, MALENIA, MINIBATCH):
        with pytest.raises(NeverError, match=r"workers \[1\] never finish"):
            history(dead, server, 3)


def speeds(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 13))
    kind = seed % 3
    if kind == 0:
        return rng.integers(1, 30, n) / 10.0
    return np.exp(rng.normal(size=n) * kind).round(3) + 0.001


@pytest.mark.parametrize("seed", range(40))
def test_ringleader_delays_and_rounds(seed):
    """R1: delays are at most 2n − 2, and n updates of one round take at most 2 τ_n."""
    tau = speeds(seed)
    n = len(tau)
    found = history(clock(*tau), RINGLEADER, 12 * n)
    used_by = np.searchsorted(found.served, np.arange(len(found.workers)), side="right")
    assert (used_by - found.versions).max() <= 2 * n - 2  # on arrival
    ends = np.concatenate([[0.0], found.times[n - 1 :: n]])
    assert np.diff(ends).max() <= 2 * tau.max() * (1 + 1e-12)
    assert used_delays(found).max() <= 2 * n - 2
    for k in range(12):
        own = found.workers[found.served[k * n : (k + 1) * n] - 1]
        assert sorted(own.tolist()) == list(range(n))  # every worker once a round


def test_ringleader_attains_both_bounds():
    delays, lengths = [], []
    for seed in range(40):
        tau = speeds(seed)
        n = len(tau)
        found = history(clock(*tau), RINGLEADER, 12 * n)
        delays.append(used_delays(found).max() / max(1, 2 * n - 2))
        ends = np.concatenate([[0.0], found.times[n - 1 :: n]])
        lengths.append(np.diff(ends).max() / (2 * tau.max()))
    assert max(delays) == 1.0
    assert max(lengths) > 0.99


@pytest.mark.parametrize("seed", range(40))
def test_rounds_end_in_time(seed):
    """Malenia: τ_n + (S/n) τ_avg; Rennala: min_m (Σ_{i<=m} 1/τ_i)⁻¹ (S + m); delays < R."""
    tau = np.sort(speeds(seed))
    n, rng = len(tau), np.random.default_rng(1000 + seed)
    batch = int(rng.integers(n, 60 * n))
    malenia = ServerFacts(rule="collect", collection="harmonic", batch=batch)
    longest = float(history(clock(*tau), malenia, 1).times[0])
    assert longest <= (tau.max() + batch / n * tau.mean()) * (1 + 1e-12)
    rennala = ServerFacts(rule="collect", collection="sum", batch=batch)
    bound = min((batch + m) / (1 / tau[:m]).sum() for m in range(1, n + 1))
    assert float(history(clock(*tau), rennala, 1).times[0]) <= bound * (1 + 1e-12)
    threshold = int(rng.integers(1, 2 * n + 2))
    t_of_r = 2 * min((threshold + m) / (1 / tau[:m]).sum() for m in range(1, n + 1))
    for stops in (False, True):
        server = ServerFacts(rule="ringmaster", delay_threshold=threshold, stops=stops)
        found = history(clock(*tau), server, 20 * threshold)
        used = found.bins >= 0
        on_arrival = np.searchsorted(found.served, np.flatnonzero(used), side="left")
        assert (on_arrival - found.versions[used]).max() < threshold
        times = np.concatenate([[0.0], found.times])
        assert (times[threshold:] - times[:-threshold]).max() <= t_of_r * (1 + 1e-12)


def test_rennala_restarts_what_ties():
    """τ = (1, 2, 4), S = 5: at t = 4 workers 2 and 3 arrive too, too late, and start again."""
    found = history(clock(1, 2, 4), RENNALA, 2)
    assert found.workers.tolist() == [0, 0, 1, 0, 0] * 2
    assert found.versions.tolist() == [0] * 5 + [1] * 5
