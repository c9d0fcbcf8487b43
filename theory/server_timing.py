"""Theorems: how long rounds of a server may take, how old its estimates get, how full its table."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.server_facts import ServerFacts
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory import time_complexity as times
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_parameters import harmonic_batch_bound
from hzbench.theory.server_schedule import server_assumptions

MUTANTS = ("everyone_restarted", "threshold_plus_one", "table_not_reset", "batch_per_worker")
BATCH_MUTANTS = ("latest_estimate_only",)


@register("theorem", "round_time", mutants=MUTANTS, protocols=("server",))
def round_time(setting: Setting) -> Prediction:
    """Bounds on the time of a round of a server and on the age of the estimates that it uses.

    Setting and assumptions: a server with rounds on a fixed clock, τ_i the seconds of a job with
    its links, any objectives; record points that close whole rounds. A round of Ringleader ASGD
    is n updates, counted from the start; one of Ringmaster ASGD any R updates; one of Rennala,
    Malenia and minibatch SGD a single update.

    Formula:
        Ringleader ASGD 2 τ_n, delays at most 2n − 2; Ringmaster ASGD
        2 min_m (Σ_{i<=m} 1/τ_i)⁻¹ (R + m), delays at most R − 1; Rennala
        min_m (Σ_{i<=m} 1/τ_i)⁻¹ (S + m), Malenia τ_n + (S/n) τ_avg, minibatch τ_n, delays 0.

    Guarantee:
        upper bounds. Those of Ringleader ASGD are tight (equal workers take 2 τ_n a round), and so
        is R − 1; n updates that do not start with a round may take longer than 2 τ_n. The factor
        2 of Ringmaster ASGD is slack on every schedule tried here.

    Source:
        Maranjyan and Richtárik 2025; Maranjyan, Tyurin and Richtárik 2025; Tyurin and Richtárik
        2023; here held to random speeds in whole numbers.

    Args:
        setting: n nodes with a server and a fixed clock.

    Returns:
        Kind upper at the record steps that close whole rounds: elapsed_seconds, largest_delay [T'].

    Example:
        `async`, case `ringleader-equal`, step 4, four workers of 1 s:
        elapsed_seconds = 2.0 = 2*1.
    """
    rounds = _rounds(setting)
    steps, counts = _closing(setting, rounds)
    detail = f"record = {setting.record}, a round is {rounds.updates} updates" if rounds else ""
    return conclude(
        "round_time",
        statement="Rounds take at most the time of their workers' schedule, and delays are bounded."
        if rounds is None
        else f"A round takes at most {rounds.seconds:.6g} s; delays are at most {rounds.delay}.",
        source=sources.ROUND_TIME,
        kind="upper",
        assumptions=(
            *_fixed(setting),
            assume("a server with rounds of known length", rounds is not None, _rule(setting)),
            assume("record points that close whole rounds", bool(steps), detail),
            *server_assumptions(setting),
        ),
        steps=steps,
        compute=lambda: (_bounds(rounds, counts), {}),
        validity="any objectives and step sizes; fixed clocks",
        mutants=MUTANTS,
    )


@register("theorem", "ringleader_batch", mutants=BATCH_MUTANTS, protocols=("server",))
def ringleader_batch(setting: Setting) -> Prediction:
    """How many estimates an update of Ringleader ASGD averages at least, as a harmonic mean.

    Setting and assumptions: Ringleader ASGD on a fixed clock, τ_i the seconds of a job with its
    links; any objectives.

    Formula:
        (1/n Σ 1/b_i)⁻¹ >= max(1, τ_n/(2 τ_avg)) in every update, b_i the estimates of worker i in
        the table. The noise of an update is σ²/n² Σ 1/b_i, at most 2 τ_avg σ²/(n τ_n).

    Guarantee:
        lower bound; not tight: 1.14 times it is the least seen on random speeds.

    Source:
        Maranjyan and Richtárik 2025.

    Args:
        setting: n nodes with a server and a fixed clock.

    Returns:
        Kind lower at all record steps: least_harmonic_batch [T'].

    Example:
        `async`, case `ringleader-straggler`, step 24, τ = (1, 1, 1, 13):
        least_harmonic_batch = 1.625 = 13/(2*4).
    """
    rule = _rule(setting)
    return conclude(
        "ringleader_batch",
        statement="Every update averages a harmonic mean of τ_n/(2 τ_avg) estimates or more.",
        source=sources.ROUND_TIME,
        kind="lower",
        assumptions=(
            *_fixed(setting),
            assume("a table that is filled anew every round", rule == "ringleader", rule),
            *server_assumptions(setting),
        ),
        steps=setting.record,
        compute=lambda: (
            {"least_harmonic_batch": np.full(len(setting.record), _batch(setting))},
            {},
        ),
        validity="any objectives and step sizes; fixed clocks",
        mutants=BATCH_MUTANTS,
    )


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What is known of a round.

    Attributes:
        updates: of one round.
        aligned: whether a round starts only after whole rounds.
        seconds: the longest that it may take.
        delay: the oldest estimate that it may use, in updates.
    """

    updates: int
    aligned: bool = False
    seconds: float
    delay: int = 0


def _rounds(setting: Setting) -> Rounds | None:
    server, clock = setting.server, setting.clock
    if server is None or clock is None or clock.law != "fixed" or server.fastest:
        return None
    tau, n = [float(total) for total in job_seconds(clock)], setting.nodes
    known: dict[str, Callable[[], Rounds]] = {
        "ringleader": lambda: Rounds(
            updates=n, aligned=True, seconds=times.ringleader_round_bound(tau), delay=2 * n - 2
        ),
        "ringmaster": lambda: Rounds(
            updates=server.delay_threshold,
            seconds=times.ringmaster_time_bound(tau, server.delay_threshold),
            delay=server.delay_threshold - 1,
        ),
        "collect": lambda: Rounds(updates=1, seconds=_collecting(server, tau)),
    }
    return known[server.rule]() if server.rule in known else None


def _collecting(server: ServerFacts, tau: list[float]) -> float:
    if server.collection == "sum":
        return times.rennala_round_bound(tau, server.batch)
    if server.collection == "harmonic":
        return times.malenia_round_bound(tau, server.batch)
    return max(tau)


def _closing(setting: Setting, rounds: Rounds | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Record steps that end whole rounds since the record step before, and how many."""
    if rounds is None:
        return (), ()
    found = []
    for before, step in pairwise(setting.record):
        if not rounds.aligned:
            found.append((step, ceil((step - before) / rounds.updates)))
        elif before % rounds.updates == step % rounds.updates == 0:
            found.append((step, (step - before) // rounds.updates))
    return tuple(step for step, _ in found), tuple(count for _, count in found)


def _bounds(rounds: Rounds | None, counts: tuple[int, ...]) -> Values:
    assert rounds is not None
    return {
        "elapsed_seconds": rounds.seconds * np.array(counts, dtype=float),
        "largest_delay": np.full(len(counts), float(rounds.delay)),
    }


def _batch(setting: Setting) -> float:
    assert setting.clock is not None
    return harmonic_batch_bound([float(total) for total in job_seconds(setting.clock)])


def _rule(setting: Setting) -> str:
    return setting.server.rule if setting.server is not None else "no server"


def _fixed(setting: Setting) -> tuple[Assumption, ...]:
    clock = setting.clock
    law = "no clock" if clock is None else clock.law
    return (assume("a fixed clock", law == "fixed", law),)
