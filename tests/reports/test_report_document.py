"""The view model: counts, order, map, claims and sensitivity."""

from typing import Any

import pytest
from synthetic_results import HOSTILE, LEVEL, prediction, run, verdict

from hzbench.reports.document import build
from hzbench.reports.tables import OUTCOMES, claim_id, tally


def test_counts(results: dict[str, Any]) -> None:
    head = build(results).headline
    assert (head.met, head.total, head.runs, head.diverged) == (13, 15, 9, 1)
    counts = {item.outcome: item.count for item in head.tallies}
    assert counts == {"violated": 2, "inconclusive": 1, "inapplicable": 1, "consistent": 11}
    assert not head.passed


def test_what_was_not_expected_leads(results: dict[str, Any]) -> None:
    document = build(results)
    assert [row.theorem for row in document.unmet] == ["mean-recursion", "node-bound"]
    assert [row.outcome for row in document.foreseen] == ["violated", "inapplicable"]
    assert document.runs[0].title == HOSTILE
    assert [view.open for view in document.runs[:3]] == [True, True, False]


def test_deterministic_checks_do_not_claim_the_smallest_visible_error() -> None:
    checks = [
        verdict("integers", p_value=1.0, method="deterministic", visible_error=1e-9),
        verdict("a", visible_error=0.01),
        verdict("b", visible_error=0.03),
        verdict("c", visible_error=0.04),
        verdict("weak", "inconclusive", visible_error=0.9),
    ]
    seen = build({"runs": [run("one", verdicts=checks)]}).headline.sensitivity
    assert seen is not None
    assert (seen.smallest, seen.middle, seen.largest) == (0.01, 0.03, 0.04)


def test_the_map_shows_the_worst_outcome_of_a_cell() -> None:
    runs = [
        run("a", verdicts=[verdict("x"), verdict("y", "inconclusive")]),
        run("b", verdicts=[verdict("x", "violated", expected="violated")]),
        run("c", labels={"population": "8 FO"}, verdicts=[verdict("x")]),
        run("d", labels={"topology": "ring"}, verdicts=[verdict("x")]),
        run("unchecked", labels={"topology": "star"}),
    ]
    found = build({"runs": runs}).heat_map
    assert [place for place, _ in found.rows] == [("complete", "pair"), ("ring", "pair")]
    first, second = found.rows[0][1]
    assert (first.worst, first.met) == ("violated", False)
    assert [(item.outcome, item.count) for item in first.tallies] == [
        ("violated", 1),
        ("inconclusive", 1),
        ("consistent", 1),
    ]
    assert (second.worst, second.met) == ("consistent", True)
    assert found.rows[1][1][1].tallies == ()


def test_a_cell_finds_its_own_rows(results: dict[str, Any]) -> None:
    document = build(results)
    for _, cells in document.heat_map.rows:
        for cell in cells:
            phrases = [part for part in cell.query.split('"') if part.strip()]
            found = [row for row in document.rows if all(part in row.search for part in phrases)]
            assert len(found) >= sum(item.count for item in cell.tallies) > 0 or not phrases


def test_each_claim_once_with_the_checks_of_its_assumptions(results: dict[str, Any]) -> None:
    claims = {claim.theorem: claim for claim in build(results).claims}
    assert len(claims) == 6
    recursion = claims["mean-recursion"]
    held = {premise.text: (premise.held, premise.checked) for premise in recursion.premises}
    assert held == {"the problem is quadratic": (2, 2), "η L < 2": (0, 1)}
    assert recursion.premises[1].failures == ("Too large a step: η L = 3.1",)
    assert sum(item.count for item in recursion.tallies) == 3
    assert claims["printed-lemma-13"].printed.startswith("E f ≤")


def test_the_statement_comes_from_a_setting_where_the_theorem_applies() -> None:
    failing = prediction("t", "exact", {}, applies=False, statement="on the wrong setting")
    holding = prediction("t", "exact", {}, statement="as meant")
    runs = [run("a", predictions=[failing]), run("b", predictions=[holding])]
    assert build({"runs": runs}).claims[0].statement == "as meant"


def test_different_theorems_have_different_places() -> None:
    names = ["a-b", "a b", "A-B", "", "<", ">", "x" * 60, "x" * 61]
    assert len({claim_id(name) for name in names}) == len(names)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_one_tally(outcome: str) -> None:
    (found,) = tally([outcome, outcome])
    assert (found.outcome, found.count) == (outcome, 2)


def test_the_guide_line_is_the_normal_quantile_of_the_level(results: dict[str, Any]) -> None:
    panel = build(results).runs[0].panels[0]
    assert panel.critical == pytest.approx(4.49, abs=0.01)  # two-sided, LEVEL = 7.1e-6
    assert pytest.approx(7.1e-6, rel=0.01) == LEVEL


def test_few_p_values_are_not_drawn() -> None:
    checks = [verdict(f"t{i}", p_value=0.1 * i + 0.05) for i in range(7)]
    assert build({"runs": [run("a", verdicts=checks)]}).p_values == ()
    checks.append(verdict("t8", p_value=0.9))
    assert len(build({"runs": [run("a", verdicts=checks)]}).p_values) == 8
