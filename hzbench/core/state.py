"""State: what all nodes of a block of replicas hold at one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class State:
    """Named arrays and counters.

    Attributes:
        step: number of steps done.
        arrays: "x" [R, n, d] and the arrays of the method, each [R, n, d] or narrower.
        counters: oracle calls by kind and floats_sent so far, each [R].
    """

    step: int
    arrays: Mapping[str, Tensor]
    counters: Mapping[str, Tensor]

    @property
    def x(self) -> Tensor:
        """Iterates of all nodes, shape [R, n, d]."""
        return self.arrays["x"]

    @property
    def mean(self) -> Tensor:
        """Mean iterate, shape [R, d]."""
        return self.x.mean(dim=1)
