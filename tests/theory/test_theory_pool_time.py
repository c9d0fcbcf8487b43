"""Which pool is ahead at one time: moments of plain recursions; what the rules P2 and P3 say."""

import numpy as np
import pytest

from hzbench.core.spec import Spec
from hzbench.harness.build import build_problem
from hzbench.harness.prepare import predict
from hzbench.harness.setting import reference_spec, setting_of
from hzbench.theory.pool_time import rule_of

HELPER = {"name": "zeroth_order", "directions": "gaussian", "difference": "directional_derivative"}
SPECTRUM = (1.0, 0.4, 0.1)


def setting(**changes):
    table = {
        "problem": {"name": "quadratic", "spectrum": list(SPECTRUM), "initial": 2.0},
        "nodes": [{"count": 5, "work": 0.5, "step_size": 0.4, "estimator": HELPER}],
        "clock": {"name": "fixed"},
        "method": {"name": "minibatch_sgd", "step_size": 0.1},
        "versus": {"nodes": [{"count": 1, "step_size": 0.9}], "steps": 4},
        "run": {"steps": 8, "record": [8], "replicas": 4},
    }
    spec = Spec.parse({**table, **changes})
    return setting_of(spec, build_problem(spec), build_problem(reference_spec(spec)))


def level(steps, size, helpers=0):
    """E|∇f|² after steps of minibatches without noise, by modes; Cov u u'g = |g|² I + gg'."""
    a, q = np.array(SPECTRUM), np.full(3, 4.0 / 3)
    for _ in range(steps):
        g = a**2 * q
        added = size**2 * (g.sum() + g) / helpers if helpers else 0.0
        q = (1 - size * a) ** 2 * q + added
    return float(a**2 @ q)


def test_zeroth_order_alone_against_a_gradient():
    """Without noise: second moments of both by hand; P2 compares 5 with 0.5*4/(1 - 0.5) = 4."""
    asked = setting()
    found = predict("pool_time_order", asked)
    assert found.applies, found.assumptions
    mine, theirs = level(8, 0.4, helpers=5), level(4, 0.9)
    assert f"{mine:.4g}, and {theirs:.4g}" in found.statement
    assert found.values["gradient_norm_difference"] == [np.sign(mine - theirs)]
    assert rule_of(asked, asked.reference) == "Rule P2: n0 = 5 against 4, so they win."


def switched(workers, noise=1.0):
    """A straggler of 20 s that becomes one of 10 s without gradients."""
    fast = {"count": workers - 1, "step_size": 0.3}
    return setting(
        problem={"name": "quadratic", "spectrum": list(SPECTRUM), "noise": noise, "initial": 2.0},
        nodes=[fast, {"count": 1, "work": 10.0, "step_size": 0.3, "estimator": HELPER}],
        method={"name": "malenia", "step_size": 0.1},
        versus={"nodes": [fast, {"count": 1, "work": 20.0, "step_size": 0.3}], "steps": 4},
    )


@pytest.mark.parametrize("workers", [2, 12])
def test_a_straggler_without_gradients(workers):
    """Rounds of the others hold 20 or 10 each; κ = d + 2, σ² = d."""
    asked = switched(workers)
    found = predict("pool_time_order", asked)

    def run(steps, others, own, growth, factor):
        a, m, v = np.array(SPECTRUM), np.full(3, 2 / np.sqrt(3)), np.zeros(3)
        for _ in range(steps):
            g = a**2 * (m**2 + v)
            slow = growth * (g + g.sum()) + (1 + factor) / own
            noise = (workers - 1) / others + slow
            m, v = (1 - 0.3 * a) * m, (1 - 0.3 * a) ** 2 * v + 0.09 * noise / workers**2
        return float(a**2 @ (m**2 + v))

    mine, theirs = run(8, 10, 1, 1, 4), run(4, 20, 1, 0, 0)
    told = predict("server_moments", asked).values["gradient_norm"][-1]
    assert told == pytest.approx(mine)
    assert f"{mine:.4g}, and {theirs:.4g}" in found.statement or not found.applies
    if found.applies:
        assert found.values["gradient_norm_difference"] == [np.sign(mine - theirs)]
    ratio = 3.0 / min(mine, theirs)
    least = np.sqrt((0.5 * 5 - 1) / 0.5 * ratio)
    assert f"n = {workers} against n* = {least:.4g}" in rule_of(asked, asked.reference)


def test_rules_are_silent_where_they_do_not_speak():
    mixed = setting(nodes=[{"count": 1}, {"count": 2, "estimator": HELPER}])
    assert rule_of(mixed, mixed.reference) == ""
    noisy = setting(problem={"name": "quadratic", "dimension": 3, "noise": 1.0})
    assert rule_of(noisy, noisy.reference) == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"versus": {"nodes": [{"count": 1, "step_size": 0.9}]}}, "both end at one time"),
        (
            {"nodes": [{"count": 1, "work": 0.5, "step_size": 0.0}],
             "versus": {"nodes": [{"count": 1, "step_size": 0.0}], "steps": 4}},
            "the exact values differ by a tenth",
        ),
        ({"versus": None}, "there is a reference population"),
    ],
)  # fmt: skip
def test_what_does_not_apply_says_why(changes, text):
    asked = setting().reference if changes == {"versus": None} else setting(**changes)
    found = predict("pool_time_order", asked)
    assert next(each.text for each in found.assumptions if not each.holds) == text
