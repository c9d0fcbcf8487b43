"""Step-size schedules, rebuilt from their words: η_t = base · shape(t)."""

from math import cos, pi

from hzbench.core.setting import ScheduleFacts


def schedule_shape(facts: ScheduleFacts, t: int, steps: int) -> float:
    """shape(t) for t = 0, ..., T−1.

    Formula:
        (t + 1)/w for t < w = warmup; then constant 1, inverse-time 1/(1 + (t − w)/offset), cosine
        ½(1 + cos(π (t − w)/(T − w))).

    Source:
        the contract of `ScheduleFacts`.

    Args:
        facts: name and parameters of the schedule.
        t: step (ticks in pair, rounds elsewhere).
        steps: T.
    """
    if t < facts.warmup:
        return (t + 1) / facts.warmup
    if facts.name == "constant":
        return 1.0
    if facts.name == "inverse-time":
        return 1.0 / (1.0 + (t - facts.warmup) / facts.offset)
    return 0.5 * (1.0 + cos(pi * (t - facts.warmup) / (steps - facts.warmup)))
