"""`hzbench calibrate`: small amounts, exit codes, what cannot be calibrated."""

import json

EXACT = {
    "problem": {"name": "quadratic", "dimension": 2, "noise": 0.5, "initial_spread": 1.0},
    "nodes": [{"count": 4}],
    "run": {"steps": 4, "record": [2, 4]},
    "checks": [
        {"theorem": "quadratic_dynamics", "observables": ["objective_gap"]},
        {"theorem": "step_invariants"},
    ],
}
SMALL = ("--blocks", "3", "--resamples", "40", "--workers", "1")


def test_true_predictions_keep_their_levels(shell):
    found = shell("calibrate", shell.spec(**EXACT), *SMALL)
    assert found.code == 0
    assert "6 of 6 rates contain or lie below their level" in found.out
    record = json.loads((shell.folder / "hzbench-out/spec/calibrate.json").read_text())
    (row,) = record["rows"]
    assert (row["theorem"], row["statistics"], row["pool"]) == ("quadratic_dynamics", 2, 3 * 1024)
    assert [rate["trials"] for rate in row["blocks"]] == [3, 3]
    assert [rate["level"] for rate in row["resamples"]] == [0.05, 0.01, 1e-3, 1e-4]
    assert [rate["trials"] for rate in row["resamples"]] == [40] * 4


def test_a_wrong_run_does_not(shell):
    path = shell.spec(**EXACT, mutant="step_size_plus_5")
    found = shell("calibrate", path, "--blocks", "8", *SMALL[2:], "--json")
    assert found.code == 1
    record = json.loads(found.out)
    assert record["kept"] is False
    (row,) = record["rows"]
    assert [rate["kept"] for rate in row["blocks"]] == [False, False]
    assert all(rate["kept"] for rate in row["resamples"])


def test_a_suite_without_exact_means_has_nothing_to_calibrate(shell):
    found = shell("calibrate", shell.spec(), *SMALL)
    assert found.code == 2
    assert "none of whose checks tests an exact mean or a rate" in found.err
