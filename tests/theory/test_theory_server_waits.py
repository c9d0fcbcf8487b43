"""How many arrivals a run takes at least: against the history of the run itself."""

from math import inf

import pytest
from theory_servers import (
    ASGD,
    MALENIA,
    MALENIA_ALL,
    MINIBATCH,
    RINGLEADER,
    SERVERS,
    TABLE,
    clock,
    clocks,
)

from hzbench.core.server_facts import ServerFacts
from hzbench.theory.arrivals import history
from hzbench.theory.server_waits import server_arrivals


@pytest.mark.parametrize("law", clocks(4))
@pytest.mark.parametrize("name", SERVERS)
def test_a_run_takes_no_fewer(name, law):
    """Counts of drawn times are means, so those may be off."""
    asked, timing = SERVERS[name], clocks(4)[law]
    first, total = server_arrivals(asked, timing, 12)
    served = history(timing, asked, 12).served
    slack = 0.5 if timing.law in ("exponential", "uniform") else 1.0
    tied = 4 if asked.rule == "collect" else 0  # arrivals at the end of a round that are too late
    assert slack * first - tied <= served[0]
    assert slack * total - 12 * tied <= served[-1]


def test_by_hand():
    slow = clock(1, 100)
    assert server_arrivals(RINGLEADER, slow, 10) == (101, 504)
    assert server_arrivals(TABLE, slow, 10) == (101, 110)
    assert server_arrivals(ASGD, slow, 10) == (1, 10)
    assert server_arrivals(MINIBATCH, slow, 10) == (2, 20)
    assert server_arrivals(MALENIA, clock(1, 1), 10) == (6, 60)
    many = ServerFacts(rule="collect", collection="harmonic", batch=4_000_000)
    assert server_arrivals(many, clock(1, 1, 1, 1), 2) == (4_000_000, 8_000_000)


@pytest.mark.parametrize("server", [RINGLEADER, MALENIA, MALENIA_ALL])
@pytest.mark.parametrize(
    "timing",
    [
        clock(1, 30),
        clock(1, 2, 3, law="power", exponents=(1.0, 0.5, 0.7)),
        clock(1, 2, 90, law="power", exponents=(1.0, 2.0, 3.0)),
        clock(1, 1, law="intervals", rates=((1.0, 1.0, 1.0), (0.1, 0.0, 0.7)), interval=9.0),
    ],
    ids=["fixed", "slower", "faster", "outages"],
)
@pytest.mark.parametrize("updates", [2, 5, 24])
def test_later_updates_are_bounded_too(server, timing, updates):
    """Never above the run itself; within a factor 3 of it where all wait for one that slows."""
    told = server_arrivals(server, timing, updates)[1]
    served = history(timing, server, updates).served[-1]
    tied = updates if timing.law == "fixed" and server.rule == "collect" else 0
    assert told - tied <= served
    if timing.law == "power" and timing.exponents[1] < 1 and server.collection != "harmonic":
        assert served <= 3 * told


def test_a_second_round_that_never_comes():
    """Worker 2 ends its second job at 2^1000 s, by when worker 1 has done as many."""
    given = clock(1, 1, law="power", exponents=(1.0, 1e-3))
    assert server_arrivals(MALENIA_ALL, given, 1) == (2, 2)
    assert server_arrivals(MALENIA_ALL, given, 2) == (2, pytest.approx(2.0**1000, rel=1e-8))
    assert server_arrivals(RINGLEADER, given, 2) == (2, 3)
    assert server_arrivals(RINGLEADER, given, 3)[1] == pytest.approx(2.0**1000, rel=1e-8)
    assert server_arrivals(MALENIA_ALL, clock(1e-200, 1e200), 5) == (inf, inf)


def test_what_never_ends():
    assert server_arrivals(TABLE, clock(1, 1e300), 1)[0] == pytest.approx(1e300)
    dead = clock(1, 1, law="intervals", rates=((1.0,), (0.0,)))
    assert server_arrivals(RINGLEADER, dead, 3) == (inf, inf)
    assert server_arrivals(ASGD, dead, 3) == (1, 3)


@pytest.mark.parametrize("exponents", [(2.0, 1e-3, 1.0), (2.0, 1e-4, 1.0)])
def test_times_beyond_the_largest_float_take_forever(exponents):
    """Worker 2 arrives at 2^1000, by when worker 1 has done 2^2000 jobs; or at 2^10000."""
    given = clock(1, 2, 3, law="power", exponents=exponents)
    assert server_arrivals(RINGLEADER, given, 5) == (inf, inf)
