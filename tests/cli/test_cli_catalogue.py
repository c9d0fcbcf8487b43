"""list, show and predict: everything registered is shown, and predictions are JSON."""

import re
import subprocess
import sys

import pytest
from rich.cells import cell_len

from hzbench.commands.catalogue import kinds, names
from hzbench.core import registry
from hzbench.core.observable import OBSERVABLES

EVERY = [(kind, name) for kind in kinds() for name in names(kind)]


@pytest.mark.parametrize("kind", kinds())
def test_list_prints_an_array_of_every_kind(shell, kind):
    found = shell("list", kind, "--json")
    assert found.code == 0
    assert [row["name"] for row in found.json] == names(kind)
    assert all(row["summary"] for row in found.json)
    printed = shell("list", kind).out
    assert all(name in printed for name in names(kind))


def test_list_alone_prints_the_kinds(shell):
    found = shell("list", "--json").json
    assert [row["name"] for row in found] == kinds()
    assert "suite" in shell("list").out


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_show_prints_what_is_known(shell, kind, name):
    found = shell("show", name, "--json")
    assert found.code == 0
    (record,) = [each for each in found.json if each["kind"] == kind]
    printed = shell("show", name).out
    assert f"{name} ({kind})" in printed
    flat = " ".join(printed.split())
    for key in ("summary", "formula", "source", "unit"):
        if record.get(key):
            assert f"{key}: {' '.join(record[key].split())}" in flat
    for parameter in record.get("parameters", ()):
        assert parameter["name"] in printed
        assert parameter["type"].split(" | ")[0].split("[")[0] in printed
        assert " at 0x" not in parameter["type"]


def test_show_gives_formula_source_and_parameters(shell):
    (record,) = shell("show", "zeroth_order", "--json").json
    assert "u_k D_k" in record["formula"]
    assert "Nesterov" in record["source"]
    by_name = {row["name"]: row for row in record["parameters"]}
    assert by_name["samples"]["default"] == 1
    assert by_name["samples"]["type"] == "int"
    assert by_name["directions"]["type"].startswith("'gaussian' | 'sphere'")
    assert "smoothing radius" in by_name["smoothing"]["meaning"]
    (record,) = shell("show", "hdo", "--json").json
    by_name = {row["name"]: row for row in record["parameters"]}
    assert "1/(1 + s/offset)" in by_name["schedule.name"]["meaning"]
    assert by_name["schedule.warmup"]["default"] == 0
    (record,) = shell("show", "objective_gap", "--json").json
    assert record["unit"] == OBSERVABLES["objective_gap"].unit


def test_problems_show_their_constants_and_certificates(shell):
    (record,) = shell("show", "matrix_factorization", "--json").json
    (example,) = record["examples"]
    found = {row["name"]: row for row in example["constants"]}
    assert found["minimum"]["value"] == pytest.approx((1 / 9 + 1 / 16) / 4)
    assert "Eckart and Young" in found["minimum"]["how"]
    assert found["smoothness"]["value"] is None
    assert found["smoothness"]["text"] == "does not hold"
    assert found["noise"]["holds"] == "everywhere"
    printed = " ".join(shell("show", "zero_chain").out.split())
    assert "unknown" in printed
    assert "how it was obtained" in printed


@pytest.mark.parametrize("kind", kinds())
def test_a_plural_is_its_kind(shell, kind):
    plural = kind if kind.endswith(("s", "data")) else f"{kind}s"
    assert shell("list", plural, "--json").json == shell("list", kind, "--json").json
    assert shell("list", f"{kind}x").code == 2


def test_the_list_of_problems_has_every_constant_and_its_certificate(shell, monkeypatch):
    """In JSON, and on a terminal of 100 columns without a broken line."""
    monkeypatch.setenv("COLUMNS", "100")
    printed = shell("list", "problems").out
    assert max(map(cell_len, printed.splitlines())) == 100
    words = "".join(
        each for each in printed if each not in "│┃─━┏┓┡┩├┤└┘┼┴┳╇" and not each.isspace()
    )
    for row in shell("list", "problems", "--json").json:
        problem = registry.find("problem", row["name"]).target
        assert row["example"] == problem.examples[0]
        assert row["nodes"] == problem.example_nodes
        found = {each["name"]: each for each in row["constants"]}
        assert len(found) == 9
        for each in found.values():
            assert each["how"] or each["text"] == "unknown" or each["name"] == "dimension"
            assert "".join(each["how"].split()) in words
    rows = {row["name"]: row["constants"] for row in shell("list", "problems", "--json").json}
    texts = {name: {c["symbol"]: c["text"] for c in constants} for name, constants in rows.items()}
    assert texts["sine_square"] == {
        "d": "3",
        "L": "8",
        "L sample": "8",
        "μ": "-4",
        "μ (PL)": "0.1754",
        "ρ": "12",
        "tr Σ": "0",
        "ζ²": "0",
        "f*": "0",
    }
    assert texts["poisson"]["L"] == "does not hold"
    assert texts["blackbox"]["L"] == "unknown"
    assert re.search(r"unknown +L, L sample, μ, μ \(PL\), ρ, tr Σ, ζ² ", printed)


def test_brackets_are_text_not_markup(shell):
    assert "[0, 1]^d" in shell("show", "uniform_tangents").out
    assert "tuple[tuple[float" in shell("show", "quadratic").out.replace("\n", "")


@pytest.mark.parametrize(("kind", "name"), [e for e in EVERY if e[0] == "theorem"])
def test_theorems_name_mutants_that_exist(kind, name):
    declared = registry.find(kind, name).facts.get("mutants", ())
    assert set(declared) <= set(names("mutant"))


def test_predict_prints_every_theorem_at_every_record_point(shell):
    run = {"steps": 6, "replicas": 8, "record": [0, 2, 6]}
    found = shell("predict", shell.spec(run=run, grid={"run.seed": [1, 2]}), "--json")
    assert found.code == 0
    record = found.json
    assert set(record) == {"schema", "runs"}
    assert [run["name"] for run in record["runs"]] == ["run[run.seed=1]", "run[run.seed=2]"]
    for run in record["runs"]:
        assert set(run) == {"name", "spec", "steps", "warnings", "predictions"}
        assert run["steps"] == [0, 2, 6]
        assert [p["theorem"] for p in run["predictions"]] == names("theorem")
        (exact,) = [p for p in run["predictions"] if p["theorem"] == "quadratic_dynamics"]
        assert exact["applies"]
        assert exact["steps"] == [0, 2, 6]
        assert all(len(values) == 3 for values in exact["values"].values())
        for other in run["predictions"]:
            assert other["applies"] == all(a["holds"] for a in other["assumptions"])
            assert other["applies"] or not other["values"]
    assert shell.written == ["spec.toml"]


def test_predict_prints_a_table_and_the_reasons_why_not(shell):
    printed = shell("predict", shell.spec()).out
    assert "objective_gap" in printed
    assert "mean_iterate[1]" in printed
    assert "estimator_moments: inapplicable" in printed


def test_predictions_do_not_depend_on_checks_or_seed(shell):
    one = shell("predict", shell.spec(), "--json").json["runs"][0]
    two = shell(
        "predict", shell.spec(checks=[], run={"steps": 6, "replicas": 8, "seed": 9}), "--json"
    )
    assert two.json["runs"][0]["predictions"] == one["predictions"]


def test_help_is_there_and_light():
    code = (
        "import sys\n"
        "from hzbench.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'triton', 'seaborn', 'matplotlib', 'cvxpy', 'numba', 'sklearn', 'scipy'}"
        "\nprint('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    for arguments in (["--help"], ["run", "--help"], ["mutants", "--help"]):
        found = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert "heavy: []" in found.stdout
        assert "Usage" in found.stdout
