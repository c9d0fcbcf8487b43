"""Mutants of memory, coins and masks: each changes the run, theory does not see it."""

import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.harness.build import build
from hzbench.harness.prepare import prepare
from hzbench.harness.simulate import simulate

METHODS = {
    "uncorrected_tracker": "gradient_tracking",
    "delay_one_less": {"name": "delayed_sgd", "delay": 2},
    "ignored_coin": {"name": "scaffnew", "probability": 0.5},
    "no_control_variate": {"name": "scaffnew", "probability": 0.5},
    "unscaled_mask": {"name": "rand_k_sgd", "kept": 2},
    "forgotten_error": {"name": "rand_k_sgd", "kept": 2, "memory": True},
    "no_public_copies": {"name": "choco_sgd", "kept": 2},
    "no_correction": "extra",
    "forgotten_exchange": "second_order",
    "undivided_push": "push_sum",
    "transposed_weights": "push_sum",
    "local_step_fewer": {"name": "local_sgd", "local_steps": 3},
}


PUSH = {
    "graph": {"name": "digraph", "arcs": [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]]},
    "weights": "push",
    "gossip": "matrix",
}


def spec_of(mutant, method, **problem):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 3, "heterogeneity": 1.0} | problem,
            "nodes": [{"count": 4, "batch_size": "full"}],
            "network": PUSH if method == "push_sum" else {"graph": "ring", "gossip": "matrix"},
            "method": method,
            "run": {"steps": 6, "replicas": 20, "record": [6]},
            "mutant": mutant,
        }
    )


def distance(spec):
    return simulate(spec, ["node_distance"]).at("node_distance", 6)


@pytest.mark.parametrize("name", METHODS)
def test_a_mutant_changes_the_run_and_theory_does_not_see_it(name):
    right, wrong = (spec_of(mutant, METHODS[name]) for mutant in (None, name))
    assert (distance(right) != distance(wrong)).mean() > 0.5
    assert plain(prepare(wrong).setting) == plain(prepare(right).setting)


@pytest.mark.parametrize("name", METHODS)
def test_a_mutant_is_refused_where_it_means_nothing(name):
    with pytest.raises(SpecError, match="means nothing"):
        build(spec_of(name, "dsgd"))


def test_mutants_are_the_method_they_name():
    less = spec_of("delay_one_less", {"name": "delayed_sgd", "delay": 2})
    np.testing.assert_array_equal(distance(less), distance(spec_of(None, "delayed_sgd")))
    lost = spec_of("unscaled_mask", {"name": "rand_k_sgd", "kept": 2, "step_size": 0.3})
    local = spec_of("local_step_fewer", {"name": "local_sgd", "local_steps": 3})
    shorter = spec_of(None, {"name": "local_sgd", "local_steps": 2})
    np.testing.assert_array_equal(distance(local), distance(shorter))
    for name, plain_name in (("extra", "simultaneous"), ("exact_diffusion", "adapt-combine")):
        method = {"name": name} | ({"lazy": False} if name == "exact_diffusion" else {})
        plain_run = spec_of(None, {"name": "dsgd", "order": plain_name})
        bare = spec_of("no_correction", method)
        np.testing.assert_allclose(distance(bare), distance(plain_run), rtol=1e-12)
    short = spec_of(None, {"name": "rand_k_sgd", "kept": 2, "step_size": 0.2})
    np.testing.assert_allclose(distance(lost), distance(short), rtol=1e-12)
