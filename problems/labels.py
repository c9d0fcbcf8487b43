"""Which classes labels name: counted in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHOWN = 3


def class_mistake(labels: NDArray[Any], count: int | None = None) -> tuple[str, str] | None:
    """What keeps labels [N] from naming classes: what they are and what is expected; or None.

    Whole numbers, at least two different ones; with `count` all of 0 ... count − 1 and no other.
    """
    known = np.unique(labels)
    broken = known[known % 1 != 0]
    if broken.size:
        return f"the target {broken[0]:g}", "whole numbers as classes"
    if len(known) < 2:
        return f"targets of one class, {_listed(known)}", "at least two classes"
    if count is None:
        return None
    other = known[(known < 0) | (known >= count)]
    if other.size:
        return f"the targets {_listed(other)}", f"classes 0 ... {count - 1}"
    if len(known) == count:
        return None
    missing = np.setdiff1d(np.arange(min(count, len(known) + _SHOWN)), known)
    return f"targets without class {_listed(missing)}", f"rows of every class 0 ... {count - 1}"


def _listed(values: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:_SHOWN])
    return f"{shown}, ..." if len(values) > _SHOWN else shown or "none"
