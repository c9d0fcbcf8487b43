"""Regression and classification by the losses of `hzbench.problems.losses`, one class a name.

Everything but the loss is shared: see `LinearModelComponent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from hzbench.core.registry import register
from hzbench.problems.arrays import Initial
from hzbench.problems.examples import Words
from hzbench.problems.linear_component import LinearModelComponent
from hzbench.problems.losses import LOSSES
from hzbench.problems.penalties import Penalty
from hzbench.problems.planted import Planted

Examples = tuple[Mapping[str, Any], ...]
_CLEAN = {"rows": 60, "dimension": 4}


@register("problem", "huber")
class HuberComponent(LinearModelComponent):
    """Huber regression: squared near the data, linear on outliers; convex.

    Formula:
    φ(m, y) = ½r² for |r| ≤ w, w|r| − ½w² beyond, r = m − y;
    f_i(x) = mean of φ(a_j'x, y_j) over M_i + (λ/2)|x|².

    Source: Huber, "Robust estimation of a location parameter", 1964.
    """

    label: ClassVar[str] = "huber"
    loss: ClassVar[str] = "huber"
    width: float = Field(1.0, gt=0, allow_inf_nan=False, description="w, where it turns linear")


@register("problem", "smoothed_hinge")
class SmoothedHingeComponent(LinearModelComponent):
    """Support vector classification with a hinge whose corner is rounded; convex.

    Formula:
    φ(m, y) = 0 for s ≤ 0, s²/(2w) for 0 ≤ s ≤ w, s − w/2 beyond, s = 1 − y m, y = ±1;
    f_i(x) = mean of φ(a_j'x, y_j) over M_i + (λ/2)|x|².

    Source: Rennie and Srebro, "Loss functions for preference levels", 2005 (w = 1).
    """

    label: ClassVar[str] = "smoothed_hinge"
    loss: ClassVar[str] = "smoothed-hinge"
    data: Words = Field("breast_cancer", description="data set of classes: a name or a table")
    width: float = Field(1.0, gt=0, allow_inf_nan=False, description="w, width of the corner")


@register("problem", "smooth_lasso")
class SmoothLassoComponent(LinearModelComponent):
    """Least squares with a smoothed l1 penalty; convex, with a sharp valley for small w.

    Formula:
    f_i(x) = mean of ½(a_j'x − y_j)² over M_i + (λ/2)|x|² + κ Σ_k (sqrt(x_k² + w²) − w).

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996 (w = 0).
    """

    label: ClassVar[str] = "smooth_lasso"
    regularization: float = Field(
        0.01, ge=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )
    sparsity: float = Field(0.1, gt=0, allow_inf_nan=False, description="κ of the l1 penalty")
    width: float = Field(0.1, gt=0, allow_inf_nan=False, description="w, width of the corner")

    @property
    def penalty(self) -> Penalty:
        """κ/w times the pseudo-Huber loss of every coordinate."""
        loss = LOSSES["pseudo-huber"](width=self.width)
        return Penalty(loss=loss, factor=self.sparsity / self.width)


@register("problem", "nonconvex_logistic")
class NonconvexLogisticComponent(LinearModelComponent):
    """Two-class logistic regression with a bounded, nonconvex penalty.

    Formula:
    f_i(x) = mean of log(1 + exp(−y_j a_j'x)) over M_i + (λ/2)|x|² + κ Σ_k x_k²/(1 + x_k²).

    Source: Antoniadis, Gijbels and Nikolova, "Penalized likelihood regression for generalized
    linear models with non-quadratic penalties", 2011.
    """

    label: ClassVar[str] = "nonconvex_logistic"
    loss: ClassVar[str] = "logistic"
    data: Words = Field("breast_cancer", description="data set of classes: a name or a table")
    regularization: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )
    nonconvexity: float = Field(0.1, gt=0, allow_inf_nan=False, description="κ")

    @property
    def penalty(self) -> Penalty:
        """2κ times the Geman-McClure loss of every coordinate."""
        return Penalty(loss=LOSSES["geman-mcclure"](width=1.0), factor=2 * self.nonconvexity)


@register("problem", "cauchy")
class CauchyComponent(LinearModelComponent):
    """Cauchy (Lorentzian) regression: slopes that fall on outliers; smooth, weakly convex.

    Formula:
    φ(m, y) = (w²/2) log(1 + r²/w²), r = m − y;
    f_i(x) = mean of φ(a_j'x, y_j) over M_i + (λ/2)|x|².

    Source: Black and Anandan, "The robust estimation of multiple motions", 1996.
    """

    examples: ClassVar[Examples] = ({}, {"planted": _CLEAN, "regularization": 0.0})
    label: ClassVar[str] = "cauchy"
    loss: ClassVar[str] = "cauchy"
    width: float = Field(1.0, gt=0, allow_inf_nan=False, description="w, where slopes fall")


@register("problem", "geman_mcclure")
class GemanMcClureComponent(LinearModelComponent):
    """Geman-McClure regression: outliers cost at most w²/2; smooth, weakly convex.

    Formula:
    φ(m, y) = ½r²/(1 + r²/w²), r = m − y;
    f_i(x) = mean of φ(a_j'x, y_j) over M_i + (λ/2)|x|².

    Source: Geman and McClure, "Statistical methods for tomographic image reconstruction", 1987.
    """

    examples: ClassVar[Examples] = ({}, {"planted": _CLEAN, "regularization": 0.0})
    label: ClassVar[str] = "geman_mcclure"
    loss: ClassVar[str] = "geman-mcclure"
    width: float = Field(1.0, gt=0, allow_inf_nan=False, description="w, size of an outlier")


@register("problem", "poisson")
class PoissonComponent(LinearModelComponent):
    """Poisson regression on counts: convex, smooth on bounded sets only.

    Formula:
    φ(m, y) = e^m − y m, y = 0, 1, 2, ...;
    f_i(x) = mean of φ(a_j'x, y_j) over M_i + (λ/2)|x|².

    Source: Nelder and Wedderburn, "Generalized linear models", 1972.
    """

    label: ClassVar[str] = "poisson"
    loss: ClassVar[str] = "poisson"
    planted: Planted | None = Field(
        Planted(rows=200, dimension=4), description="counts drawn around a known truth"
    )


@register("problem", "phase_retrieval")
class PhaseRetrievalComponent(LinearModelComponent):
    """Recover x° up to its sign from squared margins: quartic, nonconvex, f* = 0 if labels clean.

    Formula:
    φ(m, y) = ¼(m² − y)², y = (a'x°)²; f_i(x) = mean of φ(a_j'x, y_j) over M_i + (λ/2)|x|².

    Source: Candès, Li and Soltanolkotabi, "Phase retrieval via Wirtinger flow", 2015.
    """

    label: ClassVar[str] = "phase_retrieval"
    loss: ClassVar[str] = "phase"
    regularization: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )
    planted: Planted | None = Field(
        Planted(rows=60, dimension=4), description="squared margins of a known truth"
    )
    initial: Initial = Field(
        1.0,
        description="start: radius r (every node at r·(1, ..., 1)/sqrt(d)), one point, or n points;"
        " 0 is a stationary point",
    )
