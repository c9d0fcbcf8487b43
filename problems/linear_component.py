"""What the spec's keys of all generalized linear models share."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.constants import Constants
from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Placement, ProblemComponent
from hzbench.problems.arrays import (
    Initial,
    Matrix,
    Vector,
    array,
    array_mistakes,
    initial_mistakes,
    last_length,
    raise_mistakes,
    starting_points,
    when,
)
from hzbench.problems.data import data_mistakes, load, standardized
from hzbench.problems.linear_model import LinearModel, Loss
from hzbench.problems.partition import Members, partition_from
from hzbench.problems.shares import Shares

Array = NDArray[np.float64]


class LinearModelComponent(ProblemComponent):
    """Base of the problems on rows of data: loading, standardizing and sharing out."""

    label: ClassVar[str] = ""
    loss: ClassVar[Loss] = "squared"
    data: str = Field("diabetes", description="data set of scikit-learn")
    classes: tuple[int, ...] = Field(
        (3, 8), description="digits: the two digits; the first is −1, the second +1"
    )
    features: Matrix | None = Field(None, description="rows a_j instead of a data set, N×d")
    targets: Vector | None = Field(None, description="targets y_j of these rows, N")
    standardize: bool = Field(
        True,
        description="features (and targets of the squared loss) to mean 0, standard deviation 1; "
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
    initial_spread: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="standard deviation a coordinate of seeded offsets, one a node",
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
        found += self._partition_mistakes(len(targets), placement)
        found += initial_mistakes(self.initial, placement.nodes, features.shape[1])
        return found or self.instance_mistakes(self._shares(placement))

    def instance_mistakes(self, shares: Shares) -> list[str]:
        """Mistakes that only show in the data (a singular Hessian)."""
        del shares
        return []

    def solve(self, shares: Shares) -> tuple[Array, float, Constants]:
        """Optimum [d], certificate |∇f|²/(2μ) and constants."""
        raise NotImplementedError

    def build(self, placement: Placement) -> LinearModel:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), self.label)
        shares = self._shares(placement)
        optimum, certificate, constants = self.solve(shares)
        start = starting_points(
            self.initial, self.initial_spread, self.instance_seed, placement.nodes, len(optimum)
        )
        return LinearModel(
            shares=shares,
            loss=self.loss,
            regularization=self.regularization,
            constants=constants,
            optimum=optimum,
            certificate=certificate,
            initial=start,
            device=placement.device,
            dtype=placement.dtype,
        )

    def _data_mistakes(self) -> list[str]:
        if self.features is None and self.targets is None:
            classes = self.loss == "logistic"
            return data_mistakes(self.data, self.classes, needs_classes=classes)
        if self.features is None or self.targets is None:
            return ["got only one of features and targets; expected both or none; give the other"]
        found = when(
            "data" in self.model_fields_set,
            "got both data and features; expected one of them; drop data",
        )
        rows, columns = len(self.features), last_length(self.features) or 0
        found += array_mistakes("features", self.features, (max(rows, 1), max(columns, 1)))
        found += array_mistakes("targets", self.targets, (max(rows, 1),))
        return found or self._class_mistakes()

    def _class_mistakes(self) -> list[str]:
        other = sorted(set(self.targets or ()) - {-1.0, 1.0})
        return when(
            self.loss == "logistic" and bool(other),
            f"got the targets {', '.join(f'{value:g}' for value in other[:3])}; expected −1 and "
            "+1; recode the two classes",
        )

    def _partition_mistakes(self, rows: int | None, placement: Placement) -> list[str]:
        try:
            partition = partition_from(self.partition)
        except UserMistakeError as error:
            return [str(error)]
        return [] if rows is None else partition.mistakes(rows, placement.kinds)

    def _table(self) -> tuple[Array, Array]:
        if self.features is not None:
            features, targets = array(self.features), array(self.targets)
        else:
            pair = cast("tuple[int, int]", self.classes)
            features, targets = load(self.data, pair)
        if not self.standardize:
            return features, targets
        squared = self.loss == "squared"
        return standardized(features), standardized(targets) if squared else targets

    def _shares(self, placement: Placement) -> Shares:
        features, targets = self._table()
        members: Members = partition_from(self.partition).members(
            targets, placement.kinds, self.instance_seed
        )
        return Shares(features=features, targets=targets, members=members)
