"""Laws that every theorem must obey: the shape of its prediction, and what a run says of it.

Wherever a theorem applies among a few small settings (`testing.settings`), its prediction is
compared with a run and must not be violated. Of an exact mean an error of a quarter (of the mean or
of the standard deviation, whichever is larger) is seen with power 0.9; where it is not, the verdict
is inconclusive and says how many replicas would do. Settings that draw nothing are compared at
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hzbench.core import registry
from hzbench.core.prediction import Prediction
from hzbench.core.spec import Spec
from hzbench.core.trace import Trace
from hzbench.core.verdict import Verdict
from hzbench.harness.prepare import Case, prepare
from hzbench.harness.run import ALPHA, verdict_of
from hzbench.harness.simulate import simulate
from hzbench.testing.laws import CheckFailed, require
from hzbench.testing.settings import SETTINGS

TOLERANCE = 0.25


def theorem_laws(name: str, setting: str) -> Verdict | None:
    """Every law above, in one setting.

    Returns:
        What the judge says of a run; None where the theorem does not apply.

    Raises:
        CheckFailed: a law does not hold.
    """
    case = prepared(setting, (name,))
    (prediction,) = case.predictions
    _shape(name, prediction)
    if not prediction.applies:
        return None
    level = ALPHA / (len(SETTINGS) * len(registry.entries("theorem")))
    trace = _measured(setting, frozenset(case.observables))
    verdict = verdict_of(trace, case.checks[0], prediction, level)
    if verdict.outcome == "violated":
        raise CheckFailed(
            f"{name} is violated in the setting {setting!r}, where it says that all its "
            f"assumptions hold: {verdict.reason}"
        )
    return verdict


def prepared(setting: str, names: Sequence[str]) -> Case:
    """A standard setting with one check a theorem."""
    checks = [{"theorem": name, "tolerance": TOLERANCE} for name in names]
    return prepare(Spec.parse({**SETTINGS[setting], "checks": checks}))


def _measured(setting: str, observables: frozenset[str]) -> Trace:
    """A run that holds the observables: one serves all theorems of this package."""
    common = _common(setting)
    return _trace(setting, common | observables)


@lru_cache
def _common(setting: str) -> frozenset[str]:
    entries = registry.entries("theorem").items()
    own = [name for name, entry in entries if entry.target.__module__.startswith("hzbench.")]
    return frozenset(prepared(setting, own).observables)


@lru_cache
def _trace(setting: str, observables: frozenset[str]) -> Trace:
    return simulate(Spec.parse(dict(SETTINGS[setting])), sorted(observables))


def _shape(name: str, prediction: Any) -> None:
    """A Prediction with assumptions and a source, and values where it applies."""
    require(isinstance(prediction, Prediction), f"got {prediction!r}; expected a Prediction")
    require(bool(prediction.assumptions), f"{name} lists no assumptions; state what it assumes")
    require(bool(prediction.source.locator), f"{name} names no source; say where it comes from")
    require(
        bool(prediction.values) == prediction.applies,
        f"{name} predicts {sorted(prediction.values) or 'nothing'} although its assumptions "
        f"{'hold' if prediction.applies else 'fail'}; expected values exactly where it applies",
    )
    for observable, values in prediction.values.items():
        require(
            len(values) == len(prediction.steps),
            f"{name} gives {len(values)} values of {observable}; expected one at each of its "
            f"{len(prediction.steps)} steps",
        )
