"""The tuner on functions whose optimum is known: inside, outside the first grid, and nowhere."""

from math import inf, log

import pytest

from hzbench.harness.tuning import Axis, tune

STEP = Axis(key="step_size", first=0.01, ratio=2.0, count=4)  # 0.01 ... 0.08
BATCH = Axis(key="batch", first=8, ratio=2.0, count=1, whole=True, least=1)


def scored(axes, function):
    """An evaluator, and the list of the values that it was asked for."""
    asked = []

    def evaluate(points):
        values = [[a.value(e) for a, e in zip(axes, point, strict=True)] for point in points]
        asked.extend(map(tuple, values))
        return [(function(*each),) for each in values]

    return evaluate, asked


@pytest.mark.parametrize("optimum", [0.03, 0.9, 0.0007])
def test_an_optimum_inside_or_beyond_the_first_grid_is_found(optimum):
    evaluate, asked = scored([STEP], lambda x: abs(log(x / optimum)))
    found = tune(evaluate, [STEP], 16)
    assert abs(log(found.best.values["step_size"] / optimum)) < log(2) / 4
    assert found.edges == ()
    assert len(asked) == len(set(asked)) == len(found.trials) == 16
    assert (found.widened > 0) == (optimum != 0.03)


def test_no_optimum_is_an_edge_and_not_an_answer():
    evaluate, asked = scored([STEP], lambda x: -x)
    found = tune(evaluate, [STEP], 9)
    assert found.edges == (("step_size", "above"),)
    assert len(asked) == 9
    assert found.best.values["step_size"] == pytest.approx(0.01 * 2**8)


def test_a_whole_parameter_stops_at_its_least_value_without_an_edge():
    axes = [STEP, BATCH]
    evaluate, asked = scored(axes, lambda x, s: abs(log(x / 0.04)) + s)
    found = tune(evaluate, axes, 20)
    assert found.best.values["batch"] == 1
    assert found.edges == ()
    assert all(s >= 1 and s == int(s) for _, s in asked)
    assert len(set(asked)) == 20


def test_two_parameters_that_trade_off_are_followed_beyond_the_grid():
    axes = [STEP, BATCH]
    evaluate, _ = scored(axes, lambda x, s: (log(s / 64)) ** 2 + (log(x / (0.004 * s))) ** 2)
    found = tune(evaluate, axes, 40)
    assert found.best.values["batch"] == pytest.approx(64, rel=0.5)
    assert found.edges == ()


def test_where_nothing_arrives_the_lowest_level_leads():
    def evaluate(points):
        return [(inf, abs(p[0] - 5)) for p in points]

    found = tune(evaluate, [STEP], 10)
    assert found.best.point == (5.0,)
    assert found.edges == ()


def test_a_first_grid_beyond_the_budget_is_refused():
    with pytest.raises(ValueError, match="budget"):
        tune(lambda points: [(0.0,)] * len(points), [STEP], 3)
