"""Large settings: answered in little memory and time, or refused with the size and a way out.

A Hessian that all nodes share is a view; its n d² numbers would take GiBs that must never be made.
"""

import resource
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from theory_settings import FIRST, setting, spd

from hzbench.core import registry
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.setting import NetworkFacts
from hzbench.core.spec import Spec
from hzbench.core.structure import Quadratic
from hzbench.harness.prepare import predict, prepare
from hzbench.theory import stacks

SECONDS = 60.0  # a busy core; alone each takes a few
ROOM = 4 * 2**30


@contextmanager
def little_memory():
    """No more address space than now and ROOM."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def large(n, d, graph, gossip, method, **problem):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": d, "noise": 0.1, **problem},
            "nodes": [{"count": n}],
            "network": {"graph": graph, "gossip": gossip},
            "method": {"name": method},
            "run": {"steps": 100},
            "checks": [{"theorem": "quadratic_dynamics"}],
        }
    )


def shared(n, d):
    one = np.broadcast_to(np.diag(np.linspace(0.1, 1, d)), (n, d, d))
    return Quadratic(hessians=one, linear=np.zeros((n, d)), noise=0.01 * one)


def test_every_theorem_answers_for_a_thousand_nodes_in_a_thousand_dimensions():
    """n d² = 7.5 GiB, of which 4 are there."""
    case = prepare(large(1000, 1000, "ring", "pair", "hdo", heterogeneity=0.5))
    began = time.perf_counter()
    with little_memory():
        for name in registry.entries("theorem"):
            predict(name, case.setting)
        registry.find("limit", "replicas").target(case.setting)
    assert time.perf_counter() - began < SECONDS


def test_the_exact_recursion_says_its_size():
    case = prepare(large(1000, 1000, "ring", "pair", "hdo", heterogeneity=0.5))
    failed = [a for a in case.predictions[0].assumptions if not a.holds]
    assert [a.text for a in failed] == ["the exact recursion is affordable"]
    assert "state of size 1000 (at most 400)" in failed[0].detail
    assert "cost far less" in failed[0].detail


def test_many_nodes_are_refused_before_anything_is_built():
    began = time.perf_counter()
    with pytest.raises(SpecError, match=r"20000 nodes; expected at most 4096.*2.98 GiB.*fewer"):
        prepare(large(20_000, 10, "complete", "matrix", "dsgd"))
    assert time.perf_counter() - began < 10


def test_no_raw_memory_error(monkeypatch):
    def greedy(setting):
        np.empty((2**20, 2**20, 2**10))

    entry = SimpleNamespace(target=greedy)
    monkeypatch.setattr("hzbench.harness.prepare.registry.find", lambda *_: entry)
    given = setting(shared(3, 2), (FIRST,) * 3, network=NetworkFacts())
    with pytest.raises(UserMistakeError, match=r"n = 3, d = 2.*unable to allocate.*take fewer"):
        predict("quadratic_dynamics", given)


@pytest.mark.parametrize("kind", ["one", "diagonal", "full"])
def test_stacks_are_what_they_stand_for(kind):
    rng, n, d = np.random.default_rng(3), 4, 3
    made = {
        "one": np.broadcast_to(spd(rng, d), (n, d, d)),
        "diagonal": np.array([np.diag(rng.uniform(0.5, 2, d)) for _ in range(n)]),
        "full": np.array([spd(rng, d) for _ in range(n)]),
    }[kind]
    copy, x, b = np.array(made), rng.normal(size=(n, d)), rng.normal(size=(n, d))
    expected = np.array([A @ row for A, row in zip(copy, x, strict=True)])
    np.testing.assert_allclose(stacks.products(made, x), expected, rtol=1e-12)
    values = np.array([np.linalg.eigvals(A).real for A in copy])
    np.testing.assert_allclose(stacks.eigenvalue_range(made), [values.min(), values.max()])
    whole = copy.sum(0) / n
    np.testing.assert_allclose(whole @ stacks.minimiser(made, b), b.mean(0), atol=1e-12)
    np.testing.assert_allclose(stacks.mean_spectrum(made), np.linalg.eigvalsh(whole), rtol=1e-12)
    apart = max(np.abs(A - copy[0]).max() for A in copy)
    assert stacks.largest_difference(made) == pytest.approx(apart)
    assert (stacks.largest_difference(made) == 0) == (kind == "one")


def test_a_singular_mean_has_no_minimiser():
    with pytest.raises(np.linalg.LinAlgError):
        stacks.minimiser(np.array([np.diag([1.0, 0.0])]), np.ones((1, 2)))
