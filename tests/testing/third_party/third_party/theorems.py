"""Theorems: one right, three wrong of three kinds, and two of this package 5 % off."""

from dataclasses import replace

import numpy as np

from hzbench.core import registry
from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register


def claim(name, kind, value, setting, *, holds=True, observable="mean_iterate"):
    steps = setting.record[-1:]
    values = {observable: np.full((len(steps), setting.problem.dimension), value)}
    return Prediction(
        theorem=name,
        statement=f"{observable}: {kind} {value}",
        source=Source(locator="a test"),
        kind=kind,
        assumptions=(Assumption(text="always", holds=holds),),
        steps=steps,
        values=values,
    )


@register("theorem", "third_right")
def third_right(setting):
    """No coordinate exceeds 1000."""
    return claim("third_right", "upper", 1000.0, setting)


@register("theorem", "third_exact")
def third_exact(setting):
    """Every coordinate is 42."""
    return claim("third_exact", "exact", 42.0, setting)


@register("theorem", "third_bound")
def third_bound(setting):
    """No coordinate falls below 42."""
    return claim("third_bound", "lower", 42.0, setting)


@register("theorem", "third_careless")
def third_careless(setting):
    """Predicts although its assumption fails."""
    return claim("third_careless", "upper", 1000.0, setting, holds=False)


def enlarged(name, setting):
    """What a theorem of the package says, times 1.05."""
    found = registry.find("theorem", name).target(setting)
    values = {observable: 1.05 * value for observable, value in found.values.items()}
    return replace(found, values=values)


@register("theorem", "third_growth")
def third_growth(setting):
    """5 % beyond `all_reduce_growth`."""
    return enlarged("all_reduce_growth", setting)


@register("theorem", "third_means")
def third_means(setting):
    """5 % beyond `separable_means`."""
    return enlarged("separable_means", setting)
