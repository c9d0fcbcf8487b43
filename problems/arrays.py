"""Arrays in a spec: their types, the messages about them, and starting points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from pydantic import BeforeValidator

from hzbench.core.errors import SpecError

Array = NDArray[np.float64]


def _plain(value: Any) -> Any:
    """Numpy arrays and lists as tuples, which is what the strict validation of a spec takes."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(map(_plain, value)) if isinstance(value, list) else value


Vector = Annotated[tuple[float, ...], BeforeValidator(_plain)]
"""A list of numbers in the spec; numpy arrays are taken too."""
Matrix = Annotated[tuple[tuple[float, ...], ...], BeforeValidator(_plain)]
"""A list of rows."""
Stack = Annotated[tuple[tuple[tuple[float, ...], ...], ...], BeforeValidator(_plain)]
"""A list of matrices."""
Initial = float | Vector | Matrix
"""A radius r (every node at r·(1, ..., 1)/sqrt(d)), one point for all nodes, or one a node."""

LINEAR, ROTATION, SPREAD, TRUTH = 1, 2, 3, 4  # sub-streams of instance_seed: one a generator


def generator(seed: int, purpose: int) -> np.random.Generator:
    """The generator of one purpose: changing one drawn thing leaves the others alone."""
    return np.random.default_rng([seed, purpose])


def array(value: Any) -> Array:
    """The value as a float64 array."""
    return np.asarray(value, dtype=np.float64)


def last_length(value: Any) -> int | None:
    """The length of the innermost list (the first one), None for a number."""
    length = None
    while isinstance(value, tuple):
        length, value = len(value), value[0] if value else None
    return length


def when(condition: bool, mistake: str) -> list[str]:
    """The mistake if the condition holds."""
    return [mistake] if condition else []


def array_mistakes(name: str, value: Any, *shapes: tuple[int, ...]) -> list[str]:
    """What is wrong with an explicit array: ragged, of no listed shape, or not finite."""
    wanted = " or ".join("×".join(map(str, shape)) or "a number" for shape in shapes)
    try:
        given = np.asarray(value, dtype=np.float64)
    except ValueError:
        return [f"got {name} with rows of different lengths; expected {wanted}; fill the rows"]
    if given.shape not in shapes:
        shape = "×".join(map(str, given.shape)) or "a number"
        return [f"got {name} of shape {shape}; expected {wanted}; change one of them"]
    if not np.isfinite(given).all():
        place = np.argwhere(~np.isfinite(given))[0].tolist()
        where = f"{name} at {place}" if place else name
        return [f"got {given[tuple(place)]} in {where}; expected finite numbers; replace it"]
    return []


def psd_mistakes(name: str, matrices: Array) -> list[str]:
    """What keeps matrices [..., d, d] from being symmetric positive semidefinite."""
    scale = np.abs(matrices).max(initial=1e-300)
    if np.abs(matrices - np.swapaxes(matrices, -1, -2)).max(initial=0.0) > 1e-9 * scale:
        return [f"got {name} that is not symmetric; expected A = A'; symmetrise it"]
    least = float(np.linalg.eigvalsh(matrices).min(initial=0.0))
    if least < -1e-9 * scale:
        return [
            f"got {name} with the eigenvalue {least:.4g}; expected a positive semidefinite matrix; "
            "raise its diagonal"
        ]
    return []


def diagonal_of(matrices: Array) -> Array | None:
    """The diagonals [..., d] of matrices [..., d, d] if they are all diagonal, else None."""
    diagonal = np.diagonal(matrices, axis1=-2, axis2=-1)
    off = np.count_nonzero(matrices) - np.count_nonzero(diagonal)
    return None if off else np.array(diagonal)


def raise_mistakes(mistakes: Sequence[str], problem: str) -> None:
    """Raise all mistakes at once, if any.

    Raises:
        SpecError: there is a mistake.
    """
    if mistakes:
        raise SpecError(mistakes, where=f"the {problem} problem")


def initial_mistakes(initial: Any, nodes: int, dimension: int) -> list[str]:
    """What is wrong with the key `initial`."""
    return array_mistakes("initial", initial, (), (dimension,), (nodes, dimension))


def starting_points(initial: Any, spread: float, seed: int, nodes: int, dimension: int) -> Array:
    """Starting points [n, d], with seeded Gaussian offsets of sd `spread` a coordinate.

    Without offsets one point that all nodes share is one line of memory, seen n times.
    """
    start = np.array(initial, dtype=np.float64)
    if start.ndim == 0:
        start = np.full(dimension, start / np.sqrt(dimension))
    if spread:
        return start + spread * generator(seed, SPREAD).standard_normal((nodes, dimension))
    if start.ndim == 2:
        return start
    return as_strided(start, (nodes, dimension), (0, *start.strides))  # torch asks for writable
