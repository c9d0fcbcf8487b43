"""Logistic regression on real data: constants that hold everywhere, a certified optimum."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from hzbench.core.registry import register
from hzbench.problems.examples import Words
from hzbench.problems.linear_component import LinearModelComponent


@register("problem", "logistic")
class LogisticComponent(LinearModelComponent):
    """Two-class logistic regression with a quadratic penalty, on rows shared out among the nodes.

    Formula:
    f_i(x) = (1/|M_i|) Σ_{j in M_i} log(1 + exp(−y_j a_j'x)) + (λ/2)|x|²; a batch is b rows of M_i
    with replacement.

    Source: Nocedal and Wright, "Numerical Optimization", 2006, chapter 3 (the damped Newton method
    of the optimum).
    """

    label: ClassVar[str] = "logistic"
    loss: ClassVar[str] = "logistic"
    data: Words = Field("breast_cancer", description="data set of classes: a name or a table")
    regularization: float = Field(
        0.01, gt=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )
