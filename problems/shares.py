"""Who holds which rows, as arrays: the moments of every node's data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hzbench.problems.largest import how, largest_eigenvalue

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shares:
    """Rows (a_j, y_j) and the sets M_i that the nodes hold. m below is 1 (all equal) or n.

    Attributes:
        features: a_j, shape [N, d].
        targets: y_j, shape [N].
        members: M_i, one integer array a node.
    """

    features: Array
    targets: Array
    members: tuple[Integers, ...]

    @cached_property
    def counts(self) -> Integers:
        """|M_i|, shape [n]."""
        return np.asarray([len(rows) for rows in self.members], dtype=np.int64)

    @cached_property
    def flat(self) -> Integers:
        """All M_i one after the other, shape [Σ|M_i|]."""
        return np.concatenate(self.members)

    @cached_property
    def starts(self) -> Integers:
        """Where M_i starts in `flat`, shape [n]."""
        return np.asarray(np.cumsum(self.counts) - self.counts)

    @cached_property
    def distinct(self) -> tuple[Integers, ...]:
        """The M_i, or just one if all nodes hold the same rows; length m."""
        first = self.members[0]
        same = all(np.array_equal(first, rows) for rows in self.members)
        return (first,) if same else self.members

    @cached_property
    def probabilities(self) -> Array:
        """p_ij = 1/|M_i| for j in M_i, else 0, shape [n, N]."""
        matrix = np.zeros((len(self.members), len(self.targets)))
        node = np.repeat(np.arange(len(self.members)), self.counts)
        np.add.at(matrix, (node, self.flat), np.repeat(1.0 / self.counts, self.counts))
        return matrix

    @cached_property
    def row_weights(self) -> Array:
        """Weight of row j in f: (1/n) Σ_i p_ij, shape [N]."""
        return np.asarray(self.probabilities.mean(axis=0))

    def alike(self, k: int) -> tuple[tuple[Integers, Array], ...]:
        """Rows [k, G] of equal weight in f, and their weights [G]; then what is left, [1, G].

        A row without weight is left out.
        """
        weight = self.row_weights
        order = np.argsort(weight, kind="stable")
        order = order[weight[order] > 0]
        classes = np.split(order, np.flatnonzero(np.diff(weight[order])) + 1)
        whole = [rows[: len(rows) // k * k].reshape(-1, k) for rows in classes]
        rest = [rows[len(rows) // k * k :, None] for rows in classes]
        found = [np.concatenate(sets).T for sets in (whole, rest)]
        return tuple((rows, weight[rows[0]]) for rows in found if rows.size)

    @cached_property
    def second_moments(self) -> Array:
        """Mean of a a' over M_i, shape [m, d, d]."""
        parts = [self.features[rows] for rows in self.distinct]
        return np.stack([part.T @ part / len(part) for part in parts])

    @cached_property
    def curvatures(self) -> Array:
        """Largest eigenvalue of each second moment (a bound for very wide data), shape [m]."""
        return self.curvatures_of(np.ones(len(self.targets)))

    def curvatures_of(self, weights: Array) -> Array:
        """Largest eigenvalue of the mean of w_j a_j a_j' over each M_i, w >= 0 [N], shape [m]."""
        found = [largest_eigenvalue(self.features[r], weights[r]) for r in self.distinct]
        return np.array(found)

    @property
    def how_largest(self) -> str:
        """How the largest of these was obtained."""
        return how(max(map(len, self.distinct)), self.features.shape[1])

    @cached_property
    def cross_moments(self) -> Array:
        """Mean of y a over M_i, shape [m, d]."""
        return np.stack([self.targets[r] @ self.features[r] / len(r) for r in self.distinct])

    def per_node(self, values: Array) -> Array:
        """Values [m, ...] as [n, ...]."""
        return np.broadcast_to(values, (len(self.members), *values.shape[1:]))

    def padded_rows(self) -> tuple[Integers, Array]:
        """Rows of M_i [m, M] and weights 1/|M_i| [m, M]; weight 0 beyond |M_i|."""
        m, largest = len(self.distinct), max(map(len, self.distinct))
        rows, weights = np.zeros((m, largest), dtype=np.int64), np.zeros((m, largest))
        for node, held in enumerate(self.distinct):
            rows[node, : len(held)] = held
            weights[node, : len(held)] = 1.0 / len(held)
        return rows, weights

    def padded(self) -> tuple[Array, Array, Array]:
        """Features [m, M, d], targets [m, M], weights 1/|M_i| [m, M]; zeros beyond |M_i|."""
        rows, weights = self.padded_rows()
        held = weights > 0
        features = np.where(held[..., None], self.features[rows], 0.0)
        return features, np.where(held, self.targets[rows], 0.0), weights
