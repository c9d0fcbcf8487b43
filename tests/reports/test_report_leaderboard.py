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
        nodes=4,
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
    pair = [("a", real_run("a", 0.1, 0.01)), ("b", real_run("b", 0.2, 0.01))]
    ((first, _),) = [group.standings for group in leaderboard(pair)]
    assert first.gap is not None
    assert first.low is not None
    half = stats.t.ppf(0.975, 63) * 0.01 * first.gap
    assert first.gap - first.low == pytest.approx(half)
    assert first.calls == (("gradients", 200.0), ("function values", 64000.0))
    assert first.floats == 157000.0


def members(*runs: dict[str, Any]) -> list[list[str]]:
    groups = leaderboard([(record["name"], record) for record in runs])
    return [sorted(standing.run for standing in group.standings) for group in groups]


def named(name: str, **changes: Any) -> dict[str, Any]:
    return {**real_run(name, 0.1, 0.01), "title": name, **changes}


def test_problems_with_other_parameters_are_other_groups() -> None:
    two = [named("c"), named("d")]
    for each in two:
        each["spec"]["problem"]["dimension"] = 7
    assert members(named("a"), named("b"), *two) == [["a", "b"], ["c", "d"]]


def test_only_equal_parallel_time_is_compared() -> None:
    longer = {"steps": [*named("a")["steps"][:-1], 10**6]}
    ticks = {"labels": named("a")["labels"] | {"gossip": "pair"}}
    rounds = {"labels": named("a")["labels"] | {"gossip": "matrix"}}
    known = [named("a", **rounds), named("b", **rounds), named("c", **rounds, **longer)]
    assert members(*known) == [["a", "b"]]
    pairs = [named("d", **ticks), named("e", **ticks)]
    assert members(*known, *pairs) == [["a", "b"], ["d", "e"]]


def test_the_reference_of_a_comparison_takes_part() -> None:
    one = named("a")
    one["reference"] = {"objective_gap": named("b")["observables"]["objective_gap"]}
    one["spec"] = one["spec"] | {"versus": {"label": "alone", "nodes": [{"count": 3}]}}
    ((first, second),) = [group.standings for group in leaderboard([("a", one)])]
    assert {first.run, second.run} == {"a", "alone"}
    assert {s.population: s.nodes for s in (first, second)}["reference of a"] == 3


def test_the_quadratic_and_runs_without_a_gap_are_left_out() -> None:
    quadratic = run("q", observables={"objective_gap": diverging()})
    no_gap = run("n", labels={"problem": "logistic"})
    assert leaderboard([("q", quadratic), ("n", no_gap)]) == ()


def test_a_gap_that_ends_in_null_has_no_rank() -> None:
    lost = run("l", labels={"problem": "logistic"}, observables={"objective_gap": diverging()})
    ((_, last),) = [g.standings for g in leaderboard([("l", lost), ("a", {**lost, **named("a")})])]
    assert (last.rank, last.gap, last.low) == (None, None, None)
