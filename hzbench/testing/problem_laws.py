"""Laws that every problem must obey: derivatives, means, the optimum, and each declared constant.

A constant that is unknown (nan) is not tested; one that is declared is attacked on random points
near the start and far from it, and needs a word on how it was obtained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hzbench.core.problem import EvaluatesTogether, Problem, ProblemComponent
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize
from hzbench.testing.laws import addresses, build_problem, require

if TYPE_CHECKING:
    from torch import Tensor

STEPS = (1e-5, 1e-7)  # a kink between the ends spoils one, rounding the other
COORDINATES = 64  # differenced one by one up to this dimension
SPREADS = (0.3, 3.0)
NUMBERS = (
    "smoothness",
    "sample_smoothness",
    "strong_convexity",
    "polyak_lojasiewicz",
    "noise",
    "heterogeneity",
    "hessian_lipschitz",
    "minimum",
)


def problem_laws(component: ProblemComponent) -> None:
    """Gradients are those of the values; f is their mean; the optimum is one; constants hold.

    Raises:
        CheckFailed: a law does not hold.
    """
    problem = build_problem(component)
    near, far = (_around(problem, spread) for spread in SPREADS)
    _draws_are_addressed(problem)
    _certificates_are_stated(problem)
    _minimum_is_least(problem, torch.cat([near, far]))
    _differences_match_values(problem, near)
    _objective_is_the_mean(problem, near)
    if getattr(problem, "gradient_free", False):
        return
    _gradients_match_values(problem, near)
    _together_is_apart(problem, torch.cat([near, far]))
    _forward_mode_matches_gradients(problem, near)
    _optimum_is_one(problem, near)
    for points in (near, far):
        _curvature_is_bounded(problem, points)
        _samples_are_smooth(problem, points)
        _hessians_are_lipschitz(problem, points)
        _gradients_dominate(problem, points)
        _nodes_are_alike(problem, points)
        _noise_is_bounded(problem, points)
        _covariance_has_the_trace(problem, points)


def _around(problem: Problem, spread: float) -> Tensor:
    start = torch.as_tensor(problem.initial).mean(0)
    noise = torch.randn(32, problem.dimension, generator=torch.Generator().manual_seed(1))
    return start + spread * noise.double()


def _node_gradients(problem: Problem, x: Tensor) -> Tensor:
    """∇f_i(x): [P, d] -> [P, n, d]."""
    rows = addresses(len(x), problem.nodes)
    at = x.repeat_interleave(problem.nodes, dim=0)
    exact = problem.gradients(at, rows.node, problem.sample(rows, "full", 1))
    return exact[:, 0].view(len(x), problem.nodes, -1)


def _gradients_match_values(problem: Problem, x: Tensor) -> None:
    rows = addresses(8, problem.nodes)
    at, along = x[: len(rows)], _directions(problem.dimension)
    sample = problem.sample(rows, _batch(problem), 1)
    exact = problem.gradients(at, rows.node, sample)[:, 0] @ along.mT  # [B, k]
    gaps = []
    for step in STEPS:
        ends = torch.cat([at[:, None] + step * along, at[:, None] - step * along], 1)
        ahead, behind = problem.values(ends[:, None], rows.node, sample)[:, 0].chunk(2, dim=1)
        gaps.append((exact - (ahead - behind) / (2 * step)).abs())
    gap = float(torch.minimum(*gaps).max() / (1 + exact.abs().max()))
    require(
        gap < 1e-5,
        f"gradients differ from central differences of values by {gap:.2g} (relative), on the same "
        "data sample; make them derivatives of each other",
    )


def _forward_mode_matches_gradients(problem: Problem, x: Tensor) -> None:
    """<∇F, u> over all of x, on the same data sample."""
    forward = getattr(problem, "directional_derivatives", None)
    if forward is None:
        return
    rows = addresses(2, problem.nodes)
    at, u = x[: len(rows)], x.roll(5, 0)[: len(rows), None, None] * torch.ones(1, 2, 3, 1)
    for batch_size in (2, "full"):
        sample = problem.sample(rows, batch_size, 2)
        terms = problem.gradients(at, rows.node, sample)[:, :, None] * u
        gap = (forward(at, u, rows.node, sample) - terms.sum(-1)).abs()
        most = float((gap / (1 + terms.abs().sum(-1))).max())
        require(
            most < 1e-10,
            f"directional_derivatives differ from <∇F, u> by {most:.2g} (relative) on one data "
            "sample; take the product over all of x",
        )


def _together_is_apart(problem: Problem, x: Tensor) -> None:
    """Of f and its gradient at once each is what it is alone."""
    if not isinstance(problem, EvaluatesTogether):
        return
    alone = problem.objective(x), problem.objective_gradient(x)
    both = problem.objective_and_gradient(x)
    for name, one, other in zip(("objective", "objective_gradient"), alone, both, strict=True):
        require(
            bool(torch.allclose(other, one, rtol=1e-10, atol=1e-12)),
            f"objective_and_gradient differs from {name}; give the same numbers",
        )


def _directions(d: int) -> Tensor:
    """The coordinates, or in high dimension random unit vectors: [k, d]."""
    if d <= COORDINATES:
        return torch.eye(d, dtype=torch.float64)
    drawn = torch.randn(COORDINATES, d, generator=torch.Generator().manual_seed(2)).double()
    unit: Tensor = drawn / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
    return unit


def _batch(problem: Problem) -> BatchSize:
    """Samples on which values and gradients belong together."""
    return "full" if getattr(problem, "values_are_exact", False) else 2


def _differences_match_values(problem: Problem, x: Tensor) -> None:
    """A difference without cancellation is the difference of two values, where both have digits."""
    stable = getattr(problem, "directional_difference", None)
    if stable is None:
        return
    rows = addresses(8, problem.nodes)
    at = x[: len(rows), None, None]
    offsets = 0.3 * x.roll(5, 0)[: len(rows), None, None] * torch.ones(1, 2, 3, 1)
    for batch_size in (2, "full"):
        sample = problem.sample(rows, batch_size, 2)
        found = stable(at.expand_as(offsets[:, :, :1]), offsets, rows.node, sample)
        ends = torch.cat([at + offsets, at.expand_as(offsets)], dim=2)
        ahead, behind = problem.values(ends, rows.node, sample).chunk(2, dim=2)
        scale = ahead.abs() + behind.abs() + 1
        gap = float(((found - (ahead - behind)) / scale).abs().max())
        require(
            gap < 1e-10,
            f"directional_difference differs from F(x + v) − F(x) by {gap:.2g} (relative) on one "
            "data sample; it must be the same difference",
        )


def _objective_is_the_mean(problem: Problem, x: Tensor) -> None:
    rows = addresses(1, problem.nodes)
    full = problem.sample(rows, "full", 1)
    for point in x[:4]:
        at = point.expand(problem.nodes, -1)
        mean = problem.values(at[:, None, None], rows.node, full).mean()
        require(
            bool(torch.isclose(problem.objective(point[None])[0], mean, rtol=1e-8, atol=1e-10)),
            "objective differs from the mean of the nodes' full values; f is (1/n) Σ f_i",
        )
        if getattr(problem, "gradient_free", False):
            continue
        slope = problem.gradients(at, rows.node, full)[:, 0].mean(0)
        own = problem.objective_gradient(point[None])[0]
        require(
            bool(torch.allclose(own, slope, rtol=1e-8, atol=1e-10)),
            "objective_gradient differs from the mean of the nodes' full gradients",
        )


def _optimum_is_one(problem: Problem, x: Tensor) -> None:
    if not np.size(problem.optimum):
        return
    best = torch.as_tensor(problem.optimum)[None]
    slope = float(problem.objective_gradient(best).norm())
    scale = float(problem.objective_gradient(x).norm(dim=1).max())
    require(slope < 1e-7 * (1 + scale), f"the gradient at the declared optimum is {slope:.2g}")
    gap = float(problem.objective(best)[0]) - problem.constants.minimum
    require(abs(gap) < 1e-8 * (1 + abs(gap)), f"f(optimum) − declared minimum is {gap:.2g}")


def _certificates_are_stated(problem: Problem) -> None:
    c = problem.constants
    known = [name for name in NUMBERS if not np.isnan(getattr(c, name) or 0.0).any()]
    silent = [name for name in known if np.size(getattr(c, name)) and not c.how.get(name)]
    require(
        not silent,
        f"got the constants {', '.join(silent)} without a word on how they were obtained; expected "
        "one each; add it to Constants.how, or declare nan",
    )


def _known(*constants: float) -> bool:
    """Whether one of them is a number: nan and inf claim nothing that points could refute."""
    return bool(np.isfinite(constants).any())


def _minimum_is_least(problem: Problem, x: Tensor) -> None:
    f = problem.constants.minimum
    if not _known(f):
        return
    least = float(problem.objective(x).min())
    require(
        not least < f - 1e-9 * (1 + abs(f)),
        f"got f = {least:.6g} below the declared minimum {f:.6g}; declare less, or nan",
    )


def _curvature_is_bounded(problem: Problem, x: Tensor) -> None:
    """|∇f_i(x) − ∇f_i(y)| ≤ L|x − y| for every node, and the curvature of f is at least μ."""
    if not _known(problem.constants.smoothness, problem.constants.strong_convexity):
        return
    slope, length = _node_gradients(problem, x), x.shape[0] // 2
    change, step = slope[:length] - slope[length:], x[:length] - x[length:]
    apart = step.norm(dim=1)
    most = float((change.norm(dim=2) / apart[:, None]).max())
    L, mu = problem.constants.smoothness, problem.constants.strong_convexity
    require(
        not most > L * (1 + 1e-9),
        f"got |∇f_i(x) − ∇f_i(y)| = {most:.4g} |x − y|; expected at most L = {L:.4g}; declare more",
    )
    inner = (change.mean(1) * step).sum(1) / apart**2
    least = float(inner.min())
    require(
        not least < mu - 1e-9 * abs(mu) - 1e-12 * most,
        f"got a curvature of {least:.4g} between two points; expected at least μ = {mu:.4g}",
    )


def _samples_are_smooth(problem: Problem, x: Tensor) -> None:
    """One data sample is as smooth as declared."""
    L = problem.constants.sample_smoothness
    if not _known(L):
        return
    rows = addresses(8, problem.nodes)
    sample = problem.sample(rows, 1, 1)
    ends = [problem.gradients(p[: len(rows)], rows.node, sample)[:, 0] for p in (x, x.roll(7, 0))]
    apart = (x - x.roll(7, 0))[: len(rows)].norm(dim=1)
    most = float(((ends[0] - ends[1]).norm(dim=1) / apart).max())
    require(
        not most > L * (1 + 1e-9),
        f"got |∇F(x) − ∇F(y)| = {most:.4g} |x − y| on one data sample; expected at most "
        f"{L:.4g}; declare a larger sample_smoothness",
    )


def _hessians_are_lipschitz(problem: Problem, x: Tensor) -> None:
    """|∇f_i(x + v) + ∇f_i(x − v) − 2∇f_i(x)| ≤ ρ|v|², since its Hessian terms cancel."""
    bound, v = problem.constants.hessian_lipschitz, x.roll(3, 0) - x
    if not _known(bound):
        return
    ahead, here, behind = (_node_gradients(problem, x + s * v) for s in (1, 0, -1))
    square = (v * v).sum(1)[:, None]
    rounding = 1e-12 * (ahead.norm(dim=2) + behind.norm(dim=2) + 1)
    excess = (ahead + behind - 2 * here).norm(dim=2) - rounding
    most = float((excess / square).max())
    require(
        not most > bound * (1 + 1e-9),
        f"got a second difference of gradients of {most:.4g} |v|²; expected at most ρ = "
        f"{bound:.4g}; declare a larger hessian_lipschitz",
    )


def _gradients_dominate(problem: Problem, x: Tensor) -> None:
    """|∇f|² ≥ 2μ(f − f*)."""
    mu, least = problem.constants.polyak_lojasiewicz, problem.constants.minimum
    if not _known(mu):
        return
    gap = problem.objective(x) - least
    square = problem.objective_gradient(x).square().sum(1)
    ratio = float((square / (2 * gap)).min())
    require(
        not ratio < mu * (1 - 1e-9),
        f"got |∇f|² = {2 * ratio:.4g} (f − f*); expected at least 2μ with μ = {mu:.4g}; declare a "
        "smaller polyak_lojasiewicz",
    )


def _nodes_are_alike(problem: Problem, x: Tensor) -> None:
    c = problem.constants
    if c.heterogeneity_holds != "everywhere" or not _known(c.heterogeneity):
        return
    apart = _node_gradients(problem, x)
    apart = apart - apart.mean(1, keepdim=True)
    most = float(apart.square().sum(2).mean(1).max())
    require(
        not most > c.heterogeneity * (1 + 1e-9) + 1e-18,
        f"got (1/n) Σ|∇f_i − ∇f|² = {most:.4g}; expected at most ζ² = {c.heterogeneity:.4g}",
    )


def _noise_is_bounded(problem: Problem, x: Tensor) -> None:
    measure = getattr(problem, "gradient_noise", None)
    if measure is None or problem.constants.noise_holds != "everywhere":
        return
    rows = addresses(len(x), problem.nodes)
    seen = measure(x.repeat_interleave(problem.nodes, 0), rows.node).view(len(x), -1).max(0)[0]
    for node, (most, bound) in enumerate(zip(seen, problem.constants.noise, strict=True)):
        require(
            not float(most) > bound * (1 + 1e-9) + 1e-14,
            f"got tr Cov = {float(most):.4g} at node {node}; expected at most {bound:.4g}",
        )


def _covariance_has_the_trace(problem: Problem, x: Tensor) -> None:
    covariance = getattr(problem, "gradient_covariance", None)
    trace = getattr(problem, "gradient_noise", None)
    if covariance is None or trace is None:
        return
    rows = addresses(4, problem.nodes)
    at = x[:4].repeat_interleave(problem.nodes, 0)
    found, size = covariance(at, rows.node), trace(at, rows.node)
    gap = found.diagonal(dim1=1, dim2=2).sum(1) - size
    require(
        not float((gap.abs() - 1e-9 * size.abs()).max()) > 1e-10,
        f"the trace of gradient_covariance differs from gradient_noise by {float(gap.max()):.2g}",
    )
    require(
        not float((found - found.mT).abs().max()) > 1e-10 * (1 + float(found.abs().max())),
        "gradient_covariance is not symmetric",
    )


def _draws_are_addressed(problem: Problem) -> None:
    rows = addresses(6, problem.nodes)
    x = torch.as_tensor(problem.initial).mean(0).expand(len(rows), -1)
    last = torch.arange(len(rows) // 2, len(rows))
    part = rows.take(last)

    def ask(at: Tensor, which: Rows) -> Tensor:
        sample = problem.sample(which, 1, 1)
        if getattr(problem, "gradient_free", False):
            return problem.values(at[:, None, None], which.node, sample)
        return problem.gradients(at, which.node, sample)

    require(
        bool(torch.allclose(ask(x, rows)[last], ask(x[last], part), rtol=1e-12, atol=1e-12)),
        "draws depend on which rows are computed together; draw from the rows' addresses",
    )
