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
        summed, and for a harmonic mean of S/n as well, since Σ b_i is at least n times it. Rounds
        take as many each, other rules one an update.

    Source:
        own derivation, from the words of `ServerFacts`.

    Args:
        server: the rule.
        clock: of the workers.
        updates: K.

    Returns:
        (before the first, in all); inf where a worker never arrives. Never raises.

    Example:
        ringleader, τ = (1, 100), K = 10: (101, 110): 100 + 1, and nine more.
    """
    first = float(_first(server, clock))
    more = first if server.rule == "collect" else 1.0
    return first, first + (updates - 1) * more


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
    if last == inf:
        return inf
    return sum(_arrivals(chains, i, last) for i in taking_part)


def _arrivals(chains: Chains, worker: int, time: Time) -> float:
    """b_i(t); at least one."""
    law = chains.facts.law
    if law == "fixed":
        return float(time // chains.arrivals(worker, 0, 0, 1)[0])
    if law in ("exponential", "uniform"):
        mean = float(job_seconds(chains.facts)[worker])
        return max(1.0, float(time) / mean if mean else inf)
    if chains.facts.download[worker] or chains.facts.upload[worker]:
        return 1
    done = chains.work_by(worker, time)
    if done == inf:
        return inf
    return max(1, floor(done if chains.exact else done * (1 + 1e-9)))
