"""Values that do not vary: invariants, spectra, noise-free runs."""

import numpy as np
import pytest
from judge_synthetic import STEPS, make_trace, predict, squares

from hzbench.judge import judge

LEVEL = 1e-4


def constant(value, replicas=3):
    return np.full((len(STEPS), replicas), value)


@pytest.mark.parametrize(
    ("measured", "predicted", "outcome"),
    [
        (0.5, 0.5, "consistent"),
        (0.5, 0.5 * (1 + 9e-10), "consistent"),
        (0.5, 0.5 * (1 + 2e-9), "violated"),
        (5e7, 5e7 + 0.01, "consistent"),
        (9e-10, 0.0, "consistent"),
        (2e-9, 0.0, "violated"),
        (1e-17, -1e-16, "consistent"),
        (3e-12, 1e-12, "violated"),
    ],
)
def test_equal_replicas_are_compared_at_rounding(measured, predicted, outcome):
    trace = make_trace({"slem": constant(measured)})
    verdict = judge(trace, predict({"slem": predicted}), level=LEVEL)
    assert verdict.outcome == outcome
    assert (verdict.method, verdict.kind) == ("deterministic", "invariant")
    assert verdict.p_value == (1.0 if outcome == "consistent" else 0.0)


def test_a_residual_of_rounding_size_may_vary():
    noise = 1e-15 * np.random.default_rng(41).random((len(STEPS), 50))
    prediction = predict({"mass_residual": 0.0})
    assert (
        judge(make_trace({"mass_residual": noise}), prediction, level=LEVEL).outcome == "consistent"
    )


def test_one_replica_breaks_an_invariant():
    residual = np.zeros((len(STEPS), 50))
    residual[-1, 17] = 1e-6
    verdict = judge(
        make_trace({"mass_residual": residual}), predict({"mass_residual": 0.0}), level=LEVEL
    )
    assert verdict.outcome == "violated"
    assert "mass_residual at step 40" in verdict.reason
    assert verdict.statistics[-1].measured == 1e-6


def test_a_predicted_spread_of_zero_holds_every_replica_to_the_value():
    values = 2.0 + 1e-3 * np.random.default_rng(42).standard_normal((len(STEPS), 50))
    spread = {"thing": np.zeros(len(STEPS))}
    verdict = judge(
        make_trace({"thing": values}), predict({"thing": 2.0}, spread=spread), level=LEVEL
    )
    assert verdict.outcome == "violated"


def test_one_replica_shows_no_spread_so_a_miss_decides_nothing():
    trace = make_trace({"thing": constant(0.5, 1)})
    assert judge(trace, predict({"thing": 0.5}), level=LEVEL).outcome == "consistent"
    assert judge(trace, predict({"thing": 0.6}), level=LEVEL).outcome == "inconclusive"


def test_a_rare_event_that_no_replica_saw_is_no_violation():
    columns = {"event": constant(0.0, 4096)}
    rare = predict({"event": 1e-5}, spread={"event": np.full(len(STEPS), np.sqrt(1e-5))})
    assert judge(make_trace(columns), rare, level=LEVEL, steps=[40]).outcome != "violated"
    common = predict({"event": 0.01}, spread={"event": np.full(len(STEPS), np.sqrt(0.0099))})
    for steps in ([40], [30, 40]):
        verdict = judge(make_trace(columns), common, level=LEVEL, steps=steps)
        assert (verdict.outcome, verdict.method) == ("violated", "Hotelling T²")


def test_a_spectrum_is_compared_in_all_its_components():
    spectrum = np.linspace(0.0, 7.0, 16)
    trace = make_trace({"laplacian_spectrum": np.broadcast_to(spectrum, (1, 2, 16))}, (0,))
    good = predict({"laplacian_spectrum": spectrum[None]}, steps=(0,))
    assert judge(trace, good, level=LEVEL).outcome == "consistent"
    for component in range(16):
        wrong = spectrum.copy()
        wrong[component] += 1e-6
        bad = predict({"laplacian_spectrum": wrong[None]}, steps=(0,))
        verdict = judge(trace, bad, level=LEVEL)
        assert verdict.outcome == "violated"
        assert f"laplacian_spectrum[{component}] at step 0" in verdict.reason


@pytest.fixture(scope="module")
def mixed():
    gap = squares(np.random.default_rng(43), 4096)
    return make_trace({"objective_gap": gap, "function_calls": constant(60.0, 4096)})


@pytest.mark.parametrize(
    ("gap", "calls", "outcome", "method"),
    [
        (1.0, 60.0, "consistent", "Hotelling T²"),
        (1.1, 60.0, "violated", "Hotelling T²"),
        (1.0, 61.0, "violated", "deterministic"),
    ],
)
def test_certain_and_varying_values_together(mixed, gap, calls, outcome, method):
    prediction = predict({"objective_gap": gap, "function_calls": calls})
    verdict = judge(mixed, prediction, level=LEVEL)
    assert (verdict.outcome, verdict.method) == (outcome, method)
    if method == "Hotelling T²":
        assert verdict.reason.startswith("4 values of function_calls at 4 record points agree")
        assert len(verdict.statistics) == 8


def test_a_broken_invariant_needs_no_replicas():
    gap = squares(np.random.default_rng(44), 10)
    trace = make_trace({"objective_gap": gap, "function_calls": constant(60.0, 10)})
    prediction = predict({"objective_gap": 1.0, "function_calls": 61.0})
    assert judge(trace, prediction, level=LEVEL).outcome == "violated"
    prediction = predict({"objective_gap": 1.0, "function_calls": 60.0})
    assert judge(trace, prediction, level=LEVEL).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("size", "outcome"), [(4e-33, "consistent"), (1e-5, "violated")], ids=["residue", "real"]
)
def test_rounding_residue_beside_real_quantities_is_zero(size, outcome):
    """W = J/n wipes Γ out: 1e-17 in theory's floating point, 1e-33 in that of the run."""
    rng = np.random.default_rng(5)
    gap = squares(rng, 4096)[: len(STEPS)]
    residue = size * (1 + rng.random((len(STEPS), 4096)))
    trace = make_trace({"objective_gap": gap, "consensus_potential": residue})
    prediction = predict({"objective_gap": 1.0, "consensus_potential": 3e-17})
    verdict = judge(trace, prediction, level=LEVEL, observables=["consensus_potential"])
    assert verdict.outcome == outcome
