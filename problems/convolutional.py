"""Small convolutional networks: convolution, activation and pooling, then linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hzbench.problems.architecture import Architecture, Parts, Shape, Weight
from hzbench.problems.layers import convolution, linear, max_pool
from hzbench.problems.perceptron import Activation, bend, stack

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Convolutional(Architecture):
    """Tensors as nn.Sequential names them: convolution, activation, pooling, ..., flatten, linear.

    Attributes:
        channels: outputs of every 3×3 convolution (padding 1); each is followed by 2×2 pooling.
        hidden: widths of the hidden linear layers.
        activation: after all layers but the last.
    """

    channels: tuple[int, ...]
    hidden: tuple[int, ...]
    activation: Activation

    @cached_property
    def widths(self) -> Shape:
        """Numbers of features of the linear layers, from the flattened image to the classes."""
        _, height, width = self.shape
        shrunk = 2 ** len(self.channels)
        size = self.channels[-1] * (height // shrunk) * (width // shrunk)
        return (size, *self.hidden, self.classes)

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """0.weight, 0.bias, 3.weight, ..., then every second number after the flattening."""
        depths = (self.shape[0], *self.channels)
        images = zip(self._images, depths[1:], depths[:-1], strict=True)
        rows = zip(self._rows, self.widths[1:], self.widths[:-1], strict=True)
        return stack({name: (o, i, 3, 3) for name, o, i in images}) | stack(
            {name: (o, i) for name, o, i in rows}
        )

    @property
    def activations(self) -> int:
        """Numbers an example: every image before and after pooling, then rows."""
        _, height, width = self.shape
        area, found = height * width, self.shape[0] * height * width
        for channels in self.channels:
            found += 2 * channels * area
            area //= 4
        return found + sum(self.widths)

    def logits(self, parts: Parts, inputs: Tensor) -> Tensor:
        """Forward pass, [M, b, C]."""
        x = inputs.transpose(0, 1)  # [b, M or 1, c, h, w]
        for name in self._images:
            x = convolution(x, parts[f"{name}.weight"], parts[f"{name}.bias"])
            x = bend(max_pool(x), self.activation)  # both increase: their order is free
        rows = x.flatten(2).transpose(0, 1)
        for place, name in enumerate(self._rows):
            rows = bend(rows, self.activation) if place else rows
            rows = linear(rows, parts[f"{name}.weight"], parts[f"{name}.bias"])
        return rows

    @cached_property
    def _images(self) -> tuple[str, ...]:
        return tuple(str(3 * place) for place in range(len(self.channels)))

    @cached_property
    def _rows(self) -> tuple[str, ...]:
        first = 3 * len(self.channels) + 1
        return tuple(str(first + 2 * place) for place in range(len(self.hidden) + 1))
