"""What theorems about estimates at fixed iterates share: their steps and assumptions."""

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.theory.checks import assume, smoothing_positive


def probe_steps(setting: Setting) -> tuple[int, ...]:
    """Record steps at which an estimate exists."""
    return tuple(t for t in setting.record if t >= 1)


def probe_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """The iterates stay, every node estimates at every recorded step, its law is declared."""
    structure = setting.problem.structure
    idle = setting.protocol == "matching" and setting.nodes % 2 == 1 and not setting.idle_steps
    unknown = [i for i, law in enumerate(setting.laws) if law is None]
    detail = f"nothing is known of the estimators of nodes {unknown}" if unknown else ""
    return (
        assume("the iterates stay at the start", not setting.moves, f"moves = {setting.moves}"),
        assume(
            "every node draws an estimate at every step",
            setting.protocol != "pair" and not idle,
            f"protocol = {setting.protocol}, n = {setting.nodes}",
        ),
        assume(
            "the structure of every f_i is declared",
            structure is not None,
            f"structure = {type(structure).__name__}",
        ),
        assume("every node declares the law of its estimator", not unknown, detail),
        smoothing_positive(setting),
        assume(
            "a step after the start is recorded",
            bool(probe_steps(setting)),
            f"record = {setting.record}",
        ),
    )
