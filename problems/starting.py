"""Base of the problems whose spec says where the nodes start."""

from __future__ import annotations

from pydantic import Field

from hzbench.core.problem import ProblemComponent
from hzbench.problems.arrays import Array, Initial, initial_mistakes, starting_points


class StartedComponent(ProblemComponent):
    """A problem with starting points: one for all, or one a node, and seeded offsets."""

    initial: Initial = Field(
        1.0,
        description="start: radius r (every node at r·(1, ..., 1)/sqrt(d)), one point, or n points",
    )
    initial_spread: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="standard deviation a coordinate of seeded offsets, one a node",
    )
    instance_seed: int = Field(0, ge=0, description="seed of everything the instance draws")

    def start_mistakes(self, nodes: int, dimension: int) -> list[str]:
        """What is wrong with the key `initial`."""
        return initial_mistakes(self.initial, nodes, dimension)

    def starts(self, nodes: int, dimension: int) -> Array:
        """Starting points, shape [n, d]."""
        return starting_points(
            self.initial, self.initial_spread, self.instance_seed, nodes, dimension
        )
