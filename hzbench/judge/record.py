"""A verdict as plain data: what stores, reports and leaderboards read."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from hzbench.core.verdict import Verdict


def record(verdict: Verdict) -> dict[str, Any]:
    """Return the fields as a JSON-able dict with `met` added; nan and inf become None."""
    plain: dict[str, Any] = _plain(asdict(verdict))
    return {**plain, "met": verdict.met}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
