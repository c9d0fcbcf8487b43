"""Docstrings of theorems: the fixed order, the guarantee, and examples whose numbers are true."""

import math
import re
from functools import cache

import numpy as np
import pytest

from hzbench.core import registry
from hzbench.harness.prepare import predict, prepare
from hzbench.harness.suite import load

ORDER = (
    "Setting and assumptions",
    "Formula",
    "Guarantee",
    "Source",
    "Args",
    "Returns",
    "Example",
)
KINDS = {"exact": "exact", "upper": "upper bound", "lower": "lower bound", "rate": "rate"}
EXAMPLE = re.compile(
    r"`(?P<suite>[\w-]+)`, case `(?P<case>[^`]+)`, step (?P<step>\d+)(, (?P<words>.+))?: "
    r"(?P<observable>\w+)(\[(?P<component>\d+)\])? = (?P<value>-?[\d.e-]+)( = (?P<hand>[^=]+))?\.$"
)
THEOREMS = {
    name: entry
    for name, entry in registry.entries("theorem").items()
    if entry.target.__module__.startswith("hzbench.theory")
}


@cache
def suite(name):
    return {spec.name: spec for spec in load(name).specs}


def example(name):
    found = EXAMPLE.fullmatch(" ".join(THEOREMS[name].section("Example").split()))
    assert found, THEOREMS[name].section("Example")
    return found


def told(name):
    spec = suite(example(name)["suite"])[example(name)["case"]]
    return predict(name, prepare(spec).setting)


def digits(text):
    """Half a unit of the last printed digit."""
    mantissa, _, power = text.partition("e")
    return 0.5 * 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


@pytest.mark.parametrize("name", THEOREMS)
def test_sections_come_in_the_fixed_order(name):
    doc = THEOREMS[name].target.__doc__
    places = [doc.find(f"\n    {title}:") for title in ORDER]
    assert -1 not in places, dict(zip(ORDER, places, strict=True))
    assert places == sorted(places)


@pytest.mark.parametrize("name", THEOREMS)
def test_the_example_and_the_guarantee_are_true(name):
    given, answer = example(name), told(name)
    assert answer.applies
    at = answer.steps.index(int(given["step"]))
    component = int(given["component"] or 0)
    value = float(np.ravel(answer.values[given["observable"]][at])[component])
    assert abs(value - float(given["value"])) <= 1.001 * digits(given["value"])
    guarantee = THEOREMS[name].section("Guarantee")
    if answer.kind == "order":
        assert re.search(r"\b(order|sign)\b", guarantee)
    else:
        assert guarantee.startswith(KINDS[answer.kind])
    if answer.kind in ("upper", "lower"):
        assert re.search(r"tight|equality|false", guarantee), "say how tight it is"


@pytest.mark.parametrize("name", [name for name in THEOREMS if example(name)["hand"]])
def test_the_arithmetic_of_the_example_is_right(name):
    """By hand, from the numbers that the example states."""
    given = example(name)
    names = {"cos": math.cos, "pi": math.pi, "exp": math.exp}
    by_hand = eval(given["hand"], {"__builtins__": {}}, names)  # noqa: S307
    assert abs(by_hand - float(given["value"])) <= 1.001 * digits(given["value"])


def test_most_examples_are_worked_by_hand():
    assert sum(bool(example(name)["hand"]) for name in THEOREMS) > len(THEOREMS) / 2
