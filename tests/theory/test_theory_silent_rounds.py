"""Silent rounds: everyone steps, nobody exchanges; theory knows it or says that it does not."""

import numpy as np
import pytest

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.build import build, build_plan, build_problem
from hzbench.harness.prepare import predict, prepare
from hzbench.harness.run import run
from hzbench.harness.setting import setting_of
from hzbench.harness.simulate import simulate

KNOWN = {  # exact recursions, and what silence does not touch
    "quadratic_dynamics",
    "mean_dynamics",
    "path_dynamics",
    "decay_rate",
    "decay_slope",
    "step_invariants",
    "graph_spectrum",
}


def spec_of(gossip, nodes=4, silent=3, steps=6, momentum=0.0, **changes):
    network = {"gossip": gossip, "silent_rounds": silent, "graph": "complete"}
    if gossip == "matrix":
        network["graph"] = "ring"
    return Spec.parse(
        {
            "problem": {
                "name": "quadratic",
                "dimension": 2,
                "heterogeneity": 1.0,
                "noise": 0.5,
                "initial_spread": 1.0,
            },
            "nodes": [{"count": nodes, "step_size": 0.2}],
            "network": network,
            "method": {
                "name": "dsgd" if gossip == "matrix" else "hdo",
                "momentum": momentum,
                "schedule": {"name": "cosine", "warmup": 3},
            },
            "run": {"steps": steps, "replicas": 2048, "record": [2, 3, 4, steps]},
            **changes,
        }
    )


@pytest.mark.parametrize("gossip", ["matching", "matrix"])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_moments_are_those_of_lone_descent_and_then_of_the_network(gossip, momentum):
    """Γ and the mean iterate against a recursion of the test's own, with every matching listed."""
    spec = spec_of(gossip, momentum=momentum)
    problem = build_problem(spec)
    predicted = predict("quadratic_dynamics", setting_of(spec, problem)).values
    hessians, linear = problem.structure.hessians, problem.structure.linear
    swap = [(1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)]
    matchings = [(np.eye(4) + np.eye(4)[list(p)]) / 2 for p in swap]
    ring = build(spec).network.weights
    x, v = [problem.initial], [np.zeros_like(problem.initial)]
    for t in range(6):
        eta = 0.2 * ((t + 1) / 3 if t < 3 else (1 + np.cos(np.pi * (t - 3) / 3)) / 2)
        gradient = np.einsum("nij,nj->ni", hessians, x[-1]) - linear
        v.append(momentum * v[-1] + (1 - momentum) * gradient)
        mean = {"matching": np.mean(matchings, axis=0), "matrix": ring}[gossip]
        x.append((np.eye(4) if t < 3 else mean) @ (x[-1] - eta * v[-1]))
    steps = [2, 3, 4, 6]
    expected = [x[t].mean(0) for t in (0, *steps)]
    np.testing.assert_allclose(predicted["mean_iterate"], expected, rtol=1e-12, atol=1e-14)
    trace = run(spec).trace
    row = trace.columns["consensus_potential"]
    error = row.std(1, ddof=1) / np.sqrt(row.shape[1])
    z = (row.mean(1) - predicted["consensus_potential"])[1:] / error[1:]
    assert np.abs(z).max() < 4
    loud = predict("quadratic_dynamics", setting_of(spec_of(gossip, silent=0), problem)).values
    assert np.abs((row.mean(1) - loud["consensus_potential"])[1:3] / error[1:3]).min() > 50


def test_idle_nodes_of_odd_matchings_step_while_all_are_silent():
    """In silence everybody steps; afterwards the node without partner sits out."""
    names = ["consensus_potential", "objective_gap"]
    check = {"theorem": "quadratic_dynamics", "observables": names}
    (verdict,) = run(spec_of("matching", nodes=3, checks=[check]).sized(16384)).verdicts
    assert verdict.outcome == "consistent"


@pytest.mark.parametrize("gossip", ["matching", "matrix"])
def test_what_theory_does_not_know_in_silence_is_inapplicable(gossip):
    spec = spec_of(gossip)
    setting = setting_of(spec, build_problem(spec))
    found = {name for name in registry.entries("theorem") if predict(name, setting).applies}
    assert found <= KNOWN
    still = (
        spec_of(gossip, nodes=4, method={"name": "dsgd", "step_size": 0.0})
        if (gossip == "matrix")
        else spec_of(gossip, method={"name": "hdo", "step_size": 0.0})
    )
    still = still.replace(nodes=[{"count": 4}])
    setting = setting_of(still, build_problem(still))
    assert not predict("gossip_contraction", setting).applies
    assert not predict("gossip_rate", setting).applies


def test_the_plan_is_silent_and_draws_the_same_matchings_later():
    loud, quiet = (build(spec_of("matching", silent=s)) for s in (1, 3))
    a, b = (build_plan(parts, range(5)) for parts in (loud, quiet))
    np.testing.assert_array_equal(a.partners, b.partners)
    assert (a.silent, b.silent) == (1, 3)


def test_pairs_do_not_read_silent_rounds():
    with pytest.raises(SpecError, match=r"network\.silent_rounds: got 3 with protocol 'pair'"):
        prepare(spec_of("matching", network={"gossip": "pair", "silent_rounds": 3}))


def test_a_warmup_that_talks_is_another_run_and_theory_does_not_see_it():
    right, wrong = (spec_of("matching", mutant=name) for name in (None, "talking_warmup"))
    assert build_plan(build(wrong), range(3)).silent == 0
    columns = [simulate(s, ("consensus_potential",)).columns for s in (right, wrong)]
    found, other = (each["consensus_potential"][1] for each in columns)
    assert (found > 0).all()
    assert (found != other).all()
    assert (
        prepare(wrong).predictions[0].values.keys() == prepare(right).predictions[0].values.keys()
    )
    for name, value in prepare(right).predictions[0].values.items():
        np.testing.assert_array_equal(prepare(wrong).predictions[0].values[name], value)
    with pytest.raises(SpecError, match="means nothing"):
        build(spec_of("matching", silent=0, mutant="talking_warmup"))
