"""Limit: what a server's step size, batch and threshold should be for a target, from its words."""

from math import floor, isfinite

from hzbench.core.clock import ClockFacts
from hzbench.core.registry import register
from hzbench.core.server_facts import ServerFacts
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_parameters import (
    batch_of,
    delay_threshold,
    employed,
    harmonic_batch_bound,
    ringleader_step,
    ringmaster_step,
    round_step,
)

Parameters = dict[str, float]


@register("limit", "server_parameters")
def server_parameters(
    server: ServerFacts,
    clock: ClockFacts,
    smoothness: float,
    noise: float,
    target: float,
    asked: tuple[str, ...] = ("step_size", "batch", "delay_threshold", "fastest"),
) -> Parameters:
    """Step size, and the batch, threshold or number of workers of a rule, for E|∇f|² <= ε.

    Args:
        server: the rule; what is not asked for is taken from it as given.
        clock: of the workers.
        smoothness: L, every f_i is L-smooth.
        noise: σ², trace of the noise of one estimate of the noisiest worker.
        target: ε.
        asked: names among step_size, batch, delay_threshold and fastest.

    Returns:
        Those of the asked that the rule has.

    Raises:
        ValueError: no theory is known for the rule on that clock, or L or σ² are not known.

    Example:
        ringmaster, L = 2, σ² = 1, ε = 0.1: delay_threshold 10, step_size 0.0125 = 0.1/(4*2*1).
    """
    if not (isfinite(smoothness) and smoothness > 0 and isfinite(noise)):
        raise ValueError(f"got L = {smoothness:g} and σ² = {noise:g}; expected known constants")
    totals = [float(total) for total in job_seconds(clock)]
    found: Parameters = {}
    if server.rule == "asgd":
        m = employed(totals, noise, target) if "fastest" in asked else server.fastest
        delay = longest_delay(clock, m) if "step_size" in asked else 0
        found = {"fastest": m, "step_size": ringmaster_step(smoothness, noise, target, delay + 1)}
    elif server.rule == "ringmaster":
        own = delay_threshold(noise, target)
        threshold = own if "delay_threshold" in asked else server.delay_threshold
        step = ringmaster_step(smoothness, noise, target, threshold)
        found = {"delay_threshold": threshold, "step_size": step}
    elif server.rule == "collect":
        batch = _batch(server, len(totals), noise, target, asked)
        found = {"batch": batch, "step_size": round_step(smoothness, noise, target, batch)}
    elif server.rule == "ringleader":
        B = harmonic_batch_bound(totals) if clock.law == "fixed" else 1.0
        found = {"step_size": ringleader_step(smoothness, noise, target, len(totals), B)}
    elif "step_size" in asked:
        raise ValueError("got the rule of IA²SGD; expected one whose step size theory is known")
    return {name: value for name, value in found.items() if name in asked}


def _batch(
    server: ServerFacts, workers: int, noise: float, target: float, asked: tuple[str, ...]
) -> int:
    """S: asked for, given, or one estimate of every worker where a round waits for all."""
    if server.collection == "all":
        return workers
    if "batch" not in asked:
        return server.batch
    return batch_of(noise, target, 1 if server.collection == "sum" else workers)


def longest_delay(clock: ClockFacts, workers: int = 0) -> int:
    """A bound on the delays of the m fastest workers under asynchronous SGD on a fixed clock.

    With a threshold above it Ringmaster ASGD discards nothing, so its step size serves.

    Formula:
        max_i Σ_{j≠i} (floor(τ_i/τ_j) + 1): so often the others can arrive while i computes.

    Source:
        own derivation.

    Args:
        clock: fixed; links count as part of τ.
        workers: m; 0: all.

    Example:
        τ = (1, 2.5): 3 = floor(2.5) + 1.

    Raises:
        ValueError: another clock, whose delays have no bound that is known here.
    """
    if clock.law != "fixed":
        raise ValueError(
            f"got a clock of law {clock.law!r}; expected fixed, where delays have a known bound"
        )
    taken = sorted(job_seconds(clock))[: workers or None]
    return max(
        sum(floor(own / other) + 1 for j, other in enumerate(taken) if j != i)
        for i, own in enumerate(taken)
    )
