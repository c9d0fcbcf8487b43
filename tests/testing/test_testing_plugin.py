"""The pytest plugin as users meet it: in a repository and a process of their own."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(HERE / "user_package", folder, dirs_exist_ok=True)
    return run(folder, "-n", "2", "--junitxml=report.xml"), folder


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *arguments]
    found = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=clean()
    )
    return found.stdout + found.stderr


def clean():
    """The environment of a terminal: with CI set, pytest repeats every message whole."""
    ours = "PYTEST", "CI", "BUILD_NUMBER"
    keep = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**keep, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("test_mine.py::test_right_estimator", "PASSED"),
        ("test_mine.py::test_right_component", "PASSED"),
        ("test_mine.py::test_problem", "PASSED"),
        ("rate.hz.toml::run[network.graph=complete]", "PASSED"),
        ("rate.hz.toml::run[network.graph=ring]", "PASSED"),
        ("test_mine.py::test_wrong_estimator", "FAILED"),
        ("test_mine.py::test_wrong_step", "FAILED"),
        ("test_mine.py::test_wrong_with_a_fixture", "FAILED"),
        ("test_mine.py::test_too_few", "FAILED"),
        ("test_mine.py::test_typo", "FAILED"),
        ("test_mine.py::test_wrong_radius_on_a_quadratic", "PASSED"),
        ("test_mine.py::test_wrong_radius_where_bias_exists", "FAILED"),
        ("planted.hz.toml::run[network.graph=complete]", "FAILED"),
        ("planted.hz.toml::run[network.graph=ring]", "FAILED"),
    ],
)
def test_outcomes(outcome, name, word):
    text, _ = outcome
    assert re.search(rf"^{word} {re.escape(name)}", text, re.MULTILINE), text[-3000:]


def test_failures_are_paragraphs(outcome):
    text, _ = outcome
    assert "Traceback" not in text
    assert "checking.py" not in text
    assert "forgetful against zeroth_order: 0 of 2 as expected" in text
    assert "expected consistent, got violated" in text
    assert "got against = 'zeroth_ordr'; expected an estimator or a method" in text


def test_every_paragraph_stands_once(outcome):
    text, _ = outcome
    assert "During handling" not in text
    failed = "test_wrong_estimator", "test_wrong_with_a_fixture"
    assert text.count("forgetful against zeroth_order: 0 of 2 as expected\n") == len(failed)


def test_table_and_junit_properties(outcome):
    text, folder = outcome
    assert "hzbench: measured against predicted" in text
    assert re.search(r"quadratic_dynamics +objective_gap +10 +[\d.]+ ± [\d.e-]+ +[\d.]+", text)
    values = [p.get("value") for p in ET.parse(folder / "report.xml").iter("property")]  # noqa: S314
    assert any("objective_gap | 10" in value and "violated" in value for value in values)


def rows(folder):
    """Test name -> its junit properties."""
    cases = ET.parse(folder / "report.xml").iter("testcase")  # noqa: S314
    return {case.get("name"): [p.get("value") for p in case.iter("property")] for case in cases}


@pytest.mark.parametrize(
    ("name", "count", "outcome_word"),
    [
        ("test_right_estimator", 6, "consistent"),
        ("test_wrong_estimator", 6, "violated"),
        ("test_right_component", 2, "consistent"),
        ("test_wrong_with_a_fixture", 6, "violated"),
        ("test_too_few", 2, "inconclusive"),
        ("test_problem", 0, ""),
    ],
)
def test_every_check_leaves_its_rows(outcome, name, count, outcome_word):
    text, folder = outcome
    found = rows(folder)[name]
    assert len(found) == count
    for row in found:
        assert row.endswith(f"| {outcome_word}")
        pattern = " +".join(re.escape(cell) for cell in row.split(" | "))
        assert re.search(f"^{pattern}$", text, re.MULTILINE)


def test_marker_selects(outcome):
    _, folder = outcome
    text = run(folder, "--collect-only", "-q", "-m", "hzbench")
    assert text.count(".hz.toml::run[") == 4
    tests = re.findall(r"^def (test_\w+)", (folder / "test_mine.py").read_text(), re.MULTILINE)
    for name in tests:
        selected = f"test_mine.py::{name}\n" in text
        assert selected == (name != "test_without_checks"), text


def test_a_mistake_in_a_file_is_a_sentence(tmp_path):
    (tmp_path / "bad.hz.toml").write_text('[problem]\nname = "quadratc"\n[[nodes]]\ncount = 2\n')
    text = run(tmp_path)
    assert "did you mean 'quadratic'" in text
    assert "Traceback" not in text


def test_the_plugin_costs_nothing_where_it_is_not_used(tmp_path):
    heavy = "{'torch', 'numpy', 'scipy', 'pydantic', 'networkx', 'sklearn'}"
    code = f"import sys, hzbench.testing.plugin; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_conformance_runs_by_name(tmp_path):
    some = "(ring or hdo) and not theorem"
    text = run(tmp_path, "--pyargs", "hzbench.testing.conformance", "-q", "-k", some)
    assert re.search(r"\d+ passed", text), text[-2000:]
    assert "failed" not in text
