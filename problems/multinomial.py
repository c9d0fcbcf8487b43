"""Multinomial logistic regression as a spec words it, with its constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.constants import Constants
from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.problems.arrays import when
from hzbench.problems.data import standardized
from hzbench.problems.examples import Table, Words, load_examples
from hzbench.problems.linear_component import LinearModelComponent
from hzbench.problems.loss import Targets
from hzbench.problems.multinomial_model import MultinomialModel, ValidatedMultinomial
from hzbench.problems.reference import Minimum, minimum_of
from hzbench.problems.shares import Shares

Array = NDArray[np.float64]
_DENSE = 800  # unknowns up to which Newton's method holds the Hessian


@register("problem", "multinomial")
class MultinomialComponent(LinearModelComponent):
    """Logistic regression for C classes with a quadratic penalty, on rows shared among the nodes.

    Formula:
    f_i(W) = (1/|M_i|) Σ_{j in M_i} [log Σ_c exp(w_c'a_j) − w_{y_j}'a_j] + (λ/2)|W|²,
    x = (w_1, ..., w_C), d = C times the number of features; a batch is b rows with replacement.

    Source: Böhning, "Multinomial logistic regression algorithm", 1992 (its bound on the Hessian).
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"data": "wine", "classes": [2, 0]},
        {"hold_out": True, "regularization": 0.1},
    )
    label: ClassVar[str] = "multinomial"
    loss: ClassVar[str] = "multinomial"
    data: Words = Field("iris", description="data set of classes: a name or a table")
    classes: tuple[int, ...] = Field((), description="classes kept, in this order; none: all")
    regularization: float = Field(
        0.01, gt=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|W|²"
    )
    solve_optimum: bool = Field(
        True, description="whether x* and f* are solved for; without them a run is ready sooner"
    )

    hold_out: bool = Field(
        False,
        description="share out the training part of the data alone, and record how every node's "
        "model does on its validation part; images are rows of pixels",
    )

    @property
    def target_kind(self) -> Targets:
        """Numbers of classes."""
        return "classes"

    def unknowns(self, features: Array, targets: Array) -> int:
        """C times the number of features."""
        return int(targets.max() + 1) * int(features.shape[1])

    def model(self, **parts: Any) -> MultinomialModel:
        """The problem of these parts."""
        classes = int(parts["shares"].targets.max()) + 1
        if not self.hold_out:
            return MultinomialModel(classes=classes, **parts)
        return ValidatedMultinomial(classes=classes, aside=self._parts()[1], **parts)

    def _data_mistakes(self) -> list[str]:
        refused = when(
            self.planted is not None,
            "got planted rows; expected a data set, or features and targets, since no truth with "
            "several classes is drawn; drop planted",
        )
        refused += when(
            self.hold_out and (self.features is not None or bool(self.classes)),
            "got hold_out with rows of its own or classes; expected a whole data set, whose "
            "validation part is known; drop hold_out or the others",
        )
        return refused or super()._data_mistakes()

    def _table(self) -> Table:
        return self._parts()[0] if self.hold_out else super()._table()

    def _parts(self) -> tuple[Table, Table]:
        """Both parts, scaled alike by the mean and the deviation of the training part."""
        it = load_examples(self.data)
        if it.vocabulary:
            raise UserMistakeError(
                "got data of tokens; expected numbers, which problem multinomial reads; take "
                "problem transformer, or data digits"
            )
        kept = it.inputs.reshape(len(it.targets), -1).astype(np.float64)
        aside = it.validation_inputs.reshape(len(it.validation_targets), -1).astype(np.float64)
        if self.standardize:
            kept, aside = standardized(kept), standardized(aside, like=kept)
        targets = (it.targets.astype(np.float64), it.validation_targets.astype(np.float64))
        return (kept, targets[0]), (aside, targets[1])

    def solve(self, shares: Shares) -> tuple[Array, float, Constants]:
        """Optimum by Newton's method or L-BFGS; every constant holds everywhere.

        The softmax covariance diag p − pp' is at most ½ I (Böhning), its third cumulant along v at
        most (max v − min v)³/(6 sqrt(3)) ≤ sqrt(2)³|v|³/(6 sqrt(3)); a row's gradient
        (p − e_y) ⊗ a is at most sqrt(2)|a| long and p within sqrt(1 − 1/C) of its centre 1/C.
        """
        penalty, objective = self.regularization, _Objective(shares, self.regularization)
        found = objective.solve() if self.solve_optimum else Minimum()
        lengths = np.linalg.norm(shares.features, axis=1)
        cubes = max(float((lengths[rows] ** 3).mean()) for rows in shares.distinct)
        traces = np.array([(lengths[rows] ** 2).mean() for rows in shares.distinct])
        noise = np.where(shares.counts > 1, 2 * shares.per_node(traces), 0.0)
        constants = Constants(
            smoothness=0.5 * float(shares.curvatures.max()) + penalty,
            sample_smoothness=0.5 * float((lengths[np.unique(shares.flat)] ** 2).max()) + penalty,
            strong_convexity=penalty,
            polyak_lojasiewicz=penalty,
            noise=tuple(map(float, noise)),
            heterogeneity=_heterogeneity(shares, objective.classes),
            hessian_lipschitz=float(np.sqrt(2.0) ** 3 / (6 * np.sqrt(3.0))) * cubes,
            minimum=found.value,
            how={
                "smoothness": "½ largest eigenvalue of a node's mean of aa' "
                f"({shares.how_largest}), + λ (Böhning)",
                "sample_smoothness": "½ largest |a|² + λ (Böhning)",
                "strong_convexity": "λ; the rest is convex",
                "polyak_lojasiewicz": "strong convexity",
                "noise": "mean 2|a|² per node",
                "heterogeneity": "softmax within its range",
                "hessian_lipschitz": "third cumulant of the softmax times mean |a|³",
                **({"minimum": found.how} if found.how else {}),
            },
        )
        return found.optimum, found.gap, constants


class _Objective:
    """f, ∇f and ∇²f in numpy."""

    def __init__(self, shares: Shares, penalty: float) -> None:
        self._a, self._weights, self._penalty = shares.features, shares.row_weights, penalty
        self.classes = int(shares.targets.max()) + 1
        self._one_hot = np.eye(self.classes)[shares.targets.astype(int)]

    def solve(self) -> Minimum:
        """The minimum, by Newton's method where the Hessian fits."""
        d = self.classes * self._a.shape[1]
        return minimum_of(self, (), d, self._penalty, dense=_DENSE)

    def value(self, x: Array) -> float:
        top, z, terms = self._terms(x)
        losses = top[:, 0] + np.log(terms.sum(axis=1)) - (z * self._one_hot).sum(axis=1)
        return float(self._weights @ losses + 0.5 * self._penalty * x @ x)

    def gradient(self, x: Array) -> Array:
        excess = self._weights[:, None] * (self._softmax(x) - self._one_hot)
        return np.asarray((excess.T @ self._a).ravel() + self._penalty * x)

    def hessian(self, x: Array) -> Array:
        p, k = self._softmax(x), self._a.shape[1]
        out = self._penalty * np.eye(len(x))
        for c in range(self.classes):
            for other in range(self.classes):
                bend = self._weights * p[:, c] * (float(c == other) - p[:, other])
                block = self._a.T @ (bend[:, None] * self._a)
                out[c * k : (c + 1) * k, other * k : (other + 1) * k] += block
        return out

    def _softmax(self, x: Array) -> Array:
        terms = self._terms(x)[2]
        return np.asarray(terms / terms.sum(axis=1, keepdims=True))

    def _terms(self, x: Array) -> tuple[Array, Array, Array]:
        """Largest margin, margins, and their exponentials over the largest."""
        z = self._a @ x.reshape(self.classes, -1).T
        top = z.max(axis=1, keepdims=True)
        return top, z, np.exp(z - top)


def _heterogeneity(shares: Shares, classes: int) -> float:
    """ζ² for every x: |Σ_j q_ij (p_j − e_y) ⊗ a_j| with p_j = 1/C + r_j, |r_j| ≤ sqrt(1 − 1/C)."""
    if len(shares.distinct) == 1:
        return 0.0
    excess = shares.probabilities - shares.row_weights
    centre = 1.0 / classes - np.eye(classes)[shares.targets.astype(int)]
    drift = np.stack([(excess * column) @ shares.features for column in centre.T], axis=1)
    size = np.sqrt((drift**2).sum(axis=(1, 2)))
    spread = np.abs(excess) @ np.linalg.norm(shares.features, axis=1)
    return float(((size + np.sqrt(1.0 - 1.0 / classes) * spread) ** 2).mean())
