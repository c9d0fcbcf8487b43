"""What a paper says of runs: read, checked, measured on the replicas of the store, scaled."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.harness.override import overridden
from hzbench.harness.run import run
from hzbench.harness.scale import scaled
from hzbench.harness.suite import load, parse
from hzbench.harness.sweep import Options, run_suite

RUN = {"steps": 20, "replicas": 6, "record": {"every": 5}, "observables": ["objective_gap"]}
QUADRATIC = {"name": "quadratic", "dimension": 2, "noise": 0.2, "initial": 2.0}


def table(**changes):
    cases = [
        {"name": "slow", "nodes": [{"count": 4, "step_size": 0.02}]},
        {"name": "fast", "nodes": [{"count": 4, "step_size": 0.2}]},
    ]
    return {
        "suite": {"name": "paper/figure", "alpha": 0.05},
        "default": {"problem": QUADRATIC, "run": RUN},
        "case": cases,
        "ordering": [
            {"text": "fast wins", "run": "fast", "than": ["slow"], "observable": "objective_gap"}
        ],
        "reading": [
            {"run": "fast", "observable": "objective_gap", "value": 0.1, "at": 0.5},
        ],
    } | changes


def test_orderings_and_readings_come_from_the_replicas(tmp_path):
    suite = parse(table(), "here")
    record = run_suite(suite, Options(out=tmp_path))
    json.dumps(record, allow_nan=False)
    (ordering,), (reading,) = record["orderings"], record["readings"]
    own, other = (
        run(spec).trace.columns["objective_gap"]
        for spec in sorted(suite.specs, key=lambda spec: spec.name)
    )
    assert ordering["step"] == 20
    assert ordering["outcome"] == "consistent"
    pair = ordering["pairs"]["slow"]
    assert pair["difference"] == pytest.approx((own - other)[-1].mean(), rel=1e-12)
    expected = stats.ttest_rel(own[-1], other[-1], alternative="less").pvalue
    assert ordering["p_value"] == pytest.approx(expected, rel=1e-9)
    assert ordering["level"] == record["suite"]["level"] == 0.05 / record["suite"]["checks"]
    verdicts = sum(len(each["verdicts"]) for each in record["runs"])
    assert record["suite"]["checks"] == verdicts + 1
    assert reading["step"] == 10
    assert reading["measured"] == pytest.approx(own[2].mean(), rel=1e-12)
    interval = stats.ttest_1samp(own[2], 0.0).confidence_interval(0.95)
    assert (reading["low"], reading["high"]) == pytest.approx(tuple(interval), rel=1e-9)
    assert "outcome" not in reading


def test_a_reading_with_tolerance_is_judged_and_counts(tmp_path):
    default = table()["default"] | {"checks": [{"theorem": "step_invariants"}]}
    plain = run_suite(parse(table(default=default), "here"), Options(out=tmp_path))
    mean = plain["readings"][0]["measured"]
    entry = table()["reading"][0]
    entries = [
        entry | {"value": mean + 0.1, "tolerance": 0.2},
        entry | {"value": mean + 0.4, "tolerance": 0.2},
        entry,
    ]
    suite = parse(table(default=default, reading=entries), "here")
    record = run_suite(suite, Options(out=tmp_path))
    json.dumps(record, allow_nan=False)
    assert record["suite"]["checks"] == plain["suite"]["checks"] + 2
    within, outside, untold = record["readings"]
    assert (within["outcome"], outside["outcome"]) == ("consistent", "violated")
    assert within["level"] == record["suite"]["level"]
    assert "outcome" not in untold
    assert record["met"]  # whatever a paper says
    with pytest.raises(SpecError, match=r"reading.0.tolerance"):
        parse(table(reading=[entry | {"tolerance": 0.0}]), "here")


def test_above_turns_the_signs_back(tmp_path):
    entry = table()["ordering"][0] | {"run": "slow", "than": ["fast"], "relation": "above"}
    (ordering,) = run_suite(parse(table(ordering=[entry]), "here"), Options(out=tmp_path))[
        "orderings"
    ]
    pair = ordering["pairs"]["fast"]
    assert ordering["outcome"] == "consistent"
    assert pair["low"] < pair["difference"] < pair["high"]
    assert pair["difference"] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": "fats"}, "ordering.0: got the run 'fats'"),
        ({"than": []}, "ordering.0.than"),
        ({"observable": "objectiv"}, "ordering.0.observable: got 'objectiv'"),
        ({"observable": "gradient_norm"}, "which fast, slow need not record"),
        ({"relation": "under"}, "ordering.0.relation"),
        ({"at": 1.5}, "ordering.0.at"),
        ({"colour": 1}, "ordering.0.colour"),
    ],
)
def test_mistakes_of_an_ordering(change, words):
    with pytest.raises(SpecError) as caught:
        parse(table(ordering=[table()["ordering"][0] | change]), "here")
    assert any(words in each for each in caught.value.mistakes), caught.value.mistakes


def test_runs_that_cannot_be_paired():
    cases = table()["case"]
    cases[0]["run"] = {"seed": 3}
    with pytest.raises(SpecError, match="replicas are compared in pairs"):
        parse(table(case=cases), "here")


def test_scale_shortens_steps_and_seeds_and_nothing_else():
    changes = {
        "method": {"name": "hdo", "schedule": {"name": "cosine", "warmup": 8}},
        "network": {"gossip": "matching", "silent_rounds": 8},
    }
    default = table()["default"] | changes
    suite = parse(table(default=default), "here")
    half = scaled(suite, 0.5)
    assert half.table.name == "paper/figure-scale-0.5"
    spec, whole = half.specs[0], suite.specs[0]
    assert (spec.run.steps, spec.network.silent_rounds) == (10, 4)
    assert spec.method["schedule"]["warmup"] == 4
    assert spec.record_steps == (0, 5, 10)
    assert (spec.nodes, spec.problem, spec.run.seed) == (whole.nodes, whole.problem, whole.run.seed)
    assert (spec.run.replicas, scaled(suite, 0.9).specs[0].run.replicas) == (3, 5)
    assert "scale 0.5 (10 of 20 steps, 3 of 6 seeds)" in half.table.title
    assert scaled(suite, 1.0) is suite
    for factor in (0.0, -1.0, 1.5, np.nan):
        with pytest.raises(UserMistakeError, match="got scale"):
            scaled(suite, factor)


def test_scale_leaves_at_least_three_seeds_and_adds_none():
    suite = parse(table(), "here")
    assert {scaled(suite, 0.1).specs[0].run.replicas} == {3}
    two = replace(suite, specs=tuple(spec.sized(2) for spec in suite.specs))
    short = scaled(two, 0.1)
    assert {spec.run.replicas for spec in short.specs} == {2}
    assert short.table.title.endswith("scale 0.1 (2 of 20 steps)")


def test_scale_leaves_replicas_where_theory_is_judged():
    suite = parse(table(), "here")
    many = replace(suite, specs=tuple(spec.sized(1600) for spec in suite.specs))
    assert {spec.run.replicas for spec in scaled(many, 0.1).specs} == {1600}
    quick = load("quick")
    short = scaled(quick, 0.5)
    assert [s.run.replicas for s in short.specs] == [s.run.replicas for s in quick.specs]


def judged_at(scale, tmp_path, settings=(), **changes):
    suite = overridden(parse(table(**changes), "here"), settings)
    return run_suite(scaled(suite, scale), Options(out=tmp_path))


@pytest.mark.parametrize("run", ["fast", "slow"])
def test_a_shortened_run_decides_nothing_of_the_paper(tmp_path, run):
    """Neither that a claim holds nor that its opposite does; what is seen there is told."""
    (other,) = {"fast", "slow"} - {run}
    entry = table()["ordering"][0] | {"run": run, "than": [other], "at": 0.8}
    entries = [entry, entry | {"at": 0.25}]
    number = table()["reading"][0] | {"tolerance": 1e-3, "at": 1.0, "value": 9.0}
    record = judged_at(0.5, tmp_path, ordering=entries, reading=[number, table()["reading"][0]])
    there = "consistent" if run == "fast" else "violated"
    late, early = record["orderings"]
    assert (late["step"], early["step"]) == (10, 5)  # recorded every 5
    for each in (late, early):
        assert each["outcome"] == "inconclusive"
        assert each["shortened"] == {"last": 10, "whole": 20, "outcome": there}
        assert "the run ends at step 10 of 20" in each["reason"]
        assert each["p_value"] < each["level"]
    judged, told = record["readings"]
    assert judged["outcome"] == "inconclusive"
    assert judged["shortened"]["outcome"] == "violated"
    assert told["shortened"] == {"last": 10, "whole": 20, "outcome": None}
    assert "outcome" not in told


def test_whole_and_longer_runs_decide(tmp_path):
    for number, settings in enumerate(((), ("run.steps=40",))):
        (ordering,) = judged_at(1.0, tmp_path / str(number), settings)["orderings"]
        assert ordering["shortened"] is None
        assert ordering["outcome"] == "consistent"
    twice = judged_at(0.5, tmp_path, ("run.steps=30",))["orderings"]
    assert twice[0]["shortened"]["whole"] == 20  # of the file, whatever shortens it twice
    (cut,) = judged_at(1.0, tmp_path, ("run.steps=15",))["orderings"]
    assert cut["shortened"]["last"] == 15


def test_no_ordering_is_judged_at_the_start_where_all_are_the_same(tmp_path):
    default = table()["default"] | {"run": RUN | {"record": [0, 10, 20]}}
    entries = [table()["ordering"][0] | {"at": 0.1}]
    number = table()["reading"][0] | {"at": 0.0}
    record = judged_at(1.0, tmp_path, default=default, ordering=entries, reading=[number])
    (ordering,), (reading,) = record["orderings"], record["readings"]
    assert ordering["step"] == 10
    assert ordering["outcome"] == "consistent"
    assert reading["step"] == 0
