"""Rounds of workers that compute at one point until enough has arrived (Rennala, Malenia, ...)."""

from dataclasses import dataclass
from fractions import Fraction
from math import inf

import numpy as np

from hzbench.core.server_facts import ServerFacts
from hzbench.theory.clocks import Chains, Time, finite, merged
from hzbench.theory.server_history import History, NeverError

MOST_ARRIVALS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of `collect`.

    Attributes:
        end: when it is complete.
        order: the workers of its arrivals, as served.
    """

    end: Time
    order: tuple[int, ...]


def collect_round(
    chains: Chains,
    server: ServerFacts,
    taking_part: tuple[int, ...],
    start: Time,
    jobs: dict[int, int],
) -> Round:
    """The round that starts at a time, when every worker has started so many jobs before.

    Formula:
        the first arrival after which Σ b_i >= S, n/(Σ 1/b_i) >= S/n or all b_i > 0; with a
        fixed clock b_i(t) = floor((t − start)/τ_i).

    Source:
        the contract of `ServerFacts`; exact for time-varying speeds too.

    Raises:
        NeverError: it does not end within `MOST_ARRIVALS` arrivals.
    """
    lengths = dict.fromkeys(taking_part, 1)
    times = {i: finite(chains, i, start, jobs[i], 1) for i in taking_part}
    while True:
        last = {i: own[-1] for i, own in times.items() if len(own) == lengths[i]}
        known = inf if server.idles else min(last.values(), default=inf)
        order: list[int] = []
        counts, missing = dict.fromkeys(taking_part, 0), set(taking_part)
        for time, i in merged(times, chains.exact):
            if time > known:
                break
            order.append(i)
            counts[i] += 1
            missing.discard(i)
            if missing and server.collection != "sum":
                continue
            if _complete(server, counts, len(order)):
                return Round(end=time, order=tuple(order))
        if known == inf or len(order) > MOST_ARRIVALS:
            raise NeverError(f"a round is not complete after {len(order)} arrivals")
        for i in [i for i, end in last.items() if end - start <= 2 * (known - start)]:
            lengths[i] *= 2
            times[i] = finite(chains, i, start, jobs[i], lengths[i])


def _complete(server: ServerFacts, counts: dict[int, int], arrivals: int) -> bool:
    """Whether a round with so many arrivals a worker, none missing unless all are summed, is done.

    In exact arithmetic.
    """
    if server.collection == "sum":
        return arrivals >= server.batch
    return server.collection == "all" or _harmonic_reaches(list(counts.values()), server.batch)


def _harmonic_reaches(counts: list[int], batch: int) -> bool:
    """n/(Σ 1/b_i) >= S/n, that is S Σ 1/b_i <= n², without rounding."""
    squared = len(counts) ** 2
    rounded = batch * sum(1.0 / b for b in counts)
    if abs(rounded - squared) > 1e-9 * squared:
        return rounded < squared
    return batch * sum((Fraction(1, b) for b in counts), Fraction(0)) <= squared


def collect(
    chains: Chains, server: ServerFacts, taking_part: tuple[int, ...], updates: int
) -> History:
    """Rounds from a common start; those of a fixed clock are all alike."""
    jobs = dict.fromkeys(taking_part, 0)
    now: Time = 0
    rounds: list[Round] = []
    for _ in range(updates):
        if rounds and chains.facts.law == "fixed":
            first = rounds[0]
            rounds.append(Round(end=now + first.end, order=first.order))
        else:
            rounds.append(collect_round(chains, server, taking_part, now, jobs))
            for i in taking_part:
                unfinished = not server.idles and i != rounds[-1].order[-1]
                jobs[i] += rounds[-1].order.count(i) + unfinished
        now = rounds[-1].end
    return _rounds_history(chains, server, len(taking_part), rounds)


def _rounds_history(
    chains: Chains, server: ServerFacts, workers: int, rounds: list[Round]
) -> History:
    """Bin (round, worker) holds what a worker gave to a round."""
    sizes = np.array([len(each.order) for each in rounds], dtype=np.int64)
    order = np.concatenate([np.array(each.order, dtype=np.int64) for each in rounds])
    versions = np.repeat(np.arange(len(rounds)), sizes)
    keys, bins, counts = np.unique(
        versions * (order.max() + 1) + order, return_inverse=True, return_counts=True
    )
    update = keys // (order.max() + 1)
    together = server.collection == "sum"
    weights = 1.0 / sizes[update] if together else 1.0 / (workers * counts)
    return History(
        workers=order,
        versions=versions,
        bins=bins.astype(np.int64),
        times=np.array([chains.seconds(each.end) for each in rounds]),
        served=np.cumsum(sizes),
        offsets=np.searchsorted(update, np.arange(len(rounds) + 1)).astype(np.int64),
        used=np.arange(len(keys), dtype=np.int64),
        weights=np.asarray(weights, dtype=float),
    )
