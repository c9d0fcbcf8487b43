"""Sequential looks: how many replicas at each, and how the level of a check is split over them.

A check may be looked at several times; it stops at its first outcome other than inconclusive. Sizes
and levels are fixed before the run, so the probability that a true prediction is ever called
violated is at most the sum of the levels, which is the level of the check.
"""


def look_sizes(replicas: int, most: int | None) -> tuple[int, ...]:
    """R, 2R, 4R, ... and last `most`; just R without a cap."""
    sizes = [replicas]
    while most is not None and sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return tuple(sizes)


def look_levels(level: float, looks: int) -> tuple[float, ...]:
    """level/2, level/4, ..., the last look taking what is left; they sum to the level."""
    parts = [level / 2**look for look in range(1, looks)]
    return (*parts, level / 2 ** (looks - 1))
