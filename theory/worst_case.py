"""Worst cases over a whole class of functions: cached values, or PEPit's where it is installed.

Everything is scaled: L = 1 and |x_0 − x*| = 1. A value v means f(x̄_T) − f* ≤ v L |x_0 − x*|² for
every f of the class, in any dimension, and some f attains it (up to the solver's accuracy).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Literal

from hzbench.core.errors import UserMistakeError

Program = Literal["gradient-descent", "noisy-descent", "decentralized-descent"]
TOLERANCE = 1e-4
LARGEST_CONDITION = 0.999  # μ/L above which the interpolation conditions divide by almost 0
MOST_NODES, MOST_WORK = 8, 24
INSTALL = 'install PEPit: pip install "hzbench[pep]"'


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """What is asked: a class of functions, a method and its number of steps.

    Attributes:
        program: which method.
        step: ηL.
        steps: T.
        condition: μ/L, f (every f_i) is μ-strongly convex.
        disturbance: noisy: ε/(L|x_0−x*|), every gradient is off by at most ε;
            decentralized: ζ/(L|x_0−x*|), (1/n) Σ|∇f_i(x*)|² ≤ ζ².
        nodes, graph, weights: the fixed W of the decentralized step.
    """

    program: Program
    step: float
    steps: int
    condition: float
    disturbance: float = 0.0
    nodes: int = 1
    graph: str = ""
    weights: str = ""


@cache
def cached_values() -> dict[WorstCase, float]:
    """The values that ship with the package."""
    text = files("hzbench.theory").joinpath("worst_case.json").read_text(encoding="utf-8")
    rows = json.loads(text)["values"]
    return {
        WorstCase(**{k: v for k, v in row.items() if k != "value"}): row["value"] for row in rows
    }


def lookup(case: WorstCase) -> float | None:
    """The least cached value that covers a case: a larger class has a larger worst case."""
    found = [value for known, value in cached_values().items() if covers(known, case)]
    return min(found, default=None)


def covers(known: WorstCase, case: WorstCase) -> bool:
    """Whether a cached class contains the class of a case, under the same method."""
    return (
        replace(known, step=0.0, condition=0.0, disturbance=0.0)
        == replace(case, step=0.0, condition=0.0, disturbance=0.0)
        and abs(known.step - case.step) <= 1e-9 * known.step
        and known.condition <= case.condition * (1 + 1e-9)
        and known.disturbance >= case.disturbance * (1 - 1e-9)
    )


def worst_case(case: WorstCase) -> float:
    """The value of a case: cached, or solved for (for μ = L over a class that is slightly larger).

    Raises:
        UserMistakeError: not cached, and PEPit is missing or the program is too large.
    """
    known = lookup(case)
    if known is not None:
        return known
    reason = obstacle(case)
    if reason:
        raise UserMistakeError(reason)
    return solve(replace(case, condition=min(case.condition, LARGEST_CONDITION)))


def obstacle(case: WorstCase) -> str:
    """Why a case has no value here; empty if it has."""
    if lookup(case) is not None:
        return ""
    if case.nodes > MOST_NODES or case.nodes * case.steps > MOST_WORK:
        return (
            f"got n = {case.nodes} and T = {case.steps}; expected n at most {MOST_NODES} and nT at "
            f"most {MOST_WORK}; shorten the run"
        )
    if find_spec("PEPit") is None:
        return f"got {case}, which is not cached; expected a cached value or PEPit; {INSTALL}"
    return ""


@cache
def solve(case: WorstCase) -> float:
    """Solve the semidefinite program of a case with PEPit.

    Raises:
        UserMistakeError: PEPit is missing.
    """
    if find_spec("PEPit") is None:
        raise UserMistakeError(f"got no PEPit; expected it to solve {case}; {INSTALL}")
    from hzbench.theory.worst_case_programs import solve_program

    return solve_program(case)


def recompute(cases: Iterable[WorstCase] | None = None) -> dict[WorstCase, tuple[float, float]]:
    """(cached, solved) of the cached cases, or of some of them; they agree to TOLERANCE.

    Raises:
        UserMistakeError: PEPit is missing.
    """
    known = cached_values()
    return {case: (known[case], solve(case)) for case in (known if cases is None else cases)}


def written(values: dict[WorstCase, float]) -> str:
    """The text of worst_case.json for some values."""
    rows = [{**asdict(case), "value": value} for case, value in values.items()]
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    return f'{{\n  "scale": "L = 1, |x_0 - x*| = 1",\n  "values": [\n{lines}\n  ]\n}}\n'
