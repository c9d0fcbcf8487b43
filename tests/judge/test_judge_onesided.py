import numpy as np
import pytest
from judge_synthetic import make_trace, predict, squares

from hzbench.core.errors import HzbenchError
from hzbench.judge import hall, judge
from hzbench.judge.onesided import LEAST_REPLICAS
from hzbench.judge.statistics import clopper_pearson

LEVEL = 1e-4
STEPS = (10, 20, 30)


@pytest.fixture(scope="module")
def run():
    """Mean 1 and standard error 0.0047 at each of three points."""
    return make_trace({"objective_gap": squares(np.random.default_rng(51), 4096, 3)}, STEPS)


def ask(run, value, kind, **options):
    prediction = predict({"objective_gap": value}, kind, STEPS)
    return judge(run, prediction, **{"level": LEVEL, **options})


@pytest.mark.parametrize(
    ("kind", "value", "outcome"),
    [
        ("upper", 1.5, "consistent"),
        ("upper", 1.0, "inconclusive"),
        ("upper", 0.9, "violated"),
        ("lower", 0.5, "consistent"),
        ("lower", 1.0, "inconclusive"),
        ("lower", 1.1, "violated"),
        ("order", 1.0, "consistent"),
        ("order", -1.0, "violated"),
    ],
)
def test_direction_and_outcomes(run, kind, value, outcome):
    verdict = ask(run, value, kind)
    assert (verdict.outcome, verdict.method, verdict.kind) == (outcome, "Hall t", kind)
    assert (verdict.p_value <= LEVEL) == (outcome == "violated")


@pytest.mark.parametrize(("kind", "value"), [("upper", 3.0), ("lower", 1.0 / 3.0)])
def test_a_bound_says_how_loose_it_is_and_claims_no_more(run, kind, value):
    verdict = ask(run, value, kind)
    assert verdict.tightness == pytest.approx(3.0, rel=0.02)
    assert "it would only see errors beyond a factor 3.0" in verdict.reason
    assert "valid" not in verdict.reason


def test_the_visible_error_of_a_bound_is_its_distance_and_more(run):
    statistic = ask(run, 3.0, "upper").statistics[0]
    beyond = hall.visible(hall.summarize(run.at("objective_gap", 10)[None]), LEVEL / 3)[0]
    assert statistic.visible_error == pytest.approx(3.0 - statistic.measured + beyond[0])


def test_one_broken_point_breaks_the_bound(run):
    prediction = predict({"objective_gap": np.array([2.0, 0.9, 2.0])}, "upper", STEPS)
    verdict = judge(run, prediction, level=LEVEL)
    assert verdict.outcome == "violated"
    assert "objective_gap at step 20" in verdict.reason


def test_one_open_point_leaves_the_bound_open(run):
    prediction = predict({"objective_gap": np.array([2.0, 1.0, 2.0])}, "upper", STEPS)
    verdict = judge(run, prediction, level=LEVEL)
    assert verdict.outcome == "inconclusive"
    assert "objective_gap at step 20" in verdict.reason


@pytest.mark.parametrize("kind", ["upper", "lower"])
def test_tight_bounds_are_broken_or_confirmed_by_chance_at_the_level(kind):
    """All means equal the bound: both errors are at their largest."""
    rng, repeats, level = np.random.default_rng(52), 1500, 0.05
    outcomes = []
    for _ in range(repeats):
        trace = make_trace({"objective_gap": squares(rng, 800, 1)}, (10,))
        prediction = predict({"objective_gap": 1.0}, kind, (10,))
        outcomes.append(judge(trace, prediction, level=level).outcome)
    for outcome in ("violated", "consistent"):
        low, high = clopper_pearson(outcomes.count(outcome), repeats, 0.999)
        assert low <= level <= high


def test_bonferroni_keeps_the_level_over_several_points():
    rng, repeats, level = np.random.default_rng(53), 800, 0.05
    violated = 0
    for _ in range(repeats):
        trace = make_trace({"objective_gap": squares(rng, 800, 3, 0.0)}, STEPS)
        violated += ask(trace, 1.0, "upper", level=level).outcome == "violated"
    low, high = clopper_pearson(violated, repeats, 0.999)
    assert low <= level <= high


def test_an_equality_without_noise_holds():
    trace = make_trace({"slem": np.full((1, 5), 0.5)}, (0,))
    for kind in ("upper", "lower"):
        verdict = judge(trace, predict({"slem": 0.5}, kind, (0,)), level=LEVEL)
        assert (verdict.outcome, verdict.method, verdict.tightness) == (
            "consistent",
            "deterministic",
            1.0,
        )
    assert judge(trace, predict({"slem": 0.499}, "upper", (0,)), level=LEVEL).outcome == "violated"
    assert judge(trace, predict({"slem": 0.501}, "lower", (0,)), level=LEVEL).outcome == "violated"


def test_a_bound_of_a_mean_of_zero():
    trace = make_trace({"slem": np.zeros((1, 5))}, (0,))
    verdict = judge(trace, predict({"slem": 1.0}, "upper", (0,)), level=LEVEL)
    assert (verdict.outcome, verdict.tightness) == ("consistent", np.inf)
    both = judge(trace, predict({"slem": 0.0}, "upper", (0,)), level=LEVEL)
    assert (both.outcome, both.tightness) == ("consistent", 1.0)


def difference(shift, replicas=4096):
    noise = np.random.default_rng(54).standard_normal((3, replicas))
    return make_trace({"objective_gap_difference": noise + shift}, STEPS)


@pytest.mark.parametrize(
    ("shift", "sign", "outcome"),
    [
        (-0.2, -1.0, "consistent"),
        (-0.2, 1.0, "violated"),
        (0.2, 1.0, "consistent"),
        (0.2, -1.0, "violated"),
        (0.0, 1.0, "inconclusive"),
        (0.0, -1.0, "inconclusive"),
    ],
)
def test_signs(shift, sign, outcome):
    prediction = predict({"objective_gap_difference": sign}, "order", STEPS)
    assert judge(difference(shift), prediction, level=LEVEL).outcome == outcome


def test_an_open_sign_says_how_many_replicas_it_takes():
    prediction = predict({"objective_gap_difference": 1.0}, "order", (10,))
    verdict = judge(difference(0.05), prediction, level=LEVEL)
    assert verdict.outcome == "inconclusive"
    measured = verdict.statistics[0].measured
    assert verdict.replicas_needed == pytest.approx((3.719 + 1.2816) ** 2 / measured**2, rel=0.05)


def test_equal_populations_have_no_sign():
    trace = make_trace({"objective_gap_difference": np.zeros((3, 20))}, STEPS)
    prediction = predict({"objective_gap_difference": 1.0}, "order", STEPS)
    assert judge(trace, prediction, level=LEVEL).outcome == "inconclusive"


def test_a_sign_is_plus_or_minus_one():
    with pytest.raises(HzbenchError, match="expected \\+1 or -1"):
        judge(
            difference(0.2), predict({"objective_gap_difference": 0.5}, "order", STEPS), level=0.1
        )


def test_too_few_replicas_decide_nothing():
    trace = make_trace(
        {"objective_gap": squares(np.random.default_rng(55), LEAST_REPLICAS - 1, 3)}, STEPS
    )
    for value in (0.1, 100.0):
        verdict = ask(trace, value, "upper")
        assert (verdict.outcome, verdict.replicas_needed) == ("inconclusive", LEAST_REPLICAS)


def test_too_few_replicas_say_how_many_would_do():
    """((z + 1.28) sd/gap)², z of the level: on 399 normals the spread is known within 4 %."""
    level, bound = 1e-4, 0.05
    draws = np.random.default_rng(56).standard_normal((1, LEAST_REPLICAS - 1))
    draws -= draws.mean()
    trace = make_trace({"thing": draws}, (1,))

    def judged(value):
        return judge(trace, predict({"thing": value}, "upper", (1,)), level=level)

    wanted = ((3.719 + 1.2816) / bound) ** 2 * draws.var()
    verdict = judged(bound)
    assert verdict.replicas_needed == pytest.approx(wanted, rel=0.05)
    assert f"takes about {verdict.replicas_needed}, by the spread of these 399" in verdict.reason
    wrong = judged(-bound)
    assert wrong.replicas_needed == LEAST_REPLICAS
    assert "a mean lies on the wrong side so far: thing at step 1" in wrong.reason
    alone = judge(
        make_trace({"thing": draws[:, :1]}, (1,)),
        predict({"thing": 9.0}, "upper", (1,), spread={"thing": np.ones(1)}),
        level=level,
    )
    assert "takes 400 or more, since one does not show the spread" in alone.reason


def test_a_value_that_vanishes_beside_its_bound_is_below_it():
    """1e-23 varies, but 1e-23 - 1.5e-3 does not, in floats."""
    tiny = 1e-23 * squares(np.random.default_rng(53), 4096, 3)
    verdict = ask(make_trace({"objective_gap": tiny}, STEPS), 1.5e-3, "upper")
    assert verdict.outcome == "consistent"
    assert ask(make_trace({"objective_gap": tiny}, STEPS), 1.5e-3, "lower").outcome == "violated"
