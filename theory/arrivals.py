"""Who arrives when, and what the server does then: theory's own account.

The idea: a rule without restarts sees one stream, the merged chains of its workers; the rounds of
`collect` are chains that start together; only stops need one job after the other.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import inf

from hzbench.core.clock import ClockFacts
from hzbench.core.server_facts import ServerFacts
from hzbench.theory.clocks import Chains, Time, finite, merged
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_history import History, Ledger, NeverError
from hzbench.theory.server_rounds import collect

MOST_ARRIVALS = 1_000_000  # beyond those that so many updates can take
_FIRST = 8


def history(clock: ClockFacts, server: ServerFacts, updates: int) -> History:
    """The first K updates of a server on a clock.

    Raises:
        NeverError: there are not that many, or not within `MOST_ARRIVALS` arrivals.
    """
    found = _found(clock, server, updates)
    if isinstance(found, NeverError):
        raise NeverError(str(found))
    return found


@lru_cache(maxsize=4)
def _found(clock: ClockFacts, server: ServerFacts, updates: int) -> History | NeverError:
    """The history, or why there is none: sought once, however many theorems ask."""
    try:
        return _history(clock, server, updates)
    except NeverError as error:
        return error


def _history(clock: ClockFacts, server: ServerFacts, updates: int) -> History:
    chains, taking_part = Chains(clock), participants(clock, server)
    _all_finish(chains, taking_part)
    if server.rule == "collect":
        return collect(chains, server, taking_part, updates)
    if server.rule == "ringmaster" and server.stops:
        return _with_stops(chains, server, taking_part, updates)
    count = max(2 * updates, 4 * len(taking_part))
    most = MOST_ARRIVALS + 2 * updates * len(taking_part)
    while True:
        ledger = Ledger(wanted=updates, clock=chains)
        arrivals = stream(chains, taking_part, count)
        _STREAMED[server.rule](ledger, server, taking_part, iter(arrivals))
        if ledger.full:
            return ledger.history()
        if count > most or len(arrivals) < count // 2:
            raise NeverError(
                f"{ledger.version} of {updates} updates after {len(arrivals)} arrivals"
            )
        count *= 2


def _all_finish(chains: Chains, taking_part: tuple[int, ...]) -> None:
    dead = [i for i in taking_part if not finite(chains, i, 0, 0, 1)]
    if dead:
        raise NeverError(f"workers {dead} never finish a job")


def participants(clock: ClockFacts, server: ServerFacts) -> tuple[int, ...]:
    """The workers that take part, by index: the fastest ones, or all."""
    n = len(clock.work)
    totals = job_seconds(clock)
    order = sorted(range(n), key=lambda i: (totals[i], i))
    return tuple(sorted(order[: server.fastest or n]))


def stream(chains: Chains, taking_part: tuple[int, ...], count: int) -> list[tuple[Time, int]]:
    """About `count` arrivals or more, in order, of workers that never stop.

    All arrivals up to a horizon, which is the time by which the workers have made that many.
    """
    lengths = dict.fromkeys(taking_part, _FIRST)
    times = {i: finite(chains, i, 0, 0, _FIRST) for i in taking_part}
    while True:
        complete = [own[-1] for i, own in times.items() if len(own) == lengths[i]]
        if not complete:
            return merged(times, chains.exact)
        horizon = min(complete)
        within = sum(sum(t <= horizon for t in own) for own in times.values())
        if within >= count:
            cut = {i: [t for t in own if t <= horizon] for i, own in times.items()}
            return merged(cut, chains.exact)
        for i, own in times.items():
            if len(own) == lengths[i] and own[-1] <= 2 * horizon:
                lengths[i] *= 2
                times[i] = finite(chains, i, 0, 0, lengths[i])


Streamed = Callable[[Ledger, ServerFacts, tuple[int, ...], Iterator[tuple[Time, int]]], None]


def _asgd(
    ledger: Ledger,
    server: ServerFacts,
    taking_part: tuple[int, ...],
    arrivals: Iterator[tuple[Time, int]],
) -> None:
    """Every arrival updates, or only those that are fresh enough."""
    started = dict.fromkeys(taking_part, 0)
    threshold = server.delay_threshold if server.rule == "ringmaster" else inf
    for time, i in arrivals:
        delay = ledger.version - started[i]
        if delay < threshold:
            factor = adaptive_factor(server, delay, len(taking_part))
            ledger.update(time, {ledger.arrive(i, started[i]): factor})
        else:
            ledger.discard(i, started[i])
        started[i] = ledger.version
        if ledger.full:
            return


def adaptive_factor(server: ServerFacts, delay: int, workers: int) -> float:
    """What an update of delay δ is multiplied by, in the words of `ServerFacts.adaptive`."""
    if server.adaptive == "ratio":
        return workers / max(workers, delay)
    if server.adaptive == "capped" and delay > workers:
        return min(1.0, server.cap / delay)
    return 1.0


def _table(
    ledger: Ledger,
    server: ServerFacts,
    taking_part: tuple[int, ...],
    arrivals: Iterator[tuple[Time, int]],
) -> None:
    """The mean of every worker's latest estimate, once there is one of each."""
    del server
    m, started = len(taking_part), dict.fromkeys(taking_part, 0)
    latest: dict[int, int] = {}
    for time, i in arrivals:
        latest[i] = ledger.arrive(i, started[i])
        if len(latest) == m:
            ledger.update(time, {latest[j]: 1.0 / m for j in taking_part})
        started[i] = ledger.version
        if ledger.full:
            return


def _ringleader(
    ledger: Ledger,
    server: ServerFacts,
    taking_part: tuple[int, ...],
    arrivals: Iterator[tuple[Time, int]],
) -> None:
    """A table that is completed, and then used by every worker's next arrival once."""
    del server
    m, started = len(taking_part), dict.fromkeys(taking_part, 0)
    table: dict[int, int] = {}
    kept: dict[int, int] = {}
    done: set[int] = set()
    for time, i in arrivals:
        where = kept if i in done else table
        where[i] = ledger.arrive(i, started[i], where.get(i))
        if where is table and len(table) == m:
            ledger.update(time, {b: 1.0 / (m * ledger.counts[b]) for b in table.values()})
            done.add(i)
        if len(done) == m:
            table, kept, done = kept, {}, set()
        started[i] = ledger.version
        if ledger.full:
            return


_STREAMED: dict[str, Streamed] = {
    "asgd": _asgd,
    "ringmaster": _asgd,
    "table": _table,
    "ringleader": _ringleader,
}


def _with_stops(
    chains: Chains, server: ServerFacts, taking_part: tuple[int, ...], updates: int
) -> History:
    """Ringmaster with stops, one job after the other: what is stale starts again at once."""
    ledger, exact = Ledger(wanted=updates, clock=chains), chains.exact
    jobs = dict.fromkeys(taking_part, 0)
    started = dict.fromkeys(taking_part, 0)
    due: dict[int, Time] = {}

    def send(i: int, now: Time) -> None:
        (due[i],) = chains.arrivals(i, now, jobs[i], 1)
        jobs[i] += 1
        started[i] = ledger.version

    for i in taking_part:
        send(i, 0)
    while not ledger.full:
        time, i = merged({j: [t] for j, t in due.items()}, exact)[0]
        if time == inf:
            raise NeverError(f"no worker finishes after update {ledger.version}")
        ledger.update(time, {ledger.arrive(i, started[i]): 1.0})
        send(i, time)
        for j in taking_part:
            if ledger.version - started[j] >= server.delay_threshold:
                send(j, time)
    return ledger.history()
