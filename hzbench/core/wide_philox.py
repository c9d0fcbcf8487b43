"""Philox4x64-10 by torch's operators, word for word as numpy computes it, on any device.

Products of 64 bits are added up from those of halves, since int64 is the widest kind there is; it
wraps modulo 2⁶⁴, as it should.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Four = tuple["Tensor", "Tensor", "Tensor", "Tensor"]
_MASK = 0xFFFFFFFF
_FACTORS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B  # of the key, from round to round
_ROUNDS = 10


def wide_words(counter: Four, key: tuple[Tensor, Tensor]) -> Four:
    """Four words of 64 bits, as int64, of a counter and a key of such words; broadcastable."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(_ROUNDS):
        high0, low0 = _product(c0, _FACTORS[0])
        high1, low1 = _product(c2, _FACTORS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _signed(_STEPS[0]), k1 + _signed(_STEPS[1])
    return c0, c1, c2, c3


def _product(word: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """The high and the low 64 bits of a product of unsigned words."""
    high, low = _upper(word), word & _MASK
    f1, f0 = factor >> 32, factor & _MASK
    across, other = low * f1, high * f0
    middle = _upper(low * f0) + (across & _MASK) + (other & _MASK)
    return high * f1 + _upper(across) + _upper(other) + _upper(middle), word * _signed(factor)


def _upper(word: Tensor) -> Tensor:
    """The upper half of an unsigned word."""
    return (word >> 32) & _MASK


def _signed(word: int) -> int:
    """The number of the same 64 bits with a sign."""
    return word - (1 << 64) if word >> 63 else word
