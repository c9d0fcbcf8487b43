"""The leaderboard: groups, ranks, ties, costs."""

from typing import Any

import pytest
from scipy import stats
from synthetic_results import diverging, real_run, run

from hzbench.reports.leaderboard import Standing, leaderboard, rank


def standing(run_id: str, gap: float | None, half: float = 0.0) -> Standing:
    return Standing(
        rank=None,
        run=run_id,
        run_id=run_id,
        method="hdo",
        population="",
        topology="",
        steps=100,
        gap=gap,
        low=None if gap is None else gap - half,
        high=None if gap is None else gap + half,
        calls=(),
        floats=None,
        replicas=64,
        diverged=0,
    )


def places(*standings: Standing) -> list[tuple[str, int | None, bool]]:
    return [(s.run_id, s.rank, s.tied) for s in rank(standings)]


def test_clear_order() -> None:
    found = places(standing("c", 3), standing("a", 1), standing("b", 2))
    assert found == [("a", 1, False), ("b", 2, False), ("c", 3, False)]


def test_who_overlaps_the_best_shares_the_rank() -> None:
    found = places(standing("a", 1, 0.3), standing("b", 1.5, 0.3), standing("c", 2.0, 0.3))
    # c overlaps b but not a: it opens the next rank.
    assert found == [("a", 1, True), ("b", 1, True), ("c", 3, False)]


def test_a_wide_interval_ties_from_behind() -> None:
    found = places(standing("a", 1, 0.1), standing("b", 2, 0.1), standing("wide", 3, 2.5))
    assert found == [("a", 1, True), ("wide", 1, True), ("b", 3, False)]


def test_the_diverged_come_last_without_a_rank() -> None:
    assert places(standing("x", None), standing("a", 1)) == [("a", 1, False), ("x", None, False)]


def test_the_synthetic_suite(results: dict[str, Any]) -> None:
    named = [(record["name"], record) for record in results["runs"]]
    (group,) = leaderboard(named)
    assert (group.problem, group.parameters) == ("logistic", "dimension = 6")
    assert [(s.run_id, s.rank, s.tied) for s in group.standings] == [
        ("logistic-hybrid", 1, True),
        ("logistic-first-order", 1, True),
        ("logistic-zeroth-order", 3, False),
    ]
    assert [run_id for run_id, _ in group.members] == [s.run_id for s in group.standings]


def test_interval_and_costs() -> None:
    ((first,),) = [group.standings for group in leaderboard([("a", real_run("a", 0.1, 0.01))])]
    assert first.gap is not None
    assert first.low is not None
    half = stats.t.ppf(0.975, 63) * 0.01 * first.gap
    assert first.gap - first.low == pytest.approx(half)
    assert first.calls == (("gradients", 200.0), ("function values", 64000.0))
    assert first.floats == 157000.0


def test_problems_with_other_parameters_are_other_groups() -> None:
    one, two = real_run("a", 0.1, 0.01), real_run("b", 0.1, 0.01)
    two["spec"]["problem"]["dimension"] = 7
    assert len(leaderboard([("a", one), ("b", two)])) == 2


def test_the_quadratic_and_runs_without_a_gap_are_left_out() -> None:
    quadratic = run("q", observables={"objective_gap": diverging()})
    no_gap = run("n", labels={"problem": "logistic"})
    assert leaderboard([("q", quadratic), ("n", no_gap)]) == ()


def test_a_gap_that_ends_in_null_has_no_rank() -> None:
    lost = run("l", labels={"problem": "logistic"}, observables={"objective_gap": diverging()})
    ((only,),) = [group.standings for group in leaderboard([("l", lost)])]
    assert (only.rank, only.gap, only.low) == (None, None, None)
