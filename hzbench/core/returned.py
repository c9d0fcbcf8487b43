"""What a user's function returns, as numbers, or a sentence that says what is wrong with it."""

from __future__ import annotations

import inspect
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError

Array = NDArray[np.float64]
_REAL = "buif"  # kinds of numpy's types: booleans, integers, reals


def returned_numbers(value: Any, shape: tuple[int, ...], where: str, remedy: str = "") -> Array:
    """The value as numbers in double precision.

    Real numbers of Python, numpy and torch (a graph of autograd is dropped), alone or in lists.

    Arguments:
        value: what the function returned.
        shape: what is expected, () for one number.
        where: the function and the place of the call, for the message.
        remedy: what else to do where the shape differs.

    Raises:
        UserMistakeError: None, text, dates, coroutines, complex or too large numbers, or another
            shape.
    """
    wanted = f"shape {'×'.join(map(str, shape))}" if shape else "one number"
    try:
        found = _real(value)
    except _NoNumberError as error:
        raise UserMistakeError(
            f"got {error.got} from {where}; expected {wanted}; {error.remedy}"
        ) from None
    if found.shape != shape:
        got = "shape " + "×".join(map(str, found.shape)) if found.shape else "a single number"
        raise UserMistakeError(f"got {got} from {where}; expected {wanted}; return that{remedy}")
    return found


class _NoNumberError(Exception):
    def __init__(self, got: str, remedy: str) -> None:
        super().__init__(got)
        self.got, self.remedy = got, remedy


def _real(value: Any) -> Array:
    if value is None:
        raise _NoNumberError("None", "end the function with return and its result")
    if inspect.iscoroutine(value):
        value.close()
        raise _NoNumberError("a coroutine", "drop async, or run it to its end")
    if _is_masked(value):
        raise _NoNumberError("a masked value", "return its number, or inf where there is none")
    try:
        found = np.asarray(_on_cpu(value) if hasattr(value, "detach") else value)
    except Exception:  # noqa: BLE001 (a user's object may raise anything)
        raise _NoNumberError(f"a value of type {type(value).__name__}", "return that") from None
    if found.dtype.kind == "O":
        return np.array([_single(each) for each in found.flat]).reshape(found.shape)
    if found.dtype.kind == "c":
        raise _NoNumberError("a complex number", "return its real part or its absolute value")
    if found.dtype.kind not in _REAL:
        raise _NoNumberError(f"a value of type {type(value).__name__}", "return that")
    with np.errstate(over="ignore"):  # a longer float beyond 1e308 is inf
        return found.astype(np.float64)


def _is_masked(value: Any) -> bool:
    """Whether an entry has no value: numpy would read 0, or whatever lies below the mask."""
    each = value if isinstance(value, list | tuple) else [value]
    return any(bool(np.ma.is_masked(one)) for one in each)


def _on_cpu(tensor: Any) -> Any:
    """A tensor without its graph, a short float (bfloat16) as a double, which it is exactly."""
    plain = tensor.detach().cpu()
    return plain.double() if plain.is_floating_point() else plain


def _single(value: Any) -> float:
    """A number that numpy has no type for: a fraction, a whole number beyond 64 bits."""
    if not isinstance(value, numbers.Real):
        raise _NoNumberError(f"a value of type {type(value).__name__}", "return that")
    try:
        return float(value)
    except OverflowError:
        raise _NoNumberError("a number beyond 1e308", "return inf, or a smaller one") from None
