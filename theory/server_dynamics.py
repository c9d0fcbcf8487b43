"""Theorem: exact mean and variance of an asynchronous run on quadratic forms."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import ScheduleFacts, Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear, GradientLaw
from hzbench.theory import sources
from hzbench.theory.checks import (
    Values,
    assume,
    conclude,
    is_quadratic,
    moments_close,
    smoothing_positive,
)
from hzbench.theory.directions import ROTATION_INVARIANT
from hzbench.theory.dynamics import (
    Form,
    diagonalised,
    eigenbasis,
    quadratic_parts,
    unique_minimiser,
)
from hzbench.theory.least_squares_dynamics import is_least_squares
from hzbench.theory.noise_laws import noise_law
from hzbench.theory.oracles import constant_bias
from hzbench.theory.schedules import schedule_shape
from hzbench.theory.server_history import History
from hzbench.theory.server_moments import Forms, Moments, Registers, moments
from hzbench.theory.server_program import Program, program
from hzbench.theory.server_scalars import ScalarRegisters
from hzbench.theory.server_schedule import server_assumptions, server_history
from hzbench.theory.stacks import is_diagonal, minimiser

Array = NDArray[np.float64]

MUTANTS = (
    "scalar_noise",
    "stale_counted_twice",
    "old_point_sent",
    "step_size_plus_5",
    "table_not_reset",
    "missing_sqrt_d",
    "noise_plus_5",
)

LARGEST_STATE = 6000
COMFORTABLE_STATE = 400
MOST_WORK = 4e10
MOST_UPDATES = 200_000
COMFORTABLE_WORK = 2e9


@register("theorem", "server_moments", mutants=MUTANTS, protocols=("server",))
def server_moments(setting: Setting) -> Prediction:
    """Exact means of gap, gradient and distance of an asynchronous run on quadratics.

    Setting and assumptions: f_i(x) = ½ x'A_i x − b_i'x with any symmetric A_i and a positive
    definite mean, or squared losses on rows; gradients, differences along random vectors of every
    law, full coordinate differences, mixed populations; any clock and any rule of a server, any
    step sizes and schedule.

    Formula:
        x^{k+1} = x^k − c_k Σ_s W_ks η_i (A_i x^v − b_i + ξ_s), ξ_s independent given x^v with
        covariance c S + r [(2κ−1) B + κ tr(B) I + γ diag B] + C, B = E hh' + S. The covariance of
        all that is alive (points that workers compute at, sums of estimates that will be used
        again) is carried along; tables use estimates again and again, so their noise is correlated
        from update to update.

    Guarantee:
        exact, at every update and for any schedule. Where a clock draws times, all replicas of a
        run share the draws (they are addressed by the seed, the worker and the job), and these
        are the moments given that schedule, not averages over schedules.

    Source:
        own derivation; for gradients it equals the sum of impulse responses Σ_s C_s Σ_i C_s'.

    Args:
        setting: n nodes with a server and a clock, in dimension d.

    Returns:
        Kind exact at all record steps: objective_gap, gradient_norm, mean_distance [T'],
        mean_iterate [T', d] with its spread.

    Example:
        `async`, case `one-late-estimate`, step 3, f = ½|x|² in d = 4, x^0 of length 2, no noise,
        two equal workers, η = 0.5, delays 0, 1, 1:
        mean_distance = 0.25 = (2*(1 - 0.5 - 0.5 - 0.25))**2.
    """
    return conclude(
        "server_moments",
        statement="Mean and covariance of the live points and sums obey the run's own recursion.",
        source=sources.SERVER_MOMENTS,
        kind="exact",
        assumptions=moment_assumptions(setting),
        steps=setting.record,
        compute=lambda: observables(setting),
        validity="any step sizes, stable or not; all replicas share the clock's draws",
        mutants=MUTANTS,
    )


def _quadratic_form(setting: Setting) -> Assumption:
    rows = isinstance(setting.problem.structure, GeneralizedLinear)
    return (is_least_squares if rows else is_quadratic)(setting)


def moment_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """All that `server_moments` needs."""
    listed = (
        _quadratic_form(setting),
        assume("the iterates move", setting.moves, f"moves = {setting.moves}"),
        moments_close(setting),
        smoothing_positive(setting),
        *server_assumptions(setting),
    )
    if not all(each.holds for each in listed):
        skipped = "not checked: an assumption above fails"
        return (*listed, assume("f has one minimiser", False, skipped))
    A, _ = quadratic_parts(setting)
    return (*listed, unique_minimiser(A), _affordable(setting))


def _affordable(setting: Setting) -> Assumption:
    text, updates = "the exact recursion is affordable", setting.record[-1]
    if updates > MOST_UPDATES:
        return assume(text, False, f"{updates} updates (at most {MOST_UPDATES})")
    run, form = compiled(setting), choose_form(setting)
    size, cost = _state_size(setting, run, form), _work(setting, run, form)
    detail = (
        f"{form} form: {run.registers} registers, state of size {size} (at most {LARGEST_STATE}), "
        f"{cost:.2g} multiplications (at most {MOST_WORK:.2g})"
    )
    fits = size <= LARGEST_STATE and cost <= MOST_WORK
    return assume(text, fits, detail)


def compiled(setting: Setting) -> Program:
    """The registers and steps of a run."""
    step_sizes = tuple(np.asarray(setting.step_sizes, dtype=float).tolist())
    return _compiled(server_history(setting), step_sizes, setting.schedule, setting.steps)


@lru_cache(maxsize=2)
def _compiled(
    found: History, step_sizes: tuple[float, ...], schedule: ScheduleFacts, steps: int
) -> Program:
    shapes = [schedule_shape(schedule, k, steps) for k in range(found.updates)]
    return program(found, np.array(step_sizes), np.array(shapes))


def choose_form(setting: Setting) -> Form:
    """Coordinates apart where they decouple; full blocks if cheap, since they know all spreads."""
    A, _ = quadratic_parts(setting)
    rows = isinstance(setting.problem.structure, GeneralizedLinear)
    if not rows and is_diagonal(A):
        return "diagonal"
    run = compiled(setting)
    cheap = _state_size(setting, run, "general") <= COMFORTABLE_STATE
    if rows or (cheap and _work(setting, run, "general") <= COMFORTABLE_WORK):
        return "general"
    laws = [law for law in setting.laws if isinstance(law, DifferenceLaw)]
    invariant = all(law.directions in ROTATION_INVARIANT for law in laws)
    return "rotated" if invariant and diagonalised(A, eigenbasis(A)) else "general"


def _state_size(setting: Setting, run: Program, form: Form) -> int:
    return run.registers * (setting.problem.dimension if form == "general" else 1)


def _work(setting: Setting, run: Program, form: Form) -> float:
    """Multiplications of all steps, roughly."""
    d = setting.problem.dimension
    p = d if form == "general" else 1
    points, sums = run.rows
    return float(d * run.registers * p * (points * p + sums))


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A setting in shifted (and perhaps rotated) coordinates.

    Attributes:
        forms: what estimates are, the optimum at 0.
        start: x^0, shape [C, p].
        hessian: mean Hessian, shape [C, p, p].
        optimum: x* in the original coordinates, shape [d].
        basis: columns are the directions of the coordinates, shape [d, d].
    """

    forms: Forms
    start: Array
    hessian: Array
    optimum: Array
    basis: Array


def build_model(setting: Setting, form: Form) -> Model:
    """The quadratic forms of a setting."""
    A, b = quadratic_parts(setting)
    basis = eigenbasis(A) if form == "rotated" else np.eye(A.shape[1])
    optimum = minimiser(A, b)
    shifted = b - A @ optimum - constant_bias(setting.laws, A)
    start = (setting.problem.initial[0] - optimum) @ basis
    noise = noise_law(setting, A, shifted, optimum, None if form == "general" else basis)
    if form == "general":
        hessians, linear, point = A[None], shifted[None], start[None]
    else:
        own = np.einsum("nkk->kn", basis.T @ A @ basis)
        hessians, linear = own[:, :, None, None], (shifted @ basis).T[:, :, None]
        point = start[:, None]
    return Model(
        forms=Forms(hessians=hessians, linear=linear, noise=noise),
        start=point,
        hessian=hessians.mean(1),
        optimum=optimum,
        basis=basis,
    )


def observables(setting: Setting) -> tuple[Values, Values]:
    """Predicted means (and the spread of the point) at the record steps."""
    form = choose_form(setting)
    model, wanted = build_model(setting, form), set(setting.record)
    constant = form != "general" and all(isinstance(law, GradientLaw) for law in setting.laws)
    kind, run = ScalarRegisters if constant else Registers, compiled(setting)
    found = moments(kind(model.forms, run.registers, model.start), run)
    rows = [_observe(model, now) for k, now in enumerate(found) if k in wanted]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    spread = values.pop("spread")
    return values, {} if form == "rotated" else {"mean_iterate": spread}


def _observe(model: Model, now: Moments) -> dict[str, Array]:
    """All observables from the moments of x − x*."""
    second = now.covariance + now.mean[:, :, None] * now.mean[:, None, :]
    hessian = model.hessian
    return {
        "objective_gap": 0.5 * np.einsum("ckl,clk->", hessian, second),
        "gradient_norm": np.einsum("ckl,clm,cmk->", hessian, hessian, second),
        "mean_distance": np.einsum("ckk->", second),
        "mean_iterate": model.optimum + model.basis @ now.mean.ravel(),
        "spread": np.sqrt(np.maximum(np.einsum("ckk->ck", now.covariance), 0.0)).ravel(),
    }
