"""What the spec's keys of all generalized linear models share."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.component import Component
from hzbench.core.constants import Constants
from hzbench.core.errors import UserMistakeError
from hzbench.core.machine import memory
from hzbench.core.problem import Placement, Problem
from hzbench.problems.arrays import (
    Initial,
    Matrix,
    Vector,
    array,
    array_mistakes,
    last_length,
    raise_mistakes,
    when,
)
from hzbench.problems.data import scaled, size_mistakes, table_of, target_mistakes
from hzbench.problems.examples import Words, data_set
from hzbench.problems.linear_constants import LinearFacts
from hzbench.problems.linear_model import LinearModel
from hzbench.problems.loss import Loss, Targets
from hzbench.problems.losses import LOSSES
from hzbench.problems.partition import partition_from, share_out
from hzbench.problems.penalties import Penalty
from hzbench.problems.planted import Planted
from hzbench.problems.shares import Shares
from hzbench.problems.starting import StartedComponent

Array = NDArray[np.float64]


class LinearModelComponent(StartedComponent):
    """Base of the problems on rows of data: loading, standardizing and sharing out."""

    label: ClassVar[str] = ""
    loss: ClassVar[str] = "squared"
    data: Words = Field(
        "diabetes", description='data set: a name or { name = "libsvm", file = "a9a" }'
    )
    classes: tuple[int, ...] = Field(
        (3, 8),
        description="of more than two classes 0, 1, ...: the two; the first is −1, the second +1",
    )
    features: Matrix | None = Field(None, description="rows a_j instead of a data set, N×d")
    targets: Vector | None = Field(None, description="targets y_j of these rows, N")
    planted: Planted | None = Field(
        None, description="rows drawn around a known truth instead of a data set, not standardized"
    )
    standardize: bool = Field(
        True,
        description="features (and real targets) to mean 0, standard deviation 1; "
        "constant columns become 0; given features too",
    )
    regularization: float = Field(
        0.1, ge=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )
    partition: str | dict[str, Any] = Field(
        "iid", description='who holds which rows: a name or { name = "dirichlet", alpha = 0.1 }'
    )
    initial: Initial = Field(
        0.0,
        description="start: radius r (every node at r·(1, ..., 1)/sqrt(d)), one point, or n points",
    )
    instance_seed: int = Field(
        0, ge=0, description="seed of the offsets, and of a partition without its own seed"
    )

    def mistakes(self, placement: Placement) -> list[str]:
        """Every mistake; loads the data set when its name is right."""
        found = self._data_mistakes()
        if found:
            return found + self._partition_mistakes(None, placement)
        features, targets = self._table()
        dimension = self.unknowns(features, targets)
        found = self._size_mistakes(features, dimension, placement.nodes)
        if found:
            return found
        found = self._partition_mistakes(targets, placement)
        found += self.start_mistakes(placement.nodes, dimension)
        try:
            return found or self.instance_mistakes(self._shares(placement))
        except UserMistakeError as error:
            return [str(error)]

    def instance_mistakes(self, shares: Shares) -> list[str]:
        """Mistakes that only show in the data (a singular Hessian)."""
        del shares
        return []

    def solve(self, shares: Shares) -> tuple[Array, float, Constants]:
        """Optimum [d] (empty: unknown), upper bound on f(optimum) − f* and constants."""
        known = None
        if self._drawn is not None and self._drawn.clean and self.phi.explained:
            known = self._drawn.draw(self.target_kind, self.instance_seed)[2]
        return LinearFacts(
            shares=shares,
            loss=self.phi,
            regularization=self.regularization,
            penalty=self.penalty,
            known=known,
        ).solve()

    @property
    def phi(self) -> Loss:
        """The loss."""
        return LOSSES[self.loss](**self.model_dump(include={"width"}))

    @property
    def target_kind(self) -> Targets:
        """Which targets make sense."""
        return self.phi.targets

    def unknowns(self, features: Array, targets: Array) -> int:
        """The dimension of x."""
        del targets
        return int(features.shape[1])

    def model(self, **parts: Any) -> Problem:
        """The problem of these parts."""
        return LinearModel(loss=self.phi, penalty=self.penalty, **parts)

    @property
    def penalty(self) -> Penalty | None:
        """The separable penalty beside the quadratic one."""
        return None

    def build(self, placement: Placement) -> Problem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), self.label)
        shares = self._shares(placement)
        optimum, certificate, constants = self.solve(shares)
        start = self.starts(placement.nodes, self.unknowns(shares.features, shares.targets))
        return self.model(
            shares=shares,
            regularization=self.regularization,
            constants=constants,
            optimum=optimum,
            certificate=certificate,
            initial=start,
            device=placement.device,
            dtype=placement.dtype,
        )

    def parts(self) -> tuple[Component, ...]:
        """The partition, and the data set where one is named."""
        found: tuple[Component, ...] = (partition_from(self.partition),)
        if self._drawn is None and self.features is None:
            found += (data_set(self.data),)
        return found

    def _data_mistakes(self) -> list[str]:
        asked = ("planted", "features", "data")
        given = [key for key in asked if self.__dict__[key] and key in self.model_fields_set]
        found = when(
            len(given) > 1,
            f"got both {' and '.join(given[::-1])}; expected one of them; drop "
            + "".join(given[-1:]),
        )
        if self.features is None and self.targets is None:
            return found or self._read_mistakes()
        if self.features is None or self.targets is None:
            other = "got only one of features and targets; expected both or none; give the other"
            return [*found, other]
        rows, columns = len(self.features), last_length(self.features) or 0
        found += array_mistakes("features", self.features, (max(rows, 1), max(columns, 1)))
        found += array_mistakes("targets", self.targets, (max(rows, 1),))
        return found or self._row_mistakes(array(self.features), array(self.targets))

    def _size_mistakes(self, features: Array, dimension: int, nodes: int) -> list[str]:
        """Copies of the rows, points of the nodes, and of squared losses a d × d matrix a node."""
        squares = (nodes + 3) * dimension**2 if self.loss == "squared" else 0
        needed = 8 * (4 * features.size + 4 * nodes * dimension + squares)
        rows, columns = features.shape
        return when(
            needed > memory() / 2,
            f"got {rows} rows of {columns} features, which take {needed / 2**30:.3g} GiB on "
            f"{nodes} nodes{' with a d × d matrix each' if squares else ''}; expected less than "
            f"half the {memory() / 2**30:.3g} GiB of this machine; take fewer features"
            f"{', or a loss that is not squared' if squares else ' or rows'}",
        )

    def _read_mistakes(self) -> list[str]:
        """What is wrong with a named data set, or with drawn rows, for this loss."""
        try:
            return self._row_mistakes(*self._table())
        except UserMistakeError as error:
            return [str(error)]

    def _row_mistakes(self, features: Array, targets: Array) -> list[str]:
        return size_mistakes(features, targets) or target_mistakes(self.target_kind, targets)

    def _partition_mistakes(self, targets: Array | None, placement: Placement) -> list[str]:
        try:
            partition = partition_from(self.partition)
        except UserMistakeError as error:
            return [str(error)]
        return [] if targets is None else partition.mistakes(targets, placement.kinds)

    @property
    def _drawn(self) -> Planted | None:
        """The planted rows, unless a default gives way to rows or a set that are given."""
        other = self.features is not None or "data" in self.model_fields_set
        return None if other and "planted" not in self.model_fields_set else self.planted

    def _table(self) -> tuple[Array, Array]:
        if self._drawn is not None:
            return self._drawn.draw(self.target_kind, self.instance_seed)[:2]
        if self.features is None:
            kind, classes = self.target_kind, self.classes
            return table_of(self.data, kind, classes, standardize=self.standardize)
        features, targets = array(self.features), array(self.targets)
        return (
            scaled(features, targets, self.target_kind) if self.standardize else (features, targets)
        )

    def _shares(self, placement: Placement) -> Shares:
        features, targets = self._table()
        members = share_out(self.partition, targets, placement.kinds, self.instance_seed)
        return Shares(features=features, targets=targets, members=members)
