"""Assumptions that several theorems share, and the assembly of a prediction from them.

A theorem lists all its assumptions in a fixed order, computes values only if every one holds, and
raises on no valid setting: what cannot be computed is an assumption that fails, with its numbers.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import (
    Assumption,
    Contrast,
    Fit,
    Prediction,
    PredictionKind,
    Source,
)
from hzbench.core.setting import Setting
from hzbench.core.structure import Quadratic
from hzbench.theory.graphs import GraphError

Array = NDArray[np.float64]
Values = Mapping[str, Array]
_COMMON = {"GradientLaw", "DifferenceLaw"}


def assume(text: str, holds: bool, detail: str = "") -> Assumption:
    """An assumption with the result of its check (a numpy bool becomes a plain one)."""
    return Assumption(text=text, holds=bool(holds), detail=detail)


def of_both(
    setting: Setting, needed: Callable[[Setting], Sequence[Assumption]]
) -> list[Assumption]:
    """What a theorem needs of a run, then of its reference population, which takes one line."""
    other = setting.reference
    listed = [*needed(setting), assume("there is a reference population", other is not None)]
    if other is not None:
        failed = [each for each in needed(other) if not each.holds]
        detail = f"{failed[0].text}: {failed[0].detail}" if failed else ""
        listed.append(assume("the reference fulfils the same assumptions", not failed, detail))
    return listed


def buildable(text: str, build: Callable[[], object]) -> Assumption:
    """Holds if `build` runs; its GraphError becomes the detail otherwise."""
    try:
        build()
    except GraphError as error:
        return assume(text, False, str(error))
    return assume(text, True)


def conclude(
    theorem: str,
    *,
    statement: str,
    source: Source,
    kind: PredictionKind,
    assumptions: tuple[Assumption, ...],
    steps: tuple[int, ...],
    compute: Callable[[], tuple[Values, Values]],
    validity: str,
    mutants: tuple[str, ...],
    contrasts: Callable[[], Mapping[str, Contrast]] = dict,
    fit: Fit | None = None,
) -> Prediction:
    """The prediction: values and spread from `compute` if all assumptions hold, empty otherwise."""
    applies = all(assumption.holds for assumption in assumptions)
    values, spread = compute() if applies else ({}, {})
    return Prediction(
        theorem=theorem,
        statement=statement,
        source=source,
        kind=kind,
        steps=steps,
        values=values,
        spread=spread,
        assumptions=assumptions,
        validity=validity,
        mutants=mutants,
        contrasts=contrasts() if applies else {},
        fit=fit,
    )


def iterates_move(setting: Setting) -> Assumption:
    """The run updates its iterates, by nothing but local steps and exchanges in every round."""
    always = exchanges_always(setting)
    return assume(
        "the iterates move by local steps and exchanges alone, in every round",
        setting.moves and setting.update.rule == "plain" and always.holds,
        f"moves = {setting.moves}, update = {setting.update.rule}, {always.detail}",
    )


def exchanges_always(setting: Setting) -> Assumption:
    """No round is silent."""
    silent = setting.network.silent_rounds
    return assume("no round is silent", silent == 0, f"silent rounds = {silent}")


def laws_known(setting: Setting) -> Assumption:
    """Every node declares the law of its estimator, a gradient or a difference along vectors."""
    other = _law_names(setting) - _COMMON
    if other:
        text = "every estimator is a gradient or a difference along random vectors"
        return assume(text, False, f"nothing is known here of {', '.join(sorted(other))}")
    return laws_declared(setting)


def moments_close(setting: Setting) -> Assumption:
    """Every estimate is affine in x on average, with a covariance that is quadratic in x."""
    if "OnePointLaw" in _law_names(setting):
        return assume(
            "second moments of the estimates need no higher moments of x",
            False,
            "a one-point or residual estimate contains values f(x), quadratic in x: its second "
            "moment needs fourth moments of x, those need eighth ones; take a difference",
        )
    return laws_declared(setting)


def _law_names(setting: Setting) -> set[str]:
    return {type(law).__name__ for law in setting.laws if law is not None}


def laws_declared(setting: Setting) -> Assumption:
    """Every node declares a law, whichever."""
    unknown = [i for i, law in enumerate(setting.laws) if law is None]
    detail = f"nothing is known of the estimators of nodes {unknown}" if unknown else ""
    return assume("every node declares the law of its estimator", not unknown, detail)


def smoothing_positive(setting: Setting) -> Assumption:
    """Differences that are divided by ν have ν > 0."""
    bad = [i for i, law in enumerate(setting.laws) if not _smoothing_fine(law)]
    detail = f"smoothing is not positive at nodes {bad}" if bad else ""
    return assume("every smoothing radius is positive", not bad, detail)


def _smoothing_fine(law: object) -> bool:
    if law is None or getattr(law, "difference", "") == "directional_derivative":
        return True
    return bool(getattr(law, "smoothing", 1.0) > 0)


def recorded(setting: Setting) -> Assumption:
    """At least one record step exists."""
    return assume("some step is recorded", bool(setting.record), f"record = {setting.record}")


def complete_if_matching(setting: Setting) -> Assumption:
    """Matchings are drawn among all nodes."""
    uniform = setting.network.graph == "complete" and setting.network.matching_law == "uniform"
    return assume(
        "matchings are uniform among all nodes (complete graph)",
        setting.protocol != "matching" or uniform,
        f"graph = {setting.network.graph}, matching law = {setting.network.matching_law}",
    )


def matchings_known(setting: Setting) -> Assumption:
    """Matchings are uniform among all nodes, or follow a law that can be listed."""
    if setting.network.matching_law == "uniform":
        return complete_if_matching(setting)
    return assume(f"the law of {setting.network.matching_law} matchings is known", True)


def step_range(setting: Setting) -> tuple[float, float]:
    """The smallest and the largest base step size."""
    return float(np.min(setting.step_sizes)), float(np.max(setting.step_sizes))


def momentum_zero(setting: Setting) -> Assumption:
    """No momentum."""
    return assume("momentum = 0", setting.momentum == 0, f"momentum = {setting.momentum:g}")


def is_quadratic(setting: Setting) -> Assumption:
    """Every f_i is a declared quadratic."""
    structure = setting.problem.structure
    return assume(
        "every f_i is a declared quadratic",
        isinstance(structure, Quadratic),
        f"structure = {type(structure).__name__}",
    )
