"""Registry: names to components, discovered when a kind is first asked for.

The modules of a kind's package that say "@register(" are imported on the first look-up (so
`hzbench --help` imports none of them, and no look-up those of kernels); third parties register
through entry points of the group `hzbench.<kind>`, each naming a module to import or the decorated
object itself. The registry holds definitions, never run state.
"""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from hzbench.core.errors import HzbenchError, UnknownNameError

T = TypeVar("T")

HOMES = {
    "problem": "hzbench.problems",
    "partition": "hzbench.problems",
    "data": "hzbench.problems",
    "graph": "hzbench.topology",
    "weights": "hzbench.topology",
    "gossip": "hzbench.topology",
    "clock": "hzbench.clocks",
    "estimator": "hzbench.estimators",
    "method": "hzbench.methods",
    "theorem": "hzbench.theory",
    "limit": "hzbench.theory",
    "observable": "hzbench.harness",
    "mutant": "hzbench.mutants",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One registered definition.

    Attributes:
        kind: a key of HOMES.
        name: as a spec words it.
        target: the class or function.
        facts: what the registration declared (mutants of a theorem, protocols of a method, ...).
    """

    kind: str
    name: str
    target: Any
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return (inspect.getdoc(self.target) or "").split("\n\n")[0].replace("\n", " ")

    def section(self, title: str) -> str:
        """The text after `title:` in the docstring, up to a blank line ("" if absent)."""
        doc = inspect.getdoc(self.target) or ""
        found = re.search(rf"^{title}:[ \t]*\n?(.*?)(?=\n\s*\n|\Z)", doc, re.MULTILINE | re.DOTALL)
        return inspect.cleandoc(found.group(1)) if found else ""


_entries: dict[str, dict[str, Entry]] = {kind: {} for kind in HOMES}
_discovered: set[str] = set()


def register(kind: str, name: str, **facts: Any) -> Callable[[T], T]:
    """Return a decorator that registers a class or function under (kind, name).

    Raises:
        HzbenchError: the name is taken by another object.
    """

    def decorate(target: T) -> T:
        known = _entries[kind].get(name)
        if known is not None and _origin(known.target) != _origin(target):
            raise HzbenchError(
                f"got a second {kind} named {name!r}; expected unique names; "
                f"rename one of {_origin(known.target)}, {_origin(target)}"
            )
        _entries[kind][name] = Entry(kind=kind, name=name, target=target, facts=facts)
        return target

    return decorate


def entries(kind: str) -> dict[str, Entry]:
    """All entries of a kind by name, sorted; discovers them on the first call."""
    if kind not in HOMES:
        raise UnknownNameError(_unknown("kind", kind, HOMES))
    if kind not in _discovered:
        _discover(kind)
        _discovered.add(kind)
    return dict(sorted(_entries[kind].items()))


def find(kind: str, name: str) -> Entry:
    """The entry of that name.

    Raises:
        UnknownNameError: no such name; the message lists the nearest ones.
    """
    known = entries(kind)
    if name not in known:
        raise UnknownNameError(_unknown(kind, name, known))
    return known[name]


def _discover(kind: str) -> None:
    """Import the modules of a room that register something, and no other (some load numba)."""
    package = importlib.import_module(HOMES[kind])
    for folder in map(Path, package.__path__):
        for file in sorted(folder.glob("*.py")):
            if "@register(" in file.read_text(encoding="utf-8"):
                importlib.import_module(f"{package.__name__}.{file.stem}")
    for point in entry_points(group=f"hzbench.{kind}"):
        point.load()


def _origin(target: Any) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def _unknown(kind: str, name: str, known: Any) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"take one of {', '.join(names)}"
    )
    return f"got {kind} {name!r}; expected a registered {kind}; {hint}"
