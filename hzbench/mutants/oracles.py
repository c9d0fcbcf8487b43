"""Mutants of the estimators: wrong directions, wrong samples, wrong noise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.mutant import Mutant, needs
from hzbench.core.problem import Problem, Sample
from hzbench.core.registry import register
from hzbench.core.spec import Spec
from hzbench.core.streams import Purpose, Rows, uniforms
from hzbench.core.structure import BatchSize
from hzbench.estimators.zeroth_order import ZerothOrder, evaluate

if TYPE_CHECKING:
    from torch import Tensor


def _as(kind: type[ZerothOrder], estimator: Estimator) -> Estimator:
    """The same estimator with one method overridden; first-order nodes stay as they are."""
    if not isinstance(estimator, ZerothOrder):
        return estimator
    return kind(**estimator.model_dump())


def _with(estimator: Estimator, **changes: object) -> Estimator:
    if not isinstance(estimator, ZerothOrder):
        return estimator
    return estimator.model_copy(update=changes)


class _Unscaled(ZerothOrder):
    def draw(self, rows: Rows, d: int) -> Tensor:
        return super().draw(rows, d) / math.sqrt(d)


@register("mutant", "missing_sqrt_d")
class MissingSqrtD(Mutant):
    """Random vectors have unit length: the factor sqrt(d) is missing.

    Formula: u → u/sqrt(d), so E G = ∇f/d.

    Source: published code.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Shorten every vector."""
        return _as(_Unscaled, estimator)


class _SameForAll(ZerothOrder):
    def draw(self, rows: Rows, d: int) -> Tensor:
        zero = torch.zeros_like(rows.node)
        shared = Rows(keys=rows.keys, replica=rows.replica, node=zero, step=rows.step)
        return super().draw(shared, d)


@register("mutant", "shared_directions")
class SharedDirections(Mutant):
    """All zeroth-order nodes draw the same random vectors.

    Formula: u_{i,k} = u_k for every node i: the 1/n0 variance reduction is lost.

    Source: the HDO authors' code.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Draw from node 0's stream."""
        return _as(_SameForAll, estimator)


class _Positive(ZerothOrder):
    def draw(self, rows: Rows, d: int) -> Tensor:
        return uniforms(rows, Purpose.DIRECTION, self.samples * d).view(-1, self.samples, d)


@register("mutant", "uniform_tangents")
class UniformTangents(Mutant):
    """Random vectors have coordinates uniform on [0, 1].

    Formula: u ~ U[0, 1]^d, E uu' = 11'/4 + I/12: the estimate is biased.

    Source: the HDO authors' forward-mode estimator.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Draw positive vectors."""
        return _as(_Positive, estimator)


class _TwoSamples(ZerothOrder):
    def _differences(
        self, problem: Problem, x: Tensor, u: Tensor, rows: Rows, sample: Sample
    ) -> Tensor:
        del sample
        step = self.smoothing * u
        base = x[:, None]
        points = torch.stack([base + step, base - step], dim=1)  # [B, s = 2, m, d]
        batch = 1  # one data sample each, as in a naive stochastic oracle
        values = evaluate(problem, points, rows, problem.sample(rows, batch, 2))
        return (values[:, 0] - values[:, 1]) / (2 * self.smoothing)


@register("mutant", "fresh_sample")
class FreshSample(Mutant):
    """The two evaluations of a central difference use different data samples.

    Formula: D = [F(x+νu; ζ) − F(x−νu; ζ')]/(2ν): the variance grows like 1/ν².

    Source: published code; theory.md A9.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Draw a sample an evaluation."""
        return _as(_TwoSamples, estimator)


@register("mutant", "one_sample_fewer")
class OneSampleFewer(Mutant):
    """One random vector fewer than declared is averaged.

    Formula: m → m − 1.

    Source: an off-by-one.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Drop one vector."""
        fewer = max(1, getattr(estimator, "samples", 2) - 1)
        return _with(estimator, samples=fewer)


@register("mutant", "gaussian_for_sphere")
class GaussianForSphere(Mutant):
    """Gaussian vectors where the spec says another law.

    Formula: u ~ N(0, I): omega = d + 2 instead of d.

    Source: mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Swap the law."""
        return _with(estimator, directions="gaussian")


@register("mutant", "forward_for_central")
class ForwardForCentral(Mutant):
    """Forward differences where the spec says central ones.

    Formula: [F(x+νu) − F(x)]/ν: on quadratics the mean is right, the variance is not.

    Source: mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Swap the difference."""
        return _with(estimator, difference="forward")


class _OneStream:
    """A problem all of whose nodes draw node 0's data; the rest is the problem's own."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> Sample:
        """Draw as node 0."""
        return self.problem.sample(replace(rows, node=0 * rows.node), batch_size, count)


class _Listening(Estimator):
    inner: Any

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        found: Estimate = self.inner.estimate(_OneStream(problem), x, rows, batch_size)
        return found

    @property
    def memory_size(self) -> int:
        return int(self.inner.memory_size)

    def recall(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, memory: Tensor
    ) -> Estimate:
        found: Estimate = self.inner.recall(_OneStream(problem), x, rows, batch_size, memory)
        return found


@register("mutant", "shared_data_noise")
class SharedDataNoise(Mutant):
    """All nodes draw the same data noise.

    Formula: ζ_i = ζ for every node i: averaging over nodes no longer lowers the noise.

    Source: nodes that share a seed; mutation study.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse problems whose nodes hold rows of their own."""
        rows = "data" in type(spec.component("problem", spec.problem)).model_fields
        return needs(not rows, spec, "a problem with a noise of its own")

    def estimator(self, estimator: Estimator) -> Estimator:
        """Listen to one stream."""
        return _Listening(inner=estimator)


@register("mutant", "noise_plus_5")
class NoisePlus5(Mutant):
    """The gradient noise has a standard deviation 5 % too large.

    Formula: Σ → 1.1025 Σ.

    Source: mutation study.
    """

    def spec(self, spec: Spec) -> Spec:
        """Scale the noise of the problem."""
        noise = spec.problem.get("noise", 0.0)
        scaled = [1.05 * s for s in noise] if isinstance(noise, list) else 1.05 * noise
        return spec.replace(problem={**spec.problem, "noise": scaled})
