"""Moments by symmetry against the dense recursion, which enumeration and Monte Carlo test."""

from dataclasses import replace

import numpy as np
import pytest
from theory_settings import FIRST, setting, zeroth

from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.core.structure import Quadratic
from hzbench.theory.commuting import reduction
from hzbench.theory.dynamics import build_model, observables

D, SIZES = 3, (2, 3, 1)
LAWS = (FIRST, zeroth(samples=2, difference="forward"), zeroth(directions="gaussian", samples=3))
ORDERS = ("adapt-combine", "combine-adapt", "simultaneous")


def rotation(seed=1):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))[0]


def by_kind(rows):
    return np.repeat(rows, SIZES, axis=0)


def three_kinds(turned=False, **changes):
    """Six nodes of three kinds that differ in everything a node may differ in."""
    rng = np.random.default_rng(7)
    A = np.array([np.diag(rng.uniform(0.5, 2.0, D)) for _ in SIZES])
    Q = rotation() if turned else np.eye(D)
    structure = Quadratic(
        hessians=by_kind(Q @ A @ Q.T),
        linear=by_kind(rng.normal(size=(3, D))),
        noise=by_kind(np.array([np.diag(rng.uniform(0.1, 0.5, D)) for _ in SIZES])),
        evaluation_noise=0.2,
    )
    words = {
        "step_sizes": by_kind([0.1, 0.25, 0.15]),
        "initial": by_kind(rng.normal(size=(3, D))),
        "network": NetworkFacts(),
        "steps": 9,
        "schedule": ScheduleFacts(name="cosine", warmup=3),
    }
    return setting(structure, tuple(by_kind(np.array(LAWS, dtype=object))), **(words | changes))


def one_kind(graph, laws, *, turned=False, **changes):
    """Eight nodes with different linear terms, starts and (for gradients) noise."""
    rng = np.random.default_rng(8)
    n, Q = len(laws), rotation() if turned else np.eye(D)
    structure = Quadratic(
        hessians=np.array([Q @ np.diag([0.5, 1.0, 1.7]) @ Q.T] * n),
        linear=rng.normal(size=(n, D)),
        noise=np.array([np.diag(rng.uniform(0.1, 0.5, D)) for _ in range(n)]),
    )
    words = {"step_sizes": np.full(n, 0.2), "network": NetworkFacts(graph=graph), "steps": 9}
    return setting(structure, laws, **(words | changes))


def assert_equal(given, size):
    """All observables to rounding; `size` says which reduction was found."""
    found = reduction(given)
    assert found is not None
    assert found.size == size
    values, spread = found.observables()
    dense, dense_spread = observables(given, build_model(given))
    assert values.keys() == dense.keys()
    for name in values:
        assert values[name] == pytest.approx(dense[name], rel=1e-11, abs=1e-12), name
    for name in spread.keys() & dense_spread.keys():
        assert spread[name][1:] == pytest.approx(dense_spread[name][1:], rel=1e-9)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("protocol", ["pair", "matching", "matrix"])
def test_classes_of_equal_nodes(protocol, turned):
    network = NetworkFacts(weights="lazy") if protocol == "matrix" else NetworkFacts()
    assert_equal(three_kinds(turned, protocol=protocol, network=network), size=15)


@pytest.mark.parametrize("protocol", ["pair", "matching"])
def test_classes_of_two_nodes(protocol):
    given = one_kind("complete", (FIRST, zeroth()), protocol=protocol, network=NetworkFacts())
    assert_equal(given, size=8)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("graph", ["ring", "hypercube"])
def test_modes_of_a_walk_regular_matrix(graph, order):
    assert_equal(one_kind(graph, (zeroth(samples=2),) * 8, order=order), size=16)


@pytest.mark.parametrize("order", ORDERS)
def test_modes_of_any_matrix_when_noise_does_not_grow(order):
    assert_equal(one_kind("star", (FIRST,) * 8, order=order, turned=True), size=16)


def test_equal_nodes_agree_exactly():
    given = three_kinds(protocol="matrix", network=NetworkFacts(weights="uniform"))
    assert (reduction(given).observables()[0]["consensus_potential"][1:] == 0).all()


def test_what_does_not_reduce():
    hybrid = one_kind("ring", (FIRST,) * 4 + (zeroth(),) * 4)
    none = [
        hybrid,
        one_kind("star", (zeroth(),) * 8),
        one_kind("ring", (FIRST,) * 8, momentum=0.5),
        one_kind("ring", (FIRST,) * 8, step_sizes=np.linspace(0.1, 0.2, 8)),
        one_kind("ring", (zeroth(directions="rademacher"),) * 8, turned=True),
        three_kinds(protocol="pair", network=NetworkFacts(graph="ring")),
        three_kinds(protocol="pair", order="combine-adapt"),
        replace(hybrid, problem=replace(hybrid.problem, structure=None)),
        replace(hybrid, laws=(None, *hybrid.laws[1:])),
    ]
    assert [reduction(given) for given in none] == [None] * len(none)
