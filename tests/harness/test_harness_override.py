"""Keys set from outside: every run has them, names tell them, mistakes come at once."""

import struct

import numpy as np
import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.harness.override import overridden
from hzbench.harness.scale import scaled
from hzbench.harness.suite import SuiteTable, load, parse
from hzbench.harness.sweep import prepare_all

TABLE = {
    "suite": {"name": "paper/figure", "title": "Figure", "alpha": 0.05},
    "default": {
        "problem": {"name": "quadratic", "dimension": 2, "initial": 2.0},
        "run": {"steps": 20, "replicas": 6, "observables": ["objective_gap"]},
    },
    "case": [
        {"name": "slow", "nodes": [{"count": 4, "step_size": 0.02}]},
        {"name": "fast", "nodes": [{"count": 4, "step_size": 0.2}], "run": {"steps": 20}},
    ],
    "ordering": [
        {"text": "fast wins", "run": "fast", "than": ["slow"], "observable": "objective_gap"}
    ],
}
SUITE = parse(TABLE, "here")


def test_every_run_has_the_value_and_nothing_else_changes():
    found = overridden(SUITE, ["problem.dimension=3", "nodes.0.count = 2", "network.graph=ring"])
    other = {**TABLE["default"], "network": {"graph": "ring"}}
    other["problem"] = other["problem"] | {"dimension": 3}
    cases = [each | {"nodes": [each["nodes"][0] | {"count": 2}]} for each in TABLE["case"]]
    assert found.specs == parse(TABLE | {"default": other, "case": cases}, "here").specs
    assert found.orderings == SUITE.orderings
    assert overridden(SUITE, []) is SUITE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("run.seed=7", 7),
        ("run.observables=['objective_gap', \"objective\"]", ("objective_gap", "objective")),
        ("run.dtype=float32", "float32"),
        ('run.dtype="float32"', "float32"),
    ],
)
def test_values_are_toml_or_words(text, value):
    key = text.partition("=")[0].removeprefix("run.")
    assert {getattr(s.run, key) for s in overridden(SUITE, [text]).specs} == {value}


def test_name_and_title_tell_the_change():
    named = overridden(SUITE, ["run.seed=7", "network.graph=ring"]).table
    assert named.name == "paper/figure-run.seed-7-network.graph-ring"
    assert named.title == "Figure, with run.seed=7, network.graph=ring"
    both = scaled(overridden(SUITE, ["run.seed=7"]), 0.5).table
    assert both.name == "paper/figure-run.seed-7-scale-0.5"
    assert "run.seed=7, scale 0.5 (10 of 20 steps" in both.title


def test_different_values_never_share_a_folder():
    short = [[f"problem.initial=[{a}, {b}]"] for a in ("1.0", "-1.0") for b in ("2.0", "-2.0")]
    long = [["problem.dimension=60", f"problem.initial=[{'1.0, ' * 59}{x}]"] for x in (1, 2)]
    names = {overridden(SUITE, texts).table.name for texts in (*short, *long)}
    assert len(names) == 6
    for name in names:
        assert SuiteTable(name=name)  # which a folder may have
        assert len(name) < 150


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["run.sed=3", "run.steps=0"], ["run.sed: got an unknown key", "run.steps: got 0"]),
        (["suite.alpha=0.1"], ["suite: got an unknown key"]),
        (["nodes.1.count=3"], ["slow, fast: --set nodes.1.count: got a path"]),
        (["problem.name.x=3"], ["--set problem.name.x: got a path"]),
        (["run.steps=20"], ["--set run.steps: got 20, which changes nothing"]),
        (["run.seed=4", "run.dtype=float64"], ["--set run.dtype: got 'float64', which changes"]),
        (["method.step_size=0.3"], ["--set method.step_size: got 0.3, which changes nothing"]),
        (["name=both"], ["more than once"]),
        (["run.observables=[]"], ["ordering.0.observable: got 'objective_gap', which fast, slow"]),
        (["run.seed"], ["--set: got 'run.seed'; expected KEY=VALUE"]),
        (["=3"], ["expected KEY=VALUE"]),
        (["run.seed="], ["expected KEY=VALUE"]),
        (["run..seed=3"], ["expected KEY=VALUE"]),
        (["run.seed=3", "run.seed=4"], ["--set run.seed: got two values"]),
        (["run.seed=2026-01-01"], ["run.seed: got '2026-01-01'; expected a whole number"]),
        (["run.seed=3\nx=1"], ["run.seed: got '3"]),
    ],
)
def test_mistakes(texts, words):
    with pytest.raises(UserMistakeError) as caught:
        overridden(SUITE, texts)
    for each in words:
        assert each in str(caught.value)


def test_a_key_that_another_one_needs_changes_something():
    found = overridden(SUITE, ["run.replicas=10", "run.max_replicas=10"])
    assert {(s.run.replicas, s.run.max_replicas) for s in found.specs} == {(10, 10)}


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """A folder with as many images as figure 2 has nodes, in the format of MNIST."""
    random, folder = np.random.default_rng(0), tmp_path / "mnist"
    folder.mkdir()
    for name, count in (("train", 300), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + array.tobytes())
    monkeypatch.setenv("HZBENCH_DATA", str(tmp_path))


@pytest.mark.parametrize("number", [1, 2, 5, 6, 7])
def test_figures_run_on_all_of_mnist(number, digits):
    suite = overridden(
        load(f"hdo-paper/figure-{number}"), ["problem.data={name = 'mnist', verify = false}"]
    )
    for case in prepare_all(suite.specs):
        assert case.spec.problem["data"] == {"name": "mnist", "verify": False}
        assert case.spec.node_count <= 300  # an image each at least
