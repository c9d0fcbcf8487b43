"""Spec files and grids: cells, their names, and every way a file or a path can be wrong."""

import datetime as dt

import pytest

from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.grid import expand, read_toml
from hzbench.core.spec import Spec

BASE = {
    "name": "base",
    "problem": {"name": "quadratic", "dimension": 2},
    "nodes": [{"count": 2}, {"count": 2, "step_size": 0.05}],
    "run": {"steps": 10, "replicas": 4},
}


def test_a_spec_without_a_grid_is_one_cell_with_its_name():
    (spec,) = expand(BASE)
    assert spec == Spec.parse(BASE)


def test_a_grid_is_the_product_of_its_lists_in_order():
    grid = {
        "network.graph": ["ring", {"name": "torus", "rows": 2, "columns": 2}],
        "nodes.1.step_size": [0.1, 0.2],
        "run.seed": [7],
    }
    specs = expand(BASE | {"grid": grid})
    found = [(s.network.graph["name"], s.nodes[1].step_size, s.run.seed) for s in specs]
    assert found == [("ring", 0.1, 7), ("ring", 0.2, 7), ("torus", 0.1, 7), ("torus", 0.2, 7)]
    assert specs[0].name == "base[network.graph=ring, nodes.1.step_size=0.1, run.seed=7]"
    assert specs[3].name == "base[network.graph=torus, nodes.1.step_size=0.2, run.seed=7]"
    assert len({spec.digest for spec in specs}) == 4
    assert {spec.nodes[0].step_size for spec in specs} == {None}


def test_a_grid_can_replace_whole_tables_and_make_new_ones():
    specs = expand(BASE | {"grid": {"problem": ["ridge", "logistic"], "network.gossip": ["pair"]}})
    assert [spec.problem["name"] for spec in specs] == ["ridge", "logistic"]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"run.seed": 3}, "grid.run.seed: got no list"),
        ({"run.seed": []}, "grid.run.seed: got no list"),
        ([1], "grid: got [1]; expected a table"),
        (3, "grid: got 3"),
        ({"nodes.5.step_size": [0.1]}, "grid.nodes.5.step_size: got a path"),
        ({"nodes.first.step_size": [0.1]}, "got a path"),
        ({"problem.name.x": [1]}, "got a path"),
        ({"problem.dimension.x": [1]}, "got a path"),
        ({"run.sed": [1]}, "run.sed: got an unknown key"),
        ({"runs.seed": [1]}, "runs: got an unknown key"),
        ({"network.graph": ["rings"]}, "'ring'"),
        ({f"a{i}": list(range(10)) for i in range(5)}, "at most 10000"),
    ],
)
def test_a_bad_grid_says_so(grid, words):
    with pytest.raises(SpecError) as caught:
        expand(BASE | {"grid": grid})
    assert words in str(caught.value)


def test_the_same_mistake_of_many_cells_is_told_once():
    with pytest.raises(SpecError) as caught:
        expand(BASE | {"run": {"steps": 0}, "grid": {"run.seed": [1, 2, -1]}})
    assert len(caught.value.mistakes) == 2  # the steps of every cell, one seed


def test_cells_share_nothing():
    table = BASE | {"grid": {"run.seed": [1, 2]}}
    expand(table)
    assert "seed" not in table["run"]


def test_dates_of_toml_are_mistakes_not_crashes():
    with pytest.raises(SpecError, match=r"run.seed"):
        expand(BASE | {"run": {"seed": dt.date(2026, 1, 1)}})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"[problem\n", "is not TOML"),
        (b'name = "a"\nname = "b"\n', "is not TOML"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_files_that_are_no_specs(tmp_path, content, words):
    path = tmp_path / "spec.toml"
    path.write_bytes(content)
    with pytest.raises(UserMistakeError, match=words):
        Spec.load(path)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserMistakeError, match="cannot be read"):
            read_toml(path)


def test_load_reads_exactly_one_run(tmp_path):
    path = tmp_path / "spec.toml"
    text = '[problem]\nname = "quadratic"\ndimension = 2\n[[nodes]]\ncount = 2\n'
    path.write_text(text)
    assert Spec.load(str(path)).node_count == 2
    path.write_text(text + '[grid]\n"run.seed" = [1]\n')
    assert Spec.load(path).run.seed == 1
    path.write_text(text + '[grid]\n"run.seed" = [1, 2]\n')
    with pytest.raises(SpecError, match="grid of 2 runs"):
        Spec.load(path)
