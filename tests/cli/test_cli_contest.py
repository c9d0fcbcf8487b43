"""`hzbench contest` and `hzbench report` on its results."""

import json
import tomllib
from importlib.resources import files

import pytest
from cli_specs import write

QUICK = (files("hzbench.suites") / "quick-contest.toml").read_text(encoding="utf-8")


def table(**changes):
    """One exact cell and two methods of the quick contest."""
    found = tomllib.loads(QUICK)
    found["problem"] = [{**found["problem"][0], "targets": [0.04]}]
    found["method"] = [m for m in found["method"] if m["label"] in ("Ringleader", "minibatch")]
    found["contest"] |= changes
    return found


def test_a_contest_is_run_shown_and_drawn_again(shell_with_report, tmp_path):
    shell = shell_with_report
    path = write(tmp_path / "small-contest.toml", table())
    done = shell("contest", path, "--workers", "1")
    assert done.code == 0, done.err
    assert "Ringleader is the fastest of all methods in" in done.out
    entered = sorted((tmp_path / "hzbench-out" / "runs").iterdir())
    assert len(entered) == 2
    assert shell("contest", path, "--workers", "1").code == 0
    assert sorted((tmp_path / "hzbench-out" / "runs").iterdir()) == entered
    folder = tmp_path / "hzbench-out" / "quick-contest"
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert record["comparisons"] == 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    again = shell("report", str(folder / "results.json"), "--out", str(tmp_path / "again.html"))
    assert again.code == 0, again.err
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_an_optimum_on_an_edge_fails(shell_with_report, tmp_path):
    steps = {"first": 1e-4, "ratio": 1.2}
    path = write(tmp_path / "edge-contest.toml", table(budget=8, horizon=30.0, step_sizes=steps))
    done = shell_with_report("contest", path, "--workers", "1")
    assert done.code == 1
    assert "!" in done.out
    assert "optimum on an edge" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "quick-contest"), "take hzbench contest quick-contest"),
        (("contest", "quick"), "expected a contest"),
        (("contest", "none.toml"), "cannot be read"),
    ],
)
def test_mistakes(shell_with_report, arguments, words):
    done = shell_with_report(*arguments)
    assert done.code == 2
    assert words in done.err


def test_contests_are_listed_and_shown(shell):
    listed = shell("list", "contests", "--json")
    rows = {row["name"]: row["summary"] for row in json.loads(listed.out)}
    assert rows["async-contest"] == "Ringleader ASGD and its field"
    shown = json.loads(shell("show", "quick-contest", "--json").out)[0]
    assert shown["kind"] == "contest"
    assert [each["name"] for each in shown["methods"]][:2] == ["Ringleader", "Malenia, S tuned"]
    assert "quadratic, heterogeneous · linear · ε = 0.04" in [c["name"] for c in shown["cells"]]
    text = shell("show", "quick-contest").out
    assert "methods: Ringleader; Malenia, S tuned; minibatch; ASGD" in text
