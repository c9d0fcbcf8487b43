"""The blackbox at run time: calls of a user's function, and a sentence for every way they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.core.errors import HzbenchError, UserMistakeError
from hzbench.core.returned import returned_numbers
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A user's function, called as the spec says and checked.

    Attributes:
        function: what is called.
        name: as the spec names it.
        per_node: whether it takes the number of the node too.
        batched: whether it takes [k, d] and returns [k].
    """

    function: Callable[..., Any]
    name: str
    per_node: bool
    batched: bool

    def __call__(self, points: Array, node: int) -> Array:
        """Values at points [k, d], shape [k]; a value at a point that is not finite may be nan.

        Raises:
            UserMistakeError: the function raises, returns another shape, or nan at a finite point.
        """
        extra = (node,) if self.per_node else ()
        with quiet():
            if self.batched:
                found = self._checked(self._ask(points.copy(), extra), (len(points),), node)
            else:
                each = [self._checked(self._ask(x.copy(), extra), (), node) for x in points]
                found = np.array(each, dtype=np.float64).reshape(len(points))
        bad = np.isnan(found) & np.isfinite(points).all(axis=1)
        if bad.any():
            raise UserMistakeError(
                f"got nan from {self.name} at node {node}, x = {_shown(points[bad.argmax()])}; "
                "expected a number at every finite point; guard its logarithms, roots and "
                "quotients, or return inf"
            )
        return found

    def _ask(self, x: Array, extra: tuple[int, ...]) -> Any:
        try:
            return self.function(x, *extra)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            text = " ".join(str(error).split())
            raise UserMistakeError(
                f"got {type(error).__name__} from {self.name} at x = {_shown(x)}"
                f"{f': {text}' if text else ''}; expected a number; call it there to see why"
            ) from error

    def _checked(self, value: Any, shape: tuple[int, ...], node: int) -> Array:
        where = f"{self.name} at node {node}"
        return returned_numbers(value, shape, where, ", or change `batched`")


@contextmanager
def quiet() -> Iterator[None]:
    """What a user's code writes goes to stderr: stdout is that of the command, and may be JSON.

    Also what it, or a program that it starts, writes to the file of stdout itself.
    """
    _flush()
    try:
        kept = os.dup(1)
    except OSError:  # there is no such file
        kept = None
    try:
        if kept is not None:
            with suppress(OSError):
                os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _flush() -> None:
    """Write out what waits for the file of stdout."""
    with suppress(AttributeError, OSError, ValueError):  # none, broken, or closed
        sys.__stdout__.flush()  # type: ignore[union-attr]


def _shown(x: Array) -> str:
    return np.array2string(np.asarray(x), precision=4, threshold=8, edgeitems=3)


@dataclass(frozen=True, kw_only=True)
class NoSample:
    """There is no data to sample; s evaluations of the same function."""

    count: int


@dataclass(frozen=True, kw_only=True, eq=False)
class BlackboxProblem:
    """f_i known by its values.

    Attributes:
        call: values of node i at points [k, d].
        known_minimum: f*, or nan.
        evaluation_noise: standard deviation that every function call adds.
        initial: starting points, shape [n, d].
        device: torch device name of the points; the function itself sees numpy arrays.
        dtype: "float64" or "float32".
    """

    gradient_free: ClassVar[bool] = True
    call: Caller
    known_minimum: float
    evaluation_noise: float
    initial: Array
    device: str
    dtype: Literal["float64", "float32"]

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return len(self.initial)

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.initial.shape[1])

    @property
    def structure(self) -> None:
        """None: nothing is known."""
        return

    @property
    def optimum(self) -> Array:
        """Unknown."""
        return np.zeros(0)

    @cached_property
    def constants(self) -> Constants:
        """Unknown, but for what the user states."""
        how = {} if np.isnan(self.known_minimum) else {"minimum": "stated by the user"}
        return Constants(
            noise=(np.nan,) * self.nodes,
            noise_holds="nowhere: unknown",
            heterogeneity_holds="nowhere: unknown",
            minimum=self.known_minimum,
            how=how,
        )

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> NoSample:
        """Nothing is drawn."""
        del rows, batch_size
        return NoSample(count=count)

    def values(self, points: Tensor, node: Tensor, sample: NoSample) -> Tensor:
        """f_i(points): [B, s, p, d] -> [B, s, p]."""
        del sample
        flat = points.detach().cpu().double().numpy().reshape(len(points), -1, self.dimension)
        holder = node.cpu().numpy()
        out = np.empty(flat.shape[:2])
        for i in np.unique(holder).tolist():
            mine = flat[holder == i]
            found = self.call(mine.reshape(-1, self.dimension), i)
            out[holder == i] = found.reshape(mine.shape[:2])
        return points.new_tensor(out).reshape(points.shape[:-1])

    def gradients(self, points: Tensor, node: Tensor, sample: NoSample) -> Tensor:
        """There are none; a spec that needs them is refused before it runs.

        Raises:
            HzbenchError: always.
        """
        del points, node, sample
        raise HzbenchError(
            "got a request for gradients of a blackbox; expected function values only; use an "
            "estimator of zeroth order"
        )

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """One call, whatever the batch."""
        import torch

        del batch_size
        return torch.ones_like(node)

    def objective(self, x: Tensor) -> Tensor:
        """f(x) = (1/n) Σ f_i(x): [R, d] -> [R]."""
        points = x.detach().cpu().double().numpy()
        nodes = range(self.nodes if self.call.per_node else 1)
        return x.new_tensor(np.mean([self.call(points, i) for i in nodes], axis=0))

    def objective_gradient(self, x: Tensor) -> Tensor:
        """Unknown: nan, shape [R, d]."""
        return x.new_full(x.shape, float("nan"))
