"""What the harness asks of a problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hzbench.core.compiled import Kernel
from hzbench.core.component import Component
from hzbench.core.constants import Constants
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, Structure, ZeroChain

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["first", "zeroth"]
Sample = Any  # whatever `Problem.sample` returns; only its problem looks inside


class Problem(Protocol):
    """n local objectives f_i on R^d with stochastic oracles, on one torch device and dtype.

    Shapes: B rows (one local computation each), s data samples a row, p points a sample.
    A batch of b data samples is one "sample" here: F_i(x; sample) is the mean over the batch.
    """

    @property
    def nodes(self) -> int:
        """N."""

    @property
    def dimension(self) -> int:
        """D."""

    @property
    def constants(self) -> Constants:
        """Declared constants."""

    @property
    def structure(self) -> Structure:
        """Declared closed form, or None."""

    @property
    def optimum(self) -> NDArray[np.float64]:
        """Argmin f, shape [d]; empty when unknown, or one of several."""

    @property
    def initial(self) -> NDArray[np.float64]:
        """Starting points, shape [n, d]."""

    @property
    def evaluation_noise(self) -> float:
        """Standard deviation of the noise that each function call adds (the estimator adds it)."""

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> Sample:
        """Draw `count` independent data samples a row (purpose DATA); "full" draws nothing."""

    def values(self, points: Tensor, node: Tensor, sample: Sample) -> Tensor:
        """F_i(points; sample): [B, s, p, d], [B] -> [B, s, p]. Without evaluation noise."""

    def gradients(self, points: Tensor, node: Tensor, sample: Sample) -> Tensor:
        """∇F_i(points; sample) at one point a row: [B, d], [B] -> [B, s, d]."""

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """Data samples in one oracle call ("full": all that the node holds), shape [B]."""

    def objective(self, x: Tensor) -> Tensor:
        """f(x) = (1/n) Σ f_i(x): [R, d] -> [R]."""

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x): [R, d] -> [R, d]."""


@runtime_checkable
class EvaluatesTogether(Protocol):
    """A problem that has f and its gradient for the price of one (asked for by name)."""

    def objective_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and ∇f(x), the same numbers as alone: [R, d] -> [R], [R, d]."""


@runtime_checkable
class MeasuresNoise(Protocol):
    """A problem that can evaluate the noise of its gradient samples (asked for at probe ticks)."""

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """Tr Cov of ∇F_i(x; one data sample) at one point a row: [B, d], [B] -> [B]."""


@runtime_checkable
class HidesCoordinates(Protocol):
    """A problem whose gradients show its coordinates one after the other (asked for by name)."""

    @property
    def zero_chain(self) -> ZeroChain | None:
        """What gradients hide; None where tilts or additive noise give coordinates away."""

    def hidden_coordinates(self, x: Tensor) -> Tensor:
        """How many coordinates are still hidden at x: [R, d] -> [R]."""


@runtime_checkable
class MeasuresCovariance(Protocol):
    """A problem that can evaluate the covariance of its gradient samples at a point."""

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Cov of ∇F_i(x; one data sample) at one point a row: [B, d], [B] -> [B, d, d]."""


@runtime_checkable
class StableDifferences(Protocol):
    """A problem that knows differences of its values without cancellation (asked for by name)."""

    def directional_difference(
        self, points: Tensor, offsets: Tensor, node: Tensor, sample: Sample
    ) -> Tensor:
        """F_i(points + offsets; sample) − F_i(points; sample), however small the offsets are.

        [B, s, p or 1, d], [B, s, p, d], [B] -> [B, s, p]; the error is a few units of rounding of
        <∇F_i, offsets>, where a difference of two values has one of F_i. Without evaluation noise.
        """


@runtime_checkable
class DirectionalDerivatives(Protocol):
    """A problem with a forward mode of its own (asked for by name; others take gradients)."""

    def directional_derivatives(
        self, x: Tensor, directions: Tensor, node: Tensor, sample: Sample
    ) -> Tensor:
        """<∇F_i(x; sample), directions>, exactly and over all of x.

        [B, d], [B, s, p, d], [B] -> [B, s, p].
        """


@runtime_checkable
class Validates(Protocol):
    """A problem with data set aside, on which every node's model is tried (asked for by name)."""

    def validation(self, x: Tensor) -> dict[str, Tensor]:
        """validation_loss and validation_accuracy of every node: [R, n, d] -> [R, n] each."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a problem is built.

    Attributes:
        kinds: per node, "first" or "zeroth" (a partition may give each type a full copy).
        device: torch device name.
        dtype: "float64" or "float32".
    """

    kinds: Sequence[Kind]
    device: str = "cpu"
    dtype: Literal["float64", "float32"] = "float64"

    @property
    def nodes(self) -> int:
        """N."""
        return len(self.kinds)


class ProblemComponent(Component):
    """Base of registered problems: fields are the keys of the spec's [problem] table.

    Attributes:
        gradient_free: whether it is known by values alone, so that first-order nodes are a mistake
            (its built problem says so too, by an attribute of that name).
    """

    gradient_free: ClassVar[bool] = False

    def build(self, placement: Placement) -> Problem:
        """Build the problem.

        Raises:
            UserMistakeError: the parameters do not fit the placement.
        """
        raise NotImplementedError

    def kernel(self, dtype: str) -> Kernel | None:
        """What it computes by on the CPU that takes long to compile; None: nothing."""
        del dtype
        return None

    def mistakes(self, placement: Placement) -> list[str]:
        """Every mistake of the parameters for that placement, without building (cheap)."""
        del placement
        return []
