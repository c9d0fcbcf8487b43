"""Prediction: what a theorem says about the observables of one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PredictionKind = Literal["exact", "upper", "lower", "rate", "order"]
Fit = Literal["power", "floor"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a statement comes from.

    Attributes:
        locator: paper and place, e.g. "Ansaripour et al. 2025, Lemma 2", or "own derivation".
        printed: the statement as printed there, when it is not ours.
    """

    locator: str
    printed: str = ""


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One assumption of a theorem and the result of checking it on the setting.

    Attributes:
        text: the assumption, in words.
        holds: the result.
        detail: the numbers behind it ("η L = 3.1 > 2").
    """

    text: str
    holds: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A statistic as a linear combination of the components of one recorded vector.

    Attributes:
        source: the observable that is recorded, a vector of k components.
        coefficients: of the statistic, shape [k].
        scale: coefficients of the size against which it is measured, shape [k]: the statistic is
            coefficients'v / |mean over replicas of scale'v|, without unit.
    """

    source: str
    coefficients: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The values that theory assigns to observables at record points.

    Attributes:
        theorem: registered name.
        statement: the claim in one sentence with its formula.
        source: citation.
        kind: exact (the mean equals the value), upper or lower (the mean is at most / at least it),
            rate, or order (the mean of a difference has the sign of the value, ±1).
        steps: record points, shape [T'].
        values: observable -> predicted mean, shape [T'] or [T', k]. Empty when inapplicable.
        spread: observable -> predicted standard deviation over replicas, same shapes, if known.
        assumptions: each with the result of checking it; all must hold for the theorem to apply.
        validity: the range of validity in words.
        mutants: names of the mutants this prediction must refute (a bound: where it is tight).
        contrasts: observable -> how it follows from a recorded vector, for those not recorded.
        fit: kind rate: which number is fitted to the means over `steps` and to `values` alike:
            "power" (the log-log slope) or "floor" (r in c exp(−r t) + floor).
    """

    theorem: str
    statement: str
    source: Source
    kind: PredictionKind
    steps: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]
    spread: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    assumptions: tuple[Assumption, ...] = ()
    validity: str = ""
    mutants: tuple[str, ...] = ()
    contrasts: Mapping[str, Contrast] = field(default_factory=dict)
    fit: Fit | None = None

    @property
    def recorded(self) -> tuple[str, ...]:
        """Names of the observables that a run must record for it."""
        sources = {name: each.source for name, each in self.contrasts.items()}
        return tuple(dict.fromkeys(sources.get(name, name) for name in self.values))

    @property
    def applies(self) -> bool:
        """Whether every assumption holds."""
        return all(assumption.holds for assumption in self.assumptions)
