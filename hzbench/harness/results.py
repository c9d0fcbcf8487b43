"""Results: the record of a finished suite, as reports read it (schema in core/result.py)."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Prediction
from hzbench.core.result import SCHEMA, plain
from hzbench.core.server import ServerMethod
from hzbench.core.spec import NodeGroup, Spec
from hzbench.core.trace import Trace
from hzbench.core.verdict import Verdict
from hzbench.harness.run import Result
from hzbench.harness.server import schedule_excerpt
from hzbench.harness.setting import estimator_of, method_of
from hzbench.harness.simulate import REFERENCE, provenance
from hzbench.harness.suite import Suite

QUANTILES = (0.05, 0.5, 0.95)


def suite_record(
    suite: Suite,
    runs: Sequence[Mapping[str, Any]],
    tests: int,
    seconds: float,
    workers: int,
) -> dict[str, Any]:
    """Results.json but for what a paper says; `tests` counts that and the checks."""
    spec = suite.specs[0]
    return {
        "schema": SCHEMA,
        "suite": {
            **suite.table.model_dump(exclude={"include", "blind_spots", "changes"}),
            **({"changes": list(suite.table.changes)} if suite.table.changes else {}),
            "title": suite.table.title or suite.table.name,
            "checks": tests,
            "level": suite.table.alpha / tests,
        },
        "provenance": {
            **provenance(spec, str(runs[0]["provenance"]["device"]) if runs else "cpu"),
            "commit": commit(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "created": now(),
            "seconds": round(seconds, 3),
            "workers": workers,
        },
        "runs": list(runs),
        "met": all(verdict["met"] for run in runs for verdict in run["verdicts"]),
    }


def run_record(result: Result) -> dict[str, Any]:
    """One run of results.json."""
    spec, trace = result.spec, result.trace
    columns = {k: v for k, v in trace.columns.items() if k != REFERENCE}
    reference = trace.columns.get(REFERENCE)
    record = {
        "name": spec.name,
        "title": spec.title or spec.name,
        "digest": result.digest,
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "reused": result.reused,
        "seconds": round(result.seconds, 3),
        "device_memory": result.device_memory,
        "labels": labels(spec, trace),
        "replicas": trace.replicas,
        "diverged": trace.diverged,
        "seed": spec.run.seed,
        "provenance": dict(trace.provenance),
        "warnings": list(result.warnings),
        "steps": trace.steps,
        "observables": {name: summary(values) for name, values in columns.items()},
        "reference": None if reference is None else {"objective_gap": summary(reference)},
        "predictions": [prediction_record(p) for p in result.predictions],
        "verdicts": [verdict_record(v) for v in result.verdicts],
        "schedule": _excerpt(spec),
    }
    plained: dict[str, Any] = plain(record)
    return plained


def _excerpt(spec: Spec) -> dict[str, Any] | None:
    """The first jobs of a server's run, without any mutant; None where there is no server."""
    method = method_of(spec)
    return schedule_excerpt(spec, method) if isinstance(method, ServerMethod) else None


def summary(values: NDArray[np.float64]) -> dict[str, Any]:
    """Mean, standard error and, for scalars, quantiles over replicas: [T', R(, k)]."""
    replicas = values.shape[1]
    constant = (values == values[:, :1]).all(axis=1) & (replicas > 1)
    with np.errstate(all="ignore"):
        deviation = (
            values.std(axis=1, ddof=1) if replicas > 1 else np.full_like(values[:, 0], np.nan)
        )
        found: dict[str, Any] = {
            "mean": values.mean(axis=1),
            "standard_error": np.where(constant, 0.0, deviation / np.sqrt(replicas)),
        }
        if values.ndim == 2:
            cuts = np.quantile(values, QUANTILES, axis=1)
            found["quantiles"] = {str(q): cut for q, cut in zip(QUANTILES, cuts, strict=True)}
    return found


def labels(spec: Spec, trace: Trace) -> dict[str, Any]:
    """Short words for tables and heat maps."""
    kinds = spec.kinds()
    first = kinds.count("first")
    population = {len(kinds): "first-order only", 0: "zeroth-order only"}.get(first, "hybrid")
    problem = spec.component("problem", spec.problem)
    data = getattr(problem, "data", None)
    served = spec.network.gossip == "server"
    clock = "fixed" if spec.clock is None else spec.clock["name"]
    return {
        "problem": spec.problem["name"] + (f" ({data})" if isinstance(data, str) else ""),
        "topology": "server" if served else spec.network.graph["name"],
        "gossip": f"{clock} clock" if served else spec.network.gossip,
        "method": spec.method["name"],
        "population": population,
        "estimators": " + ".join(dict.fromkeys(_law_label(group) for group in spec.nodes)),
        "nodes": len(kinds),
        "first_order": first,
        "zeroth_order": len(kinds) - first,
        "dimension": _dimension(trace),
    }


def prediction_record(prediction: Prediction) -> dict[str, Any]:
    """One prediction, JSON-able."""
    found: dict[str, Any] = {**plain(prediction), "applies": prediction.applies}
    return found


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """One verdict, JSON-able."""
    return {**plain(asdict(verdict)), "met": verdict.met}


def now() -> str:
    """The time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The commit of the source, when it runs from a checkout of it."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        found = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", "-C", str(root), "describe", "--always", "--dirty"],  # noqa: S607 (git on PATH)
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def _law_label(group: NodeGroup) -> str:
    """The estimator in two words, without counts: "gradient", "sphere central"."""
    component = estimator_of(group.estimator)
    words = [getattr(component, key, "") for key in ("directions", "difference")]
    return " ".join(word.replace("_", " ") for word in words if word) or group.estimator["name"]


def _dimension(trace: Trace) -> int | None:
    for name in ("mean_iterate", "estimate"):
        if name in trace.columns:
            return int(trace.columns[name].shape[2])
    return None
