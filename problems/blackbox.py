"""A user's own function, known by its values alone: for zeroth-order nodes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Placement
from hzbench.core.registry import register
from hzbench.problems.arrays import raise_mistakes
from hzbench.problems.blackbox_model import BlackboxProblem, Caller, quiet
from hzbench.problems.starting import StartedComponent

Array = NDArray[np.float64]


def bowl(x: Array) -> float:
    """An example: |x|² + |x|_1, which has a corner and no gradient there."""
    return float(x @ x + np.abs(x).sum())


@register("problem", "blackbox")
class BlackboxComponent(StartedComponent):
    """Your Python function without gradients; every node must be of zeroth order.

    Formula:
    f_i(x) = function(x), or function(x, i) with per_node; with evaluation_noise s every call adds
    s·N(0, 1). Nothing is known but what you state: theorems that need more are inapplicable.

    Source: yours.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"function": "hzbench.problems.blackbox:bowl", "dimension": 3, "minimum": 0.0},
    )
    gradient_free: ClassVar[bool] = True

    function: str = Field(
        description="the function: 'path/to/file.py:name' or 'package.module:name'"
    )
    dimension: int = Field(ge=1, description="d")
    per_node: bool = Field(False, description="call function(x, i) with the number of the node")
    batched: bool = Field(
        False, description="x is [k, d] and the result [k]: one call for many points"
    )
    minimum: float | None = Field(None, allow_inf_nan=False, description="f*, if you know it")
    evaluation_noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="standard deviation that a function call adds"
    )

    @field_validator("function", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """A function object by the name under which a worker can import it."""
        if not callable(value):
            return value
        name, home = getattr(value, "__qualname__", ""), getattr(value, "__module__", None)
        if home in (None, "__main__") or not name.isidentifier():
            raise ValueError(
                f"got a function that no other process can import ({home}:{name}); expected one at "
                "the top level of a module; move it to a file and name it 'file.py:name'"
            )
        return f"{home}:{name}"

    def mistakes(self, placement: Placement) -> list[str]:
        """First-order nodes, a function that is not there, or one that fails at the start."""
        firsts = [node for node, kind in enumerate(placement.kinds) if kind == "first"]
        found = self.start_mistakes(placement.nodes, self.dimension)
        if firsts:
            found.append(
                f"got the first-order nodes {firsts} on a blackbox; expected nodes of zeroth order "
                "only, since it has no gradient; give them estimator = 'zeroth_order'"
            )
        try:
            load(self.function)
            return found or self._start_mistakes(placement)
        except UserMistakeError as error:
            return [*found, str(error)]

    def build(self, placement: Placement) -> BlackboxProblem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), "blackbox")
        return BlackboxProblem(
            call=self._caller(),
            known_minimum=math.nan if self.minimum is None else self.minimum,
            evaluation_noise=self.evaluation_noise,
            initial=self._start(placement),
            device=placement.device,
            dtype=placement.dtype,
        )

    def fingerprint(self) -> str:
        """The source of the function's file, so that editing it runs afresh."""
        return fingerprint(self.function)

    def _start_mistakes(self, placement: Placement) -> list[str]:
        """Call every node once at its start; what goes wrong is a UserMistakeError."""
        call = self._caller()
        for node, x in enumerate(self._start(placement)):
            call(x[None], node)
        return []

    def _start(self, placement: Placement) -> Array:
        return self.starts(placement.nodes, self.dimension)

    def _caller(self) -> Caller:
        return Caller(
            function=load(self.function),
            name=self.function,
            per_node=self.per_node,
            batched=self.batched,
        )


@cache
def load(reference: str) -> Callable[..., Any]:
    """The function that 'file.py:name' or 'module:name' names.

    Raises:
        UserMistakeError: there is no such file, module or function, or loading it fails.
    """
    home, _, name = reference.rpartition(":")
    is_file = home.endswith(".py")
    if not name or not (is_file or all(part.isidentifier() for part in home.split("."))):
        raise UserMistakeError(
            f"got function {reference!r}; expected 'file.py:name' or 'module:name'; write one"
        )
    try:
        with quiet():
            module = _from_file(Path(home)) if is_file else importlib.import_module(home)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (a user's file may raise anything)
        told = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise UserMistakeError(
            f"got function {reference!r}, whose file cannot be loaded ({told}); expected a Python "
            "file; check its path and run it alone"
        ) from None
    found = getattr(module, name, None)
    if not callable(found):
        raise UserMistakeError(
            f"got function {reference!r}, but {home} has no function {name!r}; expected one; check "
            "the name"
        )
    return found  # type: ignore[no-any-return]


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    label = "hzbench_user_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    found = importlib.util.spec_from_file_location(label, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def fingerprint(reference: str) -> str:
    """Hash of the file that holds a function ("" where there is none)."""
    home = reference.rpartition(":")[0]
    try:
        origin = (
            home
            if home.endswith(".py")
            else getattr(importlib.util.find_spec(home), "origin", None)
        )
        return hashlib.sha256(Path(str(origin)).read_bytes()).hexdigest()
    except (OSError, ImportError, ValueError):
        return ""
