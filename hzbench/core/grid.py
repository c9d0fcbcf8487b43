"""Spec files: TOML in, and the [grid] expanded into one Spec a cell."""

from __future__ import annotations

import copy
import itertools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.spec import Spec

MAX_CELLS = 10_000


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UserMistakeError: missing, unreadable, empty, or not TOML.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserMistakeError(
            f"got {path}, which cannot be read ({error}); expected a TOML file; check the path"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise UserMistakeError(
            f"got {path}, which is not TOML ({error}); expected a spec; correct that line"
        ) from None
    if not table:
        raise UserMistakeError(
            f"got {path}, which is empty; expected [problem] and [[nodes]] at least; see the README"
        )
    return table


def expand(table: Mapping[str, Any], where: str = "the spec") -> list[Spec]:
    """All cells of a table with an optional [grid], each validated.

    Raises:
        SpecError: the mistakes of all cells, each once.
    """
    base = {key: value for key, value in table.items() if key != "grid"}
    grid = table.get("grid", {})
    mistakes = _grid_mistakes(grid)
    if mistakes:
        raise SpecError(mistakes, where)
    specs = []
    for values in itertools.product(*grid.values()):
        cell = copy.deepcopy(base)
        try:
            for key, value in zip(grid, values, strict=True):
                assign(cell, key, value, f"grid.{key}")
            if grid:
                _name_cell(cell, dict(zip(grid, values, strict=True)))
            specs.append(Spec.parse(cell, where))
        except SpecError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise SpecError(mistakes, where)
    return specs


def _grid_mistakes(grid: Any) -> list[str]:
    if not isinstance(grid, Mapping):
        return [f"grid: got {grid!r}; expected a table of lists; write [grid]"]
    bad = [key for key, value in grid.items() if not isinstance(value, list) or not value]
    cells = int(np.prod([len(v) for v in grid.values() if isinstance(v, list)], dtype=float))
    found = [
        f"grid.{key}: got no list of values; expected at least one; write a list" for key in bad
    ]
    if cells > MAX_CELLS:
        found.append(f"grid: got {cells} cells; expected at most {MAX_CELLS}; split the grid")
    return found


def assign(table: Any, key: str, value: Any, place: str) -> None:
    """Set the value under a dotted key, in place.

    Raises:
        SpecError: a path through what is no table; `place` stands before the message.
    """
    parts = key.split(".")
    try:
        for part in parts[:-1]:
            table = table[int(part)] if isinstance(table, list) else table.setdefault(part, {})
            if isinstance(table, str):
                raise TypeError  # noqa: TRY301 (one message for every way a path can miss)
        last = parts[-1]
        table[int(last) if isinstance(table, list) else last] = value
    except (TypeError, ValueError, IndexError, AttributeError):
        raise SpecError(
            [
                f"{place}: got a path that the spec does not have; expected a dotted key "
                'such as "network.graph" or "nodes.0.step_size"; correct it'
            ]
        ) from None


def _name_cell(cell: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Append what sets this cell apart to its name and title."""
    words = {
        key: value["name"] if isinstance(value, dict) and "name" in value else value
        for key, value in values.items()
    }
    cell["name"] = f"{cell.get('name', 'run')}[{', '.join(f'{k}={v}' for k, v in words.items())}]"
    if cell.get("title"):
        cell["title"] = f"{cell['title']}: {', '.join(map(str, words.values()))}"
