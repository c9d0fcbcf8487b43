"""Contests: exact curves against measured ones, equal budgets, edges, mistakes, end to end."""

import copy
import tomllib
from importlib.resources import files
from math import inf

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ive

from hzbench.contest_theory import add_predictions, noise_free_slope, predicted_floor
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.spec import Spec
from hzbench.harness import contest_store
from hzbench.harness.build import build_problem
from hzbench.harness.contest import load_contest, parse_contest
from hzbench.harness.contest_curves import _measure
from hzbench.harness.contest_entrant import first_step, mean_delay
from hzbench.harness.contest_exact import exact_curves
from hzbench.harness.contest_question import Question
from hzbench.harness.contest_run import run_contest
from hzbench.harness.setting import setting_of
from hzbench.harness.suite import load
from hzbench.harness.sweep import Options

QUICK = tomllib.loads((files("hzbench.suites") / "quick-contest.toml").read_text(encoding="utf-8"))


def small(**changes):
    """The quick contest on its exact problem alone, at one target."""
    table = copy.deepcopy(QUICK)
    table["problem"] = table["problem"][:1]
    table["problem"][0]["targets"] = [0.04]
    table["contest"] |= changes
    return table


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    contest = load_contest("quick-contest")
    found = run_contest(contest, Options(out=tmp_path_factory.mktemp("contest")))
    add_predictions(found, contest)
    return found


@pytest.mark.parametrize("method", ["ringleader", "asgd", "ia2sgd"])
def test_exact_curves_are_the_means_of_measured_ones(method):
    rotated = {"spectrum": "tridiagonal", "noise": 0.3, "heterogeneity": 2.0}
    spec = Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 5, **rotated},
            "nodes": [{"count": 3, "batch_size": 2}],
            "clock": {"name": "fixed", "pace": "linear"},
            "method": {"name": method, "step_size": 1.0},
        }
    )
    problem, steps = build_problem(spec), (0.05, 0.3)
    asked = Question(target=1e-9, horizon=30.0, resolution=0.1, separate=True, expected=1e9)
    exact = exact_curves(spec, problem, steps, asked)
    measured = _measure(spec, problem, steps, 2000, asked)
    assert exact.seconds.tolist() == measured.seconds.tolist()
    error = measured.values.std(axis=2, ddof=1) / 2000**0.5
    late = exact.seconds > 3
    z = (measured.means - exact.means)[late] / error[late]
    assert np.abs(z).max() < 5
    assert np.abs(z).min() > 0


def test_a_run_without_updates_stays_where_it_began():
    spec = Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 3, "initial": 1.0},
            "nodes": [{"count": 2}],
            "clock": {"name": "fixed", "seconds": [1, 100]},
            "method": {"name": "minibatch_sgd", "step_size": 1.0},
        }
    )
    problem = build_problem(spec)
    asked = Question(target=1e-9, horizon=30.0, resolution=0.1, separate=True)
    exact = exact_curves(spec, problem, (0.1, 0.2), asked)
    measured = _measure(spec, problem, (0.1, 0.2), 2, asked)
    assert exact.seconds[-1] >= 30
    np.testing.assert_allclose(exact.means, measured.means, rtol=1e-12)
    assert np.ptp(exact.means) == 0


def test_zeroth_order_workers_have_no_exact_copies():
    spec = Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 3},
            "nodes": [{"count": 2, "estimator": "zeroth_order"}],
            "method": {"name": "asgd", "step_size": 1.0},
        }
    )
    asked = Question(target=0.1, horizon=10.0, resolution=0.1)
    assert exact_curves(spec, build_problem(spec), (0.1, 0.2), asked) is None


def test_every_method_gets_the_same_number_of_runs_and_an_inner_optimum(record):
    for cell in record["cells"]:
        runs = {label: each["runs"] for label, each in cell["entrants"].items()}
        assert set(runs.values()) == {16}, runs
        for each in cell["entrants"].values():
            assert len(each["trials"]) == 16
            assert len({tuple(t["point"]) for t in each["trials"]}) == 16
            assert each["edges"] == []


@pytest.mark.parametrize(
    ("method", "delay"), [("asgd", 3.0), ("ringleader", None), ("malenia", 0.0)]
)
def test_searches_begin_where_delays_say(method, delay):
    """Equal workers: ASGD's delay is n − 1; a quadratic of L = 1 begins at 1/(1 + δ)."""
    table = small()
    table["nodes"] = [{"count": 4}]
    table["clock"] = [{"label": "equal", "clock": {"name": "fixed", "pace": "equal"}}]
    table["method"] = [{"label": "only", "method": method}]
    table["contest"]["reference"] = "only"
    contest = parse_contest(table)
    cell, entrant = contest.cells[0], contest.methods[0]
    found = mean_delay(contest.spec(cell.problem, cell.clock, entrant))
    if delay is None:
        assert 0 < found <= 2 * 4 - 2
    else:
        assert found == delay
    smoothness = np.linalg.eigvalsh(
        build_problem(contest.spec(cell.problem, cell.clock, entrant)).structure.hessians[0]
    )[-1]
    assert first_step(contest, cell, entrant, found) == pytest.approx(1 / smoothness / (1 + found))


def test_one_grid_for_all_lies_around_the_reference(record):
    """Five step sizes around the reference's; a peer cannot do better there than in its search."""
    for cell in record["cells"]:
        assert cell["entrants"]["Ringleader"]["common"] is None
        center = cell["entrants"]["Ringleader"]["tuned"]["step_size"]
        for label in ("Malenia, S tuned", "minibatch"):
            common = cell["entrants"][label]["common"]
            assert np.log2(common["step_size"] / center) in (-2, -1, 0, 1, 2)
            assert common["at_end"] == (common["step_size"] == 4 * center)


def test_the_quick_contest_tells_who_is_faster(record):
    exact, logistic = record["cells"][1], record["cells"][2]
    assert exact["target"] == 0.01
    entrants, ratios = exact["entrants"], exact["ratios"]
    assert all(each["exact"] and not each["edges"] for each in entrants.values())
    assert ratios["minibatch"]["outcome"] == "faster"
    ratio = entrants["Ringleader"]["seconds"] / entrants["minibatch"]["seconds"]
    assert ratios["minibatch"]["ratio"] == pytest.approx(ratio)
    assert entrants["ASGD"]["seconds"] is None
    assert ratios["ASGD"]["low"] == 0
    assert not any(each["exact"] for each in logistic["entrants"].values())
    assert {each["replicas"] for each in logistic["entrants"].values()} == {64}
    assert record["comparisons"] == 9
    assert record["level"] == pytest.approx(0.05 / 9)


def test_the_predicted_bias_is_where_asgd_stays(record):
    """|Σ (p_i − 1/n) b_i|² with p_i ∝ 1/τ_i, τ_i = i, and the b_i of the problem itself."""
    contest = load_contest("quick-contest")
    cell = contest.cells[0]
    spec = contest.spec(cell.problem, cell.clock, contest.methods[-1])
    b = build_problem(spec).structure.linear
    rates = 1 / np.arange(1, 7)
    bias = np.linalg.norm((rates / rates.sum()) @ b - b.mean(axis=0)) ** 2
    entrants = record["cells"][1]["entrants"]
    assert entrants["ASGD"]["predicted_floor"] == pytest.approx(bias, rel=0.02)
    for label in ("Ringleader", "minibatch", "Malenia, S tuned"):
        assert entrants[label]["predicted_floor"] == pytest.approx(0, abs=1e-20)


def test_a_schedule_tells_the_shares_that_a_run_settles_by():
    """Rennala's rounds of τ = (1, 2, 4), S = 5: four estimates of worker 1 and one of worker 2."""
    spec = Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 1, "linear_terms": [[3], [0], [-3]]},
            "nodes": [{"count": 3}],
            "clock": {"name": "fixed", "seconds": [1, 2, 4]},
            "method": {"name": "rennala", "batch": 5},
        }
    )
    assert predicted_floor(setting_of(spec, build_problem(spec))) == pytest.approx(2.4**2)


def test_slopes_are_those_of_two_targets(record):
    row = next(s for s in record["slopes"] if s["method"] == "minibatch")
    entrants = [cell["entrants"]["minibatch"] for cell in record["cells"][:2]]
    times = [each["seconds"] for each in entrants]
    assert row["measured"] == pytest.approx(np.log(times[1] / times[0]) / np.log(4))
    rounds = np.floor(times[1] / 6 * (1 + 1e-12))  # τ_n = 6
    assert row["progress"] == pytest.approx(rounds * entrants[1]["tuned"]["step_size"] * 0.1)


def tridiagonal(d):
    """A = tridiag(−1, 2, −1): its extreme eigenvalues are 2 ∓ 2 cos(π/(d + 1))."""
    away = 2 * np.cos(np.pi / (d + 1))
    spec = Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": d, "spectrum": "tridiagonal"}
            | {"smoothness": 2 + away, "strong_convexity": 2 - away},
            "nodes": [{"count": 1}],
            "clock": {"name": "fixed", "pace": "equal"},
            "method": {"name": "asgd", "step_size": 1.0},
        }
    )
    return setting_of(spec, build_problem(spec))


def test_the_exponent_without_noise_is_that_of_the_half_line():
    """(e^{−2sA})_11 of A = tridiag(−1, 2, −1) is e^{−4s} (I_0(4s) − I_2(4s)), tending to s^{−3/2}.

    From 3e-5 on (in units of |∇f(0)|²) 400 dimensions are as good as a half-line; 3 are not.
    """

    def time(e):
        return brentq(lambda s: ive(0, 4 * s) - ive(2, 4 * s) - e, 1e-9, 1e5)

    def slope(d, larger, smaller):
        setting = tridiagonal(d)
        scale = np.square(setting.problem.structure.linear[0]).sum()
        return noise_free_slope(setting, larger * scale, smaller * scale)

    expected = np.log(time(3e-5) / time(1e-4)) / np.log(10 / 3)
    assert slope(400, 1e-4, 3e-5) == pytest.approx(expected, rel=1e-3)
    assert expected == pytest.approx(2 / 3, rel=0.02)
    assert slope(3, 1e-4, 3e-5) < 0.3


def test_an_optimum_beyond_the_budget_is_an_error(tmp_path):
    table = small(budget=8, horizon=40, step_sizes={"first": 1e-4, "ratio": 1.2})
    table["method"] = [m for m in table["method"] if "tuned" not in m]
    found = run_contest(parse_contest(table), Options(out=tmp_path))["cells"][0]
    assert found["entrants"]["Ringleader"]["edges"] == [["step_size", "above"]]
    assert {ratio["outcome"] for ratio in found["ratios"].values()} == {"error"}


def test_workers_and_the_store_change_nothing(tmp_path):
    table = copy.deepcopy(QUICK)
    table["problem"] = table["problem"][1:]
    table["method"] = [m for m in table["method"] if m["label"] in ("Ringleader", "minibatch")]
    contest = parse_contest(table)
    first = run_contest(contest, Options(out=tmp_path))["cells"]
    assert run_contest(contest, Options(out=tmp_path))["cells"] == first


def test_what_has_entered_once_is_loaded_exact_curves_too(tmp_path, monkeypatch):
    table = small()
    table["method"] = [m for m in table["method"] if m["label"] in ("Ringleader", "minibatch")]
    contest = parse_contest(table)
    first = run_contest(contest, Options(out=tmp_path))["cells"]
    assert len(list((tmp_path / "runs").iterdir())) == 2
    monkeypatch.setattr(contest_store, "enter", None)  # nothing may be entered again
    assert run_contest(contest, Options(out=tmp_path))["cells"] == first
    with pytest.raises(TypeError):
        run_contest(parse_contest(small(budget=15)), Options(out=tmp_path))


def test_all_mistakes_of_a_file_at_once():
    table = small(reference="Ringmaster", budget=4)
    table["problem"][0]["clocks"] = ["square"]
    table["method"][2]["label"] = "Ringleader"
    with pytest.raises(SpecError) as caught:
        parse_contest(table)
    text = "\n".join(caught.value.mistakes)
    for part in ("contest.reference", "contest.budget", "problem.0.clocks", "more than once"):
        assert part in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tuning": {"seed": 3}, "judging": {"seed": 3}}, "for tuning and for judging"),
        ({"judging": {"replicas": 32}}, "64"),
        ({"targets": []}, "targets"),
    ],
)
def test_a_table_that_would_be_unfair_is_refused(change, words):
    with pytest.raises(SpecError, match=words):
        parse_contest(small(**change))


def test_a_method_without_server_and_a_wrong_parameter_are_named():
    table = small()
    table["method"][3] = {"label": "gossip", "method": "dsgd"}
    with pytest.raises(SpecError, match="a server"):
        parse_contest(table)
    table["method"][3] = {"label": "m", "method": {"name": "asgd", "adaptiv": "ratio"}}
    with pytest.raises(SpecError, match="adaptiv"):
        parse_contest(table)


def test_a_contest_is_no_suite():
    for name in ("quick-contest", "async-contest"):
        with pytest.raises(UserMistakeError, match="hzbench contest"):
            load(name)
    assert load_contest("async-contest").cells
    assert inf > load_contest("async-contest").table.horizon
