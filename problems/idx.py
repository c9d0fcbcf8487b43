"""The IDX format of the MNIST files.

Big-endian: two zero bytes, the type (8: unsigned bytes), the number of dimensions; then each
dimension in four bytes; then the numbers.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", the file formats.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hzbench.problems.folder import broken

_BYTES = 8


def read_idx(path: Path, data: bytes, *, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Unsigned bytes [N, *shape].

    Raises:
        UserMistakeError: another magic number, another shape, or not as many bytes as stated.
    """
    rank = 1 + len(shape)
    magic, header = bytes([0, 0, _BYTES, rank]), 4 * (1 + rank)
    if data[:4] != magic:
        raise broken(path, f"that starts with {_hex(data[:4])}", f"{_hex(magic)}, an IDX file")
    if len(data) < header:
        raise broken(path, f"with {len(data)} bytes", f"at least the {header} of its header")
    stated = tuple(np.frombuffer(data, dtype=">u4", count=rank, offset=4).tolist())
    if stated[1:] != shape:
        raise broken(path, f"that states items of shape {_times(stated[1:])}", _times(shape))
    whole = header + math.prod(stated)
    if len(data) != whole:
        raise broken(path, f"with {len(data)} bytes", f"{whole} for {stated[0]} items")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(stated)


def _hex(data: bytes) -> str:
    return data.hex(" ") or "nothing"


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"
