"""The recursion against a plain simulator at a size that enumeration cannot reach."""

import numpy as np
import pytest
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import GeneralizedLinear
from hzbench.theory.least_squares_dynamics import least_squares_dynamics
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

R, N, D, T = 3000, 5, 4, 25
LAWS = (
    FIRST,
    zeroth(samples=2),
    zeroth(directions="gaussian", samples=3, difference="forward", data="fresh"),
    zeroth(directions="rademacher", samples=2, difference="forward"),
    FIRST,
)
RING = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]


def draw_directions(rng, law, shape):
    u = rng.normal(size=shape)
    if law == "sphere":
        u *= np.sqrt(shape[-1]) / np.linalg.norm(u, axis=-1, keepdims=True)
    return np.where(u > 0, 1.0, -1.0) if law == "rademacher" else u


def estimate(rng, law, x, sample, s):
    """One estimate per replica; `sample()` draws (value, slope) functions of x."""
    value, slope = sample()
    if law == FIRST:
        return slope(x)
    total = np.zeros_like(x)
    base = value(x) + s * rng.normal(size=len(x))
    for _ in range(law.samples):
        if law.data == "fresh":
            value, slope = sample()
            base = value(x) + s * rng.normal(size=len(x))
        u = draw_directions(rng, law.directions, x.shape)
        high = value(x + law.smoothing * u) + s * rng.normal(size=len(x))
        if law.difference == "forward":
            difference = (high - base) / law.smoothing
        else:
            low = value(x - law.smoothing * u) + s * rng.normal(size=len(x))
            difference = (high - low) / (2 * law.smoothing)
        total += difference[:, None] * u
    return total / law.samples


def exchange(rng, protocol):
    """(W, who acts) of one replica."""
    if protocol == "matrix":
        W = np.eye(N) * (1 / 3)
        for i, j in RING:
            W[i, j] = W[j, i] = 1 / 3
        return W, np.ones(N, bool)
    order = rng.permutation(N)
    pairs = [RING[rng.integers(5)]] if protocol == "pair" else [order[:2], order[2:4]]
    W, active = np.eye(N), np.zeros(N, bool)
    for i, j in pairs:
        W[[i, i, j, j], [i, j, i, j]] = 0.5
        active[[i, j]] = True
    return W, active


def simulate(given, samplers, s):
    """Final positions [R, N, D]; its own loops over steps, nodes and replicas' exchanges."""
    rng = np.random.default_rng(7)
    x = np.repeat(given.problem.initial[None], R, 0)
    v = np.zeros_like(x)
    for _ in range(given.steps):
        drawn = [exchange(rng, given.protocol) for _ in range(R)]
        W = np.array([w for w, _ in drawn])
        active = np.array([a for _, a in drawn])
        at = W @ x if given.order == "combine-adapt" else x
        moved = np.zeros_like(x)
        for i, law in enumerate(given.laws):
            g = estimate(rng, law, at[:, i], lambda i=i: samplers[i](rng), s)
            new = given.momentum * v[:, i] + (1 - given.momentum) * g
            v[:, i] = np.where(active[:, i, None], new, v[:, i])
            moved[:, i] = np.where(active[:, i, None], given.step_sizes[i] * new, 0.0)
        x = W @ (x - moved) if given.order == "adapt-combine" else W @ x - moved
    return x


def compare(prediction, x, A, b):
    assert prediction.applies
    H, c = A.mean(0), b.mean(0)
    best = np.linalg.solve(H, c)
    mean = x.mean(1)
    off = mean - best
    columns = {
        "objective_gap": 0.5 * np.einsum("rk,kl,rl->r", off, H, off),
        "consensus_potential": ((x - mean[:, None]) ** 2).sum(2).mean(1),
        "node_distance": ((x - best) ** 2).sum(2).mean(1),
        "gradient_norm": ((off @ H) ** 2).sum(1),
        "mean_iterate": mean,
    }
    for name, column in columns.items():
        error = column.std(axis=0, ddof=1) / np.sqrt(R)
        z = (column.mean(axis=0) - prediction.values[name][-1]) / error
        assert np.abs(z).max() < 4, (name, z)
    ratio = mean.std(axis=0, ddof=1) / prediction.spread["mean_iterate"][-1]
    assert np.abs(ratio - 1).max() < 0.07


@pytest.mark.parametrize(
    ("protocol", "order"),
    [
        ("pair", "adapt-combine"),
        ("pair", "combine-adapt"),
        ("matching", "adapt-combine"),
        ("matrix", "simultaneous"),
    ],
)
def test_quadratics(protocol, order):
    structure, root = quadratic(np.random.default_rng(1), N, D, evaluation_noise=0.05)
    graph = "complete" if protocol == "matching" else "ring"
    given = setting(
        structure,
        LAWS,
        protocol=protocol,
        order=order,
        network=NetworkFacts(graph=graph),
        steps=T,
        record=(0, T),
        momentum=0.4 if order == "adapt-combine" else 0.0,
        step_sizes=np.linspace(0.05, 0.12, N),
    )

    def sampler(i):
        def sample(rng):
            zeta = rng.normal(size=(R, 1)) * root[i][:, 0]
            A, b = structure.hessians[i], structure.linear[i]
            return (
                lambda x: 0.5 * np.einsum("rk,kl,rl->r", x, A, x) + (x * (zeta - b)).sum(1),
                lambda x: x @ A + zeta - b,
            )

        return sample

    x = simulate(given, [sampler(i) for i in range(N)], 0.05)
    compare(quadratic_dynamics(given), x, structure.hessians, structure.linear)


def test_ridge_regression_with_batches():
    rng = np.random.default_rng(2)
    structure = GeneralizedLinear(
        features=0.7 * rng.normal(size=(40, D)),
        targets=rng.normal(size=40),
        members=tuple(np.array_split(np.arange(40), N)),
        loss="squared",
        regularization=0.2,
    )
    given = setting(
        structure,
        LAWS,
        protocol="pair",
        network=NetworkFacts(graph="ring"),
        steps=T,
        record=(0, T),
        step_sizes=np.full(N, 0.08),
    )
    A, b = [], []

    def sampler(i):
        a, y = structure.features[structure.members[i]], structure.targets[structure.members[i]]
        A.append(a.T @ a / len(y) + 0.2 * np.eye(D))
        b.append(a.T @ y / len(y))

        def sample(rng):
            j = rng.integers(len(y), size=R)
            return (
                lambda x: 0.5 * ((x * a[j]).sum(1) - y[j]) ** 2 + 0.1 * (x**2).sum(1),
                lambda x: ((x * a[j]).sum(1) - y[j])[:, None] * a[j] + 0.2 * x,
            )

        return sample

    x = simulate(given, [sampler(i) for i in range(N)], 0.0)
    compare(least_squares_dynamics(given), x, np.array(A), np.array(b))
