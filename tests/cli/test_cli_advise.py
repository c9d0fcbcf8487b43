"""`hzbench advise`: its numbers against simulation, the recursion and arithmetic; its mistakes."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

import hzbench
from hzbench.commands.advise import curves
from hzbench.core.errors import UserMistakeError
from hzbench.core.spec import Spec
from hzbench.harness.prepare import prepare
from hzbench.pilot import question_of
from hzbench.planner import Question, advise

D = 16
ASKED = Question(
    first=3, zeroth=5, dimension=D, noise=4.0, samples=(1, 4, 8), function_cost=0.1, target=0.05
)
ZEROTH = {"name": "zeroth_order", "directions": "sphere", "smoothing": 0.1}
BASE = ("--first", "4", "--zeroth", "12", "--dimension", "20")


def spec_of(plan, m, steps=40, **changes):
    """The planned run on an isotropic quadratic with tr Σ = 16 · 0.5² = 4."""
    nodes = [{"count": 3, "estimator": "gradient", "step_size": plan.step_first}]
    if plan.step_zeroth:
        helper = {"count": 5, "estimator": ZEROTH | {"samples": m}, "step_size": plan.step_zeroth}
        nodes.append(helper)
    return Spec.parse(
        {
            "problem": {
                "name": "quadratic",
                "dimension": D,
                "spectrum": "isotropic",
                "noise": 0.5,
                "initial": 0.0,
            },
            "nodes": nodes,
            "method": {"name": "centralized"},
            "run": {"steps": steps, "record": [steps], "replicas": 1600, "seed": 5},
            **changes,
        }
    )


@pytest.mark.parametrize("which", ["weighted", "equal"])
def test_planned_floors_are_measured(which):
    option = advise(ASKED).options[1]
    plan = getattr(option, which)
    assert plan.floor == pytest.approx(0.05, rel=1e-9)
    checks = [{"theorem": "quadratic_dynamics", "observables": ["objective_gap"]}]
    result = hzbench.run(spec_of(plan, option.samples, checks=checks))
    assert [verdict.outcome for verdict in result.verdicts] == ["consistent"]
    predicted = result.predictions[0].values["objective_gap"][-1]
    assert predicted == pytest.approx(plan.floor, rel=2e-3)
    gaps = result.trace.at("objective_gap", 40)
    error = gaps.std() / np.sqrt(len(gaps))
    assert abs(gaps.mean() - plan.floor) < 4 * error
    assert error < 0.01 * plan.floor


def test_the_numbers_by_arithmetic():
    advice = advise(ASKED)
    eight = advice.options[2]
    assert eight.noise_ratio == pytest.approx(1 + 15 / 8)
    edge = advice.alone.step_first
    assert eight.threshold == pytest.approx(3 * (15 / 8 - 1) + edge * (15 / 8) / (2 - edge))
    assert eight.needed == int(eight.threshold) + 1
    assert 4.0 * edge / (3 * 2 * (2 - edge)) == pytest.approx(0.05)
    plan = eight.weighted
    mean = (3 * plan.step_first + 5 * plan.step_zeroth) / 8
    factor = (1 - 0.1 * mean) ** 2 + 0.01 * 5 * plan.step_zeroth**2 * (15 / 8) / 64
    assert plan.rounds == pytest.approx(-1 / np.log(factor))
    assert plan.time == pytest.approx(plan.rounds * 3.0)  # 16 values cost 1.6, a gradient 3
    assert plan.cost == pytest.approx(plan.rounds * (3 * 3.0 + 5 * 1.6))


def second_moments(plan, curvatures, m, rounds):
    """E f(x̄) of noise-free all-reduce, every sign vector of the five helpers enumerated."""
    d = len(curvatures)
    A = np.diag(curvatures)
    signs = [np.array(u) for u in itertools.product((-1.0, 1.0), repeat=d)]
    single = np.mean([np.kron(np.outer(u, u) @ A, np.outer(u, u) @ A) for u in signs], 0)
    mean = np.kron(A, A)
    estimate = mean + (single - mean) / m  # E G ⊗ G of one helper
    step = np.eye(d) - (3 * plan.step_first + 5 * plan.step_zeroth) / 8 * A
    one_round = np.kron(step, step) + 5 * plan.step_zeroth**2 * (estimate - mean) / 64
    M = np.eye(d).ravel()
    values = [A.ravel() @ M]
    for _ in range(rounds):
        M = one_round @ M
        values.append(A.ravel() @ M)
    return np.array(values) / values[0]


def test_rounds_are_those_of_the_exact_second_moment():
    asked = Question(first=3, zeroth=5, dimension=4, directions="rademacher", target=0.03)
    for mu in (1.0, 0.3, 0.1):
        for option in advise(replace(asked, strong_convexity=mu)).options:
            for plan in (option.equal, option.weighted):
                values = second_moments(plan, np.full(4, mu), option.samples, 6)
                factors = values[1:] / values[:-1]
                np.testing.assert_allclose(factors, factors[0], rtol=1e-12)
                expected = max(1.0, -1 / np.log(factors[0]))
                assert plan.rounds == pytest.approx(expected, rel=1e-9)


def test_steeper_modes_hardly_change_the_rounds():
    asked = Question(first=3, zeroth=5, dimension=4, directions="rademacher", target=0.03)
    for option in advise(asked).options:
        for spectrum in ((0.1, 1, 1, 1), (0.1, 0.1, 0.4, 1)):
            values = second_moments(option.weighted, np.array(spectrum), option.samples, 400)
            rounds = 100 / np.log(values[300] / values[400])
            assert option.weighted.rounds == pytest.approx(rounds, rel=0.02)


def test_equal_curvatures_give_the_exact_speed_up():
    """1.75 where 1/(2ημ) gives 1.65: at ημ near ½ a round is worth more than its first order."""
    asked = Question(first=4, zeroth=12, dimension=20, function_cost=0.2, strong_convexity=1.0)
    assert advise(asked).speed_up == pytest.approx(1.75, abs=5e-3)


def test_limits_are_where_the_moment_stops_shrinking():
    plan = advise(ASKED).options[0].weighted
    growth = []
    for factor in (0.99, 1.01):
        grown = replace(
            plan,
            step_first=plan.step_first * plan.limit * factor,
            step_zeroth=plan.step_zeroth * plan.limit * factor,
        )
        checks = [{"theorem": "quadratic_dynamics", "observables": ["objective_gap"]}]
        case = prepare(
            spec_of(grown, 1, steps=3000, checks=checks).replace(
                run={"steps": 3000, "record": [2000, 3000]}
            )
        )
        gap = case.predictions[0].values["objective_gap"]
        growth.append(gap[-1] / gap[-2])
    assert growth[0] < 1.001
    assert growth[1] > 10


def test_dear_function_values_keep_helpers_out():
    advice = advise(replace(ASKED, function_cost=50.0))
    assert not advice.join
    assert advice.plan == advice.alone
    assert advice.speed_up == 1.0
    assert advice.sentence.startswith("No")
    assert advise(ASKED).join
    assert advise(ASKED).speed_up > 1.2


def test_a_pilot_measures_the_noise():
    spec = Spec.parse(
        {
            "problem": {
                "name": "quadratic",
                "dimension": D,
                "noise": 0.5,
                "heterogeneity": 1.0,
                "initial_spread": 1.0,
            },
            "nodes": [
                {"count": 3, "estimator": "gradient", "batch_size": 2},
                {"count": 5, "estimator": ZEROTH | {"samples": 4}},
            ],
        }
    )
    found = question_of(spec, samples=(2,), target=0.05)
    assert (found.first, found.zeroth, found.dimension) == (3, 5, D)
    assert (found.samples, found.target, found.directions) == ((2,), 0.05, "sphere")
    assert (found.smoothness, found.strong_convexity) == pytest.approx((1.0, 0.1))
    assert found.noise == pytest.approx(2.0, rel=0.03)
    assert found.shared == 2.0
    # s_0 = S + (15/4)(S + mean|β|²) over the probe's nodes, S = 4 and mean|β|² = 1
    assert found.zeroth_noise(4) == pytest.approx(4 + 15 / 4 * 5, rel=0.03)


def test_the_picture_marks_the_crossovers(shell):
    code, out, _ = shell("advise", *BASE, "--figure", "floors.svg")
    assert code == 0
    text = (shell.folder / "floors.svg").read_text()
    assert text.startswith("<?xml")
    assert "figure: floors.svg" in out
    drawn = curves(advise(Question(first=4, zeroth=12, dimension=20)))
    for m, threshold in drawn["crossovers"].items():
        for n0, ratio in zip(drawn["counts"], drawn["equal"][m], strict=True):
            assert (ratio < 1) == (n0 > threshold), (m, n0)
    assert max(drawn["weighted"]) < 1


def test_table_and_json(shell):
    code, out, _ = shell("advise", *BASE, "--function-cost", "0.2")
    assert code == 0
    assert "Yes: let all 12 join with m = 8" in out
    code, out, _ = shell("advise", *BASE, "--function-cost", "0.2", "--json")
    assert code == 0
    record = json.loads(out)
    assert record["join"] is True
    assert record["samples"] == 8
    assert len(record["options"]) == 5


MISTAKES = {
    "nothing": ((), "got no --first, --zeroth, --dimension"),
    "no helpers": (("--first", "1", "--zeroth", "0", "--dimension", "3"), "zeroth = 0"),
    "NaN": ((*BASE, "--noise", "nan"), "noise = nan"),
    "shared NaN": ((*BASE, "--shared", "nan"), "got shared = nan; expected a number from 0 to 1"),
    "shared inf": ((*BASE, "--shared", "inf", "--ratio", "30"), "got shared = inf"),
    "shared negative": ((*BASE, "--shared", "-0.5"), "got shared = -0.5"),
    "shared above 1": ((*BASE, "--shared", "1.5"), "got shared = 1.5; expected a number from 0"),
    "ratio NaN": ((*BASE, "--ratio", "nan"), "got ratio = nan"),
    "ratio inf": ((*BASE, "--ratio", "inf"), "got ratio = inf"),
    "ratio 0": ((*BASE, "--ratio", "0", "--shared", "0"), "got ratio = 0"),
    "several": (
        (*BASE, "--target", "-inf", "--gradient-cost", "nan", "--smoothness", "1e200"),
        "got gradient_cost = nan, smoothness = 1e+200, target = -inf; expected numbers from",
    ),
    "no number of this size": (
        ("--first", "1" + 400 * "0", "--zeroth", "1", "--dimension", "-3"),
        "dimension = -3; expected a whole number from 1",
    ),
    "ratio": ((*BASE, "--ratio", "0.5"), "got ratio = 0.5; expected a number from 1,"),
    "convexity": ((*BASE, "--strong-convexity", "2"), "above smoothness"),
    "samples": ((*BASE, "--samples", "1,b"), "got --samples 1,b"),
    "no samples": ((*BASE, "--samples", "0"), "got samples [0]"),
    "law": ((*BASE, "--directions", "up"), "got --directions up"),
    "target": ((*BASE, "--target", "1e-30"), "raise --target"),
    "figure": ((*BASE, "--figure", "a.png"), "expected a name in .svg"),
    "no pilot": (("--pilot", "missing.toml"), "missing.toml"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_exit_2(shell, name):
    arguments, said = MISTAKES[name]
    code, _, message = shell("advise", *arguments)
    assert code == 2
    assert said in message
    assert not list(shell.folder.iterdir())


def test_pilots_that_do_not_serve(shell):
    code, _, message = shell("advise", "--pilot", shell.spec())
    assert code == 2
    assert "expected one group of gradient and one of zeroth_order" in message
    with pytest.raises(UserMistakeError, match="noise-free"):
        question_of(
            spec_of(advise(ASKED).options[0].equal, 1).replace(
                problem={"name": "quadratic", "dimension": D, "noise": 0.0}
            )
        )
