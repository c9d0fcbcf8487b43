"""Observables: how each name of core/observable.py is measured on a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hzbench.core.problem import HidesCoordinates, Problem
from hzbench.core.registry import register
from hzbench.core.state import State
from hzbench.core.streams import Rows

if TYPE_CHECKING:
    from torch import Tensor

Measure = Callable[[State, Problem], "Tensor"]


@register("observable", "objective")
def objective(state: State, problem: Problem) -> Tensor:
    """f(mean), shape [R]."""
    return problem.objective(state.mean)


@register("observable", "objective_gap")
def objective_gap(state: State, problem: Problem) -> Tensor:
    """f(mean) − f*, shape [R]."""
    return problem.objective(state.mean) - problem.constants.minimum


@register("observable", "consensus_potential")
def consensus_potential(state: State, problem: Problem) -> Tensor:
    """Γ = (1/n) Σ |x_i − mean|², shape [R]."""
    del problem
    centred = state.x - state.mean[:, None]
    return centred.square().sum(-1).mean(-1)


@register("observable", "mean_iterate")
def mean_iterate(state: State, problem: Problem) -> Tensor:
    """Mean iterate, shape [R, d]."""
    del problem
    return state.mean


@register("observable", "node_distance")
def node_distance(state: State, problem: Problem) -> Tensor:
    """(1/n) Σ |x_i − x*|², shape [R]."""
    optimum = state.x.new_tensor(problem.optimum)
    return (state.x - optimum).square().sum(-1).mean(-1)


@register("observable", "mean_distance")
def mean_distance(state: State, problem: Problem) -> Tensor:
    """|mean − x*|², shape [R]."""
    return (state.mean - state.x.new_tensor(problem.optimum)).square().sum(-1)


@register("observable", "mean_distance_square")
def mean_distance_square(state: State, problem: Problem) -> Tensor:
    """|mean − x*|⁴, shape [R]."""
    return mean_distance(state, problem).square()


@register("observable", "gradient_norm")
def gradient_norm(state: State, problem: Problem) -> Tensor:
    """|∇f(mean)|², shape [R]."""
    return problem.objective_gradient(state.mean).square().sum(-1)


@register("observable", "hidden_coordinates")
def hidden_coordinates(state: State, problem: Problem) -> Tensor:
    """Coordinates beyond the last one with |x_k| > λ/4, shape [R]."""
    assert isinstance(problem, HidesCoordinates)
    return problem.hidden_coordinates(state.mean)


@register("observable", "estimate")
def estimate(state: State, problem: Problem) -> Tensor:
    """(1/n) Σ G_i of the last step, shape [R, d]."""
    del problem
    return state.arrays["estimate"].mean(dim=1)


@register("observable", "estimate_square")
def estimate_square(state: State, problem: Problem) -> Tensor:
    """|(1/n) Σ G_i|² of the last step, shape [R]."""
    return estimate(state, problem).square().sum(-1)


@register("observable", "estimate_power")
def estimate_power(state: State, problem: Problem) -> Tensor:
    """(1/n) Σ |G_i|² of the last step, shape [R]."""
    del problem
    return state.arrays["estimate"].square().sum(-1).mean(-1)


@register("observable", "estimate_bias_square")
def estimate_bias_square(state: State, problem: Problem) -> Tensor:
    """Mean of <e_i, e_j> over i ≠ j with e_i = G_i − ∇f_i(x_i), shape [R]; at least two nodes.

    Estimates of different nodes are independent, so its mean is that of <E e_i, E e_j>: the squared
    bias where all nodes are alike. No direction is chosen, and noise adds nothing on average.
    """
    import torch

    replicas, nodes, d = state.x.shape
    node = torch.arange(nodes, device=state.x.device).repeat(replicas)
    rows = Rows(keys=node.new_zeros(len(node), 2), replica=node, node=node, step=node)
    full = problem.sample(rows, "full", 1)  # draws nothing
    exact = problem.gradients(state.x.reshape(-1, d), node, full)[:, 0].view(state.x.shape)
    errors = state.arrays["estimate"] - exact
    total = errors.sum(1).square().sum(-1) - errors.square().sum((1, 2))
    return total / (nodes * (nodes - 1))
