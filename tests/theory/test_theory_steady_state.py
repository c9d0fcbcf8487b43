"""Steady states against dense linear solves over enumerated exchanges, and against long runs."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from theory_settings import FIRST, setting, zeroth

from hzbench.core.registry import find
from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.core.structure import Quadratic
from hzbench.theory import steady_forms
from hzbench.theory.coordinates import coordinates
from hzbench.theory.dynamics import exact_observables

D, A, NOISE = 3, 1.5, 0.4
UNIFORM = NetworkFacts(weights="uniform")
SCALARS = ("objective_gap", "consensus_potential", "node_distance", "gradient_norm")


def isotropic(n):
    return Quadratic(
        hessians=np.array([A * np.eye(D)] * n),
        linear=np.ones((n, D)),
        noise=np.array([np.diag([0.1, 0.2, 0.3])] * n) * NOISE,
        evaluation_noise=0.1,
    )


def words(laws, eta=0.2, steps=300, **changes):
    n = len(laws)
    return setting(
        isotropic(n),
        laws,
        **{
            "step_sizes": np.full(n, eta),
            "initial": np.ones((n, D)),
            "steps": steps,
            "record": (steps,),
            **changes,
        },
    )


def noise_of(law):
    """(s, τ) from A2 and A8, by hand: sphere ω = d, gaussian ω = d + 2; central differences."""
    trace = NOISE * 0.6
    if law is FIRST:
        return trace, 0.0
    grow = ((D + 2 if law.directions == "gaussian" else D) - 1) / law.samples
    own = D * 0.1**2 / (2 * law.smoothing**2 * law.samples)
    return trace * (1 + grow) + own, grow


def matchings(nodes):
    if not nodes:
        yield ()
        return
    first, *rest = nodes
    for other in rest:
        for left in matchings([k for k in rest if k != other]):
            yield ((first, other), *left)


def averaging(n, pairs):
    W = np.eye(n)
    for i, j in pairs:
        W[[i, i, j, j], [i, j, i, j]] = 0.5
    return W


def exchanges(protocol, n, W):
    """(probability, W, who steps) of every exchange."""
    if protocol == "matrix":
        return [(1.0, W, np.ones(n))]
    if protocol == "pair":
        edges = list(combinations(range(n), 2))
        return [(1 / len(edges), averaging(n, [e]), np.isin(np.arange(n), e) * 1.0) for e in edges]
    found = list(matchings(list(range(n))))
    return [(1 / len(found), averaging(n, m), np.ones(n)) for m in found]


def dense(laws, protocol, eta, W=None):
    """Steady state and spectral radius of the Gram matrix E x_i'x_j, by a dense n² × n² solve."""
    n = len(laws)
    s, tau = np.array([noise_of(law) for law in laws]).T

    def advance(M, constant):
        total = np.zeros((n, n))
        for p, mix, who in exchanges(protocol, n, W):
            keep = 1 - eta * A * who
            inner = keep[:, None] * M * keep
            inner = inner + np.diag(eta**2 * who * (constant * s + tau * A**2 * M.diagonal()))
            total += p * mix @ inner @ mix.T
        return total

    units = np.eye(n * n).reshape(-1, n, n)
    F = np.array([advance(unit, 0.0).ravel() for unit in units]).T
    offset = advance(np.zeros((n, n)), 1.0).ravel()
    M = np.linalg.solve(np.eye(n * n) - F, offset).reshape(n, n)
    mean = M.sum() / n**2
    node = M.trace() / n
    values = {
        "objective_gap": A / 2 * mean,
        "consensus_potential": node - mean,
        "node_distance": node,
        "gradient_norm": A**2 * mean,
    }
    return values, np.abs(np.linalg.eigvals(F)).max()


def ring(n):
    return (np.eye(n) + np.roll(np.eye(n), 1, 0) + np.roll(np.eye(n), -1, 0)) / 3


MIXED = (FIRST, zeroth(samples=2), FIRST, zeroth(directions="gaussian"), FIRST, FIRST)
SPHERE = (zeroth(samples=2),) * 6
STAR = np.eye(5) - np.array(
    [[0.8, -0.2, -0.2, -0.2, -0.2]]
    + [[-0.2] + [0.2 * (i == j) for j in range(4)] for i in range(4)]
)
RING = NetworkFacts(graph="ring")
KINDS = (FIRST,) * 2 + SPHERE[:4]
CASES = {
    "W of a ring, mixed": ("mixing_floor", MIXED, "matrix", NetworkFacts(graph="ring"), ring(6)),
    "W of a star, mixed": ("mixing_floor", MIXED[:5], "matrix", NetworkFacts(graph="star"), STAR),
    "W of a ring, equal": ("transitive_floor", SPHERE, "matrix", RING, ring(6)),
    "pairs, equal": ("complete_floor", SPHERE, "pair", NetworkFacts(), None),
    "matchings, equal": ("complete_floor", SPHERE, "matching", NetworkFacts(), None),
    "pairs, two nodes": ("complete_floor", SPHERE[:2], "pair", NetworkFacts(), None),
    "pairs, 2 kinds": ("hybrid_pair_floor", KINDS, "pair", NetworkFacts(), None),
    "pairs, 1 of a kind": ("hybrid_pair_floor", (FIRST, *SPHERE[:3]), "pair", NetworkFacts(), None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_steady_states_equal_a_dense_solve_and_the_recursion(name):
    theorem, laws, protocol, network, W = CASES[name]
    given = words(laws, protocol=protocol, network=network)
    prediction = find("theorem", theorem).target(given)
    assert [a for a in prediction.assumptions if not a.holds] == []
    solved, radius = dense(laws, protocol, 0.2, W)
    assert radius < 1
    exact, _ = exact_observables(replace(given, steps=600, record=(600,)))
    for observable in SCALARS:
        value = prediction.values[observable]
        assert value.shape == (1,)
        assert value[0] == pytest.approx(solved[observable], rel=1e-9)
        assert value[0] == pytest.approx(exact[observable][0], rel=1e-9)


HARSH = (zeroth(samples=1, directions="gaussian"),) * 2
LIMITS = {
    "W of a star": ("mixing", (*HARSH, FIRST, *HARSH), "matrix", STAR),
    "W of a ring": ("transitive", HARSH * 3, "matrix", ring(6)),
    "matchings": ("complete", HARSH * 2, "matching", None),
    "pairs": ("complete", HARSH * 2, "pair", None),
    "pairs, two kinds": ("hybrid_pair", (FIRST, *HARSH), "pair", None),
}


@pytest.mark.parametrize("name", LIMITS)
def test_stability_ends_where_the_dense_radius_is_one(name):
    form, laws, protocol, W = LIMITS[name]
    s, tau = np.array([noise_of(law) for law in laws]).T

    def stable(eta):
        if form == "mixing":
            return steady_forms.mixing(A, eta, s, tau, W).stable
        if form == "transitive":
            values = np.linalg.eigvalsh(W)
            return steady_forms.transitive(A, eta, s[0], tau[0], values).stable
        if form == "complete":
            kind = protocol == "matching"
            return steady_forms.complete(A, eta, s[0], tau[0], len(s), matching=kind).stable
        counts = np.array([1, len(s) - 1])
        return steady_forms.hybrid_pair(A, eta, (s[0], s[1]), (tau[0], tau[1]), counts).stable

    low, high = 0.01, 2 / A
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    assert dense(laws, protocol, low * (1 - 1e-6), W)[1] < 1
    assert dense(laws, protocol, low * (1 + 1e-6), W)[1] > 1


def anisotropic(laws, spectrum, offset=0.7, **changes):
    n, d = len(laws), len(spectrum)
    rng = np.random.default_rng(5)
    linear = rng.normal(size=(n, d)) * offset
    structure = Quadratic(
        hessians=np.array([np.diag(spectrum)] * n),
        linear=linear,
        noise=np.array([np.diag(np.linspace(0.1, 0.4, d))] * n),
    )
    known = {"network": UNIFORM, "steps": 400, "record": (400,), "initial": np.ones((n, d))}
    return setting(structure, laws, **(known | changes))


def dense_all_reduce(given):
    """Mean and variance of x̄ − x*, by a dense d × d solve, from A2 written out for each law."""
    structure, eta = given.problem.structure, given.step_sizes
    n, d = structure.linear.shape
    a, S = structure.hessians[0].diagonal(), structure.noise[0].diagonal()
    beta = structure.linear - structure.linear.mean(0)
    mean = (eta @ beta) / (a * eta.sum())
    F, constant = np.diag((1 - eta.mean() * a) ** 2), np.zeros(d)
    for i, law in enumerate(given.laws):
        h = (a * mean - beta[i]) ** 2
        noise, slope = S.copy(), np.zeros((d, d))
        if law is not FIRST:
            kappa = {"gaussian": 1.0, "sphere": d / (d + 2), "coordinate": 0.0}[law.directions]
            gamma = d if law.directions == "coordinate" else 0.0
            C = ((2 * kappa - 1 + gamma) * np.eye(d) + kappa) / law.samples
            noise, slope = S + C @ (S + h), C * a**2
        F += eta[i] ** 2 / n**2 * slope
        constant += eta[i] ** 2 / n**2 * noise
    return mean, np.linalg.solve(np.eye(d) - F, constant), np.abs(np.linalg.eigvals(F)).max()


@pytest.mark.parametrize("same_step", [True, False])
def test_all_reduce_equals_a_dense_solve_and_the_recursion(same_step):
    laws = (FIRST, zeroth(samples=2), zeroth(directions="coordinate", samples=3), zeroth())
    steps = np.full(4, 0.2) if same_step else np.array([0.3, 0.1, 0.2, 0.15])
    given = anisotropic(laws, (0.5, 1.0, 1.7), step_sizes=steps)
    prediction = find("theorem", "all_reduce_floor").target(given)
    assert [a for a in prediction.assumptions if not a.holds] == []
    mean, variance, _ = dense_all_reduce(given)
    a = np.array([0.5, 1.0, 1.7])
    optimum = given.problem.structure.linear.mean(0) / a
    square = mean**2 + variance
    assert (np.abs(mean).max() < 1e-12) == same_step
    assert prediction.values["mean_iterate"][0] == pytest.approx(optimum + mean, rel=1e-10)
    assert prediction.spread["mean_iterate"][0] == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert prediction.values["objective_gap"][0] == pytest.approx(a @ square / 2, rel=1e-10)
    assert prediction.values["gradient_norm"][0] == pytest.approx(a**2 @ square, rel=1e-10)
    assert prediction.values["node_distance"][0] == pytest.approx(square.sum(), rel=1e-10)
    exact, _ = exact_observables(given)
    assert prediction.values["objective_gap"][0] == pytest.approx(exact["objective_gap"][0])


@pytest.mark.parametrize("directions", ["gaussian", "sphere", "coordinate"])
@pytest.mark.parametrize("spectrum", [(1.0,) * 4, (0.3, 0.8, 1.1, 2.0)])
def test_all_reduce_is_unstable_beyond_its_limit(directions, spectrum):
    laws = (FIRST, zeroth(directions=directions), zeroth(directions=directions))
    nodes = coordinates(anisotropic(laws, spectrum))
    limit = steady_forms.all_reduce_limit(np.array(spectrum), nodes.own, nodes.shared)
    if spectrum[0] == spectrum[-1]:
        tau = {"gaussian": 5.0, "sphere": 3.0, "coordinate": 3.0}[directions]
        assert limit == pytest.approx(2 / (1 + 2 * tau / 9))
    for factor, side in ((1 - 1e-6, True), (1 + 1e-6, False)):
        given = anisotropic(laws, spectrum, step_sizes=np.full(3, limit * factor))
        assert steady_forms.all_reduce(coordinates(given)).stable == side
        assert (dense_all_reduce(given)[2] < 1) == side


def test_heterogeneity_alone_keeps_nodes_apart():
    silent = replace(FIRST, batch_size="full")
    given = anisotropic(
        (silent,) * 5,
        (0.5, 1.0, 1.7),
        step_sizes=np.full(5, 0.2),
        network=NetworkFacts(graph="star"),
    )
    prediction = find("theorem", "heterogeneity_floor").target(given)
    assert prediction.applies
    structure = given.problem.structure
    beta = structure.linear - structure.linear.mean(0)
    # the fixed point of x = W(x − ηAx + ηβ), one dense solve a coordinate
    fixed = [
        np.linalg.solve(np.eye(5) - (1 - 0.2 * a) * STAR, 0.2 * STAR @ beta[:, k])
        for k, a in enumerate((0.5, 1.0, 1.7))
    ]
    gamma = float((np.array(fixed) ** 2).sum() / 5)
    assert prediction.values["consensus_potential"][0] == pytest.approx(gamma, rel=1e-10)


@pytest.mark.parametrize("change", [{"network": NetworkFacts(weights="uniform")}, {"linear": 0.0}])
def test_nothing_keeps_nodes_apart(change):
    """Full averages, or one minimiser: Γ is 0 (up to rounding), and the reason says so."""
    silent = replace(FIRST, batch_size="full")
    linear = change.pop("linear", None)
    given = anisotropic((silent,) * 5, (0.5, 1.0, 1.7), step_sizes=np.full(5, 0.2), **change)
    if linear is not None:
        facts = replace(given.problem.structure, linear=np.zeros((5, 3)))
        given = replace(given, problem=replace(given.problem, structure=facts))
    prediction = find("theorem", "heterogeneity_floor").target(given)
    failed = [a for a in prediction.assumptions if not a.holds]
    assert failed[0].text == "nodes settle apart"
    assert "averages fully, or all f_i share one minimiser" in failed[0].detail


def test_where_they_do_not_apply():
    good = words(SPHERE, protocol="pair", network=NetworkFacts())
    changes = [
        {"momentum": 0.5},
        {"schedule": ScheduleFacts(name="inverse-time")},
        {"moves": False},
        {"record": ()},
        {"step_sizes": np.full(6, 5.0)},
        {"step_sizes": np.linspace(0.1, 0.2, 6)},
        {"order": "combine-adapt"},
        {"network": NetworkFacts(graph="ring")},
        {"laws": (None, *SPHERE[1:])},
        {"laws": MIXED},
        {"record": (3,)},
    ]
    target = find("theorem", "complete_floor").target
    assert target(good).applies
    for change in changes:
        prediction = target(replace(good, **change))
        assert not prediction.applies, change
        assert not prediction.values
        assert len(prediction.assumptions) == len(target(good).assumptions)
