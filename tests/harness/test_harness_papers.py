"""The suites of the HDO paper against the table of its experiments; one of them run, shortened."""

from dataclasses import replace

import pytest

from hzbench.core.errors import SpecError
from hzbench.harness.scale import scaled
from hzbench.harness.suite import load, suite_names
from hzbench.harness.sweep import Options, prepare_all, run_suite

# figure -> problem, {run: (FO, ZO)}, batches, step sizes, momentum, T, silent warm-up, cosine, rv
TABLE = {
    1: ("cnn", None, (256, 256), (0.01, 0.01), 0.9, 1000, 50, True, {8, 16, 128}),
    2: (
        "multinomial",
        {
            **{f"{n}-zo": (0, n) for n in (1, 16, 64, 128, 256)},
            **{f"{n}-fo": (n, 0) for n in (1, 6, 12, 24)},
            "24-fo-256-zo": (24, 256),
        },
        (2, 2),
        (0.01, 0.01),
        0,
        500,
        0,
        False,
        {128},
    ),
    3: (
        "resnet18",
        {"1-zo": (0, 1), "1-fo": (1, 0), "5-zo": (0, 5), "1-fo-5-zo": (1, 5)},
        (10, 50),
        (0.001, 0.01),
        0.9,
        1000,
        50,
        True,
        {128},
    ),
    4: (
        "transformer",
        {"1-zo": (0, 1), "1-fo": (1, 0), "4-fo": (4, 0), "16-zo": (0, 16), "4-fo-16-zo": (4, 16)},
        (128, 256),
        (0.05, 0.1),
        0.8,
        1000,
        100,
        True,
        {64},
    ),
    5: ("multinomial", None, (2, 2), None, 0, 500, 0, False, {128}),
    6: ("mlp", None, (8, 8), (0.1, 0.5), 0, 1500, 50, False, {8, 16, 32}),
    7: (
        "cnn",
        {
            "16-zo": (0, 16),
            "4-fo-12-zo": (4, 12),
            "8-fo-8-zo": (8, 8),
            "12-fo-4-zo": (12, 4),
            "16-fo": (16, 0),
        },
        (256, 256),
        (0.1, 0.1),
        0,
        1000,
        50,
        False,
        {128},
    ),
}
SEEDS = {1: 3, 3: 3, 4: 17, 5: 6, 6: 3, 7: 3}
PAPER_SEEDS = {1: 3, 2: 1, 3: 3, 4: 17, 5: 3, 6: 3, 7: 3}


def groups(spec):
    """(kind, group) of every group of nodes."""
    kinds, start = spec.kinds(), 0
    for group in spec.nodes:
        yield kinds[start], group
        start += group.count


def test_there_is_a_suite_for_every_figure():
    names = {f"hdo-paper/figure-{number}" for number in TABLE}
    assert {name for name in suite_names() if "/" in name} == names


@pytest.mark.parametrize("number", TABLE)
def test_a_suite_is_the_experiment_of_its_figure(number):
    problem, populations, batches, steps, momentum, rounds, warmup, cosine, vectors = TABLE[number]
    suite, seen = load(f"hdo-paper/figure-{number}"), set()
    for spec in suite.specs:
        found = dict(groups(spec))
        kinds = spec.kinds()
        if populations is not None:
            assert populations[spec.name] == (kinds.count("first"), kinds.count("zeroth"))
        default = spec.method.get("step_size")
        for place, kind in enumerate(("first", "zeroth")):
            if kind in found:
                assert found[kind].batch_size == batches[place]
                assert steps is None or (found[kind].step_size or default) == steps[place]
        if "zeroth" in found:
            estimator = found["zeroth"].estimator
            assert estimator["directions"] == "gaussian"
            seen.add(estimator["samples"])
        assert (spec.problem["name"], spec.run.steps) == (problem, rounds)
        assert spec.method.get("momentum", 0) == momentum
        schedule = spec.method.get("schedule", {})
        assert schedule.get("warmup", 0) == warmup
        assert (schedule.get("name") == "cosine") == cosine
        alone = len(kinds) == 1
        assert spec.method["name"] == ("local" if alone else "hdo")
        assert alone or spec.network.gossip == "matching"
        assert alone or spec.network.idle_steps
        assert alone or spec.network.silent_rounds == warmup
        assert spec.record_steps == tuple(range(0, rounds + 1, 10))
        assert spec.run.replicas == SEEDS.get(number, 5)
    assert seen == vectors
    assert populations is None or {spec.name for spec in suite.specs} == set(populations)
    assert suite.orderings
    assert suite.table.title
    assert suite.table.name == f"hdo-paper/figure-{number}"


@pytest.mark.parametrize("number", TABLE)
def test_what_a_spec_has_otherwise_stands_under_changes(number):
    """Whatever differs from the paper's table by the values of the specs has its sentence."""
    suite = load(f"hdo-paper/figure-{number}")
    estimators = [dict(groups(spec)).get("zeroth") for spec in suite.specs]
    drawn = [each.estimator.get("sampling") == "collapsed" for each in estimators if each]
    seeds = {spec.run.replicas for spec in suite.specs} != {PAPER_SEEDS[number]}
    law = "unbiased nodes use exact directional" if number == 1 else "zeroth-order nodes use exact"
    expected = {
        law: any(drawn),
        "drawn from its law": any(drawn),
        "with λ = 1e-4": any(spec.problem.get("regularization") for spec in suite.specs),
        "seeds instead of": seeds,
        "float64": any(spec.run.dtype == "float64" for spec in suite.specs),
        "subset of 4000 + 1000": any(
            "subset" in spec.problem.get("data", "") for spec in suite.specs
        ),
    }
    told = {words: any(words in each for each in suite.table.changes) for words in expected}
    assert told == expected
    assert all(drawn) or number == 1


@pytest.mark.parametrize("number", [1, 4, 6, 7])
def test_a_suite_is_ready_without_files(number):
    cases = prepare_all(load(f"hdo-paper/figure-{number}").specs)
    for case in cases:
        assert all(prediction.applies for prediction in case.predictions), case.spec.name
        assert "validation_loss" in case.observables


@pytest.mark.parametrize("number", TABLE)
def test_the_thesis_of_the_paper_is_no_claim_of_a_figure(number):
    for each in load(f"hdo-paper/figure-{number}").orderings:
        assert each.source.startswith("the paper's thesis" if each.thesis else f"figure {number}")


def test_figure_3_says_which_file_it_misses(monkeypatch, tmp_path):
    suite = load("hdo-paper/figure-3")
    monkeypatch.delenv("HZBENCH_DATA", raising=False)
    with pytest.raises(SpecError, match="data_batch_1 would be; expected one; name it with --data"):
        prepare_all(suite.specs)
    monkeypatch.setenv("HZBENCH_DATA", str(tmp_path))
    with pytest.raises(SpecError, match="data_batch_1"):
        prepare_all(suite.specs)


def test_a_shortened_figure_runs_to_its_orderings(tmp_path):
    """Figure 4, three rounds, two seeds, two populations."""
    short = scaled(load("hdo-paper/figure-4"), 0.003)
    kept = tuple(spec.sized(2) for spec in short.specs if spec.name in ("1-fo", "4-fo"))
    ordering = short.orderings[0].model_copy(update={"run": "4-fo", "than": ("1-fo",)})
    suite = replace(short, specs=kept, orderings=(ordering,))
    record = run_suite(suite, Options(out=tmp_path))
    (found,) = record["orderings"]
    assert found["step"] == 3
    assert found["outcome"] == "inconclusive"
    assert (found["shortened"]["last"], found["shortened"]["whole"]) == (3, 1000)
    assert record["met"]
    for run in record["runs"]:
        mean = run["observables"]["validation_loss"]["mean"]
        assert len(mean) == 2
        assert mean[0] == pytest.approx(0.69, abs=0.1)  # two classes, nothing learnt
