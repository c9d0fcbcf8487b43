"""Networks as a spec words them: classification with cross-entropy by a network of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from hzbench.core.compiled import Kernel
from hzbench.core.component import Component
from hzbench.core.constants import Constants
from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Placement, ProblemComponent
from hzbench.core.registry import register
from hzbench.problems.architecture import Architecture
from hzbench.problems.arrays import Array, raise_mistakes, when
from hzbench.problems.convolutional import Convolutional
from hzbench.problems.examples import Examples, data_set, load_examples
from hzbench.problems.network_mistakes import (
    image_mistakes,
    number_mistakes,
    size_mistakes,
    width_mistakes,
)
from hzbench.problems.network_model import NetworkProblem
from hzbench.problems.partition import partition_from, share_out
from hzbench.problems.perceptron import Activation, Perceptron
from hzbench.problems.pretrained import Pretrained, fingerprint, read
from hzbench.problems.residual import Residual, Stem, statistics_of
from hzbench.problems.shares import Shares
from hzbench.problems.transformer import Transformer
from hzbench.problems.transformer_pass import compile_passes

TINY = {"name": "brackets", "training": 40, "validation": 12, "shortest": 12, "longest": 14}


class NetworkComponent(ProblemComponent):
    """Base of the networks: data, partition, weight decay, and one start for all nodes."""

    label: ClassVar[str] = ""
    data: str | dict[str, Any] = Field(
        "digits", description="examples with a validation part: a name or a table (list data)"
    )
    partition: str | dict[str, Any] = Field(
        "iid", description='who holds which rows: a name or { name = "dirichlet", alpha = 0.1 }'
    )
    regularization: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|² (weight decay)"
    )
    initial_seed: int = Field(
        0, ge=0, description="seed of the start, one for all nodes: every tensor as PyTorch's law"
    )
    instance_seed: int = Field(0, ge=0, description="seed of a partition without its own seed")
    weights: str = Field(
        "", description="file of torch.save(model.state_dict()) to start from, tensors by name"
    )

    def network(self, examples: Examples) -> Architecture:
        """The network for this data."""
        raise NotImplementedError

    def fit_mistakes(self, examples: Examples) -> list[str]:
        """What keeps the data from the network."""
        raise NotImplementedError

    def mistakes(self, placement: Placement) -> list[str]:
        """Every mistake; loads the data when its name is right."""
        found: list[str] = []
        examples: Examples | None = None
        try:
            examples = load_examples(self.data)
        except UserMistakeError as error:
            found.append(str(error))
        try:
            partition = partition_from(self.partition)
            if examples is not None:
                found += partition.mistakes(examples.targets.astype(np.float64), placement.kinds)
        except UserMistakeError as error:
            found.append(str(error))
        if examples is None:
            return found
        unfit = self.fit_mistakes(examples)
        if unfit:
            return found + unfit
        try:
            architecture = self.network(examples)
            large = size_mistakes(architecture.dimension, placement)
            read = self.weights and not large
            return found + (self.pretrained(architecture).mistakes() if read else large)
        except UserMistakeError as error:
            return [*found, str(error)]

    def build(self, placement: Placement) -> NetworkProblem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), self.label)
        examples = load_examples(self.data)
        labels = examples.targets.astype(np.float64)
        members = share_out(self.partition, labels, placement.kinds, self.instance_seed)
        rows = np.zeros((len(examples.targets), 0))  # the inputs stay with the examples
        shares = Shares(features=rows, targets=labels, members=members)
        architecture = self.network(examples)
        start = self.start(architecture)
        return NetworkProblem(
            shares=shares,
            regularization=self.regularization,
            constants=_constants(shares),
            optimum=np.zeros(0),
            certificate=np.nan,
            initial=np.tile(start, (placement.nodes, 1)),
            device=placement.device,
            dtype=placement.dtype,
            architecture=architecture,
            examples=examples,
        )

    def start(self, architecture: Architecture) -> Array:
        """Where all nodes start: drawn, or read from the file."""
        drawn = architecture.start(np.random.default_rng(self.initial_seed))
        return self.pretrained(architecture).start(drawn) if self.weights else drawn

    def pretrained(self, architecture: Architecture) -> Pretrained:
        """The file of weights and what is expected of it."""
        return Pretrained(file=self.weights, architecture=architecture)

    def parts(self) -> tuple[Component, ...]:
        """The data set and the partition."""
        return data_set(self.data), partition_from(self.partition)

    def fingerprint(self) -> str:
        """The file of weights, so that changing it runs afresh."""
        return fingerprint(self.weights) if self.weights else ""


@register("problem", "mlp")
class MultilayerPerceptron(NetworkComponent):
    """Multilayer perceptron on flattened inputs.

    Formula: f_i(x) = (1/|M_i|) Σ_{j in M_i} cross-entropy of W_L σ(... σ(W_1 a_j + b_1) ...) + b_L
    against y_j, + (λ/2)|x|²; tensors as nn.Sequential(Linear, σ, Linear, ...) names them.

    Source: Ansaripour, Talaei, Nadiradze, Alistarh, "Hybrid Decentralized Optimization", AAAI
    2025, figure 6 (hidden = [128, 128]).
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"hidden": [3], "activation": "tanh"},
        {"hidden": [4, 3], "regularization": 0.1, "partition": "replicated"},
    )
    label: ClassVar[str] = "mlp"
    hidden: tuple[int, ...] = Field((128, 128), description="widths of the hidden layers")
    activation: Activation = Field("relu", description="σ")

    def fit_mistakes(self, examples: Examples) -> list[str]:
        """Tokens instead of numbers, or no hidden layer."""
        return [
            *width_mistakes("hidden", self.hidden, "problem multinomial has none"),
            *number_mistakes(self.label, examples),
        ]

    def network(self, examples: Examples) -> Perceptron:
        """The network for this data."""
        return Perceptron(
            shape=examples.shape,
            classes=examples.classes,
            hidden=self.hidden,
            activation=self.activation,
        )


@register("problem", "cnn")
class ConvolutionalNetwork(NetworkComponent):
    """Convolutional network: 3×3 convolutions, each with 2×2 maximum pooling, then linear layers.

    Formula: f_i(x) = mean over M_i of the cross-entropy + (λ/2)|x|²; tensors as nn.Sequential(
    Conv2d, σ, MaxPool2d, ..., Flatten, Linear, σ, ..., Linear) names them. Padding 1, stride 1.

    Source: Ansaripour, Talaei, Nadiradze, Alistarh, "Hybrid Decentralized Optimization", AAAI
    2025: figure 1 (the default), figure 7 (two channels, one hidden); kernel and pooling are ours.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"channels": [2, 2], "hidden": [4], "activation": "tanh"},
    )
    label: ClassVar[str] = "cnn"
    channels: tuple[int, ...] = Field((8, 8, 8), description="outputs of the convolutions")
    hidden: tuple[int, ...] = Field(
        (128, 128), description="widths of the hidden linear layers; none: one linear layer"
    )
    activation: Activation = Field("relu", description="σ")

    def fit_mistakes(self, examples: Examples) -> list[str]:
        """No images, too small ones, or a layer without width."""
        found = width_mistakes("channels", self.channels, "problem mlp has none")
        found += width_mistakes("hidden", self.hidden) if self.hidden else []
        found += image_mistakes(self.label, examples)
        side, least = min(examples.shape[1:], default=0), 2 ** len(self.channels)
        return found or when(
            side < least,
            f"got channels of length {len(self.channels)} with images of side {side}; expected a "
            f"side of at least {least}, since every pooling halves it; take fewer",
        )

    def network(self, examples: Examples) -> Convolutional:
        """The network for this data."""
        return Convolutional(
            shape=examples.shape,
            classes=examples.classes,
            channels=self.channels,
            hidden=self.hidden,
            activation=self.activation,
        )


@register("problem", "resnet18")
class ResNet18(NetworkComponent):
    """ResNet-18 without batch statistics, so that F is a mean over the samples of its batch.

    Group normalisation (16 channels a group, or all) stands where batch normalisation was;
    `normalization = "frozen"` instead normalises by the means and variances in the file of
    weights, as one fine-tunes a pre-trained network.

    Formula: f_i(x) = mean over M_i of the cross-entropy + (λ/2)|x|²; tensors as torchvision's
    resnet18 names them (group normalisations are its bn1, ...).

    Source: He, Zhang, Ren, Sun, "Deep residual learning", CVPR 2016; Wu, He, "Group
    normalization", ECCV 2018; Ansaripour et al., AAAI 2025, figure 3.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"data": "digits", "channels": 1, "stem": "cifar"},
    )
    label: ClassVar[str] = "resnet18"
    data: str | dict[str, Any] = Field(
        "cifar10", description="examples with a validation part: a name or a table (list data)"
    )
    channels: int = Field(64, ge=1, description="of the first stage; they double three times")
    stem: Stem = Field(
        "imagenet",
        description="imagenet: 7×7 of stride 2, then pooling of stride 2; cifar: 3×3 of stride 1",
    )
    normalization: Literal["group", "frozen"] = Field(
        "group", description="group, or frozen: by the statistics in `weights`"
    )
    fresh_head: bool = Field(
        False, description="draw the last layer afresh where `weights` has other classes"
    )

    def fit_mistakes(self, examples: Examples) -> list[str]:
        """No images, or nothing to freeze."""
        return [
            *image_mistakes(self.label, examples),
            *when(
                self.normalization == "frozen" and not self.weights,
                "got normalization 'frozen' without weights; expected a file with running_mean and "
                "running_var; give weights, or take 'group'",
            ),
        ]

    def network(self, examples: Examples) -> Residual:
        """The network for this data."""
        plain = Residual(
            shape=examples.shape, classes=examples.classes, channels=self.channels, stem=self.stem
        )
        if self.normalization == "group":
            return plain
        names = statistics_of(plain)
        kept = {name: tensor for name, tensor in read(self.weights).items() if name in names}
        return replace(plain, statistics=kept)

    def pretrained(self, architecture: Architecture) -> Pretrained:
        """With statistics where they are frozen; the head may be drawn."""
        assert isinstance(architecture, Residual)
        return Pretrained(
            file=self.weights,
            architecture=architecture,
            others=statistics_of(architecture) if self.normalization == "frozen" else {},
            drawn=("fc.weight", "fc.bias") if self.fresh_head else (),
        )


@register("problem", "transformer")
class TransformerClassifier(NetworkComponent):
    """Transformer encoder that reads tokens, averages over them and names the class.

    Learned positions; normalisation after every part; ReLU; padding is neither attended to nor
    averaged. With dropout a sample of F_i is a row and a mask: all that one estimate evaluates
    shares the masks of its samples, so that differences and derivatives are those of one function.
    Masks are off in validation, in f and with batch_size = "full", so that E F_i is not f_i.

    Formula: f_i(x) = mean over M_i of the cross-entropy + (λ/2)|x|²; tensors as nn.Embedding,
    nn.TransformerEncoder and nn.Linear name them: embedding, position, layers, head.

    Source: Vaswani et al., "Attention is all you need", 2017; Ansaripour, Talaei, Nadiradze,
    Alistarh, "Hybrid Decentralized Optimization", AAAI 2025, figure 4 (the default).
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"data": TINY, "feedforward": 4},)
    label: ClassVar[str] = "transformer"
    data: str | dict[str, Any] = Field(
        "brackets", description="sequences of tokens with a validation part (list data)"
    )
    width: int = Field(4, ge=1, description="of the embedding")
    heads: int = Field(2, ge=1, description="of the attention; they share the width")
    layers: int = Field(2, ge=1, description="of the encoder")
    feedforward: int = Field(16, ge=1, description="hidden width of a layer's perceptron")
    dropout: float = Field(0.0, ge=0, le=0.99, description="probability of dropout (to 16 bits)")

    def fit_mistakes(self, examples: Examples) -> list[str]:
        """No tokens, or heads that do not divide the width."""
        shape = "×".join(map(str, examples.shape))
        return [
            *when(
                not examples.vocabulary,
                f"got data of shape {shape} without a vocabulary; expected sequences of tokens, "
                "which a transformer reads; take data brackets, or problem mlp or cnn",
            ),
            *when(
                self.width % self.heads != 0,
                f"got heads {self.heads} with width {self.width}; expected a divisor of the width; "
                "change one of them",
            ),
        ]

    def network(self, examples: Examples) -> Transformer:
        """The network for this data."""
        return Transformer(
            shape=examples.shape,
            classes=examples.classes,
            vocabulary=examples.vocabulary,
            **self.model_dump(include={"width", "heads", "layers", "feedforward", "dropout"}),
        )

    def kernel(self, dtype: str) -> Kernel:
        """Both passes."""
        return Kernel("transformer", "run_transformer", partial(compile_passes, dtype), dtype)


def _constants(shares: Shares) -> Constants:
    """What holds for every network with a hidden layer: nothing, unless all nodes share the rows.

    The second derivative along a hidden layer is that of the softmax, and of the activation times
    the slope of the loss, both times powers of the next layer's weights, which are unbounded: f has
    no smoothness constant and is weakly convex for no constant.
    """
    alike = len(shares.distinct) == 1
    unbounded = "fails: curvature along a layer grows with the weights of the next"
    return Constants(
        smoothness=inf,
        sample_smoothness=inf,
        strong_convexity=-inf,
        hessian_lipschitz=inf,
        heterogeneity=0.0 if alike else np.nan,
        how=dict.fromkeys(
            ("smoothness", "sample_smoothness", "strong_convexity", "hessian_lipschitz"), unbounded
        )
        | ({"heterogeneity": "all nodes hold the same rows"} if alike else {}),
    )
