"""Where runs without noise settle: the bias of heterogeneous nodes (C9), and who removes it."""

import numpy as np
import pytest
from theory_settings import FIRST, quadratic, setting

from hzbench.core.setting import NetworkFacts, UpdateFacts
from hzbench.core.structure import Quadratic
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

N, D, ETA, LAST = 6, 3, 0.2, 900
W = np.eye(N) / 2 + (np.roll(np.eye(N), 1, 0) + np.roll(np.eye(N), -1, 0)) / 4
PLAIN = UpdateFacts()
ROUNDING = 1e-13  # of squares that the recursion carries as E z z'
EXACT = {
    "tracking": UpdateFacts(rule="tracking"),
    "extra": UpdateFacts(rule="extra"),
    "exact diffusion": UpdateFacts(rule="exact-diffusion", lazy=True),
    "d2": UpdateFacts(rule="exact-diffusion"),
}


def settled(structure, update=PLAIN, network=None):
    """Values after many rounds with full gradients."""
    given = setting(
        structure,
        (FIRST,) * N,
        update=update,
        network=network or NetworkFacts(matrix=W),
        step_sizes=np.full(N, ETA),
        steps=LAST,
        record=(LAST,),
    )
    values = quadratic_dynamics(given).values
    assert values
    return {name: row[-1] for name, row in values.items()}


def common_hessian():
    rng = np.random.default_rng(8)
    return Quadratic(
        hessians=np.repeat(np.diag([0.5, 1.0, 1.5])[None], N, 0),
        linear=rng.normal(size=(N, D)),
        noise=np.zeros((N, D, D)),
    )


def test_decentralized_sgd_keeps_the_bias_of_c9():
    """y_j = λ_j η b_j/(1 − λ_j ρ) in every mode of W and every coordinate, ρ = 1 − ηa."""
    structure = common_hessian()
    lam, V = np.linalg.eigh(W)
    modes = V.T @ (structure.linear - structure.linear.mean(0))
    rho = 1 - ETA * np.array([0.5, 1.0, 1.5])
    y = (lam[:, None] * ETA * modes / (1 - lam[:, None] * rho))[:-1]
    found = settled(structure)
    assert found["consensus_potential"] == pytest.approx((y**2).sum() / N, rel=1e-10)
    assert found["node_distance"] == pytest.approx((y**2).sum() / N, rel=1e-10)
    assert found["node_distance"] > 1e-2


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("name", EXACT)
def test_tracking_extra_and_exact_diffusion_remove_it(name, alike):
    structure, _ = quadratic(np.random.default_rng(9), N, D, noise=0.0)
    structure = common_hessian() if alike else structure
    assert settled(structure, EXACT[name])["node_distance"] < ROUNDING
    assert settled(structure)["node_distance"] > 1e-3


def test_second_order_gossip_keeps_a_bias_known_by_dense_algebra():
    """At rest S = X − Y and X = γ W Y + (1 − γ)(Y − S), Y = X − η (A X − b): one linear system."""
    structure, _ = quadratic(np.random.default_rng(9), N, D, noise=0.0)
    gamma = 2 / (1 + np.sqrt(1 - 0.85**2))
    A = np.zeros((N * D, N * D))
    for i in range(N):
        A[i * D : (i + 1) * D, i * D : (i + 1) * D] = structure.hessians[i]
    eye, b = np.eye(N * D), structure.linear.ravel()
    after = gamma * np.kron(W, np.eye(D)) + 2 * (1 - gamma) * eye  # X = after Y − (1 − γ) X
    x = np.linalg.solve((2 - gamma) * eye - after @ (eye - ETA * A), ETA * after @ b).reshape(N, D)
    best = np.linalg.solve(structure.hessians.mean(0), structure.linear.mean(0))
    found = settled(structure, UpdateFacts(rule="second-order", rate=0.85))
    distance = ((x - best) ** 2).sum(1).mean()
    assert found["node_distance"] == pytest.approx(distance, rel=1e-9)
    np.testing.assert_allclose(found["mean_iterate"], x.mean(0), rtol=1e-9)
    assert 1e-3 < found["node_distance"] < settled(structure)["node_distance"]


@pytest.mark.parametrize("steps", [2, 5])
def test_local_sgd_settles_where_its_period_repeats(steps):
    """The fixed point of K local steps and one exchange, by dense algebra; after an exchange."""
    structure, _ = quadratic(np.random.default_rng(9), N, D, noise=0.0)
    A, b = structure.hessians, structure.linear
    local, shift = np.zeros((N * D, N * D)), np.zeros(N * D)
    for i in range(N):
        own = slice(i * D, (i + 1) * D)
        local[own, own], shift[own] = np.eye(D) - ETA * A[i], ETA * b[i]
    T, c = np.eye(N * D), np.zeros(N * D)
    for _ in range(steps):
        T, c = local @ T, local @ c + shift
    mix = np.kron(W, np.eye(D))
    x = np.linalg.solve(np.eye(N * D) - mix @ T, mix @ c).reshape(N, D)
    best = np.linalg.solve(A.mean(0), b.mean(0))
    network = NetworkFacts(matrix=W, exchange_period=steps)
    found = settled(structure, network=network)
    assert LAST % steps == 0
    distance = ((x - best) ** 2).sum(1).mean()
    assert found["node_distance"] == pytest.approx(distance, rel=1e-9)
    np.testing.assert_allclose(found["mean_iterate"], x.mean(0), rtol=1e-9)
    assert found["node_distance"] > settled(structure)["node_distance"]
