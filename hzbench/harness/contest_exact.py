"""Exact curves of a contest: E|∇f|² on quadratics, as theory's recursion gives it.

Step sizes enter the recursion only through their products with A, b and the noise. So where all
workers take gradients and all matrices are diagonal in one basis, one problem of G·d coordinates
holds G step sizes: copy g has φ_g A, φ_g b and φ_g² Σ, and base step size 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core import registry
from hzbench.core.problem import Problem
from hzbench.core.server import ServerMethod
from hzbench.core.setting import Setting
from hzbench.core.spec import Spec
from hzbench.core.structure import GradientLaw, Quadratic
from hzbench.harness.contest_question import Curves, Question
from hzbench.harness.prepare import predict
from hzbench.harness.server import schedule_until
from hzbench.harness.setting import method_of, setting_of

Array = NDArray[np.float64]
THEOREM = "server_moments"


def exact_curves(
    spec: Spec, problem: Problem, step_sizes: Sequence[float], question: Question
) -> Curves | None:
    """E|∇f|² over seconds for several base step sizes; None where theory has no exact recursion.

    The run is extended, each time to twice its length, until the question is answered.
    """
    setting = _in_eigenbasis(setting_of(spec, problem))
    if setting is None or THEOREM not in registry.entries("theorem"):
        return None
    seconds, end = _length(question.first), question.times[-1]
    while True:
        found = _until(spec, setting, np.asarray(step_sizes), question, seconds)
        if found is None or seconds >= end or question.answered(found.seconds, found.means):
            return found
        seconds = min(2 * seconds, _length(end))


def _length(seconds: float) -> float:
    """The next power of √2: few lengths, so that the schedules of a search are known already."""
    return float(2.0 ** (np.ceil(2 * np.log2(seconds) - 1e-9) / 2))


def _in_eigenbasis(setting: Setting) -> Setting | None:
    """The same setting in coordinates in which all matrices are diagonal; None if there are none.

    |∇f|² does not depend on the coordinates, and exact gradients do not either.
    """
    facts = setting.problem
    structure = facts.structure
    if not isinstance(structure, Quadratic):
        return None
    if not all(isinstance(law, GradientLaw) for law in setting.laws):
        return None
    _, basis = np.linalg.eigh(structure.hessians.mean(axis=0))
    turned = [basis.T @ stack @ basis for stack in (structure.hessians, structure.noise)]
    diagonals = [np.einsum("nkk->nk", stack)[:, :, None] * np.eye(len(basis)) for stack in turned]
    if not all(map(_equal, turned, diagonals)):
        return None
    quadratic = replace(
        structure,
        hessians=diagonals[0],
        linear=structure.linear @ basis,
        noise=diagonals[1],
    )
    problem = replace(
        facts,
        structure=quadratic,
        optimum=facts.optimum @ basis,
        initial=facts.initial @ basis,
    )
    return replace(setting, problem=problem)


def _equal(one: Array, other: Array) -> bool:
    """Up to rounding."""
    return bool(np.abs(one - other).max() <= 1e-12 * np.abs(one).max())


def _until(
    spec: Spec, setting: Setting, step_sizes: Array, question: Question, seconds: float
) -> Curves | None:
    """The curves until a time, from one prediction."""
    method, facts = method_of(spec), setting.problem
    assert isinstance(method, ServerMethod)
    assert isinstance(facts.structure, Quadratic)
    schedule = schedule_until(spec, method, seconds)
    times = question.times[question.times <= seconds * (1 + 1e-12)]
    curvature = np.einsum("nkk->k", facts.structure.hessians) / setting.nodes
    done = np.searchsorted(schedule.times, times * (1 + 1e-12), side="right")
    if not done.max(initial=0):  # still at the start
        level = float(np.square(curvature * (facts.initial[0] - facts.optimum)).sum())
        return Curves(
            seconds=times, values=np.full((len(times), len(step_sizes), 1), level), exact=True
        )
    record, rows = np.unique(done, return_inverse=True)
    wanted = copies(setting, step_sizes)
    found = predict(THEOREM, replace(wanted, steps=schedule.updates, record=tuple(record.tolist())))
    if not found.applies:
        return None
    shape = (len(record), len(step_sizes), -1)
    with np.errstate(all="ignore"):
        away = found.values["mean_iterate"].reshape(shape) - facts.optimum
        spread = found.spread["mean_iterate"].reshape(shape)
        values = (curvature**2 * (away**2 + spread**2)).sum(axis=2)
    return Curves(seconds=times, values=values[rows][:, :, None], exact=True)


def copies(setting: Setting, factors: Array) -> Setting:
    """The setting with one copy of the coordinates for every base step size: d becomes G·d."""
    facts = setting.problem
    structure = facts.structure
    assert isinstance(structure, Quadratic)
    large = Quadratic(
        hessians=_blocks(structure.hessians, factors),
        linear=np.concatenate([factor * structure.linear for factor in factors], axis=1),
        noise=_blocks(structure.noise, factors**2),
        evaluation_noise=structure.evaluation_noise,
    )
    count = len(factors)
    problem = replace(
        facts,
        dimension=count * facts.dimension,
        structure=large,
        optimum=np.tile(facts.optimum, count),
        initial=np.tile(facts.initial, (1, count)),
    )
    return replace(setting, problem=problem)


def _blocks(stack: Array, factors: Array) -> Array:
    """Block-diagonal matrices of every node: [n, d, d] and [G] -> [n, G d, G d]."""
    nodes, d, count = *stack.shape[:2], len(factors)
    found = np.zeros((nodes, count, d, count, d))
    for index, factor in enumerate(factors):
        found[:, index, :, index] = factor * stack
    return found.reshape(nodes, count * d, count * d)
