"""A transformer that reads tokens and names the class of the sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hzbench.problems.architecture import Architecture, Parts, Weight, layer, norm
from hzbench.problems.dropout import Dropout
from hzbench.problems.layers import attention, layer_norm, linear
from hzbench.problems.transformer_pass import Passes, Size

if TYPE_CHECKING:
    from torch import Tensor

PADDING = 0
_UNIT = math.sqrt(3.0)  # uniform on ± this has variance 1


@dataclass(frozen=True, kw_only=True)
class Transformer(Architecture):
    """Embedding, positions, encoder layers normed after each part, mean over tokens, linear layer.

    Tensors as nn.TransformerEncoder names them, between `embedding`, `position` and `head`.

    Attributes:
        vocabulary: number of tokens, padding (0) included.
        width: e, of the embedding.
        heads: that attend, each on e/heads numbers.
        layers: of the encoder.
        feedforward: hidden width of every layer's perceptron.
        dropout: probability that a share of attention, or a number of a part's output or of a
            perceptron's hidden layer, is dropped in training (the places of PyTorch's encoder).
        coins: which of them are kept, in the order of the pass; None: all.
    """

    vocabulary: int
    width: int
    heads: int
    layers: int
    feedforward: int
    dropout: float = 0.0
    coins: Dropout | None = field(default=None, compare=False, repr=False)

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """Embedding, position, layers.0.self_attn.in_proj_weight, ..., head."""
        e, hidden = self.width, self.feedforward
        found = {
            "embedding.weight": Weight(shape=(self.vocabulary, e), spread=_UNIT),
            "position.weight": Weight(shape=(self.shape[0], e), spread=_UNIT),
        }
        for number in range(self.layers):
            name = f"layers.{number}"
            entering = layer("", (3 * e, e)).values()
            kinds = ("in_proj_weight", "in_proj_bias")
            found |= {
                f"{name}.self_attn.{kind}": weight
                for kind, weight in zip(kinds, entering, strict=True)
            }
            found |= layer(f"{name}.self_attn.out_proj", (e, e))
            found |= layer(f"{name}.linear1", (hidden, e)) | layer(f"{name}.linear2", (e, hidden))
            found |= norm(f"{name}.norm1", e) | norm(f"{name}.norm2", e)
        return found | layer("head", (self.classes, e))

    @property
    def activations(self) -> int:
        """Numbers an example."""
        length = self.shape[0]
        each = 12 * self.width + 2 * self.feedforward + 3 * self.heads * length
        return length * (2 * self.width + self.layers * each) + self.masks

    @property
    def masks(self) -> int:
        """How many numbers of an example dropout draws for; 0 where 16 bits cannot drop any."""
        return self.layers * sum(self._places) if self.kept_of_65536 < 1 << 16 else 0

    @property
    def _places(self) -> tuple[int, ...]:
        """Of a layer: attention, its output, the hidden layer, the perceptron's output."""
        length, outputs = self.shape[0], self.shape[0] * self.width
        return self.heads * length**2, outputs, length * self.feedforward, outputs

    @property
    def kept_of_65536(self) -> int:
        """How many of 2¹⁶ dropout keeps."""
        return round((1.0 - self.dropout) * (1 << 16))

    def masked(self, dropout: Dropout) -> Transformer:
        """The network with what these coins keep, and all others dropped."""
        return replace(self, coins=dropout)

    def held(self, device: str) -> int:
        """Compiled passes take tokens and leave logits."""
        return self.shape[0] + self.classes if device == "cpu" else self.activations

    def scores(self, flat: Tensor, inputs: Tensor) -> Tensor:
        """Logits by a compiled pass on the CPU, 20 times faster than torch's."""
        if flat.device.type != "cpu":
            return super().scores(flat, inputs)
        return self._passes(flat, inputs).logits()

    def gradients(self, flat: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """By a compiled pass on the CPU, 10 times faster than autograd."""
        if flat.device.type != "cpu":
            return super().gradients(flat, inputs, targets, weights)
        return self._passes(flat, inputs).gradients(targets, weights)

    def _passes(self, flat: Tensor, inputs: Tensor) -> Passes:
        size = Size(
            length=self.shape[0],
            width=self.width,
            heads=self.heads,
            layers=self.layers,
            hidden=self.feedforward,
            classes=self.classes,
            vocabulary=self.vocabulary,
        )
        return Passes(size, flat, inputs, self.coins)

    def logits(self, parts: Parts, inputs: Tensor) -> Tensor:
        """Forward pass: tokens [M or 1, b, l] -> [M, b, C]."""
        import torch

        embedding = parts["embedding.weight"]
        tokens, absent = inputs.expand(len(embedding), -1, -1), inputs == PADDING
        model = torch.arange(len(embedding), device=inputs.device)[:, None, None]
        x = embedding[model, tokens] + parts["position.weight"][:, None]
        dropped = self._dropped()
        for number in range(self.layers):
            x = self._layer(x, parts, f"layers.{number}", absent, dropped)
        present = (~absent).to(x)[..., None]
        pooled = (x * present).sum(2) / present.sum(2)
        return linear(pooled, parts["head.weight"], parts["head.bias"])

    def _layer(
        self,
        x: Tensor,
        parts: Parts,
        name: str,
        absent: Tensor,
        dropped: Callable[[Tensor], Tensor],
    ) -> Tensor:
        kinds = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
        weights = tuple(parts[f"{name}.self_attn.{kind}"] for kind in kinds)
        seen = dropped(attention(x, self.heads, absent, weights, dropped))
        x = self._norm(x + seen, parts, f"{name}.norm1")
        hidden = dropped(_dense(x.flatten(1, 2), parts, f"{name}.linear1").relu())
        more = dropped(_dense(hidden, parts, f"{name}.linear2").view_as(x))
        return self._norm(x + more, parts, f"{name}.norm2")

    def _dropped(self) -> Callable[[Tensor], Tensor]:
        """Dropout of one pass: every call takes the masks of the next place, scaled to mean 1."""
        import torch

        if self.coins is None:
            return lambda x: x
        masks = iter(torch.split(self.coins.kept, list(self._places * self.layers), dim=-1))
        share = self.kept_of_65536 / (1 << 16)
        return lambda x: x * next(masks).to(x).div_(share).reshape(x.shape)

    @staticmethod
    def _norm(x: Tensor, parts: Parts, name: str) -> Tensor:
        return layer_norm(x, parts[f"{name}.weight"], parts[f"{name}.bias"])


def _dense(x: Tensor, parts: Parts, name: str) -> Tensor:
    return linear(x, parts[f"{name}.weight"], parts[f"{name}.bias"])
