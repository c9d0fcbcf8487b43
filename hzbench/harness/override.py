"""Overrides: values of a spec's keys given on the command line, for every run of a suite."""

from __future__ import annotations

import copy
import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hzbench.core.errors import SpecError, UserMistakeError, told_once
from hzbench.core.grid import assign
from hzbench.core.spec import Spec
from hzbench.harness.orderings import mistakes as ordering_mistakes
from hzbench.harness.suite import Suite, name_mistakes

_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_LONGEST = 100  # characters in the name of a folder


def overridden(suite: Suite, texts: Sequence[str]) -> Suite:
    """The suite with keys of all its runs set, such as "problem.data=mnist".

    Keys are dotted as in [grid] and begin at a spec; values are TOML, or words without quotes.
    Name and title tell them, so that nothing of the suite itself is overwritten.

    Raises:
        UserMistakeError: no key=value, a key twice, a key or value that no spec takes, a key that
            changes nothing, or orderings that no longer fit; all mistakes at once.
    """
    values = _parsed(texts)
    if not values:
        return suite
    where = f"{suite.table.name} with --set"
    specs, found = [], []
    for spec in suite.specs:
        try:
            specs.append(_with(spec, values, where))
        except SpecError as error:
            name = spec.name if len(suite.specs) > 1 else ""
            found += [(name, each) for each in error.mistakes]
    mistakes = told_once(found) or _idle(suite.specs, values, where)
    mistakes = mistakes or name_mistakes(specs)
    mistakes = mistakes or ordering_mistakes(suite.orderings, suite.readings, specs)
    if mistakes:
        raise SpecError(mistakes, where)
    table = suite.table
    named = table.model_copy(
        update={
            "name": f"{table.name}-{_slug(values)}",
            "title": f"{table.title or table.name}, with {', '.join(texts)}",
            "changes": (*table.changes, *texts),
        }
    )
    return replace(suite, table=named, specs=tuple(specs), whole=suite.steps())


def _parsed(texts: Sequence[str]) -> dict[str, Any]:
    """The keys and values of KEY=VALUE texts."""
    values: dict[str, Any] = {}
    mistakes = []
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (_KEY.fullmatch(key) and equals and value):
            mistakes.append(
                f"--set: got {text!r}; expected KEY=VALUE with a dotted key, such as "
                "problem.data=mnist; correct it"
            )
        elif key in values:
            mistakes.append(f"--set {key}: got two values; expected one; remove one")
        else:
            values[key] = _value(value)
    if mistakes:
        raise UserMistakeError("; ".join(mistakes))
    return values


def _value(text: str) -> Any:
    """A TOML value; what is none is a word."""
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _with(spec: Spec, values: dict[str, Any], where: str) -> Spec:
    table = spec.model_dump(mode="json")
    for key, value in values.items():
        assign(table, key, copy.deepcopy(value), f"--set {key}")
    return Spec.parse(table, where)


def _idle(specs: Sequence[Spec], values: dict[str, Any], where: str) -> list[str]:
    """Keys without which every run would be the same."""
    whole = [_acting(_with(spec, values, where)) for spec in specs]
    found = []
    for key, value in values.items():
        rest = {other: kept for other, kept in values.items() if other != key}
        try:
            same = [_acting(_with(spec, rest, where)) for spec in specs] == whole
        except SpecError:  # the others need this one
            continue
        if same:
            found.append(
                f"--set {key}: got {value!r}, which changes nothing; expected another value than "
                "every run has; remove it"
            )
    return found


def _acting(spec: Spec) -> dict[str, Any]:
    """The tables of a spec but for a step size that every group of nodes replaces."""
    table = spec.model_dump(mode="json")
    groups = (*spec.nodes, *(spec.versus.nodes if spec.versus else ()))
    if all(group.step_size is not None for group in groups):
        table["method"].pop("step_size", None)
    return table


def _slug(values: dict[str, Any]) -> str:
    """Words for the name of a folder that no other values get."""
    text = "-".join(f"{key}-{value}" for key, value in values.items())
    plain = re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)[:_LONGEST].strip("-")
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
