"""Draw docs/idea.svg, the figure of the README: python docs/figure.py (takes half a minute)."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import hzbench
from hzbench.harness.run import Result
from hzbench.harness.suite import load

RUN = "hdo-pair-complete-hybrid"
MUTANT = "step_size_plus_5"
OBSERVABLE = "objective_gap"


def main() -> None:
    """Run the case twice, with and without the planted bug, and draw both."""
    spec = next(spec for spec in load("quick").specs if spec.name == RUN)
    spec = spec.replace(run={**spec.run.model_dump(mode="json"), "record": 24})
    results = [hzbench.run(spec), hzbench.run(spec.replace(mutant=MUTANT))]
    mpl.rcParams.update({"svg.hashsalt": "hzbench", "svg.fonttype": "path", "font.size": 9})
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", width_ratios=[1, 1.2])
    curve(axes[0], results[0])
    residuals(axes[1], results)
    target = Path(__file__).with_name("idea.svg")
    figure.savefig(target, metadata={"Date": None})


def values(result: Result) -> tuple[np.ndarray, ...]:
    """Steps, measured mean, its standard error, prediction."""
    prediction = result.predictions[0]
    steps = np.array(prediction.steps)
    columns = result.trace.columns[OBSERVABLE]
    error = columns.std(axis=1, ddof=1) / np.sqrt(result.trace.replicas)
    return steps, columns.mean(axis=1), error, prediction.values[OBSERVABLE]


def curve(axis: plt.Axes, result: Result) -> None:
    """Prediction and measurement."""
    steps, mean, _, predicted = values(result)
    axis.plot(steps, predicted, color="#c44601", label="theory, exact")
    axis.plot(steps, mean, "o", ms=3.5, color="#054fb9", label=f"mean of {result.trace.replicas}")
    axis.set(yscale="log", xlabel="interactions", ylabel="E f(mean) − f*")
    axis.set_yticks([0.2, 0.5, 1.0], labels=["0.2", "0.5", "1"])
    axis.minorticks_off()
    axis.set_title("3 first-order and 5 zeroth-order nodes, random pairs", fontsize=9)
    axis.legend(frameon=False)


def residuals(axis: plt.Axes, results: list[Result]) -> None:
    """Measured minus predicted, in standard errors, for the code and for the planted bug."""
    looks = (
        ("#054fb9", "o", "the code"),
        ("#8b1a1a", "x", "the code with step sizes 5 % too large"),
    )
    for result, (color, marker, label) in zip(results, looks, strict=True):
        steps, mean, error, predicted = values(result)
        inside = steps > 0
        z = (mean - predicted)[inside] / error[inside]
        verdict = result.verdicts[0]
        axis.plot(steps[inside], z, marker, ms=4, color=color, label=f"{label}: {verdict.outcome}")
    axis.axhspan(-2, 2, color="0.9", zorder=0)
    axis.set(xlabel="interactions", ylabel="(measured − theory)/standard error")
    axis.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.75))


if __name__ == "__main__":
    main()
