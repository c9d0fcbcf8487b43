"""Draw docs/pool-map.svg: when helpers without gradients pay in an asynchronous pool.

python docs/pool_map.py (a few minutes). Every pool of n1 gradients and n0 helpers, whose estimates
take c times as long, is run against its gradients alone at one drift a second; the ratio of the
two floors is the ratio of their times to any target that noise decides (theory/hybrid_pools.py).
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from hzbench.core.spec import Spec
from hzbench.harness.simulate import simulate
from hzbench.theory.hybrid_pools import best_weight, pool_time_ratio

FIRST, DIMENSION, STEP, REPLICAS = 2, 10, 0.02, 1024
FACTOR = DIMENSION + 2.0  # κ of one Gaussian vector
COSTS = {0.25: "#054fb9", 0.5: "#2a8f5a", 1.0: "#c44601"}
PEOPLE = (2, 4, 8, 16, 32)  # n0/n1
HELPER = {"name": "zeroth_order", "directions": "gaussian", "difference": "directional_derivative"}


def floor(nodes: list[dict[str, Any]], rate: float) -> tuple[float, float]:
    """Mean gap after three time constants at the floor, and its standard error."""
    drift = FIRST * STEP
    problem = {"name": "quadratic", "dimension": DIMENSION, "spectrum": "isotropic"}
    steps = int(np.ceil(1.5 / drift * rate))
    spec = Spec.parse(
        {
            "problem": problem | {"initial": 0.0, "noise": 1.0},
            "nodes": nodes,
            "clock": {"name": "fixed"},
            "method": "asgd",
            "run": {"steps": steps, "replicas": REPLICAS, "seed": 7, "record": [steps]},
        }
    )
    gaps = simulate(spec, ("objective_gap",), engine="fused").at("objective_gap", steps)
    return float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(REPLICAS))


def measured(people: int, cost: float, weight: float) -> tuple[float, float]:
    """Ratio of floors with and without helpers, and half of its 95 % interval."""
    x = people / cost
    size = STEP / (1 + weight * x)
    helpers = {"count": people * FIRST, "work": cost, "step_size": weight * size}
    pool = [{"count": FIRST, "step_size": size}, {**helpers, "estimator": HELPER}]
    ours, own = floor(pool, FIRST * (1 + x))
    alone, error = floor([{"count": FIRST, "step_size": STEP}], FIRST)
    ratio = ours / alone
    return ratio, 1.96 * ratio * float(np.hypot(own / ours, error / alone))


def main() -> None:
    """Run all pools and draw curves and map."""
    mpl.rcParams.update({"svg.hashsalt": "hzbench", "svg.fonttype": "path", "font.size": 9})
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    grid = np.geomspace(1.7, 38, 100)
    for cost, color in COSTS.items():
        left.plot(grid, pool_time_ratio_of(grid, cost, 1.0), color=color, label=f"c = {cost:g}")
        left.plot(grid, pool_time_ratio_of(grid, cost, best_weight(FACTOR)), "--", color=color)
        for weight, marker in ((1.0, "o"), (best_weight(FACTOR), "s")):
            found = [measured(people, cost, weight) for people in PEOPLE]
            ratios, halves = np.array(found).T
            left.errorbar(PEOPLE, ratios, halves, fmt=marker, ms=3.5, color=color)
            if weight == 1.0:
                helps = ratios < 1
                for mark, chosen in (("o", helps), ("x", ~helps)):
                    right.plot(np.array(PEOPLE)[chosen], [cost] * chosen.sum(), mark, color=color)
    left.axhline(1.0, color="0.5", lw=0.8)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="helpers a gradient, n0/n1",
        ylabel="time over that of the gradients alone",
    )
    left.legend(frameon=False, title="solid: weight 1\ndashed: weight 1/κ")
    right.plot(grid, grid / (FACTOR - 2), color="0.3", label="predicted break-even, c (κ − 2)")
    right.set(
        xscale="log",
        yscale="log",
        ylim=(0.15, 2),
        xlabel="helpers a gradient, n0/n1",
        ylabel="c, time of an estimate over a gradient's",
    )
    right.set_title("weight 1: o helps, x hurts (measured)", fontsize=9)
    right.legend(frameon=False, loc="upper left")
    left.set_yticks([0.1, 0.3, 1, 3], labels=["0.1", "0.3", "1", "3"])
    right.set_yticks(list(COSTS), labels=[f"{cost:g}" for cost in COSTS])
    for axis in (left, right):
        axis.set_xticks(PEOPLE, labels=[str(each) for each in PEOPLE])
        axis.minorticks_off()
    figure.savefig(Path(__file__).with_name("pool-map.svg"), metadata={"Date": None})


def pool_time_ratio_of(people: np.ndarray, cost: float, weight: float) -> np.ndarray:
    """P1 along a line of n0/n1."""
    return np.array([pool_time_ratio(each / cost, FACTOR, weight) for each in people])


if __name__ == "__main__":
    main()
