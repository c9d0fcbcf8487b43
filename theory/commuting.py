"""Exact second moments at the cost of the problem's symmetry: O(T d n) in place of O(T d n³)."""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts, Setting
from hzbench.theory.affine_moments import deviation
from hzbench.theory.checks import Values
from hzbench.theory.class_moments import (
    ClassMoments,
    adapt,
    certain,
    class_labels,
    disagreement,
    mix_matching,
    mix_matrix,
    network_mean,
    pair_tick,
    representatives,
)
from hzbench.theory.coordinates import Coordinates, coordinates
from hzbench.theory.graphs import edge_law
from hzbench.theory.mode_moments import ModeSystem, mode_step, mode_system
from hzbench.theory.schedules import schedule_shape
from hzbench.theory.weights import doubly_stochastic_residual, mixing_matrix

Array = NDArray[np.float64]
_SAME = 1e-12
MOST_CLASSES = 64
_WORDS = (
    "graph",
    "graph_parameters",
    "weights",
    "edges",
    "edge_law",
    "edge_probabilities",
    "matrix",
)


class Reduction:
    """The moments of a setting with enough symmetry, and how they are advanced.

    Complete graph (pair, even matching, W = αI + (1−α)J/n), adapt-combine: classes of equal nodes.
    Any symmetric W, one step size and one Hessian: eigenmodes of W, where these are closed.
    """

    def __init__(self, setting: Setting, nodes: Coordinates, modes: ModeSystem | None) -> None:
        self.setting, self.nodes, self.modes = setting, nodes, modes
        labels = class_labels(nodes)
        self.kinds, self.sizes = representatives(nodes, labels)
        self.own = 0.0
        if setting.protocol == "matrix" and modes is None:
            W = mixing_matrix(setting.network, setting.nodes)
            self.own = 1.0 - setting.nodes * float(W[0, -1]) if len(W) > 1 else 0.0

    @property
    def size(self) -> int:
        """Numbers carried per coordinate."""
        if self.modes is not None:
            return 2 * len(self.modes.values)
        return len(self.sizes) * (len(self.sizes) + 2)

    def observables(self) -> tuple[Values, Values]:
        """Predicted means (and the spread of the mean iterate) at the record steps."""
        rows = self._mode_rows() if self.modes is not None else self._class_rows()
        values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        spread = values.pop("spread")
        return values, {} if self.nodes.basis is not None else {"mean_iterate": spread}

    def _mode_rows(self) -> list[dict[str, Array]]:
        assert self.modes is not None
        mean, square, rows = self.modes.start, self.modes.start**2, []
        n = len(mean)
        for t, wanted, scale in self._clock():
            if t:
                mean, square = mode_step(self.modes, mean, square, scale)
            if wanted:
                apart = np.array(square[1:].sum() / n)
                total = np.array(square.sum() / n)
                rows.append(self._row(mean[0] / np.sqrt(n), square[0] / n, apart, total))
        return rows

    def _class_rows(self) -> list[dict[str, Array]]:
        now, rows = certain(self.kinds.start), []
        for t, wanted, scale in self._clock():
            if t:
                now = self._class_step(now, scale)
            if wanted:
                mean, square = network_mean(self.sizes, now)
                apart = np.array(disagreement(self.sizes, now))
                total = np.array(self.sizes @ now.square.sum(1) / self.sizes.sum())
                rows.append(self._row(mean, square, apart, total))
        return rows

    def _class_step(self, now: ClassMoments, scale: float) -> ClassMoments:
        if self.setting.protocol == "pair":
            return pair_tick(self.kinds, self.sizes, now, scale)
        new = adapt(self.kinds, now, scale)
        if self.setting.protocol == "matching":
            return mix_matching(self.sizes, new)
        return mix_matrix(self.sizes, self.own, new)

    def _clock(self) -> list[tuple[int, bool, float]]:
        """(t, whether t is recorded, scale of the step that led there)."""
        setting, wanted = self.setting, set(self.setting.record)
        return [
            (t, t in wanted, schedule_shape(setting.schedule, t - 1, setting.steps) if t else 0.0)
            for t in range(setting.record[-1] + 1)
        ]

    def _row(self, mean: Array, square: Array, apart: Array, total: Array) -> dict[str, Array]:
        nodes = self.nodes
        a = nodes.curvature.mean(0)
        shown = mean if nodes.basis is None else nodes.basis @ mean
        return {
            "objective_gap": 0.5 * a @ square,
            "consensus_potential": apart,
            "mean_iterate": nodes.optimum + shown,
            "node_distance": total,
            "gradient_norm": a**2 @ square,
            "spread": deviation(square, mean),
        }


def reduction(setting: Setting) -> Reduction | None:
    """The reduced moments of a setting, or None if its symmetry does not suffice.

    Raises:
        GraphError: the network cannot be rebuilt.
    """
    moves = setting.moves and setting.update.rule == "plain"
    if setting.momentum != 0 or not moves or not plain(setting.network):
        return None
    nodes = coordinates(setting)
    if nodes is None:
        return None
    if setting.order == "adapt-combine" and _exchangeable(setting):
        few = len(np.unique(class_labels(nodes))) <= MOST_CLASSES
        if few:
            return Reduction(setting, nodes, None)
    if setting.protocol != "matrix":
        return None
    W = mixing_matrix(setting.network, setting.nodes)
    if doubly_stochastic_residual(W) > 1e-9:
        return None
    modes = mode_system(nodes, W, setting.order)
    return None if modes is None else Reduction(setting, nodes, modes)


def plain(network: NetworkFacts) -> bool:
    """Whether nothing is asked of the network but a graph, edge laws and weights.

    Words that this module does not know must have their default: averaging of pairs by halves,
    uniform matchings, links that do not fail, one exchange a round.
    """
    others = [each for each in fields(network) if each.name not in _WORDS]
    return all(getattr(network, each.name) == each.default for each in others)


def _exchangeable(setting: Setting) -> bool:
    """Whether the law of the exchanges treats all nodes alike."""
    n = setting.nodes
    if setting.protocol == "matching":
        return n % 2 == 0 and setting.network.graph == "complete"
    if setting.protocol == "pair":
        edges, probabilities = edge_law(setting.network, n)
        return len(edges) == n * (n - 1) // 2 and float(np.ptp(probabilities)) < _SAME
    W = mixing_matrix(setting.network, n)
    off = W[~np.eye(n, dtype=bool)]
    alike = float(np.ptp(off)) < _SAME if n > 1 else True
    return alike and float(np.ptp(W.diagonal())) < _SAME and doubly_stochastic_residual(W) < 1e-9
