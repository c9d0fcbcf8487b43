"""Records of a finished suite, as saved in `results.json`: all that reports read.

Schema 1, every number JSON-able (non-finite numbers are null):

    {"schema": 1,
     "suite": {"name", "title", "description", "alpha", "checks": K (and orderings, and
               readings with a tolerance), "level": α/K},
     "provenance": {"hzbench", "python", "numpy", "torch", ..., "commit", "platform", "device",
                    "created" (ISO 8601), "seconds", "workers", "compile_seconds", "peak_memory"
                    and "peak_device_memory" (bytes)},
     "runs": [run, ...],
     "met": true|false,
     "orderings": [{fields of the [[ordering]] table, "step", "level", "outcome", "reason",
                    "shortened": null or {"last", "whole": steps of the run and of its file's,
                    "outcome": what is seen at "step"; "outcome" is then inconclusive},
                    "p_value", "pairs": {other run: {"difference", "low", "high" (95 %),
                    "confirming", "against", "crossing": {"step", "low", "high"},
                    "predicted" (with predict): {"step", "at_step", "free_at_step",
                    "difference" and "noise_free" at steps 0 ... T}}}}],
     "readings": [{fields of the [[reading]] table, "step", "measured", "standard_error",
                   "low", "high" (95 %, Student's t), "shortened", and with a tolerance "level",
                   "outcome", "p_value"; "reason" where shortened}]}

    run = {"name", "title", "digest", "spec": {...}, "reused": true|false, "seconds",
           "device_memory": most bytes of tensors that its process held on a CUDA device by its end,
           "labels": {"problem", "topology", "gossip", "method", "population", "estimators",
                      "nodes", "first_order", "zeroth_order", "dimension"},
           "replicas": R, "diverged": count, "seed", "warnings": [str, ...],
           "steps": [T' ints],
           "observables": {name: {"mean": [T'] or [T'][k], "standard_error": same,
                                  "quantiles": {"0.05": [T'], "0.5": .., "0.95": ..}}},
                          (quantiles of scalars only)
           "reference": {"objective_gap": {...}} | null   (the reference of a paired comparison)
           "predictions": [{"theorem", "statement", "kind", "source": {"locator", "printed"},
                            "applies", "assumptions": [{"text", "holds", "detail"}], "validity",
                            "steps": [..], "values": {observable: [..]}, "spread": {...},
                            "mutants": [...], "contrasts": {observable: how it follows from a
                            recorded vector}, "fit": what a rate is fitted by, or null}],
           "verdicts": [{fields of core.verdict.Verdict, "met": bool}],
                          (verdict i judges prediction i; components in brackets count from 0;
                          method "deterministic" comes with p_value 1 or 0)
           "schedule": the first jobs of a server's run (docs/formats.md) | null,
           "provenance": {"seed", "device", "dtype", versions}}
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

SCHEMA = 1


def plain(value: Any) -> Any:
    """Turn records, arrays and tuples into JSON-able values; non-finite numbers become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
