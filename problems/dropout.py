"""Where the coins of dropout lie: every number of every example has an address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hzbench.core.streams import Purpose, Rows, coins

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Dropout:
    """The coins of M models, each on b examples: one coin a number that may be dropped.

    All points at which a data sample is asked share its coins.

    Attributes:
        rows: addresses of the local computations.
        row: which of them every model belongs to, [M].
        draw: which of its data samples, [M].
        shape: s data samples of b examples, of every row.
        masks: numbers of an example that may be dropped.
        chance: of 2¹⁶ that one is kept.
        here: the examples in question; None: all.
    """

    rows: Rows
    row: Tensor
    draw: Tensor
    shape: tuple[int, int]
    masks: int
    chance: int
    here: slice | None = None

    @property
    def first(self) -> Tensor:
        """The coin of its row's stream with which every model begins, [M]."""
        start = self.here.start if self.here else 0
        return (self.draw * self.shape[1] + start) * self.masks

    def cut(self, here: slice) -> Dropout:
        """Some of the examples."""
        return replace(self, here=here)

    @cached_property
    def kept(self) -> Tensor:
        """What is kept, bool [M, b, masks]."""
        count = self.shape[0] * self.shape[1] * self.masks
        drawn = coins(self.rows, Purpose.DROPOUT, self.chance, count)
        found = drawn.view(-1, *self.shape, self.masks)[self.row, self.draw]
        return found if self.here is None else found[:, self.here]
