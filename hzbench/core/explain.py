"""Mistakes of a table in words: one sentence a mistake, `got X; expected Y; do Z`."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

_TAG = re.compile(r"^((constrained-)?(float|int|bool|str|none)|literal\[.*|.*\[.*\].*)$")
_WORDS = {
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "none_required": "nothing",
    "string_type": "a text",
    "tuple_type": "a list",
}
_LIMITS = {
    "greater_than": "above",
    "greater_than_equal": "of at least",
    "less_than": "below",
    "less_than_equal": "of at most",
}


def explain(error: ValidationError, prefix: str = "") -> list[str]:
    """Turn a pydantic error into sentences `got X; expected Y; do Z`."""
    items = _closest(error.errors())
    kept = [item for item in items if not _echo(item, items)]
    return list(dict.fromkeys(_sentence(item, kept, prefix) for item in kept))


def _closest(items: list[Any]) -> list[Any]:
    """Of a key with several possible types keep the one that the value comes nearest to.

    Nearest is where validation got deepest, then with the fewest mistakes; equals stay.
    """
    best: dict[tuple[Any, ...], tuple[int, int]] = {}
    for item in items:
        key, _ = _branch(item)
        best[key] = min(best.get(key, (1, 0)), _distance(item, items))
    return [item for item in items if _distance(item, items) == best[_branch(item)[0]]]


def _distance(item: Any, items: list[Any]) -> tuple[int, int]:
    branch = _branch(item)
    same = [other for other in items if _branch(other) == branch]
    return -max(len(other["loc"]) for other in same), len(same)


def _branch(item: Any) -> tuple[tuple[Any, ...], str]:
    """The key that has several types, and which of them was tried ("" if it has one)."""
    for index, part in enumerate(item["loc"]):
        if isinstance(part, str) and _TAG.match(part):
            return item["loc"][:index], part
    return item["loc"], ""


def _place(item: Any) -> tuple[str, ...]:
    """Where, without the names of types."""
    tagged = (isinstance(part, str) and bool(_TAG.match(part)) for part in item["loc"])
    pairs = zip(item["loc"], tagged, strict=True)
    return tuple(str(part) for part, is_tag in pairs if not is_tag)


def _echo(item: Any, items: list[Any]) -> bool:
    """Whether a list is called too short only because its items are wrong."""
    loc = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in items
    )


def _sentence(item: Any, items: list[Any], prefix: str) -> str:
    where = _place(item)
    place = ".".join([*([prefix] if prefix else []), *where]) or "the spec"
    text = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"{place}: got an unknown key; expected a documented one; remove it or correct it"
    if item["type"] == "missing":
        return f"{place}: got nothing; expected a value; add this key"
    if text.startswith("got "):
        return f"{place}: {text}"
    shown = repr(item["input"])
    shown = shown if len(shown) < 80 else shown[:77] + "..."
    wanted = dict.fromkeys(_wanted(other) for other in items if _place(other) == where)
    return f"{place}: got {shown}; expected {' or '.join(wanted)}; correct it"


def _wanted(item: Any) -> str:
    if item["type"] in _LIMITS:
        limit = next(iter(item["ctx"].values()))
        shown = f"number {_LIMITS[item['type']]}"
        return f"a {shown} {limit:g}" if isinstance(limit, float) else f"a whole {shown} {limit}"
    if item["type"] == "too_short":
        return f"at least {item['ctx']['min_length']} of them"
    text = str(item["msg"]).removeprefix("Input should be ")
    return _WORDS.get(item["type"], text[0].lower() + text[1:])
