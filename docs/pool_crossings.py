"""Print where two hybrid pools change places, beside what rules P2 and P3 say.

python docs/pool_crossings.py (five minutes). Both pools run to E|∇f|² = ε by the exact recursion
with the step size that is fastest for each; rounds count with fractions, between two updates. P2:
one function, no noise, n0 zeroth-order workers against one gradient. P3: different data, the
slowest of n workers (40 s) with its gradient or without, in Malenia's rounds of all workers.
"""

from collections.abc import Callable, Mapping
from math import inf, log

import numpy as np
from scipy.optimize import minimize_scalar

from hzbench.core.spec import Spec
from hzbench.harness.build import build_problem
from hzbench.harness.setting import setting_of
from hzbench.theory.hybrid_pools import straggler_switch, zeroth_order_alone
from hzbench.theory.server_dynamics import observables

DIMENSION, ROUNDS, SLOW, NEVER = 10, 400, 40.0, 1e9
GROWTH, FACTOR = DIMENSION + 1.0, DIMENSION + 2.0  # ω and κ of one Gaussian vector
HELPER = {"name": "zeroth_order", "directions": "gaussian", "difference": "directional_derivative"}
SPECTRA = ("tridiagonal", "linear", "isotropic")
Table = Mapping[str, object]


def rounds_to(target: float, problem: Table, method: str, nodes: list[Table]) -> float:
    """Rounds to the target with the best constant step size; NEVER where none arrives."""
    table = {
        "problem": {"name": "quadratic", "dimension": DIMENSION, **problem},
        "nodes": nodes,
        "clock": {"name": "fixed"},
        "run": {"steps": ROUNDS, "record": list(range(ROUNDS + 1)), "replicas": 256},
    }

    def rounds(exponent: float) -> float:
        spec = Spec.parse({**table, "method": {"name": method, "step_size": 2.0**exponent}})
        with np.errstate(all="ignore"):
            level = observables(setting_of(spec, build_problem(spec)))[0]["gradient_norm"]
        below = np.flatnonzero(level <= target)
        if not len(below) or below[0] == 0:
            return NEVER
        k = int(below[0])
        last, now = level[k - 1], max(level[k], 1e-300)
        return k - log(target / now) / log(last / now)

    grid = np.arange(-9.0, 2.0)
    best = grid[int(np.argmin([rounds(each) for each in grid]))]
    found = minimize_scalar(
        rounds, bounds=(best - 1, best + 1), method="bounded", options={"xatol": 0.02}
    )
    return float(found.fun)


def crossing(advantage: Callable[[int], float], rule: float) -> float:
    """Size at which log(time without / time with) turns positive, within a factor 6; else inf."""
    low, high = max(2, int(rule / 6)), int(6 * rule)
    at_low, at_high = advantage(low), advantage(high)
    if at_low > 0 or at_high <= 0:
        return inf
    while high - low > max(1, 0.05 * low):
        middle = round((low * high) ** 0.5)
        middle = min(max(middle, low + 1), high - 1)
        value = advantage(middle)
        if value > 0:
            high, at_high = middle, value
        else:
            low, at_low = middle, value
    return float(np.interp(0.0, [at_low, at_high], [low, high]))


def spectrum_of(name: str) -> dict[str, object]:
    """Keys of the problem."""
    return {"spectrum": name} | ({} if name == "isotropic" else {"strong_convexity": 0.01})


def alone(spectrum: str, cost: float, target: float) -> float:
    """n0 from which zeroth-order workers beat one gradient (P2)."""
    problem = spectrum_of(spectrum)
    first = rounds_to(target, problem, "minibatch_sgd", [{"count": 1}])

    def advantage(n: int) -> float:
        pool: list[Table] = [{"count": n, "estimator": HELPER}]
        return log(first / (cost * rounds_to(target, problem, "minibatch_sgd", pool)))

    return crossing(advantage, zeroth_order_alone(GROWTH, cost))


def straggler(spectrum: str, cost: float, noise: float, target: float) -> float:
    """Workers from which on the slowest worker should leave gradients (P3)."""
    problem = spectrum_of(spectrum) | {"noise": (noise / DIMENSION) ** 0.5}

    def advantage(n: int) -> float:
        slow: Table = {"count": 1, "work": SLOW}
        helped: Table = {"count": 1, "work": cost * SLOW, "estimator": HELPER}
        kept, left = (
            rounds_to(target, problem, "malenia", [{"count": n - 1}, last])
            for last in (slow, helped)
        )
        return log(kept / (cost * left))

    return crossing(advantage, straggler_switch(FACTOR, cost, noise / target))


def main() -> None:
    """Print both tables."""
    for spectrum in SPECTRA:
        for cost in (0.3, 0.67):
            found, rule = alone(spectrum, cost, 0.01), zeroth_order_alone(GROWTH, cost)
            print(
                f"P2 {spectrum:11} c = {cost:4}: n0 = {found:5.3g}, {found / rule:.2f} of the rule"
            )
    for spectrum in SPECTRA[:2]:
        for cost in (0.3, 0.67):
            for noise in (0.1, 1.0):
                rule = straggler_switch(FACTOR, cost, noise / 0.01)
                found = straggler(spectrum, cost, noise, 0.01)
                words = f"n = {found:5.3g}, {found / rule:.2f} of the rule"
                print(f"P3 {spectrum:11} c = {cost:4}, σ² = {noise}: {words}")


if __name__ == "__main__":
    main()
