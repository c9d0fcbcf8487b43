"""What the engine asks of a method: one local rule, written with two verbs.

`gradient(x)` asks the row's estimator; `mix(y)` averages over whoever takes part in the round. A
method is a few lines of algebra; loops, schedules, counting and failures belong to the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from hzbench.core.component import Component
from hzbench.core.normal_form import named
from hzbench.core.setting import NetworkFacts, Order, Protocol, ScheduleFacts, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor

Local = Mapping[str, "Tensor"]
Verb = Callable[["Tensor"], "Tensor"]


class Schedule(Component):
    """How the step size moves: η_t = base · shape(t), t = 0 ... T−1.

    Formula: (t + 1)/w during the w steps of warm-up, then with s = t − w: constant 1; inverse-time
    1/(1 + s/offset); cosine ½(1 + cos(π s/(T − w))).
    """

    name: Literal["constant", "inverse-time", "cosine"] = Field(
        "constant",
        description="η_t/η after the warm-up, s = t − warmup: constant 1; inverse-time "
        "1/(1 + s/offset); cosine ½(1 + cos(π s/(T − warmup)))",
    )
    offset: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="inverse-time: s at which the step has halved"
    )
    warmup: int = Field(0, ge=0, description="steps of linear warm-up, η_t/η = (t + 1)/warmup")


class Method(Component):
    """Base of registered methods: fields are the keys of the spec's [method] table."""

    protocols: ClassVar[tuple[Protocol, ...]] = ("pair", "matching", "matrix")
    moves: ClassVar[bool] = True
    own_network: ClassVar[bool] = False  # whether it exchanges as it likes, whatever the spec says

    step_size: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["theory"] = Field(
        0.1, description='base step size η of every node; servers: or "theory"'
    )
    schedule: Annotated[Schedule, BeforeValidator(named)] = Field(
        Schedule(), description="shape of the step size in time"
    )
    momentum: float = Field(
        0.0, ge=0, lt=1, description="m in v+ = m v + (1 − m) G; v stays local, is never averaged"
    )

    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays held besides x, each starting at 0 unless `begin` says otherwise."""
        return ("momentum",) if self.momentum else ()

    def begin(self, x: Tensor) -> Local:
        """The arrays held besides x, at the start x [B, d]."""
        return {name: x.new_zeros(x.shape) for name in self.arrays()}

    @property
    def mask_size(self) -> int:
        """k: every row gets a "mask" that keeps k coordinates, drawn afresh; 0: it gets none."""
        return 0

    def floats(self, width: int) -> int:
        """Numbers that one `mix` of that width sends over a link."""
        return width

    @property
    def exchanges(self) -> int:
        """Exchanges of a step that wait for each other; what is sent at once is one of them."""
        return 1

    def mistakes(self, dimension: int) -> list[str]:
        """Why the method does not fit a problem of that dimension; empty if it does."""
        if self.mask_size <= dimension:
            return []
        return [
            f"got a mask of {self.mask_size} coordinates in dimension {dimension}; expected at "
            f"most {dimension}; keep fewer"
        ]

    def worker_mistakes(self, nodes: int) -> list[str]:
        """Why the method does not fit n nodes; empty if it does."""
        del nodes
        return []

    @property
    def update_order(self) -> Order:
        """Whether the local step comes before the averaging."""
        return "adapt-combine"

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """The network this method really uses, in words (centralized: all-reduce)."""
        del nodes
        return declared

    def schedule_facts(self) -> ScheduleFacts:
        """The schedule as theory reads it."""
        return ScheduleFacts(
            name=self.schedule.name, offset=self.schedule.offset, warmup=self.schedule.warmup
        )

    def update_facts(self) -> UpdateFacts:
        """What a round does besides a step and an exchange, in words for theory."""
        return UpdateFacts()

    def direction(self, local: Local, gradient: Tensor) -> tuple[Tensor, Local]:
        """The direction of the step and the arrays it leaves: v+ = m v + (1 − m) G, or plain G."""
        if not self.momentum:
            return gradient, {}
        buffer = self.momentum * local["momentum"] + (1 - self.momentum) * gradient
        return buffer, {"momentum": buffer}

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """One step of every row.

        Arguments:
            local: "x", the arrays of the method and its "mask" (0 or 1), each [B, d] (arrays as
                wide as `begin` made them), for the rows that take part.
            gradient: x [B, d] -> G [B, d].
            mix: y [B, d] -> the rows' averages [B, d]; any width.
            step_size: η of each row, shape [B, 1].

        Returns:
            The new arrays, the same names.
        """
        raise NotImplementedError
