import numpy as np
import pytest
from judge_synthetic import make_trace, predict

from hzbench.core.errors import UserMistakeError
from hzbench.core.observable import OBSERVABLES
from hzbench.judge.select import NONNEGATIVE, evenly, select

STEPS = tuple(range(0, 90, 10))


def noise(*shape):
    return np.random.default_rng(61).standard_normal((len(STEPS), 20, *shape))


def chosen(columns, values, **options):
    selection = select(make_trace(columns, STEPS), predict(values, steps=STEPS), **options)
    assert selection.values.shape == (selection.size, 20)
    return list(zip(selection.observables, selection.steps, strict=True))


@pytest.mark.parametrize(
    ("count", "wanted", "indices"),
    [(8, 4, [1, 3, 5, 7]), (3, 4, [0, 1, 2]), (7, 1, [6]), (10, 4, [1, 4, 6, 9])],
)
def test_evenly(count, wanted, indices):
    assert evenly(count, wanted) == indices


def test_four_points_without_the_start_and_with_the_last():
    assert chosen({"a": noise()}, {"a": 1.0}) == [("a", t) for t in (20, 40, 60, 80)]


def test_the_start_is_compared_when_it_is_all_there_is():
    trace = make_trace({"a": noise()}, STEPS)
    assert select(trace, predict({"a": 1.0}, steps=(0,))).steps == (0,)


def test_points_that_were_not_recorded_are_not_chosen():
    trace = make_trace({"a": noise()}, STEPS)
    assert select(trace, predict({"a": 1.0}, steps=(5, 30, 85))).steps == (30,)


def test_values_and_predictions_belong_together():
    trace = make_trace({"a": noise(3), "b": noise()}, STEPS)
    table = 100.0 * np.arange(9)[:, None] + np.arange(3)
    prediction = predict({"a": table}, steps=STEPS)
    selection = select(trace, prediction, ["a"], [40, 80])
    for i in range(selection.size):
        component, row = int(selection.observables[i][2]), STEPS.index(selection.steps[i])
        assert selection.predicted[i] == table[row, component]
        np.testing.assert_array_equal(selection.values[i], trace.columns["a"][row, :, component])


def test_scalars_come_first_in_the_vocabulary_order():
    columns = {"zebra": noise(), "consensus_potential": noise(), "objective_gap": noise()}
    names = [name for name, _ in chosen(columns, dict.fromkeys(columns, 1.0))]
    assert names == ["objective_gap"] * 2 + ["consensus_potential"] * 2 + ["zebra"] * 2


def test_vectors_are_compared_when_asked_for_or_alone():
    columns = {"objective_gap": noise(), "mean_iterate": noise(2)}
    values = {"objective_gap": 1.0, "mean_iterate": np.zeros((1, 2))}
    assert {name for name, _ in chosen(columns, values)} == {"objective_gap"}
    asked = chosen(columns, values, observables=["mean_iterate"])
    assert asked == [(f"mean_iterate[{k}]", t) for t in (20, 40, 60, 80) for k in (0, 1)]
    assert chosen({"mean_iterate": noise(2)}, {"mean_iterate": np.zeros((1, 2))}) == asked


@pytest.mark.parametrize(
    ("size", "points", "components"),
    [(2, 4, 2), (3, 2, 3), (6, 1, 6), (8, 1, 8), (16, 1, 8), (20, 1, 8)],
)
def test_a_vector_gives_up_points_first_then_components(size, points, components):
    pairs = chosen({"a": noise(size)}, {"a": np.zeros((1, size))})
    assert len(pairs) == points * components
    assert len({name for name, _ in pairs}) == components
    assert len({t for _, t in pairs}) == points
    assert (f"a[{size - 1}]", 80) in pairs


def test_never_more_than_eight_that_vary():
    columns = {f"s{i}": noise() for i in range(11)}
    assert chosen(columns, dict.fromkeys(columns, 1.0)) == [
        (name, 80) for name in sorted(columns)[:8]
    ]
    mixed = {"a": noise(), "b": noise(9), "c": noise(9)}
    values = {"a": 1.0, "b": np.zeros((1, 9)), "c": np.zeros((1, 9))}
    pairs = chosen(mixed, values, observables=["a", "b", "c"])
    assert [name[0] for name, _ in pairs] == ["a"] + ["b"] * 3 + ["c"] * 3


def test_certain_values_do_not_count():
    columns = {"a": noise(), "b": noise(), "c": np.ones((9, 20)), "d": np.ones((9, 20, 30))}
    pairs = chosen(columns, {"a": 0.0, "b": 0.0, "c": 1.0, "d": np.ones((1, 30))})
    assert len(pairs) == 4 + 4 * 30 + 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"observables": ["b"]}, "'b'"),
        ({"steps": [15]}, "record points"),
        ({"steps": [10, 20, 30, 40, 50]}, "one to 4"),
        ({"steps": []}, "one to 4"),
    ],
)
def test_what_is_not_there_is_refused(options, words):
    trace = make_trace({"a": noise()}, STEPS)
    with pytest.raises(UserMistakeError, match=words):
        select(trace, predict({"a": 1.0}, steps=STEPS), **options)


def test_nothing_in_common_is_refused():
    trace = make_trace({"a": noise()}, STEPS)
    with pytest.raises(UserMistakeError, match="record them"):
        select(trace, predict({"b": 1.0}, steps=STEPS))
    with pytest.raises(UserMistakeError, match="record them"):
        select(trace, predict({"a": 1.0}, steps=(7,)))


def test_wrong_shapes_are_refused():
    trace = make_trace({"a": noise(3)}, STEPS)
    with pytest.raises(UserMistakeError, match=r"shape \(9, 2\); expected \(9, 3\)"):
        select(trace, predict({"a": np.zeros((1, 2))}, steps=STEPS))
    with pytest.raises(UserMistakeError, match="shape"):
        select(trace, predict({"a": 1.0}, steps=STEPS))


def test_the_nonnegative_observables_are_in_the_vocabulary():
    assert set(OBSERVABLES) >= NONNEGATIVE
    assert not {"mean_iterate", "estimate", "objective_gap_difference"} & NONNEGATIVE
