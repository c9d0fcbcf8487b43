"""Normal form of a spec's tables: every named component validated, every default left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from hzbench.core import registry
from hzbench.core.component import Component
from hzbench.core.errors import UnknownNameError, UserMistakeError
from hzbench.core.explain import explain

M = TypeVar("M", bound=BaseModel)


def named(value: Any) -> Any:
    """Read a bare name as a table: "ring" means {name = "ring"}."""
    return {"name": value} if isinstance(value, str) else value


def component_of(kind: str, table: Mapping[str, Any]) -> Component:
    """Validate a table that names a component.

    Raises:
        UnknownNameError: no such component.
        ValidationError: its parameters are wrong.
    """
    parameters = {key: value for key, value in table.items() if key != "name"}
    target = registry.find(kind, str(table.get("name"))).target
    component: Component = validated(target, parameters)
    return component


def component_from(kind: str, words: Any, place: str = "", unnamed: str = "") -> Component:
    """The component that a bare name or a table names, where a spec leaves that to its owner.

    Arguments:
        kind: a registered kind.
        words: a name, or a table with one.
        place: what stands before every mistake; the kind unless told.
        unnamed: the message where a table has no name.

    Raises:
        UserMistakeError: no name, an unknown one, or wrong parameters, all in one message.
    """
    table = dict(named(words))
    if "name" not in table:
        raise UserMistakeError(unnamed)
    try:
        return component_of(kind, table)
    except ValidationError as error:
        raise UserMistakeError("; ".join(explain(error, place or kind))) from None


def validated(model: type[M], table: Mapping[str, Any]) -> M:
    """Validate as strict JSON: lists are sequences, but "10" and true are no numbers.

    Raises:
        ValidationError: every mistake of the table.
    """
    return model.model_validate_json(json.dumps(table, default=_jsonable), strict=True)


def _jsonable(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def normalise(table: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    """Validate every named component and leave out its defaults, collecting mistakes."""
    table = dict(table)
    table.setdefault("method", "hdo")
    for key in ("problem", "method", "clock"):
        if table.get(key) is not None:
            table[key] = _normal_component(key, table[key], key, mistakes)
    if isinstance(table.get("network", {}), Mapping):
        network = dict(table.get("network", {}))
        network.setdefault("gossip", _default_gossip(table["method"]))
        table["network"] = _normal_network(network, mistakes)
    table["nodes"] = _normal_groups(table.get("nodes", []), "nodes", mistakes)
    if isinstance(table.get("versus"), Mapping):
        groups = _normal_groups(table["versus"].get("nodes", []), "versus.nodes", mistakes)
        table["versus"] = {**table["versus"], "nodes": groups}
    for index, check in enumerate(_listed(table.get("checks"))):
        if isinstance(check, Mapping):
            _check_names(check, f"checks.{index}", mistakes)
    if isinstance(table.get("mutant"), str):
        _look_up("mutant", table["mutant"], "mutant", mistakes)
    return table


def _normal_network(network: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    for key, numbers in (("graph", "edges"), ("weights", "matrix")):
        if _listed(network.get(numbers)):
            if named(network.get(key, "explicit")) != {"name": "explicit"}:
                mistakes.append(
                    f"network.{key}: got {network[key]!r} and {numbers}; expected one of them, "
                    f"since {numbers} would win; drop one"
                )
            network[key] = {"name": "explicit"}
    for key, default in (("graph", "complete"), ("weights", "metropolis")):
        value = network.get(key, default)
        if named(value) != {"name": "explicit"}:
            value = _normal_component(key, value, f"network.{key}", mistakes)
        network[key] = value
    return network


def _default_gossip(method: Any) -> str:
    """The first protocol that the method knows."""
    name = named(method).get("name") if isinstance(named(method), Mapping) else None
    known = registry.entries("method")
    return str(known[name].target.protocols[0]) if name in known else "pair"


def _normal_groups(groups: Any, place: str, mistakes: list[str]) -> Any:
    if not isinstance(groups, (list, tuple)):
        return groups
    normal = []
    for index, group in enumerate(groups):
        if isinstance(group, Mapping):
            where = f"{place}.{index}.estimator"
            given = group.get("estimator", "gradient")
            found = _normal_component("estimator", given, where, mistakes)
            normal.append({**group, "estimator": found})
        else:
            normal.append(group)
    return normal


def _normal_component(kind: str, value: Any, place: str, mistakes: list[str]) -> Any:
    table = named(value)
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        mistakes.append(f"{place}: got no `name`; expected the name of a {kind}; add one")
        return value
    try:
        component = component_of(kind, table)
    except UnknownNameError as error:
        mistakes.append(f"{place}: {error}")
    except ValidationError as error:
        mistakes.extend(explain(error, place))
    else:
        kept = component.model_dump(mode="json", exclude_defaults=True)
        return {"name": table["name"], **kept}
    return table


def _check_names(check: Mapping[str, Any], place: str, mistakes: list[str]) -> None:
    if isinstance(check.get("theorem"), str):
        _look_up("theorem", check["theorem"], f"{place}.theorem", mistakes)
    for mutant in _listed(check.get("mutants")):
        if isinstance(mutant, str):
            _look_up("mutant", mutant, f"{place}.mutants", mistakes)


def _listed(value: Any) -> list[Any]:
    """The items of a list; none of anything else, whose type the model's fields report."""
    return list(value) if isinstance(value, (list, tuple, np.ndarray)) else []


def _look_up(kind: str, name: str, place: str, mistakes: list[str]) -> None:
    try:
        registry.find(kind, name)
    except UnknownNameError as error:
        mistakes.append(f"{place}: {error}")
