"""Run: the Python API, default checks, recording, paired populations, statuses and invariants."""

import numpy as np
import pytest
import torch

import hzbench
from hzbench.core.plan import Round
from hzbench.core.spec import Spec
from hzbench.core.trace import Trace
from hzbench.engine.torch_executor import Event
from hzbench.harness.prepare import prepare
from hzbench.harness.recorder import STRATA, invariant_residuals, probe_steps
from hzbench.harness.results import run_record, summary
from hzbench.harness.run import execute_case
from hzbench.harness.simulate import simulate

BASE = {
    "problem": {"name": "quadratic", "dimension": 2, "noise": 0.2, "initial_spread": 1.0},
    "nodes": [{"count": 2}, {"count": 2, "estimator": {"name": "zeroth_order"}}],
    "run": {"steps": 10, "replicas": 40},
}
INVARIANTS = {"checks": [{"theorem": "step_invariants"}]}


def spec_of(**changes):
    return Spec.parse(BASE | changes)


def test_a_result_has_its_trace_predictions_and_verdicts():
    result = hzbench.run(spec_of(**INVARIANTS))
    assert isinstance(result, hzbench.Result)
    assert isinstance(result.trace, Trace)
    assert [p.theorem for p in result.predictions] == ["step_invariants"]
    assert [v.outcome for v in result.verdicts] == ["consistent"]
    assert result.met
    assert result.digest
    assert not result.reused


def test_run_takes_a_mapping_and_a_path(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(
        'nodes = [{count = 2}]\nproblem = {name = "quadratic", dimension = 2}\n'
        'checks = [{theorem = "step_invariants"}]\nrun = {steps = 3, replicas = 4}\n'
    )
    assert hzbench.run(path).trace.replicas == 4
    assert hzbench.run(str(path)).met
    assert hzbench.run(BASE | INVARIANTS).trace.replicas == 40


def test_run_stores_and_reuses_when_asked(tmp_path):
    first, second = (hzbench.run(spec_of(**INVARIANTS), out=tmp_path) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    for name, values in first.trace.columns.items():
        np.testing.assert_array_equal(values, second.trace.columns[name])


def test_without_checks_every_theorem_that_applies_is_one():
    found = {check.theorem for check in prepare(spec_of()).checks}
    assert {"quadratic_dynamics", "graph_spectrum"} <= found
    assert not {"least_squares_dynamics", "estimator_moments"} & found
    assert {c.theorem for c in prepare(spec_of(method="probe")).checks} >= {"estimator_moments"}


def test_without_checks_a_long_vector_that_nobody_records_is_none():
    case = prepare(spec_of(problem={"name": "quadratic", "dimension": 20}))
    assert "quadratic_dynamics" in {check.theorem for check in case.checks}
    assert "mean_dynamics" not in {check.theorem for check in case.checks}
    assert "mean_iterate" not in case.observables
    case = prepare(spec_of(problem={"name": "quadratic", "dimension": 2}))
    assert "mean_dynamics" in {check.theorem for check in case.checks}


def test_the_level_is_shared_by_the_checks_of_a_run():
    checks = [{"theorem": "step_invariants"}, {"theorem": "graph_spectrum"}]
    result = hzbench.run(spec_of(checks=checks), alpha=0.01)
    assert {verdict.level for verdict in result.verdicts} == {0.005}


def test_what_theory_predicts_is_recorded():
    case = prepare(spec_of(checks=[{"theorem": "graph_spectrum"}]))
    assert {"laplacian_spectrum", "objective_gap", "consensus_potential"} <= set(case.observables)
    wide = BASE["problem"] | {"dimension": 40}
    assert "mean_iterate" not in prepare(spec_of(problem=wide)).observables
    asked = [{"theorem": "quadratic_dynamics", "observables": ["mean_iterate"]}]
    assert "mean_iterate" in prepare(spec_of(problem=wide, checks=asked)).observables


def test_a_bigger_block_count_changes_only_the_replicas_it_adds():
    progress = []
    spec = spec_of(run={"steps": 3, "replicas": 600})
    trace = simulate(spec, ("mean_iterate",), progress=progress.append)
    assert progress == sorted(progress)
    assert {256 / 600, 512 / 600, 1.0} <= set(progress)
    fewer = simulate(spec_of(run={"steps": 3, "replicas": 300}), ("mean_iterate",))
    both = [each.columns["mean_iterate"][:, :300] for each in (trace, fewer)]
    assert (both[0] == both[1]).all()
    assert trace.columns["mean_iterate"].shape == (len(trace.steps), 600, 2)
    assert len(np.unique(trace.columns["mean_iterate"][-1, :, 0])) == 600


def test_equal_populations_differ_by_nothing():
    spec = spec_of(versus={"nodes": BASE["nodes"]}, **INVARIANTS)
    trace = simulate(spec, ("objective_gap", "objective_gap_difference"))
    assert (trace.columns["objective_gap_difference"] == 0).all()


def test_a_paired_difference_is_that_of_two_runs_with_one_seed():
    others = [{"count": 4, "batch_size": "full"}]
    both = simulate(
        spec_of(versus={"nodes": others}), ("objective_gap", "objective_gap_difference")
    )
    ours, theirs = (
        simulate(spec_of(nodes=nodes), ("objective_gap",)).columns["objective_gap"]
        for nodes in (BASE["nodes"], others)
    )
    np.testing.assert_array_equal(both.columns["objective_gap"], ours)
    np.testing.assert_allclose(both.columns["objective_gap_difference"], ours - theirs, atol=1e-14)


def test_diverged_replicas_are_counted_and_kept():
    spec = spec_of(method={"name": "hdo", "step_size": 1e8}, run={"steps": 80, "replicas": 6})
    trace = simulate(spec, ("objective_gap", "mean_iterate"))
    assert trace.diverged == trace.replicas == 6
    assert not np.isfinite(trace.columns["objective_gap"][-1]).any()
    assert np.isfinite(trace.columns["objective_gap"][0]).all()
    case = prepare(spec)
    assert case.warnings
    assert "stability limit" in case.warnings[0]
    record = run_record(execute_case(case, 1e-4))
    assert record["diverged"] == 6
    assert record["observables"]["objective_gap"]["mean"][-1] is None


def test_a_trace_says_what_it_does_not_hold():
    trace = simulate(spec_of(), ("objective_gap",))
    assert trace.at("objective_gap", 10).shape == (40,)
    with pytest.raises(KeyError, match="expected one of"):
        trace.at("objective_gap", 6000)
    with pytest.raises(KeyError, match="mean_iterate"):
        trace.at("mean_iterate", 10)


def test_summaries_are_means_standard_errors_and_quantiles():
    values = np.random.default_rng(0).normal(size=(3, 50))
    found = summary(values)
    np.testing.assert_allclose(found["mean"], [sum(row) / 50 for row in values])
    by_hand = [(sum((row - row.mean()) ** 2) / 49 / 50) ** 0.5 for row in values]
    np.testing.assert_allclose(found["standard_error"], by_hand)
    np.testing.assert_allclose(found["quantiles"]["0.5"], np.median(values, axis=1))
    assert "quantiles" not in summary(values[:, :, None])
    assert np.isnan(summary(values[:, :1])["standard_error"]).all()


@pytest.mark.parametrize("steps", [1, STRATA, STRATA + 1, 1000, 4096])
def test_path_averages_look_once_in_every_stratum(steps):
    found = np.array(probe_steps(steps, 7, 0))
    assert len(found) == min(steps, STRATA)
    assert found.min() >= 0
    assert found.max() < steps
    if steps <= STRATA:
        assert found.tolist() == list(range(steps))
    else:
        width = steps / STRATA
        assert (np.floor((found + 1) / width) >= np.arange(STRATA)).all()
        assert (found / width < np.arange(1, STRATA + 1)).all()
        assert found.tolist() != list(probe_steps(steps, 7, 1))
        assert found.tolist() != list(probe_steps(steps, 8, 0))


def event(after, gradient=((1.0,), (3.0,)), partner=(1, 0)):
    """Nodes 0 and 1 of three meet: from 0, 4, 9 with η = ½ to ½(0 − ½ + 4 − 1.5) = 1."""
    zeros = np.zeros(2, dtype=np.int64)
    return Event(
        round=Round(replica=zeros, node=np.array([0, 1]), step=zeros, partner=np.array(partner)),
        before=torch.tensor([[[0.0], [4.0], [9.0]]]),
        after=torch.tensor(after)[None, :, None],
        gradient=torch.tensor(gradient),
        step_size=torch.full((2, 1), 0.5),
    )


@pytest.mark.parametrize(
    ("after", "mass", "pair", "idle"),
    [
        ([1.0, 1.0, 9.0], 0, 0, 0),
        ([1.5, 0.5, 9.0], 0, 1 / 9, 0),
        ([1.0, 1.0, 8.0], 1 / 9, 0, 1),
        ([2.0, 2.0, 9.0], 2 / 9, 0, 0),
    ],
)
def test_invariants_measure_each_breach(after, mass, pair, idle):
    found = {name: float(value[0]) for name, value in invariant_residuals(event(after)).items()}
    assert found["mass_residual"] == pytest.approx(mass, abs=1e-7)
    assert found["pair_disagreement"] == pytest.approx(pair, abs=1e-7)
    assert found["idle_change"] == pytest.approx(idle, abs=1e-7)


def test_servers_are_warned_of_divergence_and_of_bias():
    def warnings(method, **problem):
        table = {
            "problem": {"name": "quadratic", "dimension": 2, **problem},
            "nodes": [{"count": 4}],
            "method": method,
            "clock": {"name": "fixed", "pace": "linear"},
            "run": {"steps": 10, "replicas": 256},
        }
        return prepare(Spec.parse(table)).warnings

    apart = {"heterogeneity": 1.0}
    assert warnings({"name": "asgd", "step_size": 0.01}) == ()
    assert warnings({"name": "ringleader", "step_size": 0.01}, **apart) == ()
    (told,) = warnings({"name": "asgd", "step_size": 0.01}, **apart)
    assert "workers have different data" in told
    (told,) = warnings({"name": "ringleader", "step_size": 2.0}, **apart)
    assert "beyond the stability limit" in told


def test_a_step_beyond_a_bound_on_the_curvature_may_converge():
    """2/L for L = sup φ'' |a|² + λ: f bends less where margins are large, so the run converges."""
    table = {
        "problem": {
            "name": "logistic",
            "features": [[4.0], [-4.0], [1.0]],
            "targets": [1, -1, -1],
            "standardize": False,
            "regularization": 0.01,
            "partition": "replicated",
        },
        "nodes": [{"count": 2, "batch_size": "full"}],
        "network": {"gossip": "matrix"},
        "method": {"name": "dsgd", "step_size": 1.6},
        "run": {"steps": 200, "replicas": 1, "record": [200], "observables": ["gradient_norm"]},
    }
    case = prepare(Spec.parse(table))
    assert 2 / case.setting.problem.constants.smoothness < 1.6
    (told,) = case.warnings
    assert "may be beyond the stability limit" in told
    assert "may diverge" in told
    assert "grow without bound" not in told
    assert execute_case(case, 1e-4).trace.at("gradient_norm", 200).max() < 1e-20
    table["problem"] = {"name": "quadratic", "dimension": 1}
    (told,) = prepare(Spec.parse({**table, "method": {"name": "dsgd", "step_size": 2.1}})).warnings
    assert "is beyond the stability limit" in told
    assert "grow without bound" in told
