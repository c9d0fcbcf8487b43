"""Laws that every estimator must obey: addressed draws, counted calls, and the law it declares.

The declared law is tested where each of its words shows:

- mean and second moment on a noisy quadratic: vectors, their scale and number, shared data;
- the same at the optimum of a noiseless one, where a central difference is exactly 0 and a forward
  one is not;
- the same at the optimum of a noisy one with three samples a batch, where nothing but the noise is
  seen: an estimator that ignores its batch size is off by a factor of three;
- the mean on exponentials so steep that the declared smoothing radius bends them by several per
  cent, since quadratics are blind to bias: a doubled radius shows there.

An error of a quarter of a moment, or of its standard deviation where that is larger, is seen with
power 0.9; values that do not vary are compared at 1e-9.
"""

from __future__ import annotations

from typing import Any

import torch

from hzbench.core import registry
from hzbench.core.estimator import Estimator
from hzbench.core.problem import ProblemComponent
from hzbench.core.spec import Spec
from hzbench.harness.prepare import prepare
from hzbench.harness.run import ALPHA, execute_case
from hzbench.testing.checking import ESTIMATOR_PROBLEM, MEANS, MOMENTS, paragraph
from hzbench.testing.laws import CheckFailed, addresses, build_problem, require

Table = dict[str, Any]

NODES, DIMENSION = 8, 4
STEEP = 0.6  # rate times radius, τ = aν
PLACES = (0.3, 0.9, -0.5, 0.6)  # of the start, in units of 1/a


def estimator_laws(name: str, estimator: Estimator) -> None:
    """Every law above; those of moments where a law is declared.

    Raises:
        CheckFailed: a law does not hold.
    """
    _rows_are_independent(estimator)
    law = estimator.law(1)
    if law is None:
        return
    table = {"name": name, **estimator.model_dump(mode="json", exclude_defaults=True)}
    flat = {"name": "quadratic", "dimension": DIMENSION, "strong_convexity": 0.5, "initial": 0.0}
    _judge(table, ESTIMATOR_PROBLEM, *MOMENTS, "on a noisy quadratic")
    _judge(table, flat, *MOMENTS, "at the optimum of a quadratic without noise")
    loud = {**flat, "noise": 1.0}
    _judge(table, loud, *MOMENTS, "with batches of three", batch_size=3)
    _judge(table, _steep(getattr(law, "smoothing", 0.0)), *MEANS, "on steep exponentials")


def _rows_are_independent(estimator: Estimator) -> None:
    """The shape of x, oracle calls counted, and no dependence on which rows run together."""
    quadratic = registry.find("problem", "quadratic").target(dimension=3, noise=0.5)
    assert isinstance(quadratic, ProblemComponent)
    problem = build_problem(quadratic)
    rows = addresses(6, problem.nodes)
    x = torch.as_tensor(problem.initial).repeat(6, 1)
    found = estimator.estimate(problem, x, rows, 1)
    require(found.gradient.shape == x.shape, f"got shape {tuple(found.gradient.shape)}")
    calls = sum(int(count.sum()) for count in found.calls.values())
    require(calls > 0, "no oracle calls were counted; report them in `calls`")
    last = torch.arange(len(rows) // 2, len(rows))
    again = estimator.estimate(problem, x[last], rows.take(last), 1)
    require(
        bool(torch.allclose(found.gradient[last], again.gradient, rtol=1e-9, atol=1e-9)),
        "estimates depend on which rows are computed together; draw from the rows' addresses",
    )


def _steep(radius: float) -> Table:
    """Exponentials whose slopes are e^z − 1 at z = ax, with aν = STEEP."""
    rate = STEEP / radius if radius else 1.0
    return {
        "name": "separable",
        "term": "exponential",
        "dimension": DIMENSION,
        "rates": rate,
        "coefficients": 1 / rate,
        "initial": [place / rate for place in PLACES],
    }


def _judge(
    table: Table,
    problem: Table,
    theorem: str,
    named: tuple[list[str], ...],
    where: str,
    batch_size: int = 1,
) -> None:
    """Refuse estimates that disagree with the declared law, or could not be seen to agree."""
    check = {"theorem": theorem, "tolerance": 0.25}
    spec = Spec.parse(
        {
            "name": str(table["name"]),
            "problem": problem,
            "nodes": [{"count": NODES, "estimator": table, "batch_size": batch_size}],
            "method": "probe",
            "run": {"steps": 1, "record": [1], "replicas": 2048, "max_replicas": 32768},
            "checks": [{**check, "observables": names} for names in named],
        }
    )
    case = prepare(spec)
    result = execute_case(case, ALPHA / case.statistical)
    if any(verdict.outcome in {"violated", "inconclusive"} for verdict in result.verdicts):
        title = f"{table['name']} {where} does not follow the law it declares"
        raise CheckFailed(paragraph(result, title), result)
