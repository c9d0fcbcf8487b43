"""Zeroth-order estimators: differences along random vectors.

The idea: G = (1/m) Σ_k u_k D(u_k), where D is a difference of function values along u_k, and every
law of u is scaled so that E uu' = I. On a quadratic the central difference is exactly <∇f, u>, so
G is unbiased and its variance is that of uu'∇f; elsewhere the smoothing ν trades bias for noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hzbench.core import streams
from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.machine import at_once
from hzbench.core.problem import Kind, Problem, Sample
from hzbench.core.registry import register
from hzbench.core.streams import Purpose, Rows
from hzbench.core.structure import BatchSize, Difference, DifferenceLaw, DirectionLaw, Sampling
from hzbench.estimators.directions import DEPENDENT, DIRECTIONS

if TYPE_CHECKING:
    from torch import Tensor


_AT_ONCE = 1 << 24  # numbers of random vectors that are differenced at once on the CPU
_IN_CACHE = 1 << 17  # numbers drawn at once there where they are used only once


@register("estimator", "zeroth_order")
class ZerothOrder(Estimator):
    """Mean over m random vectors u of u times a difference of function values along u.

    Formula: G = (1/m) Σ_k u_k D_k with D_k = [F(x+νu_k) − F(x−νu_k)]/(2ν) (central),
    [F(x+νu_k) − F(x)]/ν (forward, one base evaluation for all k that share a sample) or
    <∇F(x), u_k> (directional_derivative); E u u' = I for every law. The u_k are independent, or
    orthogonal to each other: orthonormal (Haar) times sqrt(d), or different coordinates.

    Source: Nesterov & Spokoiny 2017; Kozak et al. 2021 (orthonormal); Ansaripour et al.
    2025, Algorithm 1 (zeroth-order nodes).
    """

    kind: ClassVar[Kind] = "zeroth"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"directions": "gaussian", "difference": "forward", "samples": 4, "smoothing": 0.1},
        {"directions": "rademacher", "samples": 2, "data": "fresh"},
        {"directions": "coordinate", "samples": 3, "sampling": "without_replacement"},
        {"difference": "directional_derivative", "samples": 2, "sampling": "orthonormal"},
        {
            "directions": "gaussian",
            "difference": "directional_derivative",
            "samples": 8,
            "sampling": "collapsed",
        },
    )

    directions: DirectionLaw = Field("sphere", description="law of the random vectors u")
    difference: Difference = Field("central", description="which difference along u")
    samples: int = Field(1, gt=0, le=100_000, description="m, random vectors averaged (rv)")
    smoothing: float = Field(
        1e-3, ge=1e-50, allow_inf_nan=False, description="ν, smoothing radius (length)"
    )
    data: Literal["shared", "fresh"] = Field(
        "shared", description="the m differences share one data sample, or each draws its own"
    )

    sampling: Sampling | Literal["collapsed"] = Field(
        "iid",
        description="the m vectors are independent; orthonormal (Haar) times sqrt(d), with "
        "directions = sphere; without_replacement, with directions = coordinate; or collapsed: "
        "the sum over independent Gaussian vectors is drawn from its law, m times cheaper",
    )

    @model_validator(mode="after")
    def _sampling_fits(self) -> Self:
        """Dependent vectors follow one law each."""
        law = DEPENDENT.get(self.sampling, (self.directions,))[0]
        if self.directions != law:
            raise ValueError(
                f"got sampling {self.sampling!r} with directions {self.directions!r}; expected "
                f"directions {law!r}, which each of these vectors follows; change one of them"
            )
        exact = ("gaussian", "directional_derivative", "shared")
        if self.sampling == "collapsed" and (self.directions, self.difference, self.data) != exact:
            raise ValueError(
                "got sampling 'collapsed' without a Gaussian law of G; expected directions = "
                "'gaussian', difference = 'directional_derivative' and data = 'shared'; set these "
                "or take sampling 'iid'"
            )
        return self

    @property
    def uses_gradients(self) -> bool:
        """Directional derivatives come from the gradient (forward mode)."""
        return self.difference == "directional_derivative"

    def mistakes(self, dimension: int, moves: bool) -> list[str]:
        """At most d vectors of R^d are orthogonal."""
        del moves
        if self.sampling in ("iid", "collapsed") or self.samples <= dimension:
            return []
        return [
            f"got samples {self.samples} with sampling {self.sampling!r}; expected at most "
            f"d = {dimension}; lower it or take sampling 'iid'"
        ]

    def law(self, batch_size: BatchSize) -> DifferenceLaw:
        """The declared law of G; a collapsed sum has that of independent vectors."""
        sampling = "iid" if self.sampling == "collapsed" else self.sampling
        return DifferenceLaw(
            **self.model_dump(exclude={"sampling"}), sampling=sampling, batch_size=batch_size
        )

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """Average m differences: x [B, d] -> G [B, d], as many rows at once as memory holds."""
        import torch

        calls = self._calls(problem.batch_cost(rows.node, batch_size))
        if self.sampling == "collapsed":
            exact = problem.gradients(x, rows.node, problem.sample(rows, batch_size, 1))[:, 0]
            return Estimate(gradient=collapsed(exact, rows, self.samples), calls=calls)
        size = max(1, _room(x, _AT_ONCE) // (self.samples * problem.dimension))
        if len(rows) <= size:
            return Estimate(gradient=self._average(problem, x, rows, batch_size), calls=calls)
        parts = torch.split(torch.arange(len(rows), device=x.device), size)
        found = [self._average(problem, x[part], rows.take(part), batch_size) for part in parts]
        return Estimate(gradient=torch.cat(found), calls=calls)

    def _average(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Tensor:
        """The mean of m differences times their vectors, so many vectors at once as memory holds.

        Vectors that share a data sample are taken in parts, unless evaluations have noise: its
        draws belong to places among all m.
        """
        import torch

        m, fresh = self.samples, self.data == "fresh"
        u = self.draw(rows, problem.dimension).to(x.dtype)
        sample = problem.sample(rows, batch_size, m if fresh else 1)
        room = _room(x, _AT_ONCE)
        if fresh or problem.evaluation_noise or u.numel() <= room:
            along = self._differences(problem, x, u, rows, sample)
        else:
            some = torch.split(u, max(1, room // x.numel()), dim=1)
            parts = [self._differences(problem, x, part, rows, sample) for part in some]
            along = torch.cat(parts, dim=1)
        if m == 1:
            return along * u[:, 0]
        return torch.bmm(along[:, None, :], u)[:, 0] / m

    def draw(self, rows: Rows, d: int) -> Tensor:
        """The random vectors, E uu' = I, shape [B, m, d]."""
        if self.sampling == "iid":
            return DIRECTIONS[self.directions](rows, self.samples, d)
        return DEPENDENT[self.sampling][1](rows, self.samples, d)

    def _differences(
        self, problem: Problem, x: Tensor, u: Tensor, rows: Rows, sample: Sample
    ) -> Tensor:
        """Differences along u [B, m, d], shape [B, m]."""
        import torch

        fresh = self.data == "fresh"
        if self.difference == "directional_derivative":
            forward = getattr(problem, "directional_derivatives", None)
            if forward is not None:
                exact: Tensor = forward(
                    x, u[:, :, None] if fresh else u[:, None], rows.node, sample
                )
                return exact.flatten(1)
            slopes = problem.gradients(x, rows.node, sample)
            if slopes.shape[1] == 1:
                return torch.bmm(u, slopes.transpose(1, 2))[:, :, 0]
            return (u * slopes).sum(-1)
        step = self.smoothing * (u[:, :, None] if fresh else u[:, None])  # [B, s, p, d]
        central = self.difference == "central"
        change = difference(problem, x, step, rows, sample, central=central)
        return (change / ((2 if central else 1) * self.smoothing)).flatten(1)

    def _calls(self, cost: Tensor) -> dict[str, Tensor]:
        m = self.samples
        if self.difference == "directional_derivative":
            return {"derivative_calls": m * cost}
        if self.difference == "central":
            return {"function_calls": 2 * m * cost}
        return {"function_calls": (2 * m if self.data == "fresh" else m + 1) * cost}


def _room(like: Tensor, on_host: int) -> int:
    """Numbers that are taken at once where `like` lies."""
    return at_once(str(like.device), on_host) if like.is_cuda else on_host


def collapsed(gradient: Tensor, rows: Rows, m: int) -> Tensor:
    """(1/m) Σ_k u_k <u_k, g> for m independent u_k ~ N(0, I), from d + m normals instead of d m.

    With g = |g| e, a_k = <u_k, e> and S = Σ a_k², the parts of the u_k across e are independent of
    the a_k, so that Σ a_k u_k = S e + sqrt(S) (z − <z, e> e) in law, z ~ N(0, I).

    Arguments:
        gradient: g, shape [B, d].
        rows: their addresses.
        m: random vectors.

    Returns:
        Shape [B, d].
    """
    import torch

    size = max(1, _room(gradient, _IN_CACHE) // (gradient.shape[1] + m))
    found = torch.empty_like(gradient)
    for start in range(0, len(gradient), size):
        here = slice(start, start + size)
        found[here] = _collapsed(gradient[here], rows.take(here), m)
    return found


def _collapsed(gradient: Tensor, rows: Rows, m: int) -> Tensor:
    """The same for a few rows: a z + b g with two numbers a row."""
    import torch

    d = gradient.shape[1]
    drawn = streams.normals(rows, Purpose.DIRECTION, d + m).to(gradient.dtype)
    z, total = drawn[:, :d], drawn[:, d:].square().sum(1, keepdim=True)
    length = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    along = (z * gradient).sum(1, keepdim=True)
    along /= length.clamp_min(torch.finfo(gradient.dtype).tiny)
    share = total.sqrt()
    found: Tensor = (share * length / m * z).addcmul_((total - share * along) / m, gradient)
    return found


def difference(
    problem: Problem, x: Tensor, step: Tensor, rows: Rows, sample: Sample, *, central: bool
) -> Tensor:
    """F(x + step) − F(x − step) or − F(x), each call with its noise.

    Without cancellation where the problem knows how.

    Arguments:
        x: [B, d].
        step: [B, s, p, d].
        central: from x − step; else from x, by one call that all p differences share.

    Returns:
        Shape [B, s, p].
    """
    import torch

    base, (_, s, p, _) = x[:, None, None], step.shape
    start = base - step if central else base.expand(-1, s, -1, -1)
    stable = getattr(problem, "directional_difference", None)
    if stable is None:
        values = evaluate(problem, torch.cat([base + step, start], dim=2), rows, sample)
        return values[:, :, :p] - values[:, :, p:]
    exact: Tensor = stable(start, step + step if central else step, rows.node, sample)
    if problem.evaluation_noise == 0.0:
        return exact
    noise = _call_noise(problem, rows, (len(x), s, p + start.shape[2]), exact)
    return exact + (noise[:, :, :p] - noise[:, :, p:])


def evaluate(problem: Problem, points: Tensor, rows: Rows, sample: Sample) -> Tensor:
    """Function values with the noise that each call adds: points [B, s, p, d] -> [B, s, p]."""
    values = problem.values(points, rows.node, sample)
    if problem.evaluation_noise == 0.0:
        return values
    return values + _call_noise(problem, rows, values.shape, values)


def _call_noise(problem: Problem, rows: Rows, shape: Sequence[int], like: Tensor) -> Tensor:
    """The noise of one function call an entry, shape [B, s, p]."""
    drawn = streams.normals(rows, Purpose.EVALUATION, shape[1] * shape[2])
    return problem.evaluation_noise * drawn.view(*shape).to(like.dtype)
