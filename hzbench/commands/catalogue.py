"""`hzbench list` and `hzbench show`."""

from __future__ import annotations

import difflib
import inspect
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hzbench.commands.output import print_json, wide_console
from hzbench.commands.problem_facts import constants_table, facts_of
from hzbench.core import registry
from hzbench.core.errors import UnknownNameError
from hzbench.core.observable import OBSERVABLES
from hzbench.core.registry import Entry
from hzbench.harness.contest import contest_names, contest_title, load_contest
from hzbench.harness.suite import load, suite_names

SENTENCES = (
    "title",
    "summary",
    "description",
    "content",
    "origin",
    "formula",
    "guarantee",
    "source",
    "example",
    "unit",
)


def kinds() -> list[str]:
    """Every kind that `list` knows."""
    return sorted([*registry.HOMES, "contest", "suite"])


def singular(kind: str | None) -> str | None:
    """The kind that a plural means: problem for problems."""
    short = (kind or "").removesuffix("s")
    return short if kind not in kinds() and short in kinds() else kind


def list_kind(kind: str | None, *, as_json: bool) -> None:
    """Print the kinds, or the names of one kind (or its plural) with a line each."""
    kind = singular(kind)
    if kind is None:
        rows = [{"name": name, "summary": f"{len(names(name))} registered"} for name in kinds()]
    else:
        rows = [{"name": n, "summary": _summary(kind, n), **_extra(kind, n)} for n in names(kind)]
    if as_json:
        print_json(rows)
        return
    if kind == "problem":
        wide_console().print(constants_table(rows))
        return
    extra = [key for key in (rows[0] if rows else {}) if key not in ("name", "summary")]
    table = Table(kind or "kind", "what it is", *extra)
    for row in rows:
        table.add_row(row["name"], escape(row["summary"]), *(escape(row[key]) for key in extra))
    wide_console().print(table)


def names(kind: str) -> list[str]:
    """Names of one kind.

    Raises:
        UnknownNameError: no such kind.
    """
    if kind == "suite":
        return suite_names()
    if kind == "contest":
        return contest_names()
    if kind == "observable":
        return sorted(OBSERVABLES)
    if kind not in registry.HOMES:
        near = difflib.get_close_matches(kind, kinds(), n=2)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "take one of them"
        raise UnknownNameError(f"got kind {kind!r}; expected one of {', '.join(kinds())}; {hint}")
    return list(registry.entries(kind))


def show(name: str, *, as_json: bool) -> None:
    """Print everything of that name.

    Raises:
        UnknownNameError: nothing has it.
    """
    found = [record for kind in kinds() for record in _records(kind, name)]
    if not found:
        known = sorted({n for kind in kinds() for n in names(kind)})
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see hzbench list"
        raise UnknownNameError(f"got {name!r}; expected a registered name; {hint}")
    if as_json:
        print_json(found)
        return
    for record in found:
        _print(record)


def _records(kind: str, name: str) -> list[dict[str, Any]]:
    if name not in names(kind):
        return []
    if kind == "suite":
        suite = load(name)
        cases = [{"name": s.name, "title": s.title} for s in suite.specs]
        return [{"kind": kind, **suite.table.model_dump(), "cases": cases}]
    if kind == "contest":
        contest = load_contest(name)
        methods = [{"name": each.label} for each in contest.methods]
        cells = [{"name": each.name} for each in contest.cells]
        return [{"kind": kind, **contest.table.model_dump(), "methods": methods, "cells": cells}]
    if kind == "observable":
        known = OBSERVABLES[name]
        return [{"kind": kind, "name": name, "summary": known.meaning, "unit": known.unit}]
    entry = registry.find(kind, name)
    return [
        {
            "kind": kind,
            "name": name,
            "summary": entry.summary,
            "formula": entry.section("Formula"),
            "source": entry.section("Source"),
            **(_promises(entry) if kind == "theorem" else {}),
            "parameters": parameters(entry),
            **(_contents(name) if kind == "data" else {}),
            **({"examples": facts_of(name)} if kind == "problem" else {}),
            **{key: list(value) for key, value in entry.facts.items()},
        }
    ]


def _promises(entry: Entry) -> dict[str, str]:
    """What a theorem guarantees, and an example with numbers."""
    return {"guarantee": entry.section("Guarantee"), "example": entry.section("Example")}


def parameters(entry: Entry) -> list[dict[str, Any]]:
    """Name, type, default and meaning of every parameter, those of sub-tables after a dot."""
    return _fields(entry.target, "")


def _fields(target: Any, prefix: str) -> list[dict[str, Any]]:
    """The rows of one table; a field that is a table itself gives its own fields' rows."""
    if not (inspect.isclass(target) and issubclass(target, BaseModel)):
        return []
    rows: list[dict[str, Any]] = []
    for name, field in target.model_fields.items():
        inner = _fields(field.annotation, f"{prefix}{name}.")
        row = {
            "name": f"{prefix}{name}",
            "type": _type(field.annotation),
            "default": _default(field.get_default(call_default_factory=True)),
            "meaning": field.description or "",
        }
        rows.extend(inner or [row])
    return rows


def _type(annotation: Any) -> str:
    """A type as a reader of a spec words it, without validators and modules."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin in (Union, UnionType):
        return " | ".join(map(_type, inner))
    if origin is Literal:
        return " | ".join(map(repr, inner))
    if inner:
        return f"{origin.__name__}[{', '.join(map(_type, inner))}]"
    known = {NoneType: "None", ...: "..."}
    return known.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _default(value: Any) -> Any:
    if value is PydanticUndefined:
        return "required"
    return value.model_dump() if isinstance(value, BaseModel) else value


def _summary(kind: str, name: str) -> str:
    if kind == "suite":
        return load(name).table.title
    if kind == "contest":
        return contest_title(name)
    if kind == "observable":
        return OBSERVABLES[name].meaning
    return registry.find(kind, name).summary


def _extra(kind: str, name: str) -> dict[str, Any]:
    """Further columns of a kind's list; of a problem its constants."""
    if kind == "data":
        return _contents(name)
    return facts_of(name, first=True)[0] if kind == "problem" else {}


def _contents(name: str) -> dict[str, str]:
    """What a data set holds, and where it comes from (nothing is read)."""
    known = registry.find("data", name).target
    return {"content": known.content, "origin": known.origin}


def _print(record: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{record['name']}[/] ({record['kind']})")
    for key in SENTENCES:
        if record.get(key):
            console.print(f"  {key}: {record[key]}", soft_wrap=True, markup=False)
    if record.get("parameters"):
        table = Table("parameter", "type", "default", "meaning")
        for row in record["parameters"]:
            cells = (row["type"], str(row["default"]), row["meaning"])
            table.add_row(row["name"], *map(escape, cells))
        console.print(table)
    for example in record.get("examples", ()):
        console.print(f"  example {example['example']} on {example['nodes']} nodes:", markup=False)
        table = Table("constant", "", "value", "holds", "how it was obtained")
        for row in example["constants"]:
            table.add_row(*(escape(row[key]) for key in ("name", "symbol", "text", "holds", "how")))
        console.print(table)
    for key in ("mutants", "cases", "methods", "cells"):
        if record.get(key):
            shown = [c["name"] if isinstance(c, dict) else c for c in record[key]]
            told = "; ".join(shown) if record["kind"] == "contest" else ", ".join(shown)
            console.print(f"  {key}: {told}", soft_wrap=True, markup=False)
