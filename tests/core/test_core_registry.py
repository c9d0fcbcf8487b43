"""Registry: discovery, unique names, near names, sections of docstrings; and plain results."""

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from hzbench.core import registry
from hzbench.core.errors import HzbenchError, SpecError, UnknownNameError
from hzbench.core.observable import OBSERVABLES
from hzbench.core.registry import Entry, entries, find, register
from hzbench.core.result import plain

EVERY = [(kind, name) for kind in registry.HOMES for name in entries(kind)]


@pytest.mark.parametrize("kind", registry.HOMES)
def test_every_kind_is_found_and_sorted(kind):
    found = entries(kind)
    assert found
    assert list(found) == sorted(found)
    found.clear()
    assert entries(kind)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_component_says_what_it_is(kind, name):
    entry = find(kind, name)
    assert entry.summary.endswith((".", "].")), entry.summary
    assert len(entry.summary) < 200
    if kind in ("problem", "estimator", "method", "gossip", "theorem", "mutant"):
        assert entry.section("Source"), "cite a source"
    if kind in ("problem", "estimator", "method", "gossip", "mutant"):
        assert entry.section("Formula")


def test_measured_observables_are_in_the_vocabulary():
    assert set(entries("observable")) <= set(OBSERVABLES)


def test_names_are_unique_but_reloading_is_fine():
    def first():
        """Something."""

    def second():
        """Something else."""

    try:
        register("limit", "test-only")(first)
        register("limit", "test-only")(first)
        with pytest.raises(HzbenchError, match="got a second limit named 'test-only'"):
            register("limit", "test-only")(second)
        assert find("limit", "test-only").target is first
    finally:
        registry._entries["limit"].pop("test-only")


def test_unknown_kinds_and_names():
    with pytest.raises(UnknownNameError, match="did you mean 'method'"):
        entries("metod")
    with pytest.raises(UnknownNameError, match="did you mean 'dsgd'"):
        find("method", "dsg")
    with pytest.raises(UnknownNameError, match="take one of"):
        find("method", "zzz")


def test_third_parties_register_through_entry_points(monkeypatch):
    loaded = []

    class Point:
        def load(self):
            loaded.append(register("limit", "third-party")(lambda: None))

    monkeypatch.setattr(registry, "_discovered", set())
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [Point()] if group == "hzbench.limit" else []
    )
    try:
        assert "third-party" in entries("limit")
        assert "third-party" in entries("limit")
        assert len(loaded) == 1
    finally:
        registry._entries["limit"].pop("third-party")


def test_sections_of_a_docstring():
    def target():
        """Do one thing
        over two lines.

        More.

        Formula: a = b,
        c = d.

        Source:
        a book.
        """

    entry = Entry(kind="limit", name="x", target=target)
    assert entry.summary == "Do one thing over two lines."
    assert entry.section("Formula") == "a = b,\nc = d."
    assert entry.section("Source") == "a book."
    assert entry.section("Nothing") == ""


def test_entry_point_groups_are_what_the_documentation_says():
    assert importlib.metadata.entry_points(group="hzbench.problem") is not None
    scripts = importlib.metadata.entry_points(group="console_scripts", name="hzbench")
    assert [point.value for point in scripts] == ["hzbench.cli:main"]


@dataclass(frozen=True)
class Record:
    number: float
    array: np.ndarray
    inner: dict


def test_plain_values_are_json_with_nulls():
    record = Record(
        number=float("nan"),
        array=np.array([[1.0, np.inf], [-np.inf, 2.0]]),
        inner={1: np.float64(3), "t": (np.int64(4), None, True, "text", Record)[:4]},
    )
    found = plain(record)
    assert found == {
        "number": None,
        "array": [[1.0, None], [None, 2.0]],
        "inner": {"1": 3.0, "t": [4, None, True, "text"]},
    }
    json.dumps(found, allow_nan=False)


def test_a_spec_error_counts_each_mistake_once():
    error = SpecError(["a", "b", "a"], "here")
    assert error.mistakes == ("a", "b")
    assert str(error) == "2 mistakes in here:\n  - a\n  - b"
    assert str(SpecError(["a"])).startswith("1 mistake in the spec:")


def test_discovery_loads_no_kernels():
    kinds = ("problem", "method", "estimator", "theorem", "graph", "clock", "mutant")
    code = (
        "import sys\nfrom hzbench.core.registry import entries\n"
        f"for kind in {kinds}:\n    assert entries(kind)\n"
        "print(sorted({'numba'} & set(sys.modules)))"
    )
    call = [sys.executable, "-c", code]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == "[]\n"
