"""Partitions: which rows of a data set each node holds (registered kind "partition").

The theory of hybrid optimization gives each type of node a full copy of the data ("two-copies"),
its experiments split one copy over all nodes ("iid" and the others): both are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.component import Component
from hzbench.core.errors import UserMistakeError
from hzbench.core.normal_form import component_from
from hzbench.core.problem import Kind
from hzbench.core.registry import register

Targets = NDArray[np.float64]
Members = tuple[NDArray[np.int64], ...]
_EQUAL = 1e100  # concentration at which proportions are equal to the last bit


class Partition(Component):
    """Base of partitions."""

    seed: int | None = Field(
        None, ge=0, description="seed of the draw; default: the problem's instance_seed"
    )

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """Row numbers that every node holds.

        Arguments:
            targets: shape [N].
            kinds: of every node.
            seed: taken when the partition has no seed of its own.
        """
        raise NotImplementedError

    def mistakes(self, targets: Targets, kinds: Sequence[Kind]) -> list[str]:
        """What keeps these rows from being shared out so that every node has one."""
        return _too_few(len(targets), len(kinds), "nodes")

    def generator(self, seed: int) -> np.random.Generator:
        """The generator of the draw."""
        return np.random.default_rng(seed if self.seed is None else self.seed)


@register("partition", "iid")
class Iid(Partition):
    """One copy over all nodes: shuffled rows in shares of near-equal size, each at one node."""

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """The shares."""
        return _shares(self.generator(seed).permutation(len(targets)), len(kinds))


@register("partition", "sorted")
class Sorted(Partition):
    """Rows sorted by target in contiguous shares: the most heterogeneous split, nothing random."""

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """The shares; equal targets keep the order of the data."""
        del seed
        return _shares(np.argsort(targets, kind="stable"), len(kinds))


@register("partition", "dirichlet")
class Dirichlet(Partition):
    """Every class is shared out in random proportions; small alpha means few classes a node.

    Targets with more than `bins` values (regression) are first binned by their quantiles. A node
    left without rows takes one from the largest.

    Formula: proportions of each class over the nodes ~ Dirichlet(α, ..., α).

    Source: Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for federated
    visual classification", 2019.
    """

    alpha: float = Field(0.5, gt=0, allow_inf_nan=False, description="concentration α")
    bins: int = Field(10, ge=2, description="quantile bins when targets have more values")

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """The shares; every row at exactly one node, every node with a row."""
        random, nodes = self.generator(seed), len(kinds)
        owner = np.empty(len(targets), dtype=np.int64)
        labels = labels_of(targets, self.bins)
        for label in np.unique(labels):
            rows = random.permutation(np.flatnonzero(labels == label))
            upper = np.cumsum(_proportions(random, self.alpha, nodes))
            place = (np.arange(len(rows)) + 0.5) / len(rows)
            owner[rows] = np.minimum(np.searchsorted(upper, place), nodes - 1)
        _fill_empty(owner, nodes)
        return tuple(np.flatnonzero(owner == node) for node in range(nodes))


@register("partition", "by-label")
class ByLabel(Partition):
    """Every node holds the same number of labels; each label is split evenly among its nodes.

    The labels are shuffled and dealt to the nodes in turn, so that no two labels differ by more
    than one in their numbers of nodes. Targets with more than `bins` values are binned first.

    Source: McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-efficient learning of
    deep networks from decentralized data", 2017 (two classes a node).
    """

    labels: int = Field(2, ge=1, description="different labels a node")
    bins: int = Field(10, ge=2, description="quantile bins when targets have more values")

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """The shares; every row at exactly one node."""
        random, labels = self.generator(seed), labels_of(targets, self.bins)
        order = random.permutation(labels.max() + 1)
        dealt = order[np.arange(len(kinds) * self.labels) % len(order)].reshape(-1, self.labels)
        parts: list[list[NDArray[np.int64]]] = [[] for _ in kinds]
        for label in order:
            holders = np.flatnonzero((dealt == label).any(axis=1))
            rows = random.permutation(np.flatnonzero(labels == label))
            for node, share in zip(holders, _shares(rows, len(holders)), strict=True):
                parts[node].append(share)
        return tuple(np.sort(np.concatenate(part)) for part in parts)

    def mistakes(self, targets: Targets, kinds: Sequence[Kind]) -> list[str]:
        """More labels a node than there are, labels without a node, or too few rows of one."""
        counts = np.bincount(labels_of(targets, self.bins))
        dealt = len(kinds) * self.labels
        if not self.labels <= len(counts) <= dealt:
            return [
                f"got {self.labels} labels for each of {len(kinds)} nodes and data of "
                f"{len(counts)}; expected at most {len(counts)} a node and every label at a node; "
                "change labels of the partition"
            ]
        holders = -(-dealt // len(counts))
        rare = int(counts.argmin())
        if counts[rare] >= holders:
            return []
        return [
            f"got {counts[rare]} rows of label {rare} for up to {holders} nodes; expected a row a "
            "node; take fewer nodes, or fewer labels a node"
        ]


@register("partition", "by-quantity")
class ByQuantity(Partition):
    """Shuffled rows in shares of unequal size, at least one row a node; nothing else differs.

    Formula: sizes in the proportions q ~ Dirichlet(α, ..., α), or, with `power` p, of
    1, 2^(−p), 3^(−p), ... at the nodes in their order; N − n rows by the largest remainders, one
    row a node beside.

    Source: Li, Diao, Chen, He, "Federated learning on non-IID data silos", 2022 (quantity skew).
    """

    alpha: float = Field(0.5, gt=0, allow_inf_nan=False, description="concentration α")
    power: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="power law instead of the draw; 0: equal sizes"
    )

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """The shares; every row at exactly one node."""
        random, nodes = self.generator(seed), len(kinds)
        if self.power is None:
            shares = _proportions(random, self.alpha, nodes)
        else:
            shares = np.arange(1.0, nodes + 1) ** -self.power
        sizes = 1 + _apportioned(len(targets) - nodes, shares / shares.sum())
        parts = np.split(random.permutation(len(targets)), np.cumsum(sizes)[:-1])
        return tuple(np.sort(part) for part in parts)


@register("partition", "two-copies")
class TwoCopies(Partition):
    """The first-order nodes split one full copy of the data, the zeroth-order nodes another.

    Source: Ansaripour, Talaei, Nadiradze, Alistarh, "Hybrid Decentralized Optimization", AAAI 2025,
    the setting of the analysis.
    """

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """The shares, shuffled within each kind."""
        random, rows = self.generator(seed), len(targets)
        shares = {
            kind: iter(_shares(random.permutation(rows), kinds.count(kind)))
            for kind in ("first", "zeroth")
            if kind in kinds
        }
        return tuple(next(shares[kind]) for kind in kinds)

    def mistakes(self, targets: Targets, kinds: Sequence[Kind]) -> list[str]:
        """Too many nodes of one kind."""
        most = max(kinds.count("first"), kinds.count("zeroth"))
        return _too_few(len(targets), most, "nodes of one kind")


@register("partition", "replicated")
class Replicated(Partition):
    """Every node holds all rows: no heterogeneity."""

    def members(self, targets: Targets, kinds: Sequence[Kind], seed: int) -> Members:
        """All rows, n times."""
        del seed
        return (np.arange(len(targets), dtype=np.int64),) * len(kinds)

    def mistakes(self, targets: Targets, kinds: Sequence[Kind]) -> list[str]:
        """None."""
        del targets, kinds
        return []


def partition_from(words: str | dict[str, Any]) -> Partition:
    """The partition that a spec names, with or without parameters.

    Raises:
        UserMistakeError: an unknown name or parameter.
    """
    unnamed = 'got a partition without a name; expected { name = "iid", ... }; add the name'
    return cast("Partition", component_from("partition", words, unnamed=unnamed))


def share_out(
    words: str | dict[str, Any], targets: Targets, kinds: Sequence[Kind], seed: int
) -> Members:
    """Row numbers that every node holds, by the partition that a spec names.

    Raises:
        UserMistakeError: an unknown partition, or one that leaves a node without rows.
    """
    found = partition_from(words).members(targets, kinds, seed)
    empty = [node for node, rows in enumerate(found) if not len(rows)]
    if empty:
        raise UserMistakeError(
            f"got a partition that leaves the nodes {empty} without rows; expected a row a node; "
            "take fewer nodes, or another partition or seed"
        )
    return found


def labels_of(targets: Targets, bins: int) -> NDArray[np.int64]:
    """The targets as labels 0, 1, ...; more than `bins` values by their quantiles."""
    values, labels = np.unique(targets, return_inverse=True)
    if len(values) <= bins:
        return np.asarray(labels, dtype=np.int64)
    inner = np.quantile(targets, np.arange(1, bins) / bins)
    found = np.searchsorted(inner, targets, side="right")
    return np.asarray(np.unique(found, return_inverse=True)[1], dtype=np.int64)


def _proportions(random: np.random.Generator, alpha: float, nodes: int) -> NDArray[np.float64]:
    """A draw of Dirichlet(α, ..., α); its sums overflow above an α that gives equal parts."""
    return random.dirichlet(np.full(nodes, min(alpha, _EQUAL)))


def _apportioned(count: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers of that sum, in these proportions by the largest remainders."""
    sizes = np.floor(count * shares).astype(np.int64)
    left = count - int(sizes.sum())
    sizes[np.argsort(sizes - count * shares, kind="stable")[:left]] += 1
    return sizes


def _too_few(rows: int, nodes: int, what: str) -> list[str]:
    if rows >= nodes:
        return []
    return [f"got {rows} rows for {nodes} {what}; expected a row a node; take fewer nodes"]


def _shares(rows: NDArray[np.int64], nodes: int) -> Members:
    return tuple(np.sort(share) for share in np.array_split(rows, nodes))


def _fill_empty(owner: NDArray[np.int64], nodes: int) -> None:
    """Give every node without rows the last row of the node with most."""
    counts = np.bincount(owner, minlength=nodes)
    for node in np.flatnonzero(counts == 0):
        largest = int(counts.argmax())
        owner[np.flatnonzero(owner == largest)[-1]] = node
        counts[largest] -= 1
        counts[node] = 1
