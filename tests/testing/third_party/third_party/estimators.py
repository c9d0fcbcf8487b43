"""Estimators; each but the first follows another law than it declares."""

from typing import ClassVar

import torch

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.registry import register
from hzbench.core.streams import signs
from hzbench.core.structure import DifferenceLaw

SAMPLES, RADIUS = 8, 0.1


@register("estimator", "third_right")
class Central(Estimator):
    """Central differences along fair signs.

    Formula: G = (1/m) Σ u [F(x+νu) − F(x−νu)]/(2ν).

    Source: a test.
    """

    kind: ClassVar = "zeroth"
    radius: ClassVar = RADIUS
    back: ClassVar = 1.0
    fresh: ClassVar = False
    lone: ClassVar = False

    def law(self, batch_size):
        return DifferenceLaw(
            directions="rademacher",
            difference="central",
            samples=SAMPLES,
            smoothing=RADIUS,
            data="shared",
            batch_size=batch_size,
        )

    def estimate(self, problem, x, rows, batch_size):
        u = signs(rows, 1, SAMPLES * x.shape[1]).view(len(x), SAMPLES, -1)
        ahead, behind = (x[:, None] + side * self.radius * u for side in (1.0, -self.back))
        sample = problem.sample(rows, 1 if self.lone else batch_size, 1 + self.fresh)
        if self.fresh:
            values = problem.values(torch.stack([ahead, behind], 1), rows.node, sample)
            change = values[:, 0] - values[:, 1]
        else:
            points = torch.cat([ahead, behind], 1)[:, None]
            values = problem.values(points, rows.node, sample)[:, 0]
            change = values[:, :SAMPLES] - values[:, SAMPLES:]
        along = change / (self.radius * (1 + self.back))
        cost = 2 * SAMPLES * problem.batch_cost(rows.node, batch_size)
        gradient = (along[:, :, None] * u).mean(1)
        return Estimate(gradient=gradient, calls={"function_calls": cost})


@register("estimator", "third_wide")
class Wide(Central):
    """Goes twice as far as it declares."""

    radius: ClassVar = 2 * RADIUS


@register("estimator", "third_forward")
class Forward(Central):
    """Declares central differences and takes forward ones."""

    back: ClassVar = 0.0


@register("estimator", "third_fresh")
class Fresh(Central):
    """Takes two data samples in one difference."""

    fresh: ClassVar = True


@register("estimator", "third_lone")
class Lone(Central):
    """Takes one data sample, whatever the batch size."""

    lone: ClassVar = True
