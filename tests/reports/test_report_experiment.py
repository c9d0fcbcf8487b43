"""The section on the paper: words, intervals, marks; none where nothing was said."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from hzbench.harness.override import overridden
from hzbench.harness.scale import scaled
from hzbench.harness.suite import parse
from hzbench.harness.sweep import Options, run_suite
from hzbench.reports.axes import scale_race
from hzbench.reports.curves import Curve, Panel
from hzbench.reports.document import build
from hzbench.reports.experiment import experiment
from hzbench.reports.figures import draw
from hzbench.reports.html import render

SUITE = {
    "suite": {"name": "figure", "alpha": 0.05},
    "default": {
        "problem": {"name": "quadratic", "dimension": 2, "noise": 0.2, "initial": 2.0},
        "run": {"steps": 20, "replicas": 6, "observables": ["objective_gap"]},
    },
    "case": [
        {"name": "slow", "title": "Slow & steady", "nodes": [{"count": 4, "step_size": 0.02}]},
        {"name": "fast", "nodes": [{"count": 4, "step_size": 0.2}]},
    ],
    "ordering": [
        {"text": "slow wins", "run": "slow", "than": ["fast"], "observable": "objective_gap"},
        {"text": "fast wins", "run": "fast", "than": ["slow"], "observable": "objective_gap"},
    ],
    "reading": [{"run": "fast", "observable": "objective_gap", "value": 0.125, "source": "p. 9"}],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run_suite(parse(SUITE, "here"), Options(out=tmp_path_factory.mktemp("out")))


def test_rows_say_what_was_seen(results):
    found = experiment(results)
    assert [row.word for row in found.orderings] == ["opposite seen", "seen"]
    assert found.parts[0].seen == 1
    assert found.orderings[0].comparisons[0].lasts == "not at the end"
    assert found.orderings[1].comparisons[0].lasts.startswith("from step 1 on")
    (reading,) = found.readings
    assert (reading.printed, reading.step, reading.source) == (0.125, 20, "p. 9")
    assert reading.low < reading.measured < reading.high
    (panel,) = found.races
    assert [curve.name for curve in panel.curves] == ["Slow & steady", "fast"]
    assert panel.marks == ((1, 20.0, 0.125),)


def test_the_page_shows_section_and_figure(results):
    page = render(build(results))
    assert "What the paper says" in page
    assert "1 of 2 orderings are seen" in page
    assert "Slow &amp; steady" in page
    assert "Diamonds: read off the paper" in page
    assert "checks and orderings declared before running" in page


def test_the_page_says_what_reproduces_and_under_which_change(results):
    (reading,) = results["readings"]
    judged = reading | {"tolerance": 0.25, "outcome": "inconclusive", "p_value": 0.4, "level": 0.01}
    suite = results["suite"] | {"changes": ["six seeds"]}
    record = results | {"readings": [judged], "suite": suite}
    found = experiment(record)
    assert found.parts[0].answers == (
        ("Reproduces", ("fast wins",)),
        ("Does not reproduce (the opposite is seen, or another number)", ("slow wins",)),
        ("Undecided by these runs", ("fast: objective gap 0.125 at step 20",)),
    )
    page = render(build(record))
    assert "<dt>Reproduces</dt><dd>fast wins</dd>" in page
    assert "changes of the paper&#39;s experiment</dt><dd>six seeds</dd>" in page.replace(
        "'", "&#39;"
    )
    assert "Under these changes" not in render(build(results))


def test_what_the_command_line_changes_is_a_change_of_the_experiment():
    suite = parse(SUITE | {"suite": {**SUITE["suite"], "changes": ["six seeds"]}}, "here")
    told = scaled(overridden(suite, ["run.seed=5"]), 0.5).table.changes
    assert told == ("six seeds", "run.seed=5", "scale 0.5 (10 of 20 steps, 3 of 6 seeds)")


def test_a_shortened_run_is_undecided_in_words(tmp_path):
    number = SUITE["reading"][0] | {"tolerance": 0.01, "value": 9.0}
    suite = scaled(parse(SUITE | {"reading": [number]}, "here"), 0.5)
    results = run_suite(suite, Options(out=tmp_path))
    found = experiment(results)
    there = "at step 10 of a run of 10 instead of 20 steps"
    assert found.parts[0].answers == (
        (
            "Undecided: these runs end before the step that the paper speaks of",
            (
                f"slow wins ({there}: opposite seen)",
                f"fast wins ({there}: seen)",
                f"fast: objective gap 9 ({there}: not seen)",
            ),
        ),
    )
    page = render(build(results))
    assert "Does not reproduce" not in page
    assert "0 of 2 orderings are seen" in page
    assert "decides nothing of what the paper says of its whole runs" in page
    assert page.count(f"{there}: opposite seen") == 2  # above and in the table


def test_the_thesis_of_the_paper_has_its_own_heading(results):
    slow, fast = results["orderings"]
    found = experiment(results | {"orderings": [slow, fast | {"thesis": True}]})
    own, asked = found.parts
    assert [row.text for row in own.orderings] == ["slow wins"]
    assert own.seen == 0
    assert asked.answers == (("Reproduces", ("fast wins",)),)
    page = render(build(results | {"orderings": [slow, fast | {"thesis": True}]}))
    heading = "Also asked: the paper's thesis"
    parts = page.replace("&#39;", "'").split(heading)
    assert len(parts) == 3  # in the answers and in the table
    assert "fast wins" not in parts[0]
    assert "slow wins" not in parts[1].split("<table")[0]
    assert "slow wins" not in parts[2]
    assert heading not in render(build(results)).replace("&#39;", "'")


def test_the_page_says_what_was_not_read_off(results):
    """No verdict on a number without tolerance; a plain word where no number is known."""
    page = render(build(results))
    assert "All other values of the figure were not read off" in page
    assert "No number was read off" not in page
    assert '<th scope="col">verdict</th>' not in page
    assert "No number was read off" in render(build(results | {"readings": []}))


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("consistent", "seen"), ("violated", "not seen"), ("inconclusive", "undecided")],
)
def test_a_number_with_tolerance_has_a_verdict(results, outcome, word):
    (reading,) = results["readings"]
    judged = reading | {"tolerance": 0.25, "outcome": outcome, "p_value": 0.004, "level": 0.01}
    found = experiment(results | {"readings": [judged]})
    (row,) = found.readings
    assert (row.word, row.tolerance, row.outcome, row.p_value) == (word, 0.25, outcome, 0.004)
    page = render(build(results | {"readings": [judged]}))
    assert "± 0.25" in page
    assert '<th scope="col">verdict</th>' in page
    assert "checks, orderings and numbers declared before running" in page


def test_a_suite_without_a_paper_has_no_section(results):
    assert experiment(results | {"orderings": [], "readings": []}) is None
    assert "What the paper says" not in render(build(results | {"orderings": [], "readings": []}))


def test_the_closer_look_is_at_runs_that_end_near(results):
    """Differences to the run of the widest ordering, with the colours of the whole figure."""
    steps = list(range(25))

    def run(name, end):
        path = {"mean": [2.0 - (2.0 - end) * t / 24 for t in steps], "standard_error": [0.01] * 25}
        return {"name": name, "steps": steps, "observables": {"objective_gap": path}}

    ordering = {"text": "", "source": "", "run": "a", "relation": "below", "step": 24}
    ordering |= {"observable": "objective_gap", "outcome": "consistent", "reason": "", "pairs": {}}
    told = {"runs": [run("a", 1.0), run("b", 1.05), run("far", 1.6)], "readings": []}
    found = experiment({**told, "orderings": [{**ordering, "than": ["b", "far"]}]})
    whole, close = found.races
    assert close.observable == "objective_gap minus that of a"
    base, near, far = close.curves
    assert base.mean == pytest.approx(0.0 * base.mean)
    assert near.mean[-1, 0] == pytest.approx(0.05)
    assert np.isnan(far.mean).all()
    assert len(close.steps) == 23
    assert len(whole.steps) == 25
    alone = {**told, "orderings": [{**ordering, "than": ["far"]}]}
    assert len(experiment({**alone, "runs": [run("a", 1.0), run("far", 1.6)]}).races) == 1


def spreads(*ends, start=0.0, error=0.3, marks=()):
    """Curves from `start` to 2, then straight to their ends; errors are fractions of the means."""
    steps, low = np.arange(6.0), []
    for end in ends:
        mean = np.array([start, *np.linspace(2.0, end, 5)])[:, None]
        low.append(Curve(mean=mean, error=error * mean, replicas=3))
    return Panel(observable="spread", shape="race", steps=steps, curves=tuple(low), marks=marks)


@pytest.mark.parametrize(
    ("panel", "logarithmic"),
    [
        (spreads(0.01, 3.0), True),
        (spreads(1.0, 3.0), False),  # within a factor of 4
        (spreads(0.4, start=2.0), True),
        (spreads(0.01, marks=((0, 5.0, 0.0),)), False),  # a printed 0 must be seen
        (spreads(0.0, 3.0), False),
        (spreads(-1.0, 3.0), False),
        (spreads(np.nan), False),
    ],
)
def test_the_data_decide_for_a_logarithmic_axis(panel, logarithmic):
    assert panel.logarithmic is logarithmic
    drawn = draw(panel, "here")
    assert ("0.01<" in drawn) is bool(logarithmic and panel.curves[0].mean[-1, 0] < 0.1)
    assert drawn == draw(panel, "here")


@pytest.mark.parametrize("panel", [spreads(0.01, 3.0), spreads(1.0, 3.0)])
def test_bands_are_inside_the_axis(panel):
    ax = Figure().add_subplot()
    ends = [end for item in panel.curves for end in item.band(panel.logarithmic)]
    shown = np.concatenate(ends)
    scale_race(ax, shown, logarithmic=panel.logarithmic)
    bottom, top = ax.get_ylim()
    assert ax.get_yscale() == ("log" if panel.logarithmic else "linear")
    seen = shown[np.isfinite(shown)]
    assert bottom < seen.min()
    assert seen.max() < top


def test_bands_of_a_logarithm_are_those_of_log_normal_seeds():
    """Student's t on the logarithms, where their spread is small; always positive."""
    draws = np.exp(0.01 * np.random.default_rng(2).standard_normal(6)) * 0.02
    error = draws.std(ddof=1) / np.sqrt(6)
    item = Curve(mean=np.array([[draws.mean()]]), error=np.array([[error]]), replicas=6)
    expected = np.exp(stats.ttest_1samp(np.log(draws), 0.0).confidence_interval(0.95))
    assert np.ravel(item.band(logarithmic=True)) == pytest.approx(expected, rel=2e-4)
    assert np.ravel(item.band()) == pytest.approx(
        stats.ttest_1samp(draws, 0.0).confidence_interval(0.95)
    )
    wide = Curve(mean=np.array([[0.1]]), error=np.array([[0.2]]), replicas=3)
    low, high = wide.band(logarithmic=True)
    assert 0 < low < 0.1 < high


def test_predicted_differences_stand_beside_measured_ones(results):
    (slow, fast), steps = results["orderings"], 20
    told = {
        "step": 3.0,
        "at_step": -0.25,
        "free_at_step": -0.125,
        "difference": (-np.arange(steps + 1) / 80).tolist(),
        "noise_free": [0.0] * (steps + 1),
    }
    pairs = {"slow": fast["pairs"]["slow"] | {"predicted": told}}
    fast = fast | {"pairs": pairs, "predict": True}
    record = results | {"orderings": [slow, fast]}
    found = experiment(record)
    twice = [fast | {"than": ["slow", "other"]}, fast]  # the wider one shows both
    assert len(experiment(record | {"orderings": [slow, *twice]}).races) == len(found.races)
    words = found.orderings[1].comparisons[0].predicted
    assert words == "predicted: from step 3 on, difference −0.25 (of it −0.125 by step sizes alone)"
    panel = found.races[-1]
    (measured,), (predicted,) = panel.curves, panel.overlays
    assert measured.name == "Slow & steady"
    ends = {run["name"]: run["observables"]["objective_gap"]["mean"] for run in results["runs"]}
    late = len(ends["fast"]) - len(measured.mean)
    expected = np.subtract(ends["fast"], ends["slow"])[late:]
    assert measured.mean[:, 0] == pytest.approx(expected)
    recorded = np.array(results["runs"][0]["steps"])[late:]
    assert panel.steps.tolist() == recorded.tolist()
    assert predicted.values[:, 0] == pytest.approx(-recorded / 80)
    assert "Dots: what noise and curvature measured along descent predict" in render(build(record))
