"""The pickled batches of CIFAR-10, read without running anything that they may name."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.problems.folder import broken

_ALLOWED = {  # what pickled numpy arrays name, before and from numpy 2 on
    (home, name)
    for name, homes in {
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "ndarray": ("numpy",),
        "dtype": ("numpy",),
        "_frombuffer": ("numpy.core.numeric", "numpy._core.numeric"),
        "encode": ("_codecs",),
    }.items()
    for home in homes
}


class _Restricted(pickle.Unpickler):
    """An unpickler of plain values and arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """The named object, if an array needs it.

        Raises:
            UnpicklingError: it may be anything.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_batch(
    path: Path, data: bytes, *, columns: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels [N, columns] and labels [N] of a batch.

    Raises:
        UserMistakeError: it is no such batch.
    """
    table = _unpickled(path, data)
    pixels, labels = table.get(b"data"), table.get(b"labels")
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise broken(path, f"with the keys {sorted(map(str, table))}", "an array data and labels")
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != columns:
        shape = "×".join(map(str, pixels.shape))
        raise broken(path, f"with {shape} numbers ({pixels.dtype})", f"rows of {columns} (uint8)")
    if len(labels) != len(pixels) or not all(isinstance(label, int) for label in labels):
        raise broken(path, f"with {len(labels)} labels", f"{len(pixels)} integers, one a row")
    far = [label for label in labels if abs(label) >= 2**31]
    if far:
        raise broken(path, f"with a label of {far[0].bit_length()} bits", "numbers of classes")
    return pixels, np.asarray(labels, dtype=np.int64)


def _unpickled(path: Path, data: bytes) -> dict[Any, Any]:
    try:
        table = _Restricted(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # noqa: BLE001 (a damaged pickle may raise anything)
        told = f"that cannot be unpickled ({type(error).__name__}: {error})"
        raise broken(path, told, "a batch of plain values and numpy arrays") from None
    if not isinstance(table, dict):
        raise broken(path, f"that holds a {type(table).__name__}", "a table of data and labels")
    return table
