"""Suite: named runs with declared checks and one error rate over all of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from hzbench.core.errors import SpecError, UserMistakeError, told_once
from hzbench.core.explain import explain
from hzbench.core.grid import expand, read_toml
from hzbench.core.normal_form import validated
from hzbench.core.spec import Spec, Table
from hzbench.harness.orderings import OrderingTable, ReadingTable
from hzbench.harness.orderings import mistakes as ordering_mistakes

HOME = "hzbench.suites"
CONTEST = "-contest"  # how names of contests end
_CONTEST = "got {0}, a contest; expected a suite or a spec; take hzbench contest {0}"
T = TypeVar("T", bound=Table)
TABLES = ("suite", "default", "case", "ordering", "reading")


class SuiteTable(Table):
    """The [suite] table."""

    name: str = Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)?$")  # a folder is named so
    title: str = ""
    description: str = ""
    alpha: float = Field(1e-4, gt=0, lt=1)
    include: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()  # what an experiment of a paper has otherwise here
    blind_spots: dict[str, str] = Field(default_factory=dict)  # known bug -> why no check sees it


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Specs with a common error rate.

    Attributes:
        table: name, title, description and α.
        specs: one a run, grids expanded.
        orderings, readings: what a paper says of these runs.
        whole: steps of every run as its file has them, by name, where the command line shortens.
    """

    table: SuiteTable
    specs: tuple[Spec, ...]
    orderings: tuple[OrderingTable, ...] = ()
    readings: tuple[ReadingTable, ...] = ()
    whole: Mapping[str, int] = field(default_factory=dict)

    def steps(self) -> Mapping[str, int]:
        """Steps of every run before the command line changed them."""
        return self.whole or {spec.name: spec.run.steps for spec in self.specs}


def suite_names() -> list[str]:
    """Names of the suites that ship with the package; contests are no suites."""
    home = Path(str(files(HOME)))
    names = (p.relative_to(home).with_suffix("").as_posix() for p in home.rglob("*.toml"))
    return sorted(name for name in names if not name.endswith(CONTEST))


def load(name_or_path: str) -> Suite:
    """A suite by name, or a suite or spec file by path.

    Raises:
        UserMistakeError: no such suite or file, or mistakes in it, all in one message.
    """
    if name_or_path in suite_names():
        return parse(read_toml(Path(str(files(HOME) / f"{name_or_path}.toml"))), name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        if name_or_path.endswith(CONTEST):
            raise UserMistakeError(_CONTEST.format(name_or_path))
        near = difflib.get_close_matches(name_or_path, suite_names(), n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see hzbench list suite"
        raise UserMistakeError(
            f"got {name_or_path!r}; expected a suite ({', '.join(suite_names())}) or the path of "
            f"a TOML file; {hint}"
        )
    return parse(read_toml(path), name_or_path)


def parse(table: Mapping[str, Any], where: str) -> Suite:
    """A suite from the tables of a file; a spec alone is a suite of one.

    [default] holds tables that every [[case]] starts from; `include` names suites whose cases
    come after its own, under its α.

    Raises:
        SpecError: every mistake of every case.
    """
    if "contest" in table:
        raise UserMistakeError(_CONTEST.format(where))
    if "case" not in table and "suite" not in table:
        specs = expand(table, where)
        name = Path(where).stem
        if twice := name_mistakes(specs):
            raise SpecError(twice, where)
        return Suite(table=SuiteTable(name=name, title=specs[0].title), specs=tuple(specs))
    mistakes = [
        f"{key}: got an unknown table; expected one of {', '.join(TABLES)}; remove it"
        for key in table
        if key not in TABLES
    ]
    mistakes += _shape_mistakes(table)
    if mistakes:
        raise SpecError(mistakes, where)
    try:
        head = validated(SuiteTable, table.get("suite", {}))
    except ValidationError as error:
        mistakes += explain(error, "suite")
    specs, found = [], []
    for case in table.get("case", []):
        try:
            specs += expand(merged(table.get("default", {}), case), where)
        except SpecError as error:
            found += [(str(case.get("name", "case")), each) for each in error.mistakes]
    mistakes += told_once(found)
    specs += _included(head, mistakes) if not mistakes else []
    mistakes += name_mistakes(specs)
    orderings = _listed(OrderingTable, "ordering", table, mistakes)
    readings = _listed(ReadingTable, "reading", table, mistakes)
    mistakes += ordering_mistakes(orderings, readings, specs) if not mistakes else []
    if mistakes:
        raise SpecError(mistakes, where)
    return Suite(table=head, specs=tuple(specs), orderings=orderings, readings=readings)


def _listed(
    kind: type[T], key: str, table: Mapping[str, Any], mistakes: list[str]
) -> tuple[T, ...]:
    """The entries of a list of tables."""
    found = []
    for index, entry in enumerate(table.get(key, [])):
        try:
            found.append(validated(kind, entry))
        except ValidationError as error:
            mistakes += explain(error, f"{key}.{index}")
    return tuple(found)


def _shape_mistakes(table: Mapping[str, Any]) -> list[str]:
    found = [
        f"{key}: got {table[key]!r}; expected a table; write [{key}]"
        for key in ("suite", "default")
        if not isinstance(table.get(key, {}), Mapping)
    ]
    cases = table.get("case", [])
    if not isinstance(cases, list) or not all(isinstance(case, Mapping) for case in cases):
        return [*found, "case: got no list of tables; expected one a run; write [[case]]"]
    if not cases and not found and not table.get("suite", {}).get("include"):
        return [*found, "case: got none; expected at least one [[case]]; add one"]
    return found


def _included(head: SuiteTable, mistakes: list[str]) -> list[Spec]:
    """The cases of the suites that this one includes (their own α does not count)."""
    specs: list[Spec] = []
    for name in head.include:
        if name not in suite_names() or name == head.name:
            mistakes.append(
                f"suite.include: got {name!r}; expected another suite that ships; see list suite"
            )
        else:
            specs += load(name).specs
    return specs


def merged(default: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    """The case with the suite's [default] tables under it.

    A table that names another component replaces the default one instead of mixing with it.
    """
    found = dict(default)
    for key, value in case.items():
        known = found.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping) and _same_name(known, value):
            found[key] = merged(known, value)
        else:
            found[key] = value
    return found


def _same_name(known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    return bool(value.get("name", known.get("name")) == known.get("name"))


def name_mistakes(specs: Sequence[Spec]) -> list[str]:
    """Names that several runs of a suite have."""
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        f"case: got the name {name!r} more than once; expected unique names; rename one"
        for name in twice
    ]
