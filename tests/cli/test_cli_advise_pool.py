"""`hzbench advise --server`: worked numbers, both answers, mistakes."""

import json
import math

import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.pool_planner import PoolQuestion, advise_pool

GAUSSIAN = {"first": 4, "dimension": 10, "directions": "gaussian", "samples": (1,)}


@pytest.mark.parametrize(
    ("zeroth", "equal", "weighted"),
    [
        (8, 2.3125, 0.8),
        (16, 73 / 49, 2 / 3),
        (27, 122.5 / 11.125**2, 12 / 22.125),
        (48, 217 / 361, 0.4),
        (96, 433 / 1369, 0.25),
    ],
)
def test_times_where_noise_decides(zeroth, equal, weighted):
    """κ = 12, c = 2/3: (1 + 12x)/(1 + x)² and 1/(1 + x/12) at x = 3 n0/8."""
    option = advise_pool(PoolQuestion(zeroth=zeroth, **GAUSSIAN)).options[0]
    assert option.ratio_equal == pytest.approx(equal, rel=1e-3)
    assert option.ratio_weighted == pytest.approx(weighted, rel=1e-3)
    assert option.helps_from == 27
    assert (option.ratio_equal < 1) == (zeroth >= 27)


def test_the_speed_at_a_target_is_at_most_that_where_noise_decides():
    for target in (1e-6, 1e-2, 1.0):
        found = advise_pool(PoolQuestion(zeroth=96, target=target, **GAUSSIAN)).options[0]
        assert found.speed_up <= 4.0 + 1e-9
    assert advise_pool(PoolQuestion(zeroth=96, target=1e-6, **GAUSSIAN)).options[
        0
    ].speed_up == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize(
    ("zeroth", "noise", "pool", "time"),
    [
        (96, 0.01, "helpers", 2 + 46 / 96),  # all together: 3 + (4/3 + 96/46)⁻¹ = 3.29
        (96, 10.0, "all", 3 + 1 / (4 / 3000 + 96 / (2 * 12011))),  # R = 1000, ν = 12011
        (2, 0.01, "all", 3 + 1 / (4 / 3 + 2 / 46)),
        (2, 0.0, "gradients", 3.0),  # exact gradients: 2 (1 + 11/2) > 3
        (96, 0.0, "helpers", 2 * (1 + 11 / 96)),  # P2: more than c ω/(1 − c) = 22
    ],
)
def test_who_should_take_part_at_the_target(zeroth, noise, pool, time):
    """ε = .01; gradients of 3 s and ν = R, helpers of 2 s and ν = 12 R + 11."""
    question = PoolQuestion(zeroth=zeroth, noise=noise, target=0.01, **GAUSSIAN)
    option, R = advise_pool(question).options[0], noise / 0.01
    assert option.weight == pytest.approx(R / (12 * R + 11))
    assert option.speed_up == pytest.approx((3 + 3 * R / 4) / time)
    assert option.pool == pool
    assert option.alone_from == pytest.approx(22)


def test_helpers_that_gradients_would_only_hold_up():
    """Two gradients of 30 s against 500 helpers of .2 s, R = 2: 60 s against .2 + .2·35/500."""
    question = PoolQuestion(
        **{**GAUSSIAN, "first": 2}, zeroth=500, gradient_cost=30.0, function_cost=0.1,
        noise=1.0, target=0.5,
    )  # fmt: skip
    advice = advise_pool(question)
    assert advice.options[0].speed_up == pytest.approx(60 / (0.2 + 0.014))
    assert "let the 500 without gradients work alone" in advice.sentence
    assert "expect 280 times the speed" in advice.sentence


def test_helpers_that_are_slower_than_gradients_are_left_out():
    question = PoolQuestion(first=2, zeroth=5, dimension=20, gradient_cost=1.0, function_cost=4.0)
    advice = advise_pool(question)
    assert {option.speed_up for option in advice.options if option.pool == "gradients"} == {1.0}
    assert min(option.speed_up for option in advice.options) == 1.0


def test_without_noise_nobody_needs_to_join():
    advice = advise_pool(PoolQuestion(first=2, zeroth=2, dimension=50, noise=1e-6))
    assert advice.sentence.startswith("No: at E|∇f|² = 0.01 the whole pool is at most 1 % faster")


def test_the_slowest_of_many_workers_with_data_of_their_own():
    """n* = sqrt((c κ_e − 1)/(1 − c) R) with κ_e = 12 + 11/4, c = 2/3, R = 400."""
    limit = math.sqrt((2 / 3 * 14.75 - 1) * 3 * 400)
    for zeroth, word in ((100, "Yes"), (90, "No")):
        question = PoolQuestion(zeroth=zeroth, noise=4.0, heterogeneity=1.0, **GAUSSIAN)
        advice = advise_pool(question)
        assert advice.options[0].straggler_from == math.floor(limit) + 1
        assert advice.sentence.startswith(word)
    slow = PoolQuestion(zeroth=9, heterogeneity=1.0, **{**GAUSSIAN, "samples": (8,)})
    assert "every candidate takes as long" in advise_pool(slow).sentence


def test_the_command_prints_a_table_and_json(shell):
    code, text, _ = shell(
        "advise", "--server", "--first", "4", "--zeroth", "96", "--dimension", "10"
    )
    assert code == 0
    assert "Yes: let all 96 join with m = 1" in text
    assert "alone from n0" in text
    found = shell("advise", "--server", "--first=4", "--zeroth=96", "--dimension=10", "--json")
    assert json.loads(found[1])["options"][0]["helps_from"] == 22  # sphere: κ = d = 10


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--server", "--first=1"), "got no --zeroth, --dimension"),
        (("--server", "--ratio=3", "--smoothness=2"), "got --ratio, --smoothness with --server"),
        (("--heterogeneity=1", "--first=1", "--zeroth=1", "--dimension=2"), "without --server"),
        (
            ("--server", "--first=0", "--zeroth=1", "--dimension=2", "--target=-1"),
            "got first = 0; expected a whole number",
        ),
        (
            ("--server", "--first=1", "--zeroth=1", "--dimension=2", "--gradient-cost=1e-300"),
            "got function_cost = 1 and gradient_cost = 1e-300; expected numbers within 1e+100",
        ),
    ],
)
def test_mistakes_of_the_command(shell, options, sentence):
    code, _, error = shell("advise", *options)
    assert code == 2
    assert sentence in error


def test_every_wrong_number_comes_in_one_message():
    with pytest.raises(UserMistakeError, match=r"zeroth = 0[\s\S]*target = -1[\s\S]*heterogeneity"):
        PoolQuestion(first=1, zeroth=0, dimension=2, target=-1, heterogeneity=-3.0)
    with pytest.raises(UserMistakeError, match="got noise = 0 with heterogeneity"):
        PoolQuestion(first=1, zeroth=1, dimension=2, noise=0.0, heterogeneity=1.0)


def test_exact_helpers_weigh_as_much_as_gradients():
    """d = 1: a sphere vector is ±1, so ω = 0 and κ = 1."""
    option = advise_pool(PoolQuestion(first=1, zeroth=1, dimension=1, noise=0.0)).options[0]
    assert option.growth == 0
    assert option.weight == 1
    assert (option.pool, option.speed_up) == ("helpers", 1.5)  # 2 s against 3 s, both exact


def test_limits_are_told_without_rounding_and_other_data_have_no_pool():
    alike = advise_pool(PoolQuestion(**{**GAUSSIAN, "zeroth": 18, "noise": 0.0, "samples": (2,)}))
    assert alike.options[0].alone_from == math.inf
    numbers = {**GAUSSIAN, "zeroth": 18, "noise": 0.0, "difference": "forward", "dimension": 2}
    assert advise_pool(PoolQuestion(**numbers)).options[0].alone_from == 6.0  # c = 2/3, ω = 3
    apart = PoolQuestion(zeroth=20, heterogeneity=1.0, **GAUSSIAN)
    assert {option.pool for option in advise_pool(apart).options} == {None}


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"zeroth": 10**12}, "zeroth = 1000000000000; expected a whole number from 1 to 1,000,000"),
        ({"zeroth": 4, "noise": 1e300, "target": 1e-300}, "expected at most 1e\\+100 times"),
    ],
)
def test_numbers_beyond_arithmetic_are_mistakes(numbers, told):
    with pytest.raises(UserMistakeError, match=told):
        PoolQuestion(**GAUSSIAN, **numbers)
