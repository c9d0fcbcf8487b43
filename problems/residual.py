"""ResNet-18, with tensors as torchvision names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from hzbench.problems.architecture import Architecture, Parts, Shape, Weight, layer, norm
from hzbench.problems.layers import EPSILON, convolution, group_norm, linear, max_pool

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Stem = Literal["imagenet", "cifar"]
_GROUP = 16  # channels normalised together; all of them where 16 does not divide their number


@dataclass(frozen=True, kw_only=True)
class Block:
    """Two 3×3 convolutions beside a shortcut; the first one may halve the image."""

    name: str
    entering: int
    leaving: int

    @property
    def stride(self) -> int:
        """2 where the number of channels grows."""
        return 1 if self.entering == self.leaving else 2


@dataclass(frozen=True, kw_only=True)
class Residual(Architecture):
    """Four stages of two blocks; the channels double and the image halves from stage to stage.

    Attributes:
        channels: of the first stage (64 in the paper).
        stem: "imagenet", 7×7 of stride 2 and 3×3 pooling of stride 2; "cifar", 3×3 of stride 1.
        statistics: mean and variance of every channel, by the names of batch normalisation; empty:
            group normalisation instead.
    """

    channels: int
    stem: Stem
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All eight."""
        widths = [self.channels, *(self.channels * 2**stage for stage in range(4))]
        return tuple(
            Block(
                name=f"layer{stage}.{place}",
                entering=widths[stage] if place else widths[stage - 1],
                leaving=widths[stage],
            )
            for stage in range(1, 5)
            for place in range(2)
        )

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """conv1, bn1, layer1.0.conv1, ..., fc."""
        size = 7 if self.stem == "imagenet" else 3
        first = (self.channels, self.shape[0], size, size)
        found = layer("conv1", first, bias=False) | norm("bn1", self.channels)
        for block in self.blocks:
            name, o = block.name, block.leaving
            for number, i in ((1, block.entering), (2, o)):
                found |= layer(f"{name}.conv{number}", (o, i, 3, 3), bias=False)
                found |= norm(f"{name}.bn{number}", o)
            if block.stride == 2:
                shape = (o, block.entering, 1, 1)
                found |= layer(f"{name}.downsample.0", shape, bias=False)
                found |= norm(f"{name}.downsample.1", o)
        return found | layer("fc", (self.classes, 8 * self.channels))

    @property
    def normed(self) -> Iterator[tuple[str, int]]:
        """Every normalisation with its channels."""
        for name, weight in self.weights.items():
            if name.endswith("bias") and name != "fc.bias":
                yield name.removesuffix(".bias"), weight.size

    @property
    def activations(self) -> int:
        """Numbers an example: about six images a block."""
        area = self.shape[1] * self.shape[2] // (16 if self.stem == "imagenet" else 1)
        stem = 4 * self.channels * area * (4 if self.stem == "imagenet" else 1)
        stages = sum(12 * self.channels * max(1, area >> stage) for stage in range(4))
        return stem + stages

    def logits(self, parts: Parts, inputs: Tensor) -> Tensor:
        """Forward pass, [M, b, C]."""
        x = inputs.transpose(0, 1)
        far = self.stem == "imagenet"
        x = convolution(x, parts["conv1.weight"], stride=1 + far, padding=3 if far else 1)
        x = self._norm(x, parts, "bn1").relu()
        x = max_pool(x, 3, 2, 1) if far else x
        for block in self.blocks:
            x = self._block(x, parts, block)
        return linear(x.mean((-2, -1)).transpose(0, 1), parts["fc.weight"], parts["fc.bias"])

    def _block(self, x: Tensor, parts: Parts, block: Block) -> Tensor:
        name, stride, short = block.name, block.stride, x
        x = convolution(x, parts[f"{name}.conv1.weight"], stride=stride)
        x = self._norm(x, parts, f"{name}.bn1").relu()
        x = self._norm(convolution(x, parts[f"{name}.conv2.weight"]), parts, f"{name}.bn2")
        if stride == 2:
            weight = parts[f"{name}.downsample.0.weight"]
            short = convolution(short, weight, stride=2, padding=0)
            short = self._norm(short, parts, f"{name}.downsample.1")
        return (x + short).relu()

    def _norm(self, x: Tensor, parts: Parts, name: str) -> Tensor:
        weight, bias = parts[f"{name}.weight"], parts[f"{name}.bias"]
        if not self.statistics:
            channels = x.shape[2]
            groups = 1 if channels % _GROUP else channels // _GROUP
            return group_norm(x, weight, bias, groups)
        mean = self._statistic(f"{name}.running_mean", x)
        variance = self._statistic(f"{name}.running_var", x)
        normal = (x - mean[:, None, None]) * (variance + EPSILON).rsqrt()[:, None, None]
        return normal * weight[..., None, None] + bias[..., None, None]

    def _statistic(self, name: str, like: Tensor) -> Tensor:
        """It, which goes to the device of `like` once."""
        key = name, like.device, like.dtype
        if key not in self._there:
            self._there[key] = self.statistics[name].to(like)
        return self._there[key]

    @cached_property
    def _there(self) -> dict[tuple[str, torch.device, torch.dtype], Tensor]:
        return {}


def statistics_of(architecture: Residual) -> dict[str, Shape]:
    """Names and shapes of the statistics of batch normalisation."""
    kinds = ("running_mean", "running_var")
    return {f"{name}.{kind}": (size,) for name, size in architecture.normed for kind in kinds}
