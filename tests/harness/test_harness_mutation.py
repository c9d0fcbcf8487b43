"""A mutant is found when a consistent check becomes violated; nothing else counts."""

import pytest

from hzbench.core.spec import CheckTable, Spec
from hzbench.harness.mutation import Planted, _row, plant
from hzbench.harness.suite import parse

SPEC = {
    "problem": {"name": "quadratic", "dimension": 2},
    "nodes": [{"count": 4}],
    "checks": [
        {"theorem": "step_invariants", "mutants": ["self_pairs", "one_endpoint"]},
        {"theorem": "graph_spectrum"},
        {"theorem": "quadratic_dynamics", "mutants": ["one_endpoint"]},
    ],
}
OUTCOMES = ("consistent", "violated", "inconclusive", "inapplicable")


def verdict(outcome, method="Hotelling T²"):
    return {
        "theorem": "t",
        "outcome": outcome,
        "method": method,
        "p_value": 0.5,
        "reason": "because",
    }


def row(before, after):
    checks = tuple(CheckTable(theorem="t", mutants=("self_pairs",)) for _ in before)
    spec = Spec.parse(SPEC).model_copy(update={"checks": checks})
    planted = Planted(mutant="self_pairs", spec=spec, checks=checks)
    return _row(planted, {"verdicts": before}, {"verdicts": after})


@pytest.mark.parametrize("without", OUTCOMES)
@pytest.mark.parametrize("with_it", OUTCOMES)
def test_only_consistent_to_violated_counts(without, with_it):
    found = row([verdict(without)], [verdict(with_it)])
    assert found["found"] == ((without, with_it) == ("consistent", "violated"))
    assert found["statistical"] == found["found"]
    assert found["checks"][0]["without"] == without
    assert found["checks"][0]["with"] == with_it


def test_one_check_that_finds_it_is_enough_and_exact_ones_are_not_statistical():
    before = [verdict("consistent", "deterministic"), verdict("consistent")]
    exact = row(before, [verdict("violated", "deterministic"), verdict("consistent")])
    assert (exact["found"], exact["statistical"]) == (True, False)
    alike = [verdict("consistent")] * 2  # equal records of two checks
    assert not row(alike, [verdict("violated", "deterministic"), verdict("consistent")])[
        "statistical"
    ]
    both = row(before, [verdict("consistent", "deterministic"), verdict("violated")])
    assert (both["found"], both["statistical"]) == (True, True)


def test_a_mutant_runs_only_the_checks_that_name_it():
    found = {p.mutant: [c.theorem for c in p.checks] for p in plant(parse(SPEC, "spec.toml"))}
    assert found == {
        "one_endpoint": ["step_invariants", "quadratic_dynamics"],
        "self_pairs": ["step_invariants"],
    }
