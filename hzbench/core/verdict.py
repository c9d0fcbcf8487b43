"""Verdict: what the judge says of one prediction on one run."""

from dataclasses import dataclass
from math import nan
from typing import Literal

Outcome = Literal["consistent", "violated", "inconclusive", "inapplicable"]


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One tested number.

    Attributes:
        observable: name, with the component in brackets for vectors ("mean_iterate[2]").
        step: record point.
        measured: mean over replicas.
        standard_error: of that mean.
        predicted: the value of theory.
        visible_error: the smallest shift of this statistic that the test sees with power .9,
            whatever the others do (for a bound it includes the distance to the bound).
        tolerance: the shift that matters.
    """

    observable: str
    step: int
    measured: float
    standard_error: float
    predicted: float
    visible_error: float
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One check: one prediction, one run, one p-value.

    Attributes:
        theorem: registered name.
        outcome: consistent | violated | inconclusive | inapplicable.
        reason: one sentence.
        kind: kind of the prediction; "invariant" for deterministic comparisons.
        p_value: nan when nothing was tested.
        level: α/K, fixed before the run.
        method: the test ("Hotelling T²", "Hall t", "deterministic").
        replicas: R used.
        replicas_needed: R that would make the visible error equal the tolerance (0: enough).
        visible_error: the largest ratio visible_error/tolerance over the statistics, times the
            tolerance fraction: "an error of this fraction would have been seen with power .9".
        tolerance: the error that matters, as a fraction.
        tightness: for bounds, bound / measured (measured / bound for lower ones), the largest over
            the statistics; nan otherwise.
        statistics: what was tested.
        expected: the outcome the suite expects; `met` says whether it came.
        expectation_reason: why, when it is not "consistent".
    """

    theorem: str
    outcome: Outcome
    reason: str
    kind: str = "exact"
    p_value: float = nan
    level: float = nan
    method: str = ""
    replicas: int = 0
    replicas_needed: int = 0
    visible_error: float = nan
    tolerance: float = nan
    tightness: float = nan
    statistics: tuple[Statistic, ...] = ()
    expected: Outcome = "consistent"
    expectation_reason: str = ""

    @property
    def met(self) -> bool:
        """Whether the outcome equals the expectation."""
        return self.outcome == self.expected
