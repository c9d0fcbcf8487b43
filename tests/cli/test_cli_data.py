"""Data files on the command line: found through --data, named when wrong, never read stale."""

import pytest
from cli_specs import BASE

from hzbench.problems.folder import VARIABLE

SPEC = BASE | {
    "problem": {"name": "ridge", "data": {"name": "libsvm", "file": "tiny"}},
    "nodes": [{"count": 2}],
    "run": BASE["run"] | {"observables": ["objective_gap"]},
}
LINES = ["1 1:0.5 2:2", "-1 1:-1.5", "3 2:1", "2 1:1 2:1"]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a file; the variable is restored afterwards."""
    monkeypatch.setenv(VARIABLE, "")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "tiny").write_text("\n".join(LINES))
    return folder


def test_every_command_that_builds_problems_takes_the_folder(shell, data):
    path = shell.spec(table=SPEC)
    for command in (("predict", path), ("run", path, "--workers", "1")):
        missing = shell(*command, "--data", data / "nowhere")
        assert missing.code == 2
        assert missing.err.strip().startswith("hzbench: 1 mistake")
        assert "nowhere, which is no folder; expected one with tiny" in missing.err
        assert "Traceback" not in missing.err
        assert shell(*command, "--data", data).code == 0


def test_without_a_folder_the_message_says_how_to_name_one(shell, data):
    told = shell.run(shell.spec(table=SPEC))
    assert told.code == 2
    assert "got no data folder, where tiny would be" in told.err
    assert "--data DIR or HZBENCH_DATA" in told.err
    assert shell.written == ["data", "data/tiny", "spec.toml"]


def test_the_variable_does_the_same(shell, data, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(data))
    assert shell.run(shell.spec(table=SPEC)).code == 0


def test_a_file_that_changes_is_run_afresh(shell, data):
    path = shell.spec(table=SPEC)

    def initial():
        found = shell.run(path, "--data", data, "--json").json["runs"][0]
        return found["observables"]["objective_gap"]["mean"][0], found["reused"]

    before, reused = initial()
    assert not reused
    assert initial() == (before, True)
    (data / "tiny").write_text("\n".join([*LINES, "30 1:1"]))
    after, reused = initial()
    assert not reused
    assert after != before


def test_the_list_of_data_says_what_there_is_and_where_from(shell):
    rows = {row["name"]: row for row in shell("list", "data", "--json").json}
    assert rows["mnist"]["content"] == "60000 + 10000 images of 1×28×28, 10 classes"
    assert rows["mnist"]["origin"] == "files in --data DIR"
    assert rows["digits"]["origin"] == "scikit-learn"
    assert all(row["content"] and row["origin"] for row in rows.values())
    (shown,) = shell("show", "brackets", "--json").json
    assert shown["origin"] == "generated"
    assert "right for 3 of 4" in shown["formula"]
