"""How numbers and statistics read in a verdict's sentence."""

from math import isfinite

from hzbench.judge.select import Selection


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def percent(fraction: float) -> str:
    """Two significant digits and the sign."""
    return f"{100.0 * fraction:.2g} %" if isfinite(fraction) else "unknown"


def listing(names: list[str]) -> str:
    """Join names as a sentence does."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def subject(selection: Selection) -> str:
    """Return what was compared: observables without their components, and how many points."""
    names = list(dict.fromkeys(name.partition("[")[0] for name in selection.observables))
    points = sorted(set(selection.steps))
    where = f"step {points[0]}" if len(points) == 1 else f"{len(points)} record points"
    return f"{listing(names)} at {where}"


def too_few(varying: Selection, replicas: int, least: int) -> str:
    """Return why nothing is decided."""
    verb = "varies" if varying.size == 1 else "vary"
    return (
        f"{subject(varying)} {verb} over replicas and there are {replicas}; {least} is the least "
        f"number at which the level of the test is trusted, so nothing is decided"
    )


def replica_plan(aim: str, replicas: int, needed: int, least: int, source: str) -> str:
    """Return how many replicas would do.

    Args:
        aim: what they are needed for ("to see 5 %").
        replicas: R of the run.
        needed: how many, 0 if that is not known.
        least: as many at least.
        source: whose spread says so.
    """
    if needed:
        return f"{aim} takes about {least}, by the spread {source}"
    few = "one does not show" if replicas == 1 else f"{replicas} do not show"
    return f"{aim} takes {least} or more, since {few} the spread; take some dozens to learn it"
