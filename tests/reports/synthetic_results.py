"""Results of a suite that was never run: every kind of check, every outcome, awkward names."""

import math
from typing import Any

import numpy as np

STEPS = [0, 1, 2, 3, 5, 8, 13, 22, 36, 60, 100]
ALPHA, CHECKS = 1e-4, 14
LEVEL = ALPHA / CHECKS
HOSTILE = '<script>alert("x")</script> & $\\frac{1}{0}$'


def scalar(mean: Any, error: float = 0.004, spread: float = 0.3) -> dict[str, Any]:
    """An observable with quantiles; errors and spread relative to the mean."""
    mean = np.asarray(mean, float)
    return {
        "mean": mean.tolist(),
        "standard_error": (error * np.abs(mean)).tolist(),
        "quantiles": {
            "0.05": (mean * (1 - spread)).tolist(),
            "0.5": mean.tolist(),
            "0.95": (mean * (1 + 1.4 * spread)).tolist(),
        },
    }


def vector(mean: Any, error: float) -> dict[str, Any]:
    """A vector observable: no quantiles."""
    mean = np.asarray(mean, float)
    return {"mean": mean.tolist(), "standard_error": np.full(mean.shape, error).tolist()}


def decay(floor: float = 0.01, rate: float = 0.08) -> np.ndarray:
    """A typical objective gap over STEPS."""
    return floor + np.exp(-rate * np.array(STEPS))


def prediction(theorem: str, kind: str, values: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A prediction of all STEPS that applies, unless told otherwise."""
    return {
        "theorem": theorem,
        "statement": f"{theorem}: E f(mean_t) − f* = ½ tr(A C_t)",
        "kind": kind,
        "source": {"locator": "own derivation", "printed": ""},
        "applies": True,
        "assumptions": [{"text": "the problem is quadratic", "holds": True, "detail": ""}],
        "validity": "every step size with η L < 2",
        "steps": STEPS,
        "values": {name: np.asarray(value).tolist() for name, value in values.items()},
        "spread": {},
        "mutants": ["step-size-5-percent"],
        **fields,
    }


def statistic(name: str, step: int, measured: float, predicted: float) -> dict[str, Any]:
    """One tested number."""
    return {
        "observable": name,
        "step": step,
        "measured": measured,
        "standard_error": 0.004 * abs(measured),
        "predicted": predicted,
        "visible_error": 0.02 * abs(predicted),
        "tolerance": 0.05 * abs(predicted),
    }


def verdict(theorem: str, outcome: str = "consistent", **fields: Any) -> dict[str, Any]:
    """A verdict; `met` follows from `expected`."""
    record = {
        "theorem": theorem,
        "outcome": outcome,
        "reason": "not rejected at p = 0.4; an error of 2 % would have been seen with power .9",
        "kind": "exact",
        "p_value": 0.4,
        "level": LEVEL,
        "method": "Hotelling T²",
        "replicas": 4096,
        "replicas_needed": 0,
        "visible_error": 0.02,
        "tolerance": 0.05,
        "tightness": None,
        "statistics": [],
        "expected": "consistent",
        "expectation_reason": "",
        **fields,
    }
    return {**record, "met": record["outcome"] == record["expected"]}


def run(name: str, **fields: Any) -> dict[str, Any]:
    """A run on the quadratic with nothing predicted."""
    labels = {
        "problem": "quadratic",
        "topology": "complete",
        "gossip": "pair",
        "method": "hdo",
        "population": "3 FO + 5 ZO",
        "estimators": ["gradient", "zeroth_order"],
        "nodes": 8,
        "first_order": 3,
        "zeroth_order": 5,
        "dimension": 6,
        **fields.pop("labels", {}),
    }
    return {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "digest": f"d{len(name):03d}c0ffee",
        "spec": {"problem": {"name": labels["problem"], "dimension": 6}, "run": {"steps": 100}},
        "reused": False,
        "seconds": 3.2,
        "labels": labels,
        "replicas": 4096,
        "diverged": 0,
        "seed": 0,
        "warnings": [],
        "steps": STEPS,
        "observables": {},
        "reference": None,
        "predictions": [],
        "verdicts": [],
        **fields,
    }


def exact_run() -> dict[str, Any]:
    """Two scalars and a vector, predicted exactly and measured with noise."""
    rng = np.random.default_rng(7)
    gap, distance = decay(), 0.3 * (1 - decay(0))
    start = np.array([1.0, -0.6, 0.4, 0.1, -0.2, 0.8])
    path = decay(0)[:, None] * start
    noisy = {"objective_gap": gap, "consensus_potential": distance}
    observables = {
        name: scalar(value * (1 + 0.004 * rng.standard_normal(len(STEPS))))
        for name, value in noisy.items()
    }
    observables["mean_iterate"] = vector(path + 0.003 * rng.standard_normal(path.shape), 0.003)
    observables["objective_gap"]["standard_error"][0] = 0.0
    observables["objective_gap"]["mean"][0] = float(gap[0])
    measured = observables["objective_gap"]["mean"]
    tested = [statistic("objective_gap", STEPS[i], measured[i], gap[i]) for i in (3, 6, 8, 10)]
    tested += [statistic("mean_iterate[2]", 100, 0.0001, 0.00013)]
    claim = prediction("mean-recursion", "exact", {**noisy, "mean_iterate": path})
    bound = prediction("contraction-bound", "upper", {"consensus_potential": distance * 1.6 + 0.05})
    return run(
        "quadratic-complete",
        observables=observables,
        predictions=[claim, bound],
        verdicts=[
            verdict("mean-recursion", statistics=tested),
            verdict(
                "contraction-bound", kind="upper", method="Hall t", tightness=1.62, p_value=1.0
            ),
        ],
    )


def violated_run() -> dict[str, Any]:
    """A printed statement that does not hold: an expected violation."""
    gap = decay()
    claim = prediction(
        "printed-lemma-13",
        "upper",
        {"objective_gap": gap * 0.8},
        source={"locator": "Ansaripour et al. 2025, Lemma 13", "printed": "E f ≤ (1 − ημ/n) E f"},
    )
    return run(
        "lemma-13-as-printed",
        labels={"topology": "ring"},
        observables={"objective_gap": scalar(gap)},
        predictions=[claim],
        verdicts=[
            verdict(
                "printed-lemma-13",
                "violated",
                kind="upper",
                p_value=0.0,
                reason="rejected: the mean lies 62 standard errors above the bound",
                expected="violated",
                expectation_reason="the printed bound drops the bias term ν² L² d",
                statistics=[statistic("objective_gap", 36, gap[8], 0.8 * gap[8])],
            )
        ],
    )


def inapplicable_run() -> dict[str, Any]:
    """An assumption fails: no values, a reason."""
    claim = prediction(
        "mean-recursion",
        "exact",
        {},
        applies=False,
        assumptions=[{"text": "η L < 2", "holds": False, "detail": "η L = 3.1"}],
    )
    return run(
        "too-large-a-step",
        labels={"population": "8 FO", "estimators": ["gradient"]},
        diverged=4096,
        warnings=["4096 of 4096 replicas diverged; lower the step size"],
        observables={"objective_gap": diverging()},
        predictions=[claim],
        verdicts=[
            verdict(
                "mean-recursion",
                "inapplicable",
                p_value=None,
                visible_error=None,
                method="",
                reason="η L < 2 fails: η L = 3.1",
                expected="inapplicable",
                expectation_reason="beyond the stability limit the moments are infinite",
            )
        ],
    )


def diverging() -> dict[str, Any]:
    """Finite at first, null later."""
    mean = [3.0**step if step < 20 else None for step in STEPS]
    return {
        "mean": mean,
        "standard_error": [None if value is None else 0.1 * value for value in mean],
        "quantiles": {"0.05": mean, "0.5": mean, "0.95": mean},
    }


def order_run() -> dict[str, Any]:
    """A paired comparison: worse at first, better after a crossing."""
    reference = 0.02 + np.exp(-0.09 * np.array(STEPS))
    own = 0.011 + np.exp(-0.07 * np.array(STEPS))
    claim = prediction(
        "hybrid-order", "order", {"objective_gap_difference": [0.0]}, steps=[100], assumptions=[]
    )
    observables = {
        "objective_gap": scalar(own),
        "objective_gap_difference": {
            "mean": (own - reference).tolist(),
            "standard_error": (0.003 * reference).tolist(),
            "quantiles": {},
        },
    }
    test = statistic("objective_gap_difference", 100, float((own - reference)[-1]), 0.0)
    record = run(
        "hybrid-against-first-order",
        labels={"topology": "ring", "gossip": "matching"},
        observables=observables,
        reference={"objective_gap": scalar(reference)},
        predictions=[claim],
        verdicts=[verdict("hybrid-order", kind="order", method="Hall t", statistics=[test])],
    )
    record["spec"]["versus"] = {"label": "first-order nodes only", "nodes": []}
    return record


def static_run() -> dict[str, Any]:
    """A spectrum at one step, deterministic."""
    spectrum = [2 - 2 * math.cos(2 * math.pi * k / 8) for k in (0, 1, 1, 2, 2, 3, 3, 4)]
    claim = prediction(
        "cycle-spectrum",
        "exact",
        {"laplacian_spectrum": [spectrum], "slem": [0.9]},
        steps=[0],
        source={"locator": "Chung 1997, example 1.5", "printed": ""},
    )
    measured = [value + 1e-15 for value in spectrum]
    return run(
        "cycle-spectrum",
        labels={"topology": "cycle", "gossip": "matrix", "population": None, "estimators": None},
        steps=[0],
        replicas=1,
        observables={
            "laplacian_spectrum": {"mean": [measured], "standard_error": [[0.0] * 8]},
            "slem": {"mean": [0.9], "standard_error": [0.0], "quantiles": {"0.05": [0.9]}},
        },
        predictions=[claim],
        verdicts=[
            verdict(
                "cycle-spectrum",
                kind="invariant",
                method="deterministic",
                p_value=1.0,
                visible_error=1e-9,
                replicas=1,
                statistics=[statistic("laplacian_spectrum[3]", 0, 2.0, 2.0)],
            )
        ],
    )


def unmet_run() -> dict[str, Any]:
    """A surprise with a hostile name, and a check without power."""
    gap = decay()
    return run(
        HOSTILE,
        title=HOSTILE,
        labels={"population": "8 ZO", "estimators": ["zeroth_order"], "topology": HOSTILE},
        observables={"objective_gap": scalar(gap * 1.07), "node_distance": scalar(gap, 0.2)},
        predictions=[
            prediction("mean-recursion", "exact", {"objective_gap": gap}),
            prediction("node-bound", "rate", {"node_distance": gap, "never_recorded": gap}),
        ],
        verdicts=[
            verdict("mean-recursion", "violated", p_value=1.2e-31, reason="rejected " + HOSTILE),
            verdict(
                "node-bound",
                "inconclusive",
                kind="rate",
                replicas_needed=65536,
                visible_error=0.31,
                reason="not rejected, but the smallest visible error is 31 %",
            ),
        ],
    )


def real_run(name: str, floor: float, error: float, **labels: Any) -> dict[str, Any]:
    """A run on a real problem, for the leaderboard."""
    costs = {"gradient_calls": 2.0, "function_calls": 640.0, "floats_sent": 1570.0}
    observables: dict[str, Any] = {"objective_gap": scalar(decay(floor, 0.05), error)}
    observables |= {k: scalar(v * np.array(STEPS), 0.0) for k, v in costs.items()}
    return run(name, labels={"problem": "logistic", **labels}, observables=observables, replicas=64)


def results() -> dict[str, Any]:
    """The whole suite."""
    runs = [
        exact_run(),
        violated_run(),
        inapplicable_run(),
        order_run(),
        static_run(),
        unmet_run(),
        real_run("logistic-hybrid", 0.10, 0.01, population="24 FO + 256 ZO"),
        real_run("logistic-first-order", 0.102, 0.01, population="24 FO"),
        real_run("logistic-zeroth-order", 0.2, 0.01, population="256 ZO"),
    ]
    for index, p_value in enumerate((0.93, 0.71, 0.55, 0.31, 0.22, 0.11, 0.84)):
        runs[0]["verdicts"].append(verdict(f"moment-{index}", p_value=p_value))
    verdicts = [item for record in runs for item in record["verdicts"]]
    return {
        "schema": 1,
        "suite": {
            "name": "synthetic",
            "title": "A suite that was never run",
            "description": "Every kind of check and every outcome.",
            "alpha": ALPHA,
            "checks": len(verdicts),
            "level": LEVEL,
        },
        "provenance": {
            "hzbench": "0.1.0",
            "python": "3.11.7",
            "commit": "0123abc",
            "device": "cpu",
            "created": "2026-11-21T00:00:00Z",
            "seconds": 61.0,
            "workers": 2,
        },
        "runs": runs,
        "met": all(item["met"] for item in verdicts),
    }
