"""Compiled code: loaded when it is first used, and compiled once a machine.

numba's own cache looks at the file of a function alone, so it would keep one whose helpers have
changed. Here the source of all compiled modules names the folder of the cache.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_PACKAGE = Path(__file__).parents[1]
_SOURCES = (
    "core/inverse_normal.py",
    "core/lane_functions.py",
    "core/masked_lanes.py",
    "core/philox.py",
    "core/objective.py",
    "core/lanes.py",
    "engine/fused/*.py",
    "problems/lane_layers.py",
    "problems/transformer_kernels.py",
)


class Kernel(NamedTuple):
    """Compiled code that a run needs.

    Attributes:
        title: what the user reads while it is compiled.
        function: its entry that is compiled last.
        compile: compiles all of it.
    """

    title: str
    function: str
    compile: Callable[[], None]


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called; keep what comes out in `folder()`.

    Whoever imports its module: numba settles where to keep it at this line.
    """
    import numba

    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder())
    try:
        how = numba.njit(cache=True, error_model="numpy", nogil=True, _nrt=False)
        return how(function)
    finally:
        numba.config.CACHE_DIR = before


@cache
def folder() -> Path:
    """Where the compiled functions of this source lie; a temporary folder if nowhere else."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    files = [file for pattern in _SOURCES for file in sorted(_PACKAGE.glob(pattern))]
    source = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    found = Path(base) / "hzbench" / source[:16]
    try:
        found.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=found):
            return found
    except OSError:
        return Path(tempfile.mkdtemp(prefix="hzbench-"))


def ready(function: str) -> bool:
    """Whether a function has been compiled on this machine."""
    return any(folder().glob(f"**/*.{function}-*.nbi"))


def table(values: object, kind: type = np.float64) -> NDArray[Any]:
    """A contiguous array that may be written to: all of one rank have one compiled type."""
    return np.require(np.asarray(values), kind, ["C", "W", "A"])
