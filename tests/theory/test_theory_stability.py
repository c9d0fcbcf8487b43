"""Step-size limits against closed forms, and what the functions say outside their range."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.registry import entries
from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.invariants import step_invariants
from hzbench.theory.quadratic_dynamics import quadratic_dynamics
from hzbench.theory.stability import second_moment_radius, step_size_limit


def isotropic(n, d=5, slope=1.0):
    return Quadratic(
        hessians=np.array([slope * np.eye(d)] * n),
        linear=np.zeros((n, d)),
        noise=np.array([0.1 * np.eye(d)] * n),
    )


@pytest.mark.parametrize("directions", ["gaussian", "sphere", "rademacher", "coordinate"])
def test_all_reduce(directions):
    """η a < 2/(1 + Στ/n²)."""
    n, omega = 4, {"gaussian": 7, "sphere": 5, "rademacher": 5, "coordinate": 5}[directions]
    laws = (FIRST,) + (zeroth(directions=directions, samples=2),) * 3
    given = setting(
        isotropic(n, slope=2.0),
        laws,
        step_sizes=np.full(n, 0.1),
        network=NetworkFacts(weights="uniform"),
    )
    limit, sentence = step_size_limit(given)
    expected = 2 / (1 + 3 * (omega - 1) / 2 / n**2) / 0.2
    assert limit == pytest.approx(expected, rel=1e-4)
    assert "mean-square" in sentence


@pytest.mark.parametrize("protocol", ["pair", "matching"])
def test_identical_nodes_on_the_complete_graph(protocol):
    """Stable while 2 − ρ²(1 + r) − η²τ > 0, r the correlation between nodes."""
    n, tau = 6, 4 / 2

    def margin(eta):
        rho = 1 - eta
        r = 1 / (1 + 2 * (n - 2) * eta)
        if protocol == "matching":
            r = 1 / (1 + (n - 2) * (1 - rho**2))
        return 2 - rho**2 * (1 + r) - eta**2 * tau

    edge = brentq(margin, 0.1, 1.0)
    given = setting(
        isotropic(n),
        (zeroth(samples=2),) * n,
        step_sizes=np.full(n, 0.05),
        protocol=protocol,
    )
    assert step_size_limit(given)[0] == pytest.approx(edge / 0.05, rel=1e-4)


def test_the_whole_spectrum_matters():
    """n = 1, gaussian, m = 1: Σ η a/(2(1 − η a)) = 1."""
    slopes = np.array([1.0, 0.7, 0.3, 0.2])
    edge = brentq(lambda e: (e * slopes / (2 * (1 - e * slopes))).sum() - 1, 0.01, 0.999)
    structure = Quadratic(
        hessians=np.diag(slopes)[None], linear=np.zeros((1, 4)), noise=np.zeros((1, 4, 4))
    )
    law = zeroth(directions="gaussian")
    given = setting(structure, (law,), step_sizes=np.full(1, 0.1))
    assert step_size_limit(given)[0] == pytest.approx(edge / 0.1, rel=1e-4)


@pytest.mark.parametrize("protocol", ["pair", "matching", "matrix"])
def test_moments_shrink_below_and_grow_above(protocol):
    structure, _ = quadratic(np.random.default_rng(1), 3, 2, noise=0.0)
    given = setting(
        structure,
        (FIRST, zeroth(), zeroth(directions="coordinate")),
        protocol=protocol,
        step_sizes=np.array([0.1, 0.2, 0.15]),
        steps=400,
        record=(300, 400),
        momentum=0.3,
    )
    limit, _ = step_size_limit(given)
    for factor, grows in ((0.97, False), (1.03, True)):
        scaled = replace(given, step_sizes=factor * limit * given.step_sizes)
        before, after = quadratic_dynamics(scaled).values["node_distance"]
        assert (after > 1.1 * before) if grows else (after < 1.001 * before)


def test_the_radius_at_these_step_sizes_agrees_with_the_limit():
    structure, _ = quadratic(np.random.default_rng(4), 3, 2)
    base = setting(structure, (FIRST, zeroth(), FIRST), protocol="pair")
    limit, _ = step_size_limit(base)
    for factor in (0.5, 0.98, 1.02, 2.0):
        scaled = replace(base, step_sizes=base.step_sizes * limit * factor)
        assert (second_moment_radius(scaled)[0] < 1) == (factor < 1)
    assert np.isnan(second_moment_radius(setting(None, (FIRST, FIRST)))[0])


def test_an_expansive_matrix_is_stable_at_no_step_size():
    structure, _ = quadratic(np.random.default_rng(3), 2, 2)
    network = NetworkFacts(matrix=((-0.5, 1.5), (1.5, -0.5)))
    limit, sentence = step_size_limit(setting(structure, (FIRST, FIRST), network=network))
    assert limit == 0.0
    assert "averaging itself expands" in sentence


def test_other_limits_are_named():
    structure, _ = quadratic(np.random.default_rng(2), 60, 4)
    large = setting(structure, (FIRST,) * 60, step_sizes=np.full(60, 0.1), protocol="pair")
    limit, sentence = step_size_limit(large)
    assert limit == pytest.approx(20 / np.linalg.eigvalsh(structure.hessians).max())
    assert "deterministic" in sentence
    unknown = setting(None, (FIRST, FIRST))
    assert np.isnan(step_size_limit(unknown)[0])
    smooth = setting(None, (FIRST, FIRST), constants=Constants(smoothness=4.0))
    assert step_size_limit(smooth)[0] == pytest.approx(2 / 4 / 0.3)
    assert step_size_limit(replace(smooth, moves=False))[0] == np.inf
    assert step_size_limit(replace(smooth, step_sizes=np.zeros(2)))[0] == np.inf


def test_invariants():
    base = setting(None, (FIRST,) * 4, protocol="pair", record=(0, 1, 2))
    every = {"pair_disagreement", "mass_residual", "idle_change"}
    one_sided = NetworkFacts(matrix=np.array([[0.5, 0.5], [0.2, 0.8]]))
    cases = [
        (base, every),
        (replace(base, momentum=0.5), every - {"mass_residual"}),
        (replace(base, order="combine-adapt"), {"mass_residual", "idle_change"}),
        (replace(base, protocol="matching"), {"pair_disagreement", "mass_residual"}),
        (replace(base, protocol="matrix"), {"mass_residual"}),
        (replace(base, protocol="matrix", order="simultaneous"), {"mass_residual"}),
        (replace(base, protocol="matrix", momentum=0.1), set()),
        (setting(None, (FIRST,) * 2, network=one_sided), set()),
        (replace(base, moves=False), set()),
        (replace(base, record=()), set()),
    ]
    for given, names in cases:
        prediction = step_invariants(given)
        assert set(prediction.values) == names
        assert prediction.applies == bool(names)
        if names:
            assert prediction.steps == (2,)
            assert all(value.tolist() == [0.0] for value in prediction.values.values())


def strange_settings():
    """Valid settings far from what the theorems expect."""
    rng = np.random.default_rng(3)
    structure, _ = quadratic(rng, 4, 2)
    negative = replace(structure, hessians=-structure.hessians)
    flat = replace(structure, hessians=0 * structure.hessians)
    logistic = GeneralizedLinear(
        features=rng.normal(size=(5, 2)),
        targets=np.array([1.0, -1, 1, -1, 1]),
        members=tuple(np.arange(5) for _ in range(4)),
        loss="logistic",
        regularization=0.1,
    )
    laws = (FIRST, zeroth(), zeroth(directions="gaussian", difference="forward"), None)
    for shape in (structure, negative, flat, logistic, replace(logistic, loss="squared"), None):
        for four in (laws, (FIRST,) * 4):
            base = setting(shape, four)
            yield base
            for protocol in ("pair", "matching"):
                yield replace(base, protocol=protocol)
                yield replace(base, protocol=protocol, network=NetworkFacts(graph="nowhere"))
            yield replace(base, network=NetworkFacts(graph="hypercube", weights="unheard-of"))
            yield replace(base, record=())
            yield replace(base, record=(0,), steps=0)
            yield replace(base, moves=False)
            yield replace(base, reference=base)
            yield replace(base, kinds=("zeroth",) * 4, reference=setting(None, (FIRST,)))
            yield replace(base, step_sizes=np.zeros(4), momentum=0.9)
            yield replace(base, schedule=ScheduleFacts(name="cosine", warmup=1))
            yield replace(base, step_sizes=np.full(4, 1e6))
    single = setting(isotropic(1), (FIRST,))
    for protocol in ("pair", "matching", "matrix"):
        yield replace(single, protocol=protocol)


def test_no_theorem_raises():
    theorems = entries("theorem")
    assert len(theorems) >= 9
    for given in strange_settings():
        for name, entry in theorems.items():
            prediction = entry.target(given)
            assert prediction.theorem == name
            assert prediction.applies == bool(prediction.values)
            assert prediction.assumptions
            assert prediction.source.locator
            for value in [*prediction.values.values(), *prediction.spread.values()]:
                assert len(value) == len(prediction.steps)
        limit, sentence = step_size_limit(given)
        assert sentence
        assert np.isnan(limit) or limit > 0


def test_assumptions_come_in_one_order():
    for entry in entries("theorem").values():
        seen = [
            tuple(a.text for a in entry.target(given).assumptions) for given in strange_settings()
        ]
        longest = max(seen, key=len)
        assert sum(len(texts) == len(longest) for texts in seen) > 0
        assert entry.section("Formula")
        assert entry.section("Source")
        assert entry.summary
