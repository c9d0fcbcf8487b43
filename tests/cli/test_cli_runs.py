"""Runs from the command line: exit codes, records, reuse, workers, divergence."""

import json
import subprocess
import sys

import pytest
from cli_specs import BASE, write

from hzbench.core import result

STATIC = {"checks": [{"theorem": "step_invariants"}, {"theorem": "graph_spectrum"}]}
TWO = {"grid": {"network.graph": ["ring", "star"]}}
RUN_KEYS = {
    "name", "title", "digest", "spec", "reused", "seconds", "labels", "replicas", "diverged",
    "seed", "provenance", "warnings", "steps", "observables", "reference", "predictions",
    "verdicts", "schedule",
}  # fmt: skip
VERDICT_KEYS = {
    "theorem", "outcome", "reason", "kind", "p_value", "level", "method", "replicas",
    "replicas_needed", "visible_error", "tolerance", "tightness", "statistics", "expected",
    "expectation_reason", "met",
}  # fmt: skip
PREDICTION_KEYS = {
    "theorem", "statement", "kind", "source", "applies", "assumptions", "validity", "steps",
    "values", "spread", "mutants",
}  # fmt: skip


def without_times(record):
    """What two equal runs share."""
    kept = {k: v for k, v in record.items() if k != "provenance"}
    kept["runs"] = [
        {k: v for k, v in run.items() if k not in ("seconds", "reused")} for run in record["runs"]
    ]
    return kept


def test_a_run_that_meets_its_expectations(shell_with_report):
    shell = shell_with_report
    found = shell.run(shell.spec(**STATIC))
    assert found.code == 0
    assert "2 of 2 outcomes as expected (2 consistent)" in found.out
    assert "report: hzbench-out/spec/report.html" in found.out
    assert (shell.folder / "hzbench-out/spec/report.html").stat().st_size > 1000
    assert not list(shell.folder.rglob("*.part"))


def test_exit_1_when_an_outcome_is_not_the_expected_one(shell):
    expected = {"theorem": "step_invariants", "expect": "violated", "reason": "to see it fail"}
    found = shell.run(shell.spec(checks=[expected]))
    assert found.code == 1
    assert "0 of 1 outcomes as expected" in found.out
    assert "expected violated, got consistent" in found.out


def test_exit_0_for_an_expected_violation(shell):
    check = {"theorem": "step_invariants", "expect": "violated", "reason": "a planted bug"}
    found = shell.run(shell.spec(checks=[check], mutant="gossip_weight_48"), "--json")
    assert found.code == 0
    (verdict,) = found.json["runs"][0]["verdicts"]
    assert (verdict["outcome"], verdict["met"]) == ("violated", True)


def test_the_record_has_the_documented_keys_and_is_what_is_saved(shell):
    check = {"theorem": "quadratic_dynamics"}
    found = shell.run(shell.spec(**TWO, checks=[check]), "--json")
    record = found.json
    assert record == json.loads((shell.folder / "hzbench-out/spec/results.json").read_text())
    known = {"schema", "suite", "provenance", "runs", "met", "orderings", "readings"}
    assert set(record) == known
    assert record["schema"] == 1
    suite = record["suite"]
    assert set(suite) == {"name", "title", "description", "alpha", "checks", "level"}
    assert documented([*record, *suite])
    assert (suite["name"], suite["checks"]) == ("spec", 2)
    assert suite["level"] == suite["alpha"] / 2
    assert {"hzbench", "python", "numpy", "torch", "commit", "device", "created"} <= set(
        record["provenance"]
    )
    names = [run["name"] for run in record["runs"]]
    assert names == ["run[network.graph=ring]", "run[network.graph=star]"]
    for run in record["runs"]:
        assert set(run) >= RUN_KEYS
        assert set(run["verdicts"][0]) >= VERDICT_KEYS
        assert set(run["predictions"][0]) >= PREDICTION_KEYS
        assert documented([*run, *run["labels"], *run["predictions"][0]])
        check_columns(run)


def documented(keys):
    """Whether the schema in core/result.py names every key."""
    return all(f'"{key}"' in (result.__doc__ or "") for key in keys)


def check_columns(run):
    length = len(run["steps"])
    for name, column in run["observables"].items():
        assert len(column["mean"]) == len(column["standard_error"]) == length, name
        vector = isinstance(column["mean"][0], list)
        assert vector == (name == "mean_iterate")
        assert vector or set(column["quantiles"]) == {"0.05", "0.5", "0.95"}
    prediction = run["predictions"][0]
    assert set(prediction["values"]) <= set(run["observables"])
    assert all(len(v) == len(prediction["steps"]) for v in prediction["values"].values())
    assert run["replicas"] == 8
    assert run["labels"]["nodes"] == 4
    assert run["labels"]["gossip"] == "pair"


def test_names_of_cells_are_printed_whole(shell):
    found = shell.run(shell.spec(**TWO, **STATIC))
    assert "run[network.graph=ring]" in found.out
    assert "run[network.graph=star]" in found.out


def test_a_second_run_reuses_and_fresh_runs_again(shell):
    path = shell.spec(**STATIC)
    options = ((), (), ("--fresh",))
    first, second, fresh = (shell.run(path, *more, "--json").json for more in options)
    assert [r["runs"][0]["reused"] for r in (first, second, fresh)] == [False, True, False]
    assert without_times(first) == without_times(second) == without_times(fresh)
    other = shell.run(shell.spec(**STATIC, title="renamed"), "--json").json
    assert other["runs"][0]["reused"]
    changed = shell.run(shell.spec(**STATIC, run={"steps": 6, "replicas": 9}), "--json").json
    assert not changed["runs"][0]["reused"]


def test_a_corrupt_file_in_the_store_is_run_again(shell):
    path = shell.spec(**STATIC)
    first = shell.run(path, "--json").json
    (stored,) = shell.folder.rglob("*.parquet")
    for content in (b"", b"PAR1 not really", stored.read_bytes()[:-20]):
        stored.write_bytes(content)
        again = shell.run(path, "--json").json
        assert not again["runs"][0]["reused"]
        assert without_times(again) == without_times(first)


def test_the_seed_alone_decides(shell):
    nodes = [{"count": 4, "estimator": "zeroth_order"}]
    spec = {"nodes": nodes, **STATIC}
    one, same, other = (
        shell.run(shell.spec(**spec, run=BASE["run"] | run), "--json", "--fresh").json
        for run in ({"seed": 5}, {"seed": 5}, {"seed": 6})
    )
    assert without_times(one) == without_times(same)
    gaps = [r["runs"][0]["observables"]["objective_gap"]["mean"] for r in (one, other)]
    assert gaps[0][0] == gaps[1][0]
    assert gaps[0][-1] != gaps[1][-1]


def test_two_workers_give_what_one_gives(shell):
    nodes = [{"count": 2}, {"count": 2, "estimator": "zeroth_order"}]
    path = shell.spec(nodes=nodes, run={"steps": 6, "replicas": 300}, **STATIC, **TWO)
    one = shell("run", path, "--workers", "1", "--out", "one", "--json").json
    two = shell("run", path, "--workers", "2", "--out", "two", "--json").json
    assert without_times(one) == without_times(two)
    assert two["provenance"]["workers"] == 2


def test_beyond_the_stability_limit_a_warning_and_a_run_that_goes_on(shell):
    method = {"name": "hdo", "step_size": 40.0}
    checks = [{"theorem": "quadratic_dynamics"}]
    path = shell.spec(method=method, run={"steps": 300, "replicas": 8}, checks=checks)
    found = shell.run(path, "--json")
    assert found.code == 1
    assert "beyond the stability limit" in found.err
    assert "warning" in found.err
    (run,) = found.json["runs"]
    assert run["diverged"] == 8
    assert run["warnings"]
    gap = run["observables"]["objective_gap"]
    assert gap["mean"][0] is not None
    assert gap["mean"][-1] is None
    assert gap["quantiles"]["0.5"][-1] is None
    assert run["verdicts"][0]["outcome"] != "consistent"
    assert "NaN" not in found.out
    assert shell.run(path).code == 1
    assert "not finite" in shell("predict", path).out


def test_an_expected_end_of_a_diverged_run_is_exit_0(shell):
    method = {"name": "hdo", "step_size": 40.0}
    check = {"theorem": "quadratic_dynamics", "expect": "inconclusive", "reason": "it diverges"}
    run = {"steps": 300, "replicas": 8}
    assert shell.run(shell.spec(method=method, run=run, checks=[check])).code == 0


def test_no_warning_below_the_limit(shell):
    found = shell.run(shell.spec(**STATIC), "--json")
    assert found.json["runs"][0]["warnings"] == []
    assert "warning" not in found.err


def test_one_replica_and_one_node(shell):
    run = {"steps": 3, "replicas": 1}
    found = shell.run(shell.spec(nodes=[{"count": 1}], method="dsgd", run=run), "--json")
    assert found.code == 0
    gap = found.json["runs"][0]["observables"]["objective_gap"]
    assert gap["standard_error"] == [None] * len(gap["mean"])


def test_a_report_can_be_drawn_again(shell_with_report):
    shell = shell_with_report
    shell.run(shell.spec(**STATIC))
    results = shell.folder / "hzbench-out/spec/results.json"
    page = results.with_name("report.html")
    before = page.read_bytes()
    page.unlink()
    assert shell("report", results).code == 0
    assert page.read_bytes() == before
    assert shell("report", results, "--out", "elsewhere/page.html").code == 0
    assert (shell.folder / "elsewhere/page.html").read_bytes() == before


def test_a_suite_merges_defaults_and_expands_grids(shell):
    suite = {
        "suite": {"name": "mine", "title": "My suite", "alpha": 0.01},
        "default": {k: BASE[k] for k in ("problem", "nodes", "run")} | STATIC,
        "case": [
            {"name": "a", "run": {"steps": 3}},
            {"name": "b", "grid": {"network.graph": ["ring", "star"]}},
        ],
    }
    record = shell.run(write(shell.folder / "any.toml", suite), "--json").json
    assert record["suite"]["title"] == "My suite"
    assert record["suite"]["level"] == 0.01 / 6
    assert [run["name"] for run in record["runs"]] == [
        "a",
        "b[network.graph=ring]",
        "b[network.graph=star]",
    ]
    assert [run["steps"][-1] for run in record["runs"]] == [3, 6, 6]
    assert (shell.folder / "hzbench-out/mine/results.json").exists()


MUTANT_SPEC = {
    "nodes": [{"count": 4}],
    "checks": [{"theorem": "step_invariants", "mutants": ["gossip_weight_48", "missing_sqrt_d"]}],
}


def test_mutants_exit_1_while_one_survives(shell):
    found = shell("mutants", shell.spec(**MUTANT_SPEC), "--workers", "1", "--json")
    assert found.code == 1
    record = found.json
    assert record["found"] == {"gossip_weight_48": True, "missing_sqrt_d": False}
    assert record == json.loads((shell.folder / "hzbench-out/spec/mutants.json").read_text())
    rows = {row["mutant"]: row for row in record["rows"]}
    assert rows["gossip_weight_48"]["checks"][0]["with"] == "violated"
    assert rows["gossip_weight_48"]["checks"][0]["without"] == "consistent"
    assert not rows["gossip_weight_48"]["statistical"]
    found = shell("mutants", shell.spec(**MUTANT_SPEC), "--workers", "1")
    assert "1 of 2 mutants found" in found.out
    assert "report.html" in found.out
    assert "not found: missing_sqrt_d" in found.out


def test_mutants_exit_0_when_all_are_found(shell):
    checks = [{"theorem": "step_invariants", "mutants": ["gossip_weight_48", "combine_then_adapt"]}]
    problem = BASE["problem"] | {"noise": 0.5}
    spec = shell.spec(checks=checks, problem=problem, nodes=[{"count": 4}])
    assert shell("mutants", spec, "--workers", "1").code == 0
    found = shell("mutants", spec, "--workers", "1", "--power")
    assert found.code == 0
    assert found.out.count("1 of 1") == 4
    assert "2 of 2 mutants have a check of power at least 0.95" in found.out


def test_a_report_shows_the_study_beside_its_results(shell_with_report):
    shell = shell_with_report
    spec = shell.spec(**MUTANT_SPEC)
    page = shell.folder / "hzbench-out/spec/report.html"
    shell("mutants", spec, "--workers", "1")
    assert "1 of 2 mutants found" in page.read_text()
    assert "checks as expected" not in page.read_text()
    shell("run", spec, "--workers", "1")
    assert "1 of 2 mutants found" in page.read_text()
    assert "1 of 1</strong> checks as expected" in page.read_text()
    page.unlink()
    shell("report", page.with_name("results.json"))
    assert "1 of 2 mutants found" in page.read_text()


@pytest.mark.parametrize("verb", [("run",), ("predict",)])
def test_the_module_is_the_command(shell, verb):
    path = shell.spec(run={"steps": 6, "replicas": 8, "seed": "many"})
    found = subprocess.run(
        [sys.executable, "-m", "hzbench", *verb, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=shell.folder,
        timeout=60,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("hzbench: 1 mistake in ")
    assert "Traceback" not in found.stderr
    assert shell.written == ["spec.toml"]


def test_keys_set_on_the_command_line(shell):
    """Their run is saved beside that of the file; what changes nothing is a mistake."""
    path = shell.spec(**STATIC)
    assert shell.run(path).code == 0
    found = shell.run(path, "--set", "run.steps=4", "--set", "network.graph=star")
    assert found.code == 0
    assert "with run.steps=4, network.graph=star" in found.err
    record = json.loads(
        (shell.folder / "hzbench-out/spec-run.steps-4-network.graph-star/results.json").read_text()
    )
    assert record["runs"][0]["steps"][-1] == 4
    assert record["runs"][0]["spec"]["network"]["graph"]["name"] == "star"
    plain = json.loads((shell.folder / "hzbench-out/spec/results.json").read_text())
    assert plain["runs"][0]["steps"][-1] == 6
    before = shell.written
    for text in ("run.steps=6", "run.stepz=3", "run.steps", "nodes.3.count=1"):
        refused = shell.run(path, "--set", text)
        assert refused.code == 2
        assert refused.err.startswith("hzbench: ")
        assert "--set" in refused.err
        assert "Traceback" not in refused.err
    assert shell.written == before


def test_what_a_paper_says_is_printed(shell):
    suite = {
        "suite": {"name": "mine", "alpha": 0.05},
        "default": {k: BASE[k] for k in ("problem", "nodes")} | STATIC,
        "case": [{"name": "a", "run": BASE["run"] | {"observables": ["objective_gap"]}}],
        "reading": [
            {"run": "a", "observable": "objective_gap", "value": value, **more}
            for value, more in ((0.0, {"tolerance": 100.0}), (50.0, {"tolerance": 1.0}), (7.0, {}))
        ],
    }
    found = shell.run(write(shell.folder / "any.toml", suite))
    assert found.code == 0
    assert "seen: a, objective_gap at step 6 is 0 within 100" in found.out
    assert "not seen: a, objective_gap at step 6 is 50 within 1" in found.out
    assert found.out.count("(95 %: ") == 2
    assert "is 7" not in found.out
