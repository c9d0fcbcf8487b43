"""A transformer that reads tokens and names the class of the sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hzbench.problems.architecture import Architecture, Parts, Weight, layer, norm
from hzbench.problems.layers import attention, layer_norm, linear

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
    """

    vocabulary: int
    width: int
    heads: int
    layers: int
    feedforward: int

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
        return length * (2 * self.width + self.layers * each)

    def logits(self, parts: Parts, inputs: Tensor) -> Tensor:
        """Forward pass: tokens [M or 1, b, l] -> [M, b, C]."""
        import torch

        embedding = parts["embedding.weight"]
        tokens, absent = inputs.expand(len(embedding), -1, -1), inputs == PADDING
        model = torch.arange(len(embedding), device=inputs.device)[:, None, None]
        x = embedding[model, tokens] + parts["position.weight"][:, None]
        for number in range(self.layers):
            x = self._layer(x, parts, f"layers.{number}", absent)
        present = (~absent).to(x)[..., None]
        pooled = (x * present).sum(2) / present.sum(2)
        return linear(pooled, parts["head.weight"], parts["head.bias"])

    def _layer(self, x: Tensor, parts: Parts, name: str, absent: Tensor) -> Tensor:
        kinds = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
        weights = tuple(parts[f"{name}.self_attn.{kind}"] for kind in kinds)
        x = self._norm(x + attention(x, self.heads, absent, weights), parts, f"{name}.norm1")
        hidden = _dense(x.flatten(1, 2), parts, f"{name}.linear1").relu()
        more = _dense(hidden, parts, f"{name}.linear2").view_as(x)
        return self._norm(x + more, parts, f"{name}.norm2")

    @staticmethod
    def _norm(x: Tensor, parts: Parts, name: str) -> Tensor:
        return layer_norm(x, parts[f"{name}.weight"], parts[f"{name}.bias"])


def _dense(x: Tensor, parts: Parts, name: str) -> Tensor:
    return linear(x, parts[f"{name}.weight"], parts[f"{name}.bias"])
