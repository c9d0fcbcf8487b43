"""How numbers and names are worded: one place, so that every table says them alike."""

import math
import re
from typing import TypeGuard

MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """Word a number with `digits` significant digits; powers of ten outside 1e-3 .. 1e5.

    >>> number(0.01234), number(2.4e-6), number(None), number(-1e-4)
    ('0.0123', '2.4×10⁻⁶', '–', '−10⁻⁴')
    """
    if not finite(value):
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return _plain(value, digits)
    return _scientific(value, digits)


def percent(value: float | None) -> str:
    """Word a fraction as a percentage.

    >>> percent(0.0312).split(), percent(None)
    (['3.1', '%'], '–')
    """
    return f"{number(100 * value, 2)}\N{NO-BREAK SPACE}%" if finite(value) else MISSING


def p_value(value: float | None) -> str:
    """Word a p-value; one that underflows is a bound, not a zero."""
    if value is not None and value <= 0:
        return "< 10⁻³⁰⁰"
    return number(value, 2)


def duration(seconds: float | None) -> str:
    """Word a duration in seconds, minutes or hours."""
    if not finite(seconds):
        return MISSING
    if seconds < 120:
        return f"{number(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def count(value: float | None) -> str:
    """Word a large counter with a thousands separator or a power of ten."""
    if not finite(value):
        return MISSING
    return f"{value:,.0f}".replace(",", "\N{NO-BREAK SPACE}") if abs(value) < 1e7 else number(value)


def words(value: object) -> str:
    """Join whatever a label holds (text, list, mapping, nothing) into one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return " + ".join(words(item) for item in value)
    return "" if value is None else str(value)


def slug(text: str) -> str:
    """Turn any text into the tail of an id: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48]


def finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    if "e" in text:
        text = f"{value:.0f}"
    return text.replace("-", "−")


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    head = {"1": "", "-1": "−"}.get(mantissa, mantissa.replace("-", "−") + "×")
    return head + power
