"""Compiled code: loaded when it is first used, and compiled once a machine.

numba's own cache looks at the file of a function alone, its path and its time, so it would keep one
whose helpers have changed and make another for every checkout. Here the source of all compiled
modules, numba's version and the processor name the folder of the cache, and nothing else counts.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_LINE = 64  # bytes of a line of the cache
_PACKAGE = Path(__file__).parents[1]
_SOURCES = (
    "core/inverse_normal.py",
    "core/lane_functions.py",
    "core/lane_building.py",
    "core/lane_words.py",
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
        dtype: of the numbers in its entry's first argument, where that decides; "": any.
    """

    title: str
    function: str
    compile: Callable[[], None]
    dtype: str = ""


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called; keep what comes out in `folder()`.

    Whoever imports its module: numba settles where to keep it at this line.
    """
    import numba

    before = numba.config.CACHE_LOCATOR_CLASSES
    numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.{Place.__name__}"
    try:
        made = numba.njit(cache=True, error_model="numpy", nogil=True, _nrt=False)(function)
        kept = made._cache  # noqa: SLF001  (numba lets a failure to save end the call)
        kept.save_overload = partial(_keep, kept.save_overload)
        return made
    finally:
        numba.config.CACHE_LOCATOR_CLASSES = before


def _keep(save: Callable[..., None], *compiled: object) -> None:
    """Keep what has been compiled; it serves this process where that fails, as on a full disk."""
    try:
        save(*compiled)
    except OSError as error:
        reason = error.strerror or str(error)
        warnings.warn(
            f"got {reason!r} in {folder()}; expected room for compiled code; it is compiled again "
            "next time: free some, or name another folder in XDG_CACHE_HOME",
            RuntimeWarning,
            stacklevel=2,
        )


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into whatever compiled code calls it, for which alone it is there.

    Without the two entries for callers in Python and C that numba makes of every function: a fifth
    of what a kernel took to compile.
    """
    import numba

    return numba.njit(
        error_model="numpy",
        _nrt=False,
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)


class Place:
    """Where numba keeps one entry: what it calls a locator, by the names that it asks for."""

    def __init__(self, line: int) -> None:
        self.line = line

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Place:
        """The place of a function."""
        del file
        drop_damaged(function.__qualname__)
        return cls(function.__code__.co_firstlineno)

    def ensure_cache_path(self) -> None:
        """Nothing to do: `folder` has seen to it."""

    def get_cache_path(self) -> str:
        """The folder of what has been compiled."""
        return str(folder())

    def get_source_stamp(self) -> str:
        """The same for ever: another source has another folder."""
        return ""

    def get_disambiguator(self) -> str:
        """What tells functions of one name apart."""
        return str(self.line)


@cache
def folder() -> Path:
    """Where the compiled functions of this source lie; a temporary folder if nowhere else."""
    from llvmlite.binding import get_host_cpu_name

    asked = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = asked if asked.is_absolute() else Path.home() / ".cache"  # as its specification says
    files = [file for pattern in _SOURCES for file in sorted(_PACKAGE.glob(pattern))]
    made_by = f"numba {version('numba')} for {get_host_cpu_name()}".encode()
    source = hashlib.sha256(b"\0".join([made_by, *(f.read_bytes() for f in files)])).hexdigest()
    own = Path(tempfile.gettempdir()) / f"hzbench-{os.getuid()}"
    return next(
        filter(_usable, (top / source[:16] for top in (base / "hzbench", own))), None
    ) or Path(tempfile.mkdtemp(prefix="hzbench-"))


def _usable(found: Path) -> bool:
    """Whether a folder is there, or could be made, that this user owns and may write to."""
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=found):
            return found.stat().st_uid == os.getuid()  # what others wrote is never loaded
    except OSError:
        return False


def drop_damaged(function: str) -> None:
    """Delete what is kept of a function if a disk has cut it off: it is compiled again then."""
    for file in [*folder().glob(f"*.{function}-*.nbi"), *folder().glob(f"*.{function}-*.nbc")]:
        try:
            _contents(file)
        except Exception:  # noqa: BLE001  (what damaged pickles raise has no end)
            for each in folder().glob(f"*.{function}-*"):
                each.unlink(missing_ok=True)
            return


def _contents(file: Path) -> Any:
    """What numba keeps in a file of our own folder; of an index what follows the version."""
    with file.open("rb") as opened:
        first = pickle.load(opened)  # noqa: S301  (numba does the same next)
        return pickle.loads(opened.read()) if file.suffix == ".nbi" else first  # noqa: S301


def ready(function: str, dtype: str = "") -> bool:
    """Whether a function has been compiled on this machine, and what is kept of it is whole.

    Arguments:
        function: an entry's name.
        dtype: what the type of its first argument must name.
    """
    drop_damaged(function)
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    for file in folder().glob(f"*.{function}-*.{python}*.nbi"):
        _, kept = _contents(file)
        if any(dtype in str(key[0][:1]) and (folder() / kept[key]).exists() for key in kept):
            return True
    return False


def table(values: object, kind: type = np.float64) -> NDArray[Any]:
    """A contiguous array that may be written to: all of one rank have one compiled type."""
    return np.require(np.asarray(values), kind, ["C", "W", "A"])


def aligned(shape: tuple[int, ...], make: Callable[..., Any] = np.zeros) -> NDArray[np.float64]:
    """What `make` fills, from a line of the cache on: so fewer loads of eight cross two of them."""
    size = 8 * math.prod(shape)
    raw: NDArray[np.uint8] = make(size + _LINE, dtype=np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(np.float64).reshape(shape)
