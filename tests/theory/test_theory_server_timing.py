"""Bounds on rounds, delays and tables: event loops in whole numbers on random speeds, by hand."""

import heapq
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_theory_server_moments import alone
from test_theory_server_moments import given as setting_of
from theory_servers import ASGD, MALENIA, MINIBATCH, RENNALA, RINGLEADER, RINGMASTER, clock

from hzbench.core.structure import GradientLaw
from hzbench.theory.server_timing import ringleader_batch, round_time

SPEEDS = st.lists(st.integers(1, 40), min_size=2, max_size=9)


def ringleader(tau, rounds):
    """(time, delays, counts) of every update, in whole numbers: a heap, as the paper words it."""
    n, x, told = len(tau), 0, []
    heap = [(t, i, 0) for i, t in enumerate(tau)]
    heapq.heapify(heap)
    table, later, left = [[] for _ in tau], [[] for _ in tau], None
    while len(told) < rounds * n:
        now, i, version = heapq.heappop(heap)
        (later if left is not None and i not in left else table)[i].append(version)
        if left is None and all(table):
            left = set(range(n))
        if left is not None and i in left:
            told.append((now, x - min(map(min, table)), [len(each) for each in table]))
            x += 1
            left.discard(i)
            if not left:
                table, later, left = later, [[] for _ in tau], None
        heapq.heappush(heap, (now + tau[i], i, x))
    return told


@settings(max_examples=80, deadline=None, derandomize=True)
@given(SPEEDS)
def test_ringleader_in_whole_numbers(tau):
    """R1 without rounding: n updates of a round, every delay, every harmonic mean."""
    n = len(tau)
    told = ringleader(tau, 8)
    ends = [0, *(told[k][0] for k in range(n - 1, 8 * n, n))]
    assert max(b - a for a, b in pairwise(ends)) <= 2 * max(tau)
    assert max(delay for _, delay, _ in told) <= 2 * n - 2
    for _, _, counts in told:
        harmonic = n / sum(Fraction(1, b) for b in counts)
        assert harmonic >= Fraction(max(tau) * n, 2 * sum(tau))


def test_ringleader_attains_both_and_only_rounds_count():
    told = ringleader([3, 3, 5, 5], 8)
    times = [0, *(t for t, _, _ in told)]
    assert max(times[k + 4] - times[k] for k in range(0, 29, 4)) == 10
    assert max(times[k + 4] - times[k] for k in range(29)) == 12  # from within a round
    assert max(delay for _, delay, _ in told) == 6


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SPEEDS, st.integers(1, 60))
def test_rounds_that_collect_in_whole_numbers(tau, extra):
    """The least t with Σ floor(t/τ_i) >= S, or n/(Σ 1/b_i) >= S/n, against the bounds."""
    n, batch = len(tau), len(tau) + extra
    ready = {
        "sum": lambda b: sum(b) >= batch,
        "harmonic": lambda b: min(b) > 0 and batch * sum(Fraction(1, x) for x in b) <= n * n,
    }
    bounds = {
        "sum": min(
            (batch + m) / sum(Fraction(1, t) for t in sorted(tau)[:m]) for m in range(1, n + 1)
        ),
        "harmonic": max(tau) + Fraction(batch * sum(tau), n * n),
    }
    for name, complete in ready.items():
        end = next(t for t in range(1, 10**6) if complete([t // each for each in tau]))
        assert end <= bounds[name]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SPEEDS, st.integers(1, 12), st.booleans())
def test_ringmaster_in_whole_numbers(tau, threshold, stops):
    """Any R updates within 2 min_m (R + m)/Σ 1/τ_i, no delay above R − 1."""
    x, times, started = 0, [0], dict.fromkeys(range(len(tau)), 0)
    due = dict(enumerate(tau))
    while len(times) <= 6 * threshold:
        now, i = min((t, i) for i, t in due.items())
        delay = x - started[i]
        if delay < threshold:
            x, times = x + 1, [*times, now]
        due[i], started[i] = now + tau[i], x
        for j in due if stops else ():
            if x - started[j] >= threshold:
                due[j], started[j] = now + tau[j], x
    best = min(
        (threshold + m) / sum(Fraction(1, t) for t in sorted(tau)[:m])
        for m in range(1, len(tau) + 1)
    )
    spans = [b - a for a, b in zip(times, times[threshold:], strict=False)]
    assert max(spans) <= 2 * best


def case(server, seconds, record, **words):
    law, n = GradientLaw(batch_size=1), len(seconds)
    form = alone(n, 1.0, 0.5)
    return setting_of(form, (law,) * n, server, clock(*seconds), record[-1], record=record, **words)


@pytest.mark.parametrize(
    ("server", "record", "steps", "elapsed", "delay"),
    [
        (RINGLEADER, (0, 3, 4, 6, 12), (3, 12), (8.0, 16.0), 4),
        (RINGMASTER, (0, 1, 3, 7), (1, 3, 7), None, 2),
        (RENNALA, (0, 1, 3), (1, 3), (4.571428571428571, 9.142857142857142), 0),
        (MALENIA, (0, 1), (1,), (4 + 6 / 3 * 7 / 3,), 0),
        (MINIBATCH, (0, 1, 5), (1, 5), (4.0, 16.0), 0),
    ],
)
def test_bounds_by_hand(server, record, steps, elapsed, delay):
    """τ = (1, 2, 4); record points that do not close rounds are left out."""
    found = round_time(case(server, (1, 2, 4), record))
    assert found.applies
    assert found.steps == steps
    if elapsed is not None:
        told = found.values["elapsed_seconds"]
        np.testing.assert_allclose(told, elapsed, rtol=1e-12)
    assert (found.values["largest_delay"] == delay).all()


def test_the_bound_of_ringmaster_and_the_harmonic_mean():
    found = round_time(case(RINGMASTER, (1, 3), (0, 3, 7)))
    one = 2 * min((3 + 1) / 1, (3 + 2) / (1 + 1 / 3))
    np.testing.assert_allclose(found.values["elapsed_seconds"], [one, 2 * one])
    batch = ringleader_batch(case(RINGLEADER, (1, 1, 1, 13), (0, 4)))
    assert batch.values["least_harmonic_batch"].tolist() == [1.625, 1.625]


def test_what_does_not_apply_says_why():
    assert not round_time(case(ASGD, (1, 2), (0, 4))).applies
    assert not round_time(case(RINGLEADER, (1, 2), (0, 1, 3))).applies
    assert not ringleader_batch(case(ASGD, (1, 2), (0, 4))).applies
    random = replace(case(RINGLEADER, (1, 2), (0, 4)), clock=clock(1, 2, law="exponential"))
    assert not round_time(random).applies
    assert not ringleader_batch(random).applies
