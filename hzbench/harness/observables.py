"""Observables: how each name of core/observable.py is measured on a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hzbench.core.problem import EvaluatesTogether, HidesCoordinates, Problem
from hzbench.core.registry import register
from hzbench.core.state import State
from hzbench.core.streams import Rows
from hzbench.engine.fused.mean_loss import Evaluate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A state and what several observables ask of it, each computed once.

    Attributes:
        state: the state, which must not change meanwhile.
        problem: what it is measured on.
        evaluate: f and ∇f of points by other code than the problem's own; None: there is none.
    """

    state: State
    problem: Problem
    evaluate: Evaluate | None = None

    @property
    def x(self) -> Tensor:
        """Iterates of all nodes, shape [R, n, d]."""
        return self.state.x

    @cached_property
    def mean(self) -> Tensor:
        """Mean iterate, shape [R, d]."""
        return self.state.mean

    @cached_property
    def objective(self) -> Tensor:
        """f(mean), shape [R]."""
        both = self._both
        return self.problem.objective(self.mean) if both is None else both[0]

    @cached_property
    def gradient(self) -> Tensor:
        """∇f(mean), shape [R, d]."""
        both = self._both
        return self.problem.objective_gradient(self.mean) if both is None else both[1]

    @cached_property
    def _both(self) -> tuple[Tensor, Tensor] | None:
        if self.evaluate is not None:
            return self.evaluate(self.mean)
        if isinstance(self.problem, EvaluatesTogether):
            return self.problem.objective_and_gradient(self.mean)
        return None


Measure = Callable[[Snapshot], "Tensor"]


@register("observable", "objective")
def objective(at: Snapshot) -> Tensor:
    """f(mean), shape [R]."""
    return at.objective


@register("observable", "objective_gap")
def objective_gap(at: Snapshot) -> Tensor:
    """f(mean) − f*, shape [R]."""
    return at.objective - at.problem.constants.minimum


@register("observable", "consensus_potential")
def consensus_potential(at: Snapshot) -> Tensor:
    """Γ = (1/n) Σ |x_i − mean|², shape [R]."""
    centred = at.x - at.mean[:, None]
    return centred.square_().sum(-1).mean(-1)


@register("observable", "mean_iterate")
def mean_iterate(at: Snapshot) -> Tensor:
    """Mean iterate, shape [R, d]."""
    return at.mean


@register("observable", "node_distance")
def node_distance(at: Snapshot) -> Tensor:
    """(1/n) Σ |x_i − x*|², shape [R]."""
    optimum = at.x.new_tensor(at.problem.optimum)
    return (at.x - optimum).square_().sum(-1).mean(-1)


@register("observable", "mean_distance")
def mean_distance(at: Snapshot) -> Tensor:
    """|mean − x*|², shape [R]."""
    return (at.mean - at.x.new_tensor(at.problem.optimum)).square().sum(-1)


@register("observable", "mean_distance_square")
def mean_distance_square(at: Snapshot) -> Tensor:
    """|mean − x*|⁴, shape [R]."""
    return mean_distance(at).square()


@register("observable", "gradient_norm")
def gradient_norm(at: Snapshot) -> Tensor:
    """|∇f(mean)|², shape [R]."""
    return at.gradient.square().sum(-1)


@register("observable", "hidden_coordinates")
def hidden_coordinates(at: Snapshot) -> Tensor:
    """Coordinates beyond the last one with |x_k| > λ/4, shape [R]."""
    assert isinstance(at.problem, HidesCoordinates)
    return at.problem.hidden_coordinates(at.mean)


@register("observable", "estimate")
def estimate(at: Snapshot) -> Tensor:
    """(1/n) Σ G_i of the last step, shape [R, d]."""
    return at.state.arrays["estimate"].mean(dim=1)


@register("observable", "estimate_square")
def estimate_square(at: Snapshot) -> Tensor:
    """|(1/n) Σ G_i|² of the last step, shape [R]."""
    return estimate(at).square().sum(-1)


@register("observable", "estimate_power")
def estimate_power(at: Snapshot) -> Tensor:
    """(1/n) Σ |G_i|² of the last step, shape [R]."""
    return at.state.arrays["estimate"].square().sum(-1).mean(-1)


@register("observable", "estimate_bias_square")
def estimate_bias_square(at: Snapshot) -> Tensor:
    """Mean of <e_i, e_j> over i ≠ j with e_i = G_i − ∇f_i(x_i), shape [R]; at least two nodes.

    Estimates of different nodes are independent, so its mean is that of <E e_i, E e_j>: the squared
    bias where all nodes are alike. No direction is chosen, and noise adds nothing on average.
    """
    import torch

    replicas, nodes, d = at.x.shape
    node = torch.arange(nodes, device=at.x.device).repeat(replicas)
    rows = Rows(keys=node.new_zeros(len(node), 2), replica=node, node=node, step=node)
    full = at.problem.sample(rows, "full", 1)  # draws nothing
    exact = at.problem.gradients(at.x.reshape(-1, d), node, full)[:, 0].view(at.x.shape)
    errors = at.state.arrays["estimate"] - exact
    total = errors.sum(1).square().sum(-1) - errors.square().sum((1, 2))
    return total / (nodes * (nodes - 1))
