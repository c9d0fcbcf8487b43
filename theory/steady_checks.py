"""The assumptions of the steady-state theorems, checked one after another on one case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.theory.checks import Values, assume, iterates_move, laws_known, smoothing_positive
from hzbench.theory.commuting import plain, reduction
from hzbench.theory.coordinates import Coordinates, coordinates
from hzbench.theory.dynamics import affordable, exact_observables, quadratic_parts
from hzbench.theory.graphs import GraphError, edge_law
from hzbench.theory.weights import contraction, doubly_stochastic_residual, mixing_matrix

Array = NDArray[np.float64]
Check = tuple[str, Callable[[], tuple[bool, str]]]

TRANSIENT = 1e-3
_SAME = 1e-9


@dataclass
class Case:
    """What the checks of one theorem find on the way, so that later ones can build on it."""

    setting: Setting
    values: Values = field(default_factory=dict)
    spread: Values = field(default_factory=dict)
    forgotten: float = TRANSIENT

    @property
    def nodes(self) -> Coordinates:
        """The decoupled numbers; a check before has found them."""
        found = coordinates(self.setting)
        assert found is not None
        return found

    @property
    def curvature(self) -> float:
        """The curvature a of an isotropic f."""
        return float(self.nodes.curvature[0, 0])

    @property
    def step(self) -> float:
        """The common step size."""
        return float(self.setting.step_sizes[0])


def chain(checks: Sequence[Check]) -> tuple[Assumption, ...]:
    """Assumptions in order; those after the first failure are not evaluated."""
    found: list[Assumption] = []
    for text, check in checks:
        if all(assumption.holds for assumption in found):
            found.append(assume(text, *check()))
        else:
            found.append(assume(text, False, "not checked: an assumption above fails"))
    return tuple(found)


def basic(case: Case) -> tuple[Check, ...]:
    """What every steady state needs: a constant linear method on a decoupled quadratic."""
    setting = case.setting
    moves, known, positive = (
        iterates_move(setting),
        laws_known(setting),
        smoothing_positive(setting),
    )

    def decouples() -> tuple[bool, str]:
        try:
            found = coordinates(setting)
        except np.linalg.LinAlgError:
            found = None
        fine = found is not None and float(found.curvature.mean(0).min()) > 0
        return fine, f"structure = {type(setting.problem.structure).__name__}"

    steps = setting.step_sizes
    return (
        (moves.text, lambda: (moves.holds, moves.detail)),
        (known.text, lambda: (known.holds, known.detail)),
        (positive.text, lambda: (positive.holds, positive.detail)),
        ("some step is recorded", lambda: (bool(setting.record), f"{setting.record}")),
        ("f is quadratic, and its coordinates decouple", decouples),
        ("momentum = 0", lambda: (setting.momentum == 0, f"momentum = {setting.momentum:g}")),
        ("step sizes are constant in time", lambda: _constant(setting)),
        ("step sizes are positive", lambda: (bool((steps > 0).all()), f"{steps.min():.3g}")),
        (
            "nodes step before they average",
            lambda: (setting.order == "adapt-combine", setting.order),
        ),
        ("exchanges are plain averages", lambda: (plain(setting.network), "")),
    )


def _constant(setting: Setting) -> tuple[bool, str]:
    return setting.schedule.constant, f"schedule = {setting.schedule}"


def fixed_matrix(case: Case) -> tuple[Check, ...]:
    """One symmetric doubly stochastic W."""
    setting = case.setting

    def symmetric() -> tuple[bool, str]:
        try:
            W = mixing_matrix(setting.network, setting.nodes)
        except GraphError as error:
            return False, str(error)
        off = max(doubly_stochastic_residual(W), float(np.abs(W - W.T).max()))
        factor = contraction(W)
        return off < _SAME and factor < 1 - _SAME, f"deviation {off:.3g}, contraction {factor:.4g}"

    return (
        ("the protocol is a fixed matrix", lambda: (setting.protocol == "matrix", "")),
        ("W is symmetric, doubly stochastic and mixes", symmetric),
    )


def all_reduce(case: Case) -> tuple[Check, ...]:
    """W = J/n in every round."""
    setting = case.setting

    def uniform() -> tuple[bool, str]:
        W = mixing_matrix(setting.network, setting.nodes)
        worst = float(np.abs(W - 1.0 / setting.nodes).max())
        return worst < _SAME, f"largest deviation from 1/n = {worst:.3g}"

    return (*fixed_matrix(case), ("W = J/n", uniform))


def uniform_pairs(case: Case) -> Check:
    """Pairs or matchings that treat all nodes alike."""
    setting = case.setting

    def uniform() -> tuple[bool, str]:
        if setting.protocol == "matching":
            return setting.network.graph == "complete", f"graph = {setting.network.graph}"
        try:
            edges, law = edge_law(setting.network, setting.nodes)
        except GraphError as error:
            return False, str(error)
        fine = len(edges) == setting.nodes * (setting.nodes - 1) // 2
        return fine and float(np.ptp(law)) < _SAME, f"{len(edges)} edges"

    return "all pairs of nodes are equally likely to meet", uniform


def common_hessian(case: Case) -> Check:
    """A_i = A."""

    def common() -> tuple[bool, str]:
        worst = float(np.ptp(case.nodes.curvature, axis=0).max())
        return worst <= _SAME * float(case.nodes.curvature.max()), f"largest difference {worst:.3g}"

    return "all nodes have one Hessian", common


def one_step(case: Case) -> Check:
    """η_i = η."""
    steps = case.setting.step_sizes
    return "all nodes have one step size", lambda: (bool(np.ptp(steps) == 0), "")


def isotropic(case: Case) -> tuple[Check, ...]:
    """f_i = (a/2)|x − x*|² and one step size."""

    def isotropic() -> tuple[bool, str]:
        a = case.nodes.curvature
        return float(np.ptp(a)) <= _SAME * float(a.max()), f"from {a.min():.4g} to {a.max():.4g}"

    def homogeneous() -> tuple[bool, str]:
        worst = float(np.abs(case.nodes.offset).max())
        return worst < _SAME, f"largest gradient at the optimum = {worst:.3g}"

    return (
        ("every f_i has the Hessian aI", isotropic),
        ("all f_i share one minimiser", homogeneous),
        one_step(case),
    )


def one_kind(case: Case) -> Check:
    """Equal noise at all nodes."""

    def alike() -> tuple[bool, str]:
        noise, growth = traces(case)
        apart = float(np.ptp(noise) + np.ptp(growth))
        return apart <= _SAME * float(noise.max() + 1e-300), f"noise differs by {apart:.3g}"

    return "all nodes have equally noisy estimates", alike


def traces(case: Case) -> tuple[Array, Array]:
    """(s_i [n], τ_i [n]) as traces."""
    return case.nodes.constant.sum(1), case.nodes.growth


def late_observables(setting: Setting) -> Values:
    """Exact values at the last record step."""
    return observables_at(setting, setting.record[-1:])


def observables_at(setting: Setting, record: tuple[int, ...]) -> Values:
    """Exact values at these steps, by symmetry wherever there is enough of it."""
    there = replace(setting, record=record)
    reduced = reduction(there)
    return reduced.observables()[0] if reduced is not None else exact_observables(there)[0]


def forgotten(case: Case) -> tuple[bool, str]:
    """The exact recursion at the last record step is at the steady state."""
    setting = case.setting
    fits = affordable(setting, quadratic_parts(setting)[0])
    if not fits.holds:
        return False, fits.detail
    exact = late_observables(setting)
    left = 0.0
    for name, value in case.values.items():
        scale = max(float(case.spread.get(name, np.abs(value)).max()), 1e-300)
        if name != "mean_iterate" or name in case.spread:
            left = max(left, float(np.abs(exact[name] - value).max() / scale))
    return left <= case.forgotten, f"transient {left:.2g} (at most {case.forgotten:g})"
