"""What a server's run records of its schedule: hand cases, and means of points by plain loops."""

import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.prepare import prepare
from hzbench.harness.simulate import simulate

TIMED = ("elapsed_seconds", "largest_delay", "least_harmonic_batch")


def spec_of(method, seconds=(1.0, 2.1, 4.05), steps=9, record=(3, 6, 9), **tables):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 2, "initial": 2.0, "heterogeneity": 1.0},
            "nodes": [{"count": len(seconds)}],
            "clock": {"name": "fixed", "seconds": list(seconds)},
            "method": method,
            "run": {"steps": steps, "record": list(record), "replicas": 2},
            **tables,
        }
    )


def test_ringleader_by_hand():
    """Rounds end at 5, 9 and 13 s; tables hold [4, 1, 1] at first and [3, 1, 1] later."""
    found = simulate(spec_of("ringleader"), TIMED).columns
    np.testing.assert_allclose(found["elapsed_seconds"][:, 0], [0, 5, 4, 4])
    least = 3 / (1 / 4 + 1 + 1), 3 / (1 / 3 + 1 + 1)
    np.testing.assert_allclose(found["least_harmonic_batch"][1:, 1], [least[0], least[1], least[1]])
    assert found["largest_delay"][:, 0].tolist() == [0, 2, 4, 4]


def test_asgd_by_hand():
    """Delays 0, 0, 2, 1; not every update has an estimate of every worker."""
    spec = spec_of("asgd", (1.0, 2.5), 4, (2, 3, 4))
    found = simulate(spec, TIMED).columns
    assert found["largest_delay"][:, 0].tolist() == [0, 0, 2, 2]
    assert found["elapsed_seconds"][:, 0].tolist() == [0, 2, 0.5, 0.5]
    assert (found["least_harmonic_batch"] == 0).all()


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_the_mean_of_the_points_used(engine):
    """Delays 0, 0, 2, 1, 0, 0 with steps .1 and .05: x^0, x^1, then x^0, x^2, ... by weight."""
    nodes = [{"count": 1, "step_size": 0.1}, {"count": 1, "step_size": 0.05}]
    words = {"nodes": nodes, "seconds": (1.0, 2.5), "steps": 6}
    every = simulate(spec_of("asgd", record=range(1, 7), **words), ("mean_iterate",))
    x = every.columns["mean_iterate"][:, 0]
    spec = spec_of("asgd", record=(2, 6), **words)
    found = simulate(spec, ("used_point",), engine=engine).columns["used_point"][:, 1]
    np.testing.assert_allclose(found[0], x[0])
    np.testing.assert_allclose(found[1], (x[0] + x[1]) / 2, rtol=1e-12)
    late = (0.05 * x[0] + 0.1 * (x[2] + x[4] + x[5])) / 0.35
    np.testing.assert_allclose(found[2], late, rtol=1e-12)


def test_a_reference_of_another_length_is_compared_at_the_same_fractions():
    versus = {"nodes": [{"count": 1}], "steps": 6}
    one = {"nodes": [{"count": 1, "work": 0.5}], "clock": {"name": "fixed"}, "versus": versus}
    spec = spec_of("minibatch_sgd", (1.0,), 12, (4, 12), **one)
    found = simulate(spec, ("objective_gap", "gradient_norm_difference")).columns
    alone = spec_of("minibatch_sgd", (1.0,), 6, (2, 6))
    theirs = simulate(alone, ("objective_gap", "gradient_norm")).columns
    np.testing.assert_allclose(found["reference_objective_gap"], theirs["objective_gap"])
    apart = found["gradient_norm"] - theirs["gradient_norm"]
    np.testing.assert_allclose(found["gradient_norm_difference"], apart)
    assert prepare(spec).setting.reference.record == (0, 2, 6)


def test_what_is_not_there_is_told():
    gossip = {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 2}],
        "run": {"observables": ["used_point", "largest_delay", "gradient_norm_difference"]},
    }
    with pytest.raises(SpecError) as told:
        prepare(Spec.parse(gossip))
    assert str(told.value).count("expected a server and its workers") == 2
    assert "expected a reference population" in str(told.value)


def test_record_points_that_fall_together_are_a_mistake():
    versus = {"nodes": [{"count": 1}], "steps": 3}
    with pytest.raises(SpecError, match=r"versus.steps: .* \[0, 8, 9\] become \[0, 3, 3\]"):
        prepare(spec_of("minibatch_sgd", (1.0,), record=(8, 9), versus=versus))
