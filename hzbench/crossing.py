"""When should one population fall below another? From noise measured along noise-free descent.

The closed form is `theory.noise_path`; here its numbers are measured: descent by large batches, and
at some of its points |∇f|², tr Σ, and tr(HQ), tr(H²Q) of every shape of noise, by products Hv.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Problem
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.core.structure import BatchSize
from hzbench.harness.build import build_problem, step_sizes
from hzbench.harness.setting import estimator_of, method_of
from hzbench.judge.ordering import settles
from hzbench.theory.noise_path import Excess, Path, excess

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

POINTS = 12  # of the path, at which noise and curvature are measured
PROBES = 48  # random vectors (and data samples) a trace is averaged over
_DIFFERENCE = 1e-4  # length of a step along v in Hv, relative to |v|
_SEED = 20252


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Predicted losses of two populations at steps 0 ... T.

    Attributes:
        own, other: loss of the noise-free path plus what noise adds, shape [T+1].
        step: from which on the own loss is lower to the end; nan: not at the end.
        noise_free: what the mean step sizes alone make of the difference, shape [T+1].
    """

    own: Array
    other: Array
    step: float
    noise_free: Array


def crossing(own: Spec, other: Spec, batch_size: BatchSize = "full") -> Crossing:
    """Predict when the mean loss of the nodes of `own` falls below that of `other` for good.

    Both are measured on the objective of `own`; with equal mean step sizes their noise-free path is
    one.

    Arguments:
        own, other: runs on one problem, with matchings (or single nodes).
        batch_size: data samples a node behind a gradient of the path; "full" is exact.

    Raises:
        UserMistakeError: a run whose noise has no closed form here.
    """
    double = own.model_copy(update={"run": own.run.model_copy(update={"dtype": "float64"})})
    landscape, paths = Landscape(build_problem(double), batch_size), {}
    losses, totals = [], []
    for spec in (own, other):
        etas, momentum = step_sizes(spec), method_of(spec).momentum
        steps = etas.mean(axis=1).round(12)  # means of 4 and of 64 equal numbers are one path
        key = (steps.tobytes(), momentum)
        if key not in paths:
            paths[key] = follow(landscape, steps, momentum)
        free, path = paths[key]
        losses.append(free)
        totals.append(free + _excess(spec, path, etas, landscape.problem.dimension).total)
    return Crossing(
        own=totals[0],
        other=totals[1],
        step=settles(totals[0] - totals[1], np.arange(float(len(totals[0])))),
        noise_free=losses[0] - losses[1],
    )


def _excess(spec: Spec, path: Path, etas: Array, dimension: int) -> Excess:
    """What noise adds to the loss of a run."""
    laws = tuple(
        estimator_of(group.estimator).law(group.batch_size) for group in spec.group_of_node()
    )
    try:
        return excess(path, laws, etas, dimension)
    except ValueError as error:
        raise UserMistakeError(f"{spec.name}: {error}") from None


class Landscape:
    """f, ∇f, Hv and single-sample gradients of a problem, on fixed draws of its data."""

    def __init__(self, problem: Problem, batch_size: BatchSize) -> None:
        self.problem, self.batch_size = problem, batch_size

    def gradients(self, points: Tensor, step: int = 0) -> Tensor:
        """∇f at several points, averaged over nodes: [k, d] -> [k, d]."""
        if self.batch_size == "full":
            return self.problem.objective_gradient(points)
        n, rows = self.problem.nodes, self._rows(len(points), step)
        spread = points.repeat_interleave(n, dim=0)
        sample = self.problem.sample(rows, self.batch_size, 1)
        return (
            self.problem.gradients(spread, rows.node, sample)[:, 0].view(len(points), n, -1).mean(1)
        )

    def value(self, x: Tensor, step: int = 0) -> float:
        """f(x)."""
        if self.batch_size == "full":
            return float(self.problem.objective(x[None])[0])
        n, rows = self.problem.nodes, self._rows(1, step)
        sample = self.problem.sample(rows, self.batch_size, 1)
        points = x.expand(n, 1, 1, -1)
        return float(self.problem.values(points, rows.node, sample).mean())

    def products(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Hv for several v, by central differences of ∇f: [d], [k, d] -> [k, d]."""
        length = vectors.norm(dim=1, keepdim=True).clamp_min(1e-300)
        offset = _DIFFERENCE * vectors / length
        both = [self.gradients(x + sign * offset) for sign in (1, -1)]
        found: Tensor = (both[0] - both[1]) / (2 * _DIFFERENCE) * length
        return found

    def samples(self, x: Tensor, count: int) -> Tensor:
        """Gradients of single data samples of random nodes, minus their node's mean: [k, d]."""
        import torch

        n = self.problem.nodes
        rows = self._rows(1, 0)
        each = -(-count // n) + 1
        drawn = self.problem.sample(rows, 1, each)
        found = self.problem.gradients(x.expand(n, -1), rows.node, drawn)  # [n, each, d]
        mean = self.problem.gradients(
            x.expand(n, -1), rows.node, self.problem.sample(rows, self.batch_size, 1)
        )
        picked = (found - mean).transpose(0, 1).reshape(-1, found.shape[2])
        return picked[torch.arange(count)]

    def _rows(self, points: int, step: int) -> Rows:
        """One address a node, the same for every point: equal draws at both ends of a step."""
        import torch

        node = torch.arange(self.problem.nodes).repeat(points)
        zero = torch.zeros_like(node)
        keys = replica_keys(_SEED, range(1))[zero]
        return Rows(keys=keys, replica=zero, node=node, step=zero + step)


def follow(landscape: Landscape, etas: Array, momentum: float) -> tuple[Array, Path]:
    """Losses of descent with the mean step sizes [T], and what is measured along it."""
    import torch

    x = torch.as_tensor(landscape.problem.initial).double().mean(0)
    velocity, total = torch.zeros_like(x), len(etas)
    marks = set(np.unique(np.geomspace(1, total + 1, POINTS).round().astype(int) - 1).tolist())
    losses, measured = [landscape.value(x)], []
    for t in range(total + 1):
        gradient = landscape.gradients(x[None], t)[0]
        if t in marks:
            measured.append((t, *_measure(landscape, x, gradient)))
        if t < total:
            velocity = momentum * velocity + (1 - momentum) * gradient
            x = x - float(etas[t]) * velocity
            losses.append(landscape.value(x))
    steps, square, noise, curvature, decay = (
        np.array(part) for part in zip(*measured, strict=True)
    )
    return np.array(losses), Path(
        steps=steps.astype(float),
        gradient=square,
        noise=noise,
        curvature=curvature.T,
        decay=decay.T,
    )


def _measure(landscape: Landscape, x: Tensor, gradient: Tensor) -> tuple[Any, ...]:
    """|∇f|², tr Σ, and tr(HQ), tr(H²Q)/tr(HQ) of Q = Σ, I, gg'."""
    import torch

    source = torch.Generator().manual_seed(_SEED)
    samples = landscape.samples(x, PROBES)
    signs = torch.randint(0, 2, (PROBES, len(x)), generator=source).to(x.dtype) * 2 - 1
    curvature, decay = [], []
    for vectors in (samples, signs, gradient[None]):
        images = landscape.products(x, vectors)
        first = float((vectors * images).sum(1).mean())
        second = float((images * images).sum(1).mean())
        curvature.append(first)
        decay.append(second / first if first else 0.0)
    square, noise = float(gradient @ gradient), float(samples.square().sum(1).mean())
    return square, noise, curvature, decay
