"""Theorem: second and fourth moment of the mean's distance under Gaussian directions."""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory.checks import Values, conclude
from hzbench.theory.coordinates import coordinates
from hzbench.theory.replicas import growth_checks, step_growth
from hzbench.theory.schedules import schedule_shape
from hzbench.theory.steady_checks import chain

Array = NDArray[np.float64]
MUTANTS = ("step_size_plus_5", "one_sample_fewer", "shared_directions")


@register("theorem", "fourth_moment_growth", mutants=MUTANTS)
def fourth_moment_growth(setting: Setting) -> Prediction:
    """Exact E|mean − x*|² and E|mean − x*|⁴, from which the number of replicas is planned.

    Setting and assumptions: those of the plan (`theory/replicas.py`): all nodes estimate at one
    point; one isotropic quadratic; no noise but that of Gaussian directions.

    Formula:
        E|mean_t − x*|² = v_0 Π F2(η_s), E|mean_t − x*|⁴ = v_0² Π F4(η_s), v_0 at the start; their
        quotient is the relative variance over replicas that the plan is made from.

    Guarantee:
        exact, at every step.

    Source:
        own derivation (C11).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at all record steps: mean_distance with its spread, mean_distance_square [T'].

    Example:
        `core-hybrid`, case `fourth-moment`, step 3, n = 1 + 3, Gaussian, m = 2, d = 16, ηa = 0.2,
        |x̄_0 − x*| = 1:
        mean_distance = 0.348542 = (0.64 + 0.04*3*8.5/16)**3.
    """
    return conclude(
        "fourth_moment_growth",
        statement="E|mean − x*|² and E|mean − x*|⁴ grow by F2 and F4 in every step.",
        source=Source(locator="own derivation (C11)"),
        kind="exact",
        assumptions=chain(growth_checks(setting)),
        steps=setting.record,
        compute=lambda: _moments(setting),
        validity="any step sizes and schedule; a test of the fourth moment needs the eighth in "
        "bounds, so few steps",
        mutants=MUTANTS,
    )


def _moments(setting: Setting) -> tuple[Values, Values]:
    """Values and spread at the record steps."""
    nodes = coordinates(setting)
    assert nodes is not None
    now, found = np.array([1.0, 1.0]), {0: np.array([1.0, 1.0])}
    for t in range(setting.record[-1]):
        growth = step_growth(setting, schedule_shape(setting.schedule, t, setting.steps))
        now = now * np.array([growth.second, growth.fourth])
        found[t + 1] = now
    start = float(nodes.start[0] @ nodes.start[0])
    second, fourth = np.array([found[t] for t in setting.record]).T
    values = {"mean_distance": start * second, "mean_distance_square": start**2 * fourth}
    return values, {"mean_distance": start * np.sqrt(np.maximum(fourth - second**2, 0.0))}
