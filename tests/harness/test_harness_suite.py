"""Suites: defaults under cases, names, mistakes of all cases, and the suites that ship."""

import pytest

from hzbench.core.errors import SpecError
from hzbench.harness.suite import load, merged, parse, suite_names
from hzbench.harness.sweep import prepare_all

HEAD = {"name": "mine"}
CASE = {"name": "a", "problem": {"name": "quadratic", "dimension": 2}, "nodes": [{"count": 2}]}


def test_a_case_wins_over_the_default_key_by_key():
    default = {"run": {"steps": 5, "replicas": 7}, "network": {"graph": "ring", "gossip": "pair"}}
    case = {"run": {"steps": 9}, "network": {"graph": {"name": "torus", "rows": 2}}}
    found = merged(default, case)
    assert found["run"] == {"steps": 9, "replicas": 7}
    assert found["network"] == {"graph": {"name": "torus", "rows": 2}, "gossip": "pair"}
    assert default["run"] == {"steps": 5, "replicas": 7}


HDO = {"name": "hdo", "momentum": 0.5}


@pytest.mark.parametrize(
    ("default", "case", "expected"),
    [
        (HDO, {"step_size": 1}, HDO | {"step_size": 1}),
        (HDO, {"name": "hdo", "step_size": 1}, HDO | {"step_size": 1}),
        (HDO, {"name": "dsgd"}, {"name": "dsgd"}),
        (HDO, "dsgd", "dsgd"),
        ("hdo", HDO, HDO),
    ],
)
def test_another_component_replaces_the_default_one(default, case, expected):
    assert merged({"method": default}, {"method": case})["method"] == expected


def test_lists_replace_lists():
    found = merged({"nodes": [{"count": 1}, {"count": 2}]}, {"nodes": [{"count": 3}]})
    assert found["nodes"] == [{"count": 3}]


def test_a_spec_alone_is_a_suite_of_one():
    suite = parse(CASE | {"title": "T"}, "folder/some.toml")
    assert (suite.table.name, suite.table.title, len(suite.specs)) == ("some", "T", 1)
    assert suite.table.alpha == 1e-4


def test_mistakes_of_all_cases_come_together_with_their_names():
    cases = [CASE | {"run": {"steps": 0}}, CASE | {"name": "b", "method": "hdoo"}, CASE, CASE]
    with pytest.raises(SpecError) as caught:
        parse({"suite": HEAD | {"alpha": 2, "colour": "red"}, "case": cases}, "here")
    found = caught.value.mistakes
    assert len(found) == 5
    for words in ("suite.alpha", "suite.colour", "a: run.steps", "b: method", "'a' more than once"):
        assert sum(words in each for each in found) == 1, words


def test_mistakes_of_building_name_their_run():
    cube = CASE | {"network": {"graph": "hypercube"}}
    counts = {"x": 3, "y": 4, "z": 5}
    cases = [cube | {"name": name, "nodes": [{"count": n}]} for name, n in counts.items()]
    with pytest.raises(SpecError) as caught:
        prepare_all(parse({"suite": HEAD, "case": cases}, "here").specs)
    assert [each[:3] for each in caught.value.mistakes] == ["x: ", "z: "]


@pytest.mark.parametrize("name", [name for name in suite_names() if "/" not in name])
def test_shipped_suites_are_prepared(name):
    suite = load(name)
    cases = prepare_all(suite.specs)
    assert suite.table.title
    assert suite.table.name == name
    for case in cases:
        assert case.spec.checks, f"{case.spec.name} checks nothing"
        assert case.spec.title
        assert not case.warnings or name != "quick"  # others study what lies beyond the limit
        for check, prediction in zip(case.checks, case.predictions, strict=True):
            if check.expect != "inapplicable":
                assert prediction.applies, (case.spec.name, check.theorem)


def test_a_suite_can_include_others_under_its_own_level():
    head = HEAD | {"include": ["quick"], "alpha": 0.01}
    suite, quick = parse({"suite": head, "case": [CASE]}, "here"), load("quick")
    assert [s.name for s in suite.specs] == ["a", *(s.name for s in quick.specs)]
    assert suite.table.alpha == 0.01
    assert parse({"suite": head}, "here").specs == quick.specs
    clash = CASE | {"name": quick.specs[0].name}
    with pytest.raises(SpecError, match="more than once"):
        parse({"suite": head, "case": [clash]}, "here")


def test_quick_holds_what_it_promises():
    specs = load("quick").specs
    runs = {
        (s.method["name"], s.network.gossip, s.network.graph["name"], s.problem["name"], kind)
        for s in specs
        for kind in (set(s.kinds()) if len(set(s.kinds())) == 1 else {"hybrid"})
    }
    for method, gossip, graph in (
        ("hdo", "pair", "complete"),
        ("hdo", "pair", "ring"),
        ("hdo", "matching", "complete"),
        ("dsgd", "matrix", "ring"),
        ("dsgd", "matrix", "torus"),
    ):
        for kind in ("first", "zeroth", "hybrid"):
            assert (method, gossip, graph, "quadratic", kind) in runs
    assert {"ridge", "logistic"} <= {s.problem["name"] for s in specs}
    named = {mutant for s in specs for check in s.checks for mutant in check.mutants}
    assert len(named) >= 10
    assert sum(len(s.checks) for s in specs) >= 20
