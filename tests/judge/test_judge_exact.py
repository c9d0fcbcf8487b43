import numpy as np
import pytest
from judge_synthetic import STEPS, make_trace, predict, recoloured, squares
from scipy import stats

from hzbench.core.errors import HzbenchError, UserMistakeError
from hzbench.core.prediction import Assumption
from hzbench.judge import hall, judge
from hzbench.judge.statistics import LEAST_REPLICAS, clopper_pearson

LEVEL = 1e-4
ONE = np.ones(len(STEPS))


@pytest.fixture(scope="module")
def run():
    """Two observables, 4096 replicas, both of mean 1 and coefficient of variation 0.3."""
    rng = np.random.default_rng(31)
    columns = {name: squares(rng, 4096) for name in ("objective_gap", "consensus_potential")}
    return make_trace(columns)


def both(value=1.0, **fields):
    return predict({"objective_gap": value, "consensus_potential": value}, **fields)


def test_truth_is_consistent(run):
    verdict = judge(run, both(), level=LEVEL)
    assert (verdict.outcome, verdict.method, verdict.kind) == (
        "consistent",
        "Hotelling T²",
        "exact",
    )
    assert verdict.p_value > LEVEL
    assert 0.0 < verdict.visible_error <= 0.05 == verdict.tolerance
    assert verdict.replicas_needed == 0
    assert len(verdict.statistics) == 8
    assert "would have been seen with power 0.9" in verdict.reason
    assert verdict.met


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_a_mutant_shift_of_five_percent_is_violated(run, factor):
    columns = {**run.columns, "objective_gap": factor * run.columns["objective_gap"]}
    verdict = judge(make_trace(columns), both(), level=LEVEL)
    assert verdict.outcome == "violated"
    assert verdict.p_value <= LEVEL
    assert "objective_gap" in verdict.reason.partition("farthest is")[2]
    assert not verdict.met


def test_the_statistics_report_what_was_seen(run):
    verdict = judge(run, both(), level=LEVEL)
    last = verdict.statistics[3]
    values = run.at("objective_gap", 40)
    assert (last.observable, last.step, last.predicted) == ("objective_gap", 40, 1.0)
    assert last.measured == pytest.approx(values.mean())
    assert last.standard_error == pytest.approx(values.std(ddof=1) / 64.0)
    assert last.tolerance == pytest.approx(0.05)
    ratios = [s.visible_error / s.tolerance for s in verdict.statistics]
    assert verdict.visible_error == pytest.approx(0.05 * max(ratios))


@pytest.mark.parametrize("points", [1, 4])
def test_false_alarms_come_at_the_level(points):
    rng, repeats, level = np.random.default_rng(32), 500, 0.05
    prediction = predict({"objective_gap": 1.0}, steps=STEPS[1 : points + 1])
    violated = 0
    for _ in range(repeats):
        trace = make_trace({"objective_gap": squares(rng, 1600, points)}, prediction.steps)
        violated += judge(trace, prediction, level=level).outcome == "violated"
    low, high = clopper_pearson(violated, repeats, 0.999)
    assert low <= level <= high


def test_one_statistic_is_judged_by_hall(run):
    verdict = judge(run, both(), level=LEVEL, observables=["objective_gap"], steps=[40])
    assert (verdict.outcome, verdict.method) == ("consistent", "Hall t")
    assert [s.step for s in verdict.statistics] == [40]
    sides = hall.visible(hall.summarize(run.at("objective_gap", 40)[None]), LEVEL / 2)
    assert verdict.statistics[0].visible_error == pytest.approx(np.max(sides))
    shifted = judge(run, both(1.04), level=LEVEL, observables=["objective_gap"], steps=[40])
    assert shifted.outcome == "violated"


def test_a_small_tolerance_is_inconclusive_and_says_how_many_replicas_it_takes(run):
    verdict = judge(run, both(), level=LEVEL, tolerance=0.01)
    assert verdict.outcome == "inconclusive"
    assert verdict.visible_error > 0.01
    assert verdict.replicas_needed > 4096
    assert str(verdict.replicas_needed) in verdict.reason


@pytest.mark.parametrize("against", ["alone", "any"])
def test_replicas_needed_are_just_enough(against):
    rng = np.random.default_rng(33)
    start = 1.0 + 0.4 * recoloured(squares(rng, 1600, 2) - 1.0, 1600, rng)
    start += 1.0 - start.mean(axis=1, keepdims=True)
    prediction = predict({"objective_gap": 1.0}, steps=(1, 2))

    def ask(replicas):
        values = recoloured(start, replicas, np.random.default_rng(34))
        trace = make_trace({"objective_gap": values}, (1, 2))
        return judge(trace, prediction, level=LEVEL, tolerance=0.012, against=against)

    needed = ask(1600).replicas_needed
    assert needed > 1600
    assert ask(needed).outcome == "consistent"
    short = ask(needed - 1)
    assert (short.outcome, short.replicas_needed) == ("inconclusive", needed)


def test_against_any_asks_for_more(run):
    alone, anything = (
        judge(run, both(), level=LEVEL, tolerance=0.034, against=a) for a in ("alone", "any")
    )
    assert alone.visible_error < anything.visible_error
    assert anything.p_value == alone.p_value
    assert " alone would" in alone.reason
    assert "whatever the others do would" in anything.reason


@pytest.mark.parametrize(("predicted", "spread", "scale"), [(0.0, 2.0, 2.0), (0.0, 9.0, 9.0)])
def test_the_tolerance_is_relative_to_the_spread_when_the_mean_is_small(predicted, spread, scale):
    x = 2.0 * np.random.default_rng(35).standard_normal((1, 4096))
    trace = make_trace({"thing": x}, (1,))
    given = {"thing": np.full(1, spread)} if spread != 2.0 else {}
    verdict = judge(trace, predict({"thing": predicted}, steps=(1,), spread=given), level=LEVEL)
    expected = scale if given else x.std(ddof=1)
    assert verdict.statistics[0].tolerance == pytest.approx(0.05 * expected)


def test_too_few_replicas_decide_nothing_not_even_against():
    rng = np.random.default_rng(36)
    trace = make_trace({"objective_gap": squares(rng, LEAST_REPLICAS - 1)})
    for value in (1.0, 3.0):
        verdict = judge(trace, predict({"objective_gap": value}), level=LEVEL)
        assert verdict.outcome == "inconclusive"
        assert verdict.replicas_needed == LEAST_REPLICAS
        assert np.isnan(verdict.p_value)
        assert "1600" in verdict.reason


@pytest.mark.parametrize("replicas", [20, 200, 1599])
def test_too_few_replicas_say_how_many_would_do(replicas):
    """About the number that 1600 of them say; 4 standard errors of a variance, by the kurtosis."""
    draws = squares(np.random.default_rng(37), 1600, 2)
    prediction = predict({"objective_gap": 1.0}, steps=(1, 2))

    def needed(count):
        trace = make_trace({"objective_gap": draws[:, :count]}, (1, 2))
        return judge(trace, prediction, level=LEVEL, tolerance=0.01)

    told, few = needed(1600).replicas_needed, needed(replicas)
    assert told > 10 * 1600
    chance = 4 * np.sqrt((stats.kurtosis(draws, axis=None, fisher=False) - 1) / replicas)
    assert abs(np.log(few.replicas_needed / told)) < np.log1p(chance)
    assert f"to see 1 % takes about {few.replicas_needed}, by the spread of these" in few.reason


@pytest.mark.parametrize("replicas", [1, 5])
def test_a_predicted_spread_says_how_many_would_do(replicas):
    """The noncentral F of one statistic, by scipy: power 0.9 at that number, not one below it."""
    values = np.random.default_rng(38).standard_normal((1, replicas)) + 3.0
    prediction = predict({"thing": 3.0}, steps=(1,), spread={"thing": np.full(1, 0.9)})
    verdict = judge(make_trace({"thing": values}, (1,)), prediction, level=LEVEL, tolerance=0.01)
    assert verdict.outcome == "inconclusive"
    assert "by the spread that theory predicts" in verdict.reason

    def power(count):
        critical = stats.f.isf(LEVEL, 1, count - 1)
        return stats.ncf.sf(critical, 1, count - 1, count * (0.01 * 3.0 / 0.9) ** 2)

    needed = verdict.replicas_needed
    assert power(needed - 1) < 0.9 <= power(needed) + 1e-9


def test_few_replicas_of_unknown_spread_ask_for_some_dozens():
    for replicas, told in ((1, "one does not show"), (5, "5 do not show")):
        values = np.random.default_rng(39).standard_normal((1, replicas)) + 3.0
        trace = make_trace({"thing": values}, (1,))
        verdict = judge(trace, predict({"thing": 3.0}, steps=(1,)), level=LEVEL)
        assert verdict.replicas_needed == LEAST_REPLICAS
        assert f"takes 1600 or more, since {told} the spread; take some dozens" in verdict.reason


def test_diverged_replicas_are_counted_not_judged(run):
    status = np.zeros(4096, np.int8)
    status[:37] = 1
    columns = {name: column.copy() for name, column in run.columns.items()}
    columns["objective_gap"][:, :37] = np.nan
    verdict = judge(make_trace(columns, status=status), both(9.0), level=LEVEL)
    assert verdict.outcome == "inconclusive"
    assert verdict.reason == "37 of 4096 replicas diverged"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_not_judged(run, bad):
    columns = {name: column.copy() for name, column in run.columns.items()}
    columns["objective_gap"][-1, 5] = bad
    verdict = judge(make_trace(columns), both(9.0), level=LEVEL)
    assert verdict.outcome == "inconclusive"
    assert "objective_gap not finite in 1 of 4096" in verdict.reason
    assert judge(run, both(bad), level=LEVEL).outcome == "inconclusive"


def test_a_failed_assumption_is_inapplicable_and_named(run):
    assumptions = (
        Assumption(text="connected", holds=True),
        Assumption(text="small step", holds=False, detail="η L = 3.1 > 2"),
    )
    verdict = judge(run, both(9.0, assumptions=assumptions), level=LEVEL)
    assert verdict.outcome == "inapplicable"
    assert verdict.reason == "assumed but not so: small step (η L = 3.1 > 2)"


def test_expectations_are_met_or_not(run):
    asked = {"level": LEVEL, "expected": "violated", "expectation_reason": "a slip in print"}
    assert judge(run, both(1.2), **asked).met
    verdict = judge(run, both(), **asked)
    assert not verdict.met
    assert verdict.expectation_reason == "a slip in print"


def test_dependent_observables_do_not_disturb(run):
    gap = run.columns["objective_gap"]
    trace = make_trace({"objective_gap": gap, "node_distance": 2.0 * gap})
    agree = predict({"objective_gap": 1.0, "node_distance": 2.0})
    alone = judge(run, both(), level=LEVEL, observables=["objective_gap"])
    verdict = judge(trace, agree, level=LEVEL)
    assert verdict.outcome == "consistent"
    assert verdict.p_value == pytest.approx(alone.p_value, rel=1e-6)
    broken = predict({"objective_gap": 1.0, "node_distance": 2.001})
    assert judge(trace, broken, level=LEVEL).outcome == "violated"


def test_a_rate_says_what_to_fit(run):
    with pytest.raises(HzbenchError, match="without a fit"):
        judge(run, both(kind="rate"), level=LEVEL)


@pytest.mark.parametrize(
    "mistake", [{"level": 0.0}, {"level": 1.0}, {"level": 0.1, "tolerance": 0}]
)
def test_level_and_tolerance_are_checked(run, mistake):
    with pytest.raises(UserMistakeError, match="expected 0 < level < 1"):
        judge(run, both(), **mistake)
