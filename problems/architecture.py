"""What a network is to its problem: tensors in one flat vector, and a batched forward pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from hzbench.problems.dropout import Dropout

Shape = tuple[int, ...]
Parts = Mapping[str, "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One tensor of a network and how it starts: uniform on centre ± spread.

    Attributes:
        shape: of one model.
        spread: half the width of the uniform law.
        centre: its mean.
    """

    shape: Shape
    spread: float = 0.0
    centre: float = 0.0

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


def layer(name: str, shape: Shape, *, bias: bool = True) -> dict[str, Weight]:
    """A linear layer or convolution [o, i, ...], uniform on ±1/sqrt(fan-in), as PyTorch starts it.

    Its bias is on the same interval.
    """
    spread = 1.0 / math.sqrt(math.prod(shape[1:]))
    found = {f"{name}.weight": Weight(shape=shape, spread=spread)}
    return found | ({f"{name}.bias": Weight(shape=shape[:1], spread=spread)} if bias else {})


def norm(name: str, width: int) -> dict[str, Weight]:
    """Scale 1 and shift 0 of a normalisation."""
    return {
        f"{name}.weight": Weight(shape=(width,), centre=1.0),
        f"{name}.bias": Weight(shape=(width,)),
    }


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Base of networks that map examples of one shape to logits of C classes.

    Attributes:
        shape: of one example.
        classes: C.
    """

    shape: Shape
    classes: int

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """Every tensor, in the order of the flat vector."""
        raise NotImplementedError

    @property
    def masks(self) -> int:
        """How many numbers of an example dropout draws for; 0: there is none."""
        return 0

    @property
    def kept_of_65536(self) -> int:
        """How many of 2¹⁶ of them it keeps."""
        return 1 << 16

    def masked(self, dropout: Dropout) -> Architecture:
        """The network with what these coins keep, and all others dropped."""
        raise NotImplementedError

    @property
    def activations(self) -> int:
        """About how many numbers one example leaves in memory on its way (bounds the batches)."""
        raise NotImplementedError

    def held(self, device: str) -> int:
        """The same where nothing is left to differentiate: of `scores` and `gradients`."""
        del device
        return self.activations

    def logits(self, parts: Parts, inputs: Tensor) -> Tensor:
        """Forward pass: tensors [M, *shape], inputs [M or 1, b, *shape] -> [M, b, C]."""
        raise NotImplementedError

    @cached_property
    def dimension(self) -> int:
        """The number of parameters d."""
        return sum(self.tensors)

    @cached_property
    def tensors(self) -> tuple[int, ...]:
        """Sizes of the tensors, which add up to d."""
        return tuple(weight.size for weight in self.weights.values())

    def parts(self, flat: Tensor) -> dict[str, Tensor]:
        """The tensors of M models as views: [M, d] -> name to [M, *shape]."""
        import torch

        pieces = torch.split(flat, list(self.tensors), dim=1)
        named = zip(self.weights.items(), pieces, strict=True)
        models = len(flat)
        return {name: piece.view(models, *weight.shape) for (name, weight), piece in named}

    def scores(self, flat: Tensor, inputs: Tensor) -> Tensor:
        """Logits that nobody differentiates: [M, d], [M or 1, b, *shape] -> [M, b, C]."""
        return self.logits(self.parts(flat), inputs)

    def losses(self, flat: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropies: [M, d], [M or 1, b, *shape], [M or 1, b] -> [M, b]."""
        return cross_entropies(self.logits(self.parts(flat), inputs), targets)

    def values(self, flat: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """The same where nobody differentiates them."""
        return cross_entropies(self.scores(flat, inputs), targets)

    def gradients(self, flat: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Gradients of weighted sums of losses, weights [M or 1, b]: [M, d] -> [M, d]."""
        import torch

        with torch.enable_grad():
            leaf = flat.detach().requires_grad_()
            total = (self.losses(leaf, inputs, targets) * weights).sum()
        return torch.autograd.grad(total, leaf)[0]

    def start(self, random: np.random.Generator) -> NDArray[np.float64]:
        """A random start, shape [d]."""
        drawn = [
            weight.centre + weight.spread * (2.0 * random.random(weight.size) - 1.0)
            for weight in self.weights.values()
        ]
        return np.concatenate(drawn)


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Of logits [M, b, C] and classes [M or 1, b], shape [M, b].

    With examples along the last axis: along few classes PyTorch takes 3 to 7 times as long.
    """
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.mT, targets.expand(logits.shape[:2]), reduction="none")
