"""The tuner on functions whose optimum is known: inside, outside the first points, and nowhere."""

from math import inf, log

import pytest

from hzbench.harness.tuning import Axis, tune

STEP = Axis(key="step_size", first=0.03, ratio=4.0)
BATCH = Axis(key="batch", first=8, ratio=4.0, whole=True, least=1)
FIRST = (1.0, 0.0, -1.0, -2.0)  # 0.12 ... 0.0019


def scored(axes, function):
    """An evaluator, and the list of the values that it was asked for."""
    asked = []

    def evaluate(points):
        values = [[a.value(e) for a, e in zip(axes, point, strict=True)] for point in points]
        asked.extend(map(tuple, values))
        return [(function(*each),) for each in values]

    return evaluate, asked


@pytest.mark.parametrize("optimum", [0.04, 0.9, 0.0007])
def test_an_optimum_inside_or_beyond_the_first_points_is_bracketed_then_refined(optimum):
    evaluate, asked = scored([STEP], lambda x: abs(log(x / optimum)))
    found = tune(evaluate, [STEP], FIRST, 16)
    assert abs(log(found.best.values["step_size"] / optimum)) < log(4) / 16
    assert found.edges == ()
    assert len(asked) == len(set(asked)) == len(found.trials) == 16
    near = min(
        abs(log(t.values["step_size"] / found.best.values["step_size"]))
        for t in found.trials
        if t is not found.best and t.values != found.best.values
    )
    assert log(found.mesh) == pytest.approx(near)


def test_no_optimum_is_an_edge_and_not_an_answer():
    evaluate, asked = scored([STEP], lambda x: -x)
    found = tune(evaluate, [STEP], FIRST, 9)
    assert found.edges == (("step_size", "above"),)
    assert len(asked) == 9
    assert found.best.values["step_size"] == pytest.approx(0.03 * 4**6)


def test_a_whole_parameter_stops_at_its_least_value_without_an_edge():
    axes = [STEP, BATCH]
    evaluate, asked = scored(axes, lambda x, s: abs(log(x / 0.04)) + s)
    found = tune(evaluate, axes, FIRST, 20)
    assert found.best.values["batch"] == 1
    assert found.edges == ()
    assert all(s >= 1 and s == int(s) for _, s in asked)
    assert len(set(asked)) == 20


def test_the_least_value_is_tried_where_a_full_step_would_pass_it():
    axes = [STEP, Axis(key="batch", first=24, ratio=4.0, whole=True, least=12)]
    evaluate, asked = scored(axes, lambda x, s: abs(log(x / 0.04)) + s)
    found = tune(evaluate, axes, FIRST, 12)
    assert found.best.values["batch"] == 12
    assert found.edges == ()
    assert min(s for _, s in asked) == 12


def test_a_parameter_that_the_budget_leaves_on_its_edge_is_named():
    axes = [STEP, BATCH]
    evaluate, _ = scored(axes, lambda x, s: abs(log(x / 0.04)) - s)
    assert tune(evaluate, axes, FIRST, 12).edges == (("batch", "above"),)


def test_where_all_values_of_a_parameter_are_alike_the_first_one_stays():
    axes = [STEP, BATCH]
    evaluate, _ = scored(axes, lambda x, _: abs(log(x / 0.04)))
    found = tune(evaluate, axes, FIRST, 20)
    assert found.best.values["batch"] == 8
    assert found.edges == ()


def test_two_parameters_that_trade_off_are_followed_beyond_the_first_points():
    axes = [STEP, BATCH]
    evaluate, _ = scored(axes, lambda x, s: (log(s / 64)) ** 2 + (log(x / (0.004 * s))) ** 2)
    found = tune(evaluate, axes, FIRST, 40)
    assert found.best.values["batch"] == pytest.approx(64, rel=0.5)
    assert found.edges == ()


def test_where_nothing_arrives_the_lowest_level_leads():
    def evaluate(points):
        return [(inf, abs(p[0] - 5)) for p in points]

    found = tune(evaluate, [STEP], FIRST, 12)
    assert found.best.point == (5.0,)
    assert found.edges == ()


def test_first_points_beyond_the_budget_are_refused():
    with pytest.raises(ValueError, match="budget"):
        tune(lambda points: [(0.0,)] * len(points), [STEP], FIRST, 3)
