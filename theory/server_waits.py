"""Limit: how many arrivals a server's run takes at least, before anything is simulated."""

from math import floor, inf

from hzbench.core.clock import ClockFacts
from hzbench.core.registry import register
from hzbench.core.server_facts import ServerFacts
from hzbench.theory.arrivals import participants
from hzbench.theory.clocks import Chains, Time
from hzbench.theory.paces import job_seconds


@register("limit", "arrivals")
def server_arrivals(server: ServerFacts, clock: ClockFacts, updates: int) -> tuple[float, float]:
    """The least number of arrivals before the first update, and before the last one, up to ties.

    Formula:
        before the first update: where everyone must have arrived, Σ_i b_i(t), b_i(t) the arrivals
        of worker i (floor(t/τ_i) on a fixed clock, about t/τ_i where times are drawn) by the time t
        at which the last worker first arrives, n where workers then idle; S where arrivals are
        summed, and for a harmonic mean of S/n as well, since Σ b_i is at least n times it.
        In all: as many in every later round (max(S, n) off fixed clocks), one in other updates;
        and where worker i has arrived r times at least by the last update, Σ_j (V_j(t) − lost),
        t = max_i V_i⁻¹(r), V the work in jobs. Rounds have r = K and lose less than a job each;
        Ringleader ASGD has r = floor((K − 1)/n) + 1 and loses none (but one that may tie).

    Source:
        own derivation, from the words of `ServerFacts`.

    Args:
        server: the rule.
        clock: of the workers.
        updates: K.

    Returns:
        (before the first, in all); inf where a worker never arrives. Never raises.

    Example:
        ringleader, τ = (1, 100), K = 10: (101, 504): the last update is in the fifth round, for
        which worker 2 needs 500 s; 499 arrivals of worker 1, as the last may tie, and 5.
    """
    first, taking_part = _first(server, clock), len(participants(clock, server))
    more = 1.0
    if server.rule == "collect":
        fewest = {"sum": server.batch, "all": taking_part}
        least = fewest.get(server.collection, max(server.batch, taking_part))
        more = first if clock.law == "fixed" else float(least)
    return first, max(first + (updates - 1) * more, _by_the_last(server, clock, updates))


def _by_the_last(server: ServerFacts, clock: ClockFacts, updates: int) -> float:
    """Arrivals by when everyone has arrived as often as K updates need, up to ties; 0: not said."""
    taking_part = participants(clock, server)
    if server.rule == "ringleader":
        needed, lost = (updates - 1) // len(taking_part) + 1, 1
    elif server.rule == "collect" and server.collection != "sum" and not server.idles:
        needed = lost = updates
    else:
        return 0.0
    chains = Chains(clock)
    last = max(chains.least_time(i, needed) for i in taking_part)
    return sum(max(needed, _arrivals(chains, i, last) - lost) for i in taking_part)


def _first(server: ServerFacts, clock: ClockFacts) -> float:
    if server.rule in ("asgd", "ringmaster"):
        return 1
    taking_part = participants(clock, server)
    if server.rule == "collect" and server.collection == "sum":
        return server.batch
    if server.idles:
        return len(taking_part)
    asked = server.batch if server.collection == "harmonic" and server.rule == "collect" else 0
    return max(asked, _until_all(Chains(clock), taking_part))


def _until_all(chains: Chains, taking_part: tuple[int, ...]) -> float:
    """Arrivals by the time at which everyone has arrived once."""
    last = max(chains.arrivals(i, 0, 0, 1)[0] for i in taking_part)
    return sum(max(1.0, _arrivals(chains, i, last)) for i in taking_part)


def _arrivals(chains: Chains, worker: int, time: Time) -> float:
    """b_i(t), about; 0 where links hide it."""
    if time == inf:
        return inf
    law = chains.facts.law
    if law == "fixed":
        return _float(time // chains.arrivals(worker, 0, 0, 1)[0])
    if law in ("exponential", "uniform"):
        mean = float(job_seconds(chains.facts)[worker])
        return float(time) / mean if mean else inf
    if chains.facts.download[worker] or chains.facts.upload[worker]:
        return 0
    done = chains.work_by(worker, time)
    if done == inf:
        return inf
    return _float(floor(done if chains.exact else done * (1 + 1e-9)))


def _float(count: Time) -> float:
    """The number; inf beyond the largest float."""
    try:
        return float(count)
    except OverflowError:
        return inf
