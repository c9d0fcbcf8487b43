"""From a Setting with quadratic f_i to an AffineSystem, and from its moments to observables.

Three representations of the same recursion. diagonal: all Hessians are diagonal, every coordinate
is a block of its own. rotated: Hessians commute and direction laws are rotation invariant, so the
common eigenbasis makes them diagonal. general: full d × d blocks, any Hessians and laws.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear, Quadratic
from hzbench.theory.affine_moments import advance, deviation
from hzbench.theory.affine_system import (
    AffineSystem,
    Integers,
    Mixing,
    Scenario,
    positions,
    slots,
)
from hzbench.theory.checks import Values, assume
from hzbench.theory.commuting import Reduction, reduction
from hzbench.theory.directions import ROTATION_INVARIANT
from hzbench.theory.graphs import GraphError, edge_law
from hzbench.theory.mixing_laws import Phases, mixing_phases
from hzbench.theory.noise_laws import noise_law
from hzbench.theory.oracles import constant_bias, least_squares_hessians, least_squares_linear
from hzbench.theory.push_sum import push_round
from hzbench.theory.random_matchings import matching_law
from hzbench.theory.schedules import schedule_shape
from hzbench.theory.stacks import is_diagonal, mean_spectrum, minimiser, one_if_shared

Array = NDArray[np.float64]
Form = Literal["diagonal", "rotated", "general"]

LARGEST_STATE = 400
MOST_WORK = 2e10
COMFORTABLE_WORK = 2e9
_COMMUTE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """The system of a setting in shifted (and perhaps rotated) coordinates.

    Attributes:
        system: the affine system, optimum at 0.
        later: the systems of steps 1, 2, ... P − 1 where the exchange has a period P > 1.
        start: starting points, shape [C, n, p].
        origin: 0 of the problem's coordinates, shape [C, 1, p].
        hessian: mean Hessian, shape [C, p, p].
        optimum: x* in the original coordinates, shape [d].
        basis: columns are the directions of the coordinates, shape [d, d].
        form: which representation.
    """

    system: AffineSystem
    later: tuple[AffineSystem, ...] = ()
    start: Array
    origin: Array
    hessian: Array
    optimum: Array
    basis: Array
    form: Form

    @property
    def alone(self) -> AffineSystem:
        """The system of a silent round: everyone steps, nobody exchanges."""
        nodes = self.start.shape[1]
        own = Mixing(mean=np.eye(nodes))
        scenario = Scenario(probability=1.0, mixing=own, active=np.ones(nodes, dtype=bool))
        return replace(self.system, scenarios=(scenario,))


def quadratic_parts(setting: Setting) -> tuple[Array, Array]:
    """(A_i [n, d, d], b_i [n, d]) of a Quadratic or of a squared loss."""
    structure = setting.problem.structure
    if isinstance(structure, Quadratic):
        return structure.hessians, structure.linear
    if not isinstance(structure, GeneralizedLinear):
        raise TypeError(f"got {type(structure).__name__}; expected a quadratic form")
    return least_squares_hessians(structure), least_squares_linear(structure)


def unique_minimiser(A: Array) -> Assumption:
    """The mean Hessian is positive definite."""
    spectrum = mean_spectrum(A)
    fine = spectrum[0] > 1e-12 * max(abs(spectrum[-1]), 1e-300)
    detail = f"smallest eigenvalue of the mean Hessian = {spectrum[0]:.3g}"
    return assume("f has one minimiser (mean Hessian positive definite)", fine, detail)


def choose_form(setting: Setting, A: Array) -> Form:
    """The cheapest exact representation."""
    d = A.shape[1]
    if isinstance(setting.problem.structure, GeneralizedLinear):
        return "general"
    if is_diagonal(A):
        return "diagonal"
    cheap = state_size(setting, "general", d) <= LARGEST_STATE
    if cheap and work(setting, "general", d) <= COMFORTABLE_WORK:
        return "general"
    laws = [law for law in setting.laws if isinstance(law, DifferenceLaw)]
    invariant = all(law.directions in ROTATION_INVARIANT for law in laws)
    return "rotated" if invariant and diagonalised(A, eigenbasis(A)) else "general"


def state_size(setting: Setting, form: Form, d: int) -> int:
    """Numbers in the state of one block."""
    own = d if form == "general" else 1
    return setting.nodes * own * len(slots(setting.update, setting.momentum))


def work(setting: Setting, form: Form, d: int) -> float:
    """Multiplications that all steps take, roughly."""
    size = state_size(setting, form, d)
    blocks = 1 if form == "general" else d
    last = setting.record[-1] if setting.record else 0
    return 4.0 * last * blocks * scenario_count(setting) * size**3


def scenario_count(setting: Setting) -> int:
    """How many ways a round may go, at most."""
    if setting.protocol == "matrix":
        masks = setting.nodes if 0 < setting.update.kept < setting.problem.dimension else 0
        return (1 + masks) * (2 if setting.network.exchange_probability < 1 else 1)
    if setting.protocol != "matching":
        return 1
    if setting.network.matching_law == "uniform":
        return setting.nodes if setting.nodes % 2 else 1
    try:
        return len(matching_law(setting.network, setting.nodes))
    except GraphError:
        return 1  # another assumption fails


def affordable(setting: Setting, A: Array) -> Assumption:
    """The exact recursion fits into memory and seconds, if need be by symmetry."""
    dense = affordable_dense(setting, A)
    if not dense.holds and (reduced := _reduced(setting)) is not None:
        return assume(dense.text, True, f"by symmetry: {reduced.size} numbers a coordinate")
    return dense


def affordable_dense(setting: Setting, A: Array) -> Assumption:
    """The recursion of all nodes and coordinates fits into memory and seconds."""
    d = A.shape[1]
    form = choose_form(setting, A)
    size, cost = state_size(setting, form, d), work(setting, form, d)
    fits = size <= LARGEST_STATE and cost <= MOST_WORK
    detail = (
        f"{form} form: state of size {size} (at most {LARGEST_STATE}), "
        f"{cost:.2g} multiplications (at most {MOST_WORK:.2g})"
    )
    if not fits:
        detail += "; equal nodes on a complete graph, or one law on a symmetric W, cost far less"
    return assume("the exact recursion is affordable", fits, detail)


def _reduced(setting: Setting) -> Reduction | None:
    """The reduction, or None where another assumption of the recursion already fails."""
    try:
        return reduction(setting)
    except (GraphError, np.linalg.LinAlgError, ZeroDivisionError):
        return None


def exact_observables(setting: Setting) -> tuple[Values, Values]:
    """Observables at the record steps, by the dense recursion, or by symmetry where that is long.

    Raises:
        GraphError: the network cannot be rebuilt.
    """
    A, _ = quadratic_parts(setting)
    if work(setting, choose_form(setting, A), A.shape[1]) > COMFORTABLE_WORK:
        reduced = reduction(setting)
        if reduced is not None:
            return reduced.observables()
    return observables(setting, build_model(setting))


def build_model(setting: Setting) -> Model:
    """The affine system of a setting with quadratic f_i.

    Raises:
        GraphError: the network cannot be rebuilt.
    """
    A, b = quadratic_parts(setting)
    form = choose_form(setting, A)
    d = A.shape[1]
    basis = eigenbasis(A) if form == "rotated" else np.eye(d)
    optimum = minimiser(A, b)
    shifted = b - A @ optimum - constant_bias(setting.laws, A)
    start = setting.problem.initial - optimum
    rotation = None if form == "general" else basis
    noise = noise_law(setting, A, shifted, optimum, rotation)
    if form == "general":
        hessians, linear, points = A[None], shifted[None], start[None]
    else:
        own = np.einsum("nkk->kn", basis.T @ A @ basis)
        hessians, linear = own[:, :, None, None], (shifted @ basis).T[:, :, None]
        points = (start @ basis).T[:, :, None]
    (scenarios, *later), edges, probabilities = _protocol(setting)
    system = AffineSystem(
        hessians=hessians,
        linear=linear,
        noise=noise,
        step_sizes=np.asarray(setting.step_sizes, dtype=float),
        momentum=setting.momentum,
        order=setting.order,
        update=setting.update,
        exchange_probability=setting.network.exchange_probability,
        scenarios=scenarios,
        edges=edges,
        probabilities=probabilities,
        pair_weight=setting.network.pair_weight,
    )
    mean = hessians.mean(1)
    return Model(
        system=system,
        later=tuple(replace(system, scenarios=phase) for phase in later),
        start=points,
        origin=_origin(optimum, basis, form),
        hessian=mean,
        optimum=optimum,
        basis=basis,
        form=form,
    )


def _origin(optimum: Array, basis: Array, form: Form) -> Array:
    """−x* in the model's coordinates, shape [C, 1, p]."""
    return -optimum[None, None] if form == "general" else -(optimum @ basis)[:, None, None]


def _protocol(setting: Setting) -> tuple[Phases, Integers, Array]:
    n, none = setting.nodes, np.empty((0, 2), dtype=np.int64)
    if setting.protocol == "pair":
        edges, probabilities = edge_law(setting.network, n)
        return ((),), np.array(edges, dtype=np.int64), probabilities
    return mixing_phases(setting), none, np.empty(0)


def eigenbasis(A: Array) -> Array:
    """Eigenvectors of a generic combination of the Hessians, shape [d, d]."""
    weights = 1.0 + 0.1 * np.cos(np.arange(len(A)))
    _, vectors = np.linalg.eigh(np.tensordot(weights, A, axes=1))
    result: Array = vectors
    return result


def diagonalised(A: Array, basis: Array) -> bool:
    """Whether every Hessian is diagonal in a basis [d, d]."""
    rotated = basis.T @ one_if_shared(A) @ basis
    off = np.abs(rotated * (1.0 - np.eye(A.shape[1]))).max(initial=0.0)
    return bool(off <= _COMMUTE * np.abs(A).max(initial=1e-300))


def moments_at(setting: Setting, model: Model) -> list[Array]:
    """Z at every record step, each of shape [C, N+1, N+1]."""
    Z, phases = model.system.start(model.start, model.origin), (model.system, *model.later)
    found, wanted, silent = [], set(setting.record), setting.network.silent_rounds
    weights = np.ones(setting.nodes)  # of push-sum
    for t in range(setting.record[-1] + 1):
        if t in wanted:
            found.append(Z)
        if t < setting.record[-1]:
            shape = schedule_shape(setting.schedule, t, setting.steps)
            system = model.alone if t < silent else phases[t % len(phases)]
            if system.update.rule == "push-sum":
                system, weights = push_round(system, weights)
            Z = advance(system, Z, shape)
    return found


def observables(setting: Setting, model: Model) -> tuple[Values, Values]:
    """Predicted means (and the spread of the mean iterate) at the record steps."""
    rows = [_observe(model, Z) for Z in moments_at(setting, model)]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    spread = values.pop("spread")
    return values, {} if model.form == "rotated" else {"mean_iterate": spread}


def _observe(model: Model, Z: Array) -> dict[str, Array]:
    """All observables from the moments of x − x*, with s = mean node."""
    C, _, p, _ = model.system.shape
    index = positions(model.system)
    blocks = Z[:, index[:, None, :, None], index[None, :, None, :]]
    average = blocks.mean((1, 2))
    gram = np.einsum("cijkk->ij", blocks)
    squares = gram.diagonal()
    # as a mean over pairs of nodes, so that equal nodes give exactly zero
    distances = squares[:, None] + squares[None, :] - gram - gram.T
    mean = Z[:, index, -1].mean(1)
    spread = deviation(np.einsum("ckk->ck", average), mean).reshape(C * p)
    hessian = model.hessian
    return {
        "objective_gap": 0.5 * np.einsum("ckl,clk->", hessian, average),
        "consensus_potential": np.maximum(0.5 * distances.mean(), 0.0),
        "mean_iterate": model.optimum + model.basis @ mean.reshape(C * p),
        "node_distance": squares.mean(),
        "gradient_norm": np.einsum("ckl,clm,cmk->", hessian, hessian, average),
        "spread": spread,
    }
