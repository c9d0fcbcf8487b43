"""When should one population fall below another? From noise measured along noise-free descent.

The closed form is `theory.noise_path`; here its numbers are measured: descent by large batches, and
at some of its points |∇f|², tr Σ, and tr(HQ), tr(H²Q) of every shape of noise, by products Hv. The
path is in the precision of the runs; products are in float64, since in float32 rounding hides the
tr H of a network. All populations are read off one path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Problem
from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.core.structure import BatchSize
from hzbench.harness.build import build_problem, step_sizes
from hzbench.harness.setting import estimator_of, method_of
from hzbench.judge.ordering import settles
from hzbench.theory.noise_path import Excess, Path, elapsed, excess

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

POINTS, FEW_POINTS = 12, 8  # of the path, at which noise and curvature are measured; sampled
VALUES = 24  # at which its loss is, where gradients are sampled
PROBES, FEW_PROBES = 48, 16  # random vectors (and data samples) a trace is averaged over; sampled
_SEED = 20252


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Expected losses of one population at steps 0 ... T, shape [T+1] each.

    Attributes:
        free: of the noise-free path.
        noise: what noise adds, on average over the nodes.
    """

    free: Array
    noise: Array

    @property
    def loss(self) -> Array:
        """Both."""
        return self.free + self.noise

    @property
    def small(self) -> bool:
        """Whether noise stays small enough for its leading order: below the largest loss."""
        return bool(np.abs(self.noise).max() <= np.abs(self.free).max())


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """How two predicted populations compare.

    Attributes:
        difference: own loss minus the other's at steps 0 ... T.
        noise_free: what the mean step sizes alone make of it.
        step: from which on the own loss is lower (or above) to the end; nan: not at the end.
        small: whether noise stays within its leading order; else `difference` and `step` are those
            of the mean step sizes alone.
    """

    difference: Array
    noise_free: Array
    step: float
    small: bool


def predict_crossings(orderings: Sequence[dict[str, Any]], specs: Sequence[Spec]) -> None:
    """Add to every ordering of results.json that asks for it when it should begin to last.

    Orderings about one problem share one noise-free path.
    """
    known = {spec.name: spec for spec in specs}
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in orderings:
        if each["predict"]:
            key = json.dumps([each["predict"], known[each["run"]].problem], sort_keys=True)
            groups.setdefault(key, []).append(each)
    for group in groups.values():
        names = list(dict.fromkeys(name for each in group for name in (each["run"], *each["than"])))
        batch: BatchSize = "full" if group[0]["predict"] is True else group[0]["predict"]
        found = predicted([known[name] for name in names], batch)
        losses = dict(zip(names, found, strict=True))
        for each in group:
            for name, pair in each["pairs"].items():
                told = compare(losses[each["run"]], losses[name], each["relation"])
                step = each["step"]
                at_step = {
                    "at_step": told.difference[step],
                    "free_at_step": told.noise_free[step],
                }
                pair["predicted"] = plain({**plain(told), **at_step})


def predicted(specs: Sequence[Spec], batch_size: BatchSize = "full") -> list[Predicted]:
    """Predict the mean loss of the nodes of several runs from one noise-free path.

    It is that of the longest run, by the sum of mean step sizes, on the objective of the first.

    Arguments:
        specs: runs on one problem, with matchings (or single nodes).
        batch_size: data samples a node behind a gradient of the path; "full" is exact.

    Raises:
        UserMistakeError: a run whose noise has no closed form here.
    """
    etas = [step_sizes(spec) for spec in specs]
    means = [each.mean(axis=1) for each in etas]
    longest = max(range(len(specs)), key=lambda i: means[i].sum())
    momentum = method_of(specs[longest]).momentum
    landscape = Landscape.of(specs[0], batch_size)
    times, losses, path = follow(landscape, means[longest], momentum)
    dimension = landscape.problem.dimension
    return [
        Predicted(
            free=np.interp(elapsed(mean), times, losses),
            noise=_excess(spec, path, steps, dimension).total,
        )
        for spec, steps, mean in zip(specs, etas, means, strict=True)
    ]


def compare(own: Predicted, other: Predicted, relation: str = "below") -> Crossing:
    """When the mean loss of `own` falls below (rises above) that of `other` for good."""
    free, small = own.free - other.free, own.small and other.small
    difference = own.loss - other.loss if small else free
    sign = 1 if relation == "below" else -1
    return Crossing(
        difference=difference,
        noise_free=free,
        step=settles(sign * difference, np.arange(float(len(difference)))),
        small=small,
    )


def _excess(spec: Spec, path: Path, etas: Array, dimension: int) -> Excess:
    """What noise adds to the loss of a run."""
    laws = tuple(
        estimator_of(group.estimator).law(group.batch_size) for group in spec.group_of_node()
    )
    momentum, silent = method_of(spec).momentum, spec.network.silent_rounds
    try:
        return excess(path, laws, etas, dimension, momentum, silent)
    except ValueError as error:
        raise UserMistakeError(f"{spec.name}: {error}") from None


class Landscape:
    """f, ∇f, Hv and single-sample gradients of a problem, on fixed draws of its data.

    Arguments:
        problem: in the precision of the run.
        batch_size: data samples a node behind a gradient; "full" is exact.
        precise: the same in float64, for differences of gradients; None: it is that.
    """

    def __init__(
        self, problem: Problem, batch_size: BatchSize = "full", precise: Problem | None = None
    ) -> None:
        self.problem, self.batch_size = problem, batch_size
        self.precise = self if precise is None else Landscape(precise, batch_size)
        self.dtype = "float64" if precise is None else "float32"

    @classmethod
    def of(cls, spec: Spec, batch_size: BatchSize) -> Landscape:
        """That of a run."""
        problem = build_problem(spec)
        if spec.run.dtype == "float64":
            return cls(problem, batch_size)
        run = spec.run.model_copy(update={"dtype": "float64"})
        return cls(problem, batch_size, build_problem(spec.model_copy(update={"run": run})))

    @property
    def exact(self) -> bool:
        """Whether gradients of the path are exact."""
        return self.batch_size == "full"

    def gradients(self, points: Tensor, step: int = 0) -> Tensor:
        """∇f at several points, averaged over nodes: [k, d] -> [k, d]."""
        if self.exact:
            return self.problem.objective_gradient(points)
        n, rows = self.problem.nodes, self._rows(len(points), step)
        spread = points.repeat_interleave(n, dim=0)
        sample = self.problem.sample(rows, self.batch_size, 1)
        return (
            self.problem.gradients(spread, rows.node, sample)[:, 0].view(len(points), n, -1).mean(1)
        )

    def products(self, x: Tensor, vectors: Tensor, step: int) -> Tensor:
        """Hv for several v, by central differences of ∇f: [d], [k, d] -> [k, d]."""
        import torch

        step_length = torch.finfo(x.dtype).eps ** (1 / 3)
        length = vectors.norm(dim=1, keepdim=True).clamp_min(1e-30)
        offset = step_length * vectors / length
        both = [self.gradients(x + sign * offset, step) for sign in (1, -1)]
        found: Tensor = (both[0] - both[1]) / (2 * step_length) * length
        return found

    def samples(self, x: Tensor, count: int) -> Tensor:
        """Gradients of single data samples of random nodes, minus their node's mean: [k, d]."""
        rows, spread = self._rows(1, 0), x.expand(self.problem.nodes, -1)
        each, b = -(-count // self.problem.nodes), self.batch_size
        found = self.problem.gradients(spread, rows.node, self.problem.sample(rows, 1, each))
        apart = self._rows(1, 1)  # draws of its own for the mean, whose noise is Σ/b
        mean = self.problem.gradients(spread, rows.node, self.problem.sample(apart, b, 1))
        share = 1.0 if b == "full" else b / (b + 1.0)
        centred = (found - mean).transpose(0, 1).reshape(-1, found.shape[2])
        picked: Tensor = centred[:count] * share**0.5
        return picked

    def _rows(self, points: int, step: int) -> Rows:
        """One address a node, the same for every point: equal draws at both ends of a step."""
        import torch

        node = torch.arange(self.problem.nodes).repeat(points)
        zero = torch.zeros_like(node)
        keys = replica_keys(_SEED, range(1))[zero]
        return Rows(keys=keys, replica=zero, node=node, step=zero + step)


def follow(landscape: Landscape, etas: Array, momentum: float) -> tuple[Array, Array, Path]:
    """Descent with step sizes [T]: times and losses, and what is measured along it."""
    import torch

    torch.set_num_threads(1)  # as in a run: one thread fixes the last bit
    x = torch.as_tensor(landscape.problem.initial).to(getattr(torch, landscape.dtype)).mean(0)
    velocity, total, time = torch.zeros_like(x), len(etas), elapsed(etas)
    points = POINTS if landscape.exact else FEW_POINTS
    marks = set(np.unique(np.geomspace(1, total + 1, points).round().astype(int) - 1).tolist())
    seen = marks | set(range(0, total + 1, 1 if landscape.exact else -(-total // VALUES)))
    losses, measured = [], []
    for t in range(total + 1):
        if t in marks:
            measured.append((time[t], *_measure(landscape.precise, x.double(), total + 2 * t)))
        if t in seen:
            losses.append((time[t], float(landscape.problem.objective(x[None])[0])))
        if t < total:
            gradient = landscape.gradients(x[None], t)[0]
            velocity = momentum * velocity + (1 - momentum) * gradient
            x = x - float(etas[t]) * velocity
    times, square, noise, curvature, decay = (
        np.array(part) for part in zip(*measured, strict=True)
    )
    path = Path(time=times, gradient=square, noise=noise, curvature=curvature.T, decay=decay.T)
    when, value = np.array(losses).T
    return when, value, path


def _measure(landscape: Landscape, x: Tensor, step: int) -> tuple[Any, ...]:
    """|∇f|², tr Σ, and tr(HQ), tr(H²Q)/tr(HQ) of Q = Σ, I, gg'.

    Sampled gradients and products enter in pairs of independent draws, whose products have no bias.
    """
    import torch

    source = torch.Generator().manual_seed(_SEED)
    probes = PROBES if landscape.exact else FEW_PROBES
    samples = landscape.samples(x, probes)
    signs = torch.randint(0, 2, (probes, len(x)), generator=source).to(x.dtype) * 2 - 1
    pair = [landscape.gradients(x[None], step + i) for i in (0, 1)]
    curvature, decay = [], []
    for left, right in ((samples, samples), (signs, signs), pair):
        one = landscape.products(x, left, step)
        two = one if left is right and landscape.exact else landscape.products(x, right, step + 1)
        first = float(((left * two).sum(1) + (one * right).sum(1)).mean()) / 2
        second = max(0.0, float((one * two).sum(1).mean()))  # tr(H²Q); sampled, it may fall below
        curvature.append(first)
        decay.append(second / first if first > 0 else 0.0)  # where f bends down, noise stays
    square, noise = float((pair[0] * pair[1]).sum()), float(samples.square().sum(1).mean())
    return max(0.0, square), noise, curvature, decay
