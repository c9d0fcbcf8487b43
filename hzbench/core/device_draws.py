"""Whether a device draws by one kernel (`hzbench.core.philox_triton`): where it proves itself.

The kernel is compiled for the device by what the user has installed, so before its first use there
it draws a few thousand values of every kind, to be compared with the host's draws. Where that
fails, torch's operators draw.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hzbench.core.streams import Rows

Kernel = Callable[..., "Tensor"]

_COUNTS = (3, 200, 2100)  # tiles of many rows, of some rows by some counters, and one after another
_OFFSET, _PURPOSE = 5, 2
_ULPS = 8  # the host's normals and the kernel's err by 4 at most


class Draw(IntEnum):
    """What the kernel draws."""

    WORDS = 0
    SIGNS = 1
    NORMALS = 2
    INTEGERS = 3


def kernel(rows: Rows) -> Kernel | None:
    """`philox_triton.draw`, if it draws these rows right; None: torch's operators do."""
    device = rows.node.device
    return proved(device) if device.type == "cuda" else None


@cache
def proved(device: torch.device) -> Kernel | None:
    """The kernel, if there is a Triton and what it draws on that device is right.

    Warns:
        RuntimeWarning: once, if something is wrong.
    """
    import torch

    if find_spec("triton") is None or not torch.cuda.is_available():
        return None
    try:
        from hzbench.core import philox_triton

        wrong = mistake(philox_triton.draw, device)
    except Exception as error:  # noqa: BLE001  (compilers, linkers and drivers raise what they like)
        wrong = f"{type(error).__name__}: {error}"
    if not wrong:
        return philox_triton.draw
    warnings.warn(
        f"got {wrong} from the kernel for draws on {device}; expected the host's draws; do install "
        "the triton that torch asks for, and a C compiler (torch's operators draw, but slower)",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def mistake(draw: Kernel, device: torch.device) -> str:
    """What differs from the host's draws, in words; empty if nothing does."""
    import torch

    from hzbench.core import streams

    host, there = addresses(torch.device("cpu")), addresses(device)
    high = host.node + 1000
    for count in _COUNTS:
        expected = {
            Draw.WORDS: streams.words(host, _PURPOSE, count, _OFFSET),
            Draw.SIGNS: streams.signs(host, _PURPOSE, count),
            Draw.NORMALS: streams.normals(host, _PURPOSE, count, _OFFSET),
            Draw.INTEGERS: streams.integers(host, _PURPOSE, high, count, _OFFSET),
        }
        for what, values in expected.items():
            offset = 0 if what == Draw.SIGNS else _OFFSET
            found = draw(what, there, _PURPOSE, count, offset, high.to(device)).cpu()
            allowed = _ULPS if what == Draw.NORMALS else 0
            unit = np.spacing(np.abs(values.double().numpy()))
            if not bool((np.abs((found - values).numpy()) <= allowed * unit).all()):
                return f"wrong {what.name.lower()}"
    return ""


def addresses(device: torch.device) -> Rows:
    """Rows of several replicas and nodes, at late steps."""
    import torch

    from hzbench.core.streams import Rows, replica_keys

    row = torch.arange(24)
    keys = replica_keys(0, range(7))[row % 7].to(device)
    replica, node, step = (each.to(device) for each in (row % 7, row % 5, 2**32 - 1 - 37 * row))
    return Rows(keys=keys, replica=replica, node=node, step=step)
