"""Weights of a network from a local file; nothing is downloaded, no code in the file is run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hzbench.core.errors import UserMistakeError
from hzbench.problems.architecture import Architecture, Shape
from hzbench.problems.arrays import Array

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 4  # tensors named in one message


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A state dict in a file, and what is expected of it.

    Attributes:
        file: its path.
        architecture: whose tensors start from it.
        others: further tensors that must be there, name to shape.
        drawn: tensors that are drawn instead.
    """

    file: str
    architecture: Architecture
    others: Mapping[str, Shape] = field(default_factory=dict)
    drawn: tuple[str, ...] = ()

    def mistakes(self) -> list[str]:
        """Missing tensors, wrong shapes and numbers that are not finite, in one sentence each.

        Raises:
            UserMistakeError: it is no state dict.
        """
        found, wanted = read(self.file), self._wanted
        missing = [name for name in wanted if name not in found]
        wrong = [
            f"{name} of shape {_shape(found[name].shape)} instead of {_shape(shape)}"
            for name, shape in wanted.items()
            if name in found and tuple(found[name].shape) != shape
        ]
        known = [name for name in wanted if name in found]
        broken = [name for name in known if not bool(found[name].isfinite().all())]
        return [
            f"got weights {self.file!r} with {what}: {_some(names)}; expected the tensors of this "
            f"network; {advice}"
            for what, names, advice in (
                ("tensors missing", missing, "save model.state_dict() of the same architecture"),
                ("wrong shapes", wrong, "change the keys of the problem, or take another file"),
                ("numbers that are not finite", broken, "take another file"),
            )
            if names
        ]

    def start(self, drawn: Array) -> Array:
        """The flat vector from the file, with the drawn numbers where nothing is read: [d]."""
        found, parts, place = read(self.file), [], 0
        for name, weight in self.architecture.weights.items():
            own = drawn[place : place + weight.size]
            place += weight.size
            parts.append(own if name in self.drawn else found[name].double().flatten().numpy())
        return np.concatenate(parts)

    @property
    def _wanted(self) -> dict[str, Shape]:
        shapes = {name: weight.shape for name, weight in self.architecture.weights.items()}
        kept = {name: shape for name, shape in shapes.items() if name not in self.drawn}
        return kept | dict(self.others)


def read(file: str) -> dict[str, Tensor]:
    """The tensors of a state dict by name, on the CPU.

    Raises:
        UserMistakeError: there is no such file, or it holds something else.
    """
    return _read(file, fingerprint(file))


def fingerprint(file: str) -> str:
    """Hash of the file ("" where there is none)."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=2)
def _read(file: str, content: str) -> dict[str, Tensor]:
    import torch

    if not content:
        raise UserMistakeError(f"got weights {file!r}; expected a file; check its path")
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (a file may be anything)
        raise UserMistakeError(
            f"got weights {file!r}, which cannot be read ({type(error).__name__}); expected a file "
            "of torch.save(model.state_dict()); save one"
        ) from None
    if not _is_state_dict(found):
        raise UserMistakeError(
            f"got weights {file!r} with a {type(found).__name__}; expected a state dict, names to "
            "tensors; save model.state_dict()"
        )
    return dict(found)


def _is_state_dict(found: Any) -> bool:
    import torch

    return isinstance(found, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()
    )


def _shape(shape: Any) -> str:
    return "×".join(map(str, shape)) or "()"


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
