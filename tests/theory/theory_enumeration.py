"""Exact expectations by listing every outcome: directions, data, evaluation noise and exchanges.

Independent of the theorems: estimates are computed from actual function values, the exchanges are
listed one by one, and an ensemble of weighted states is carried through the steps.
"""

from itertools import permutations, product

import numpy as np


def direction_points(law, d):
    """(weight, u) pairs that integrate polynomials of degree at most 7 exactly."""
    if law == "rademacher":
        return [(0.5**d, np.array(u)) for u in product((-1.0, 1.0), repeat=d)]
    if law == "coordinate":
        eye = np.sqrt(d) * np.eye(d)
        return [(0.5 / d, sign * e) for e in eye for sign in (-1.0, 1.0)]
    if law == "sphere" and d == 3:
        heights, weights = np.polynomial.legendre.leggauss(4)
        angles = 2 * np.pi * np.arange(8) / 8 + 0.3
        return [
            (
                w / 2 / 8,
                np.sqrt(3)
                * np.array([np.sqrt(1 - z**2) * np.cos(a), np.sqrt(1 - z**2) * np.sin(a), z]),
            )
            for z, w in zip(heights, weights, strict=True)
            for a in angles
        ]
    if law == "sphere":
        assert d == 2
        angles = 2 * np.pi * np.arange(8) / 8 + 0.3
        return [(1 / 8, np.sqrt(2) * np.array([np.cos(a), np.sin(a)])) for a in angles]
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    weights = weights / weights.sum()
    return [
        (float(np.prod(w)), np.array(u))
        for u, w in zip(product(nodes, repeat=d), product(weights, repeat=d), strict=True)
    ]


def direction_sets(law, d):
    """(weight, m vectors) of a DifferenceLaw, integrating polynomials of degree at most 7."""
    m = law.samples
    if law.sampling == "iid":
        for drawn in product(direction_points(law.directions, d), repeat=m):
            yield np.prod([w for w, _ in drawn]), [u for _, u in drawn]
    elif law.sampling == "without_replacement":
        orders = list(permutations(range(d), m))
        for order, signs in product(orders, product((-1.0, 1.0), repeat=m)):
            us = [s * np.sqrt(d) * np.eye(d)[k] for k, s in zip(order, signs, strict=True)]
            yield 1 / (len(orders) * 2**m), us
    else:
        for weight, frame in _frames(d):
            yield weight, [np.sqrt(d) * column for column in frame.T[:m]]


def _frames(d):
    """Haar matrices of O(2) and O(3): rotations (Euler angles) times a sign of the last column."""
    angles = 2 * np.pi * np.arange(8) / 8 + 0.3
    turns = {t: np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in angles}
    rotations = [(1 / 8, turn) for turn in turns.values()]
    if d == 3:
        heights, weights = np.polynomial.legendre.leggauss(4)
        rotations = []
        for (a, b), (z, w) in product(
            product(angles, repeat=2), zip(heights, weights, strict=True)
        ):
            first, last = np.eye(3), np.eye(3)
            first[:2, :2], last[:2, :2] = turns[a], turns[b]
            s = np.sqrt(1 - z**2)
            middle = np.array([[z, 0, s], [0, 1, 0], [-s, 0, z]])
            rotations.append((w / 2 / 64, first @ middle @ last))
    for weight, rotation in rotations:
        for sign in (-1.0, 1.0):
            yield weight / 2, rotation * np.append(np.ones(d - 1), sign)


def quadratic_samples(A, b, root):
    """Samples of ½x'Ax − b'x + ζ'x, ζ = ±sqrt(r) times a column of root (covariance root root')."""
    r = root.shape[1]
    found = []
    for column, sign in product(range(r), (-1.0, 1.0)):
        zeta = sign * np.sqrt(r) * root[:, column]

        def value(x, z=zeta):
            return 0.5 * np.einsum("sk,kl,sl->s", x, A, x) + x @ (z - b)

        def slope(x, z=zeta):
            return x @ A + (z - b)

        found.append((0.5 / r, value, slope))
    return found


def row_samples(a, y, lam):
    """Samples of the squared loss: one row each."""
    found = []
    for row, target in zip(a, y, strict=True):

        def value(x, r=row, t=target):
            return 0.5 * (x @ r - t) ** 2 + 0.5 * lam * (x**2).sum(1)

        def slope(x, r=row, t=target):
            return (x @ r - t)[:, None] * r + lam * x

        found.append((1.0 / len(y), value, slope))
    return found


def logistic_samples(a, y, lam):
    """Samples of the logistic loss: one row each."""
    found = []
    for row, target in zip(a, y, strict=True):

        def value(x, r=row, t=target):
            return np.log1p(np.exp(-t * (x @ r))) + 0.5 * lam * (x**2).sum(1)

        def slope(x, r=row, t=target):
            return (-t / (1 + np.exp(t * (x @ r))))[:, None] * r + lam * x

        found.append((1.0 / len(y), value, slope))
    return found


def estimates(law, samples, d, s=0.0):
    """(weight, x [S, d] -> G [S, d]) for every outcome of one estimate."""
    if not hasattr(law, "directions"):
        for weight, batch in _batches(samples, law.batch_size):
            yield weight, lambda x, B=batch: _mean_slope(B, x)
        return
    m, fresh = law.samples, law.data == "fresh"
    for data in product(list(_batches(samples, law.batch_size)), repeat=m if fresh else 1):
        chosen = [batch for _, batch in data] * (1 if fresh else m)
        data_weight = np.prod([w for w, _ in data])
        for set_weight, us in direction_sets(law, d):
            dir_weight = data_weight * set_weight
            calls = 0 if not s or law.difference == "directional_derivative" else 2 * m
            for signs in product((-s, s), repeat=calls):
                weight = dir_weight * 0.5**calls
                yield weight, lambda x, D=chosen, U=us, N=signs: _difference(law, D, U, N, x)


def _difference(law, batches, us, noise, x):
    total = np.zeros_like(x)
    m, nu = law.samples, law.smoothing
    noise = noise or (0.0,) * (2 * m)
    for k, (batch, u) in enumerate(zip(batches, us, strict=True)):
        if law.difference == "directional_derivative":
            slope = _mean_slope(batch, x) @ u
        else:
            base = 0 if law.difference == "forward" and law.data == "shared" else m + k
            high = _mean_value(batch, x + nu * u) + noise[k + (1 if base == 0 else 0)]
            if law.difference == "forward":
                slope = (high - _mean_value(batch, x) - noise[base]) / nu
            else:
                slope = (high - _mean_value(batch, x - nu * u) - noise[base]) / (2 * nu)
        total += slope[:, None] * u / m
    return total


def _batches(samples, batch_size):
    if batch_size == "full":
        yield 1.0, samples
        return
    for drawn in product(samples, repeat=batch_size):
        weight = np.prod([w for w, _, _ in drawn])
        yield weight, [(1.0 / batch_size, v, g) for _, v, g in drawn]


def _mean_slope(batch, x):
    return sum(w * g(x) for w, _, g in batch)


def _mean_value(batch, x):
    return sum(w * v(x) for w, v, _ in batch)


def perfect_matchings(nodes):
    """All perfect matchings of an even list of nodes."""
    if not nodes:
        yield []
        return
    first, *rest = nodes
    for other in rest:
        left = [k for k in rest if k != other]
        for pairs in perfect_matchings(left):
            yield [(first, other), *pairs]


def exchanges(protocol, n, *, edges=(), probabilities=(), matrix=None, idle_steps=False):
    """(probability, W, active nodes) for every outcome of one step's exchange."""
    if protocol == "matrix":
        return [(1.0, matrix, list(range(n)))]
    if protocol == "pair":
        return [(p, _averaging(n, [e]), list(e)) for e, p in zip(edges, probabilities, strict=True)]
    found = []
    for idle in range(n) if n % 2 else [None]:
        others = [k for k in range(n) if k != idle]
        for pairs in perfect_matchings(others):
            active = list(range(n)) if idle is None or idle_steps else others
            found.append((_averaging(n, pairs), active))
    return [(1.0 / len(found), W, active) for W, active in found]


def _averaging(n, pairs):
    W = np.eye(n)
    for i, j in pairs:
        W[[i, j]] = 0.0
        W[i, i] = W[i, j] = W[j, i] = W[j, j] = 0.5
    return W


class Ensemble:
    """Weighted states: weights [S], positions and velocities [S, n, d]."""

    def __init__(self, start):
        self.w = np.ones(1)
        self.x = np.array(start, dtype=float)[None]
        self.v = np.zeros_like(self.x)

    def step(self, exchange, outcomes, eta, momentum, order):
        """One step; outcomes[i]() lists (weight, G) of node i."""
        parts = []
        for p, W, active in exchange:
            points = np.einsum("ij,sjd->sid", W, self.x)
            at = points if order == "combine-adapt" else self.x
            lists = [list(outcomes[i]) for i in active]
            for choice in product(*lists):
                weight = p * np.prod([w for w, _ in choice])
                x, v = at.copy(), self.v.copy()
                moved = np.zeros_like(x)
                for i, (_, G) in zip(active, choice, strict=True):
                    v[:, i] = momentum * v[:, i] + (1 - momentum) * G(at[:, i])
                    moved[:, i] = eta[i] * v[:, i]
                if order == "adapt-combine":
                    x = np.einsum("ij,sjd->sid", W, x - moved)
                elif order == "combine-adapt":
                    x = points - moved
                else:
                    x = points - moved
                parts.append((self.w * weight, x, v))
        self.w = np.concatenate([p[0] for p in parts])
        self.x = np.concatenate([p[1] for p in parts])
        self.v = np.concatenate([p[2] for p in parts])

    def expect(self, values):
        """Mean over states of values [S, ...]."""
        assert abs(self.w.sum() - 1) < 1e-12
        return np.tensordot(self.w, values, axes=1)


def measure(ensemble, A, b):
    """The observables' exact means, from their definitions."""
    H, c = A.mean(0), b.mean(0)
    best = np.linalg.lstsq(H, c, rcond=None)[0]

    def f(x):
        return 0.5 * np.einsum("sk,kl,sl->s", x, H, x) - x @ c

    x = ensemble.x
    mean = x.mean(1)
    first = ensemble.expect(mean)
    return {
        "objective_gap": ensemble.expect(f(mean) - f(best[None])),
        "consensus_potential": ensemble.expect(((x - mean[:, None]) ** 2).sum(2).mean(1)),
        "mean_iterate": first,
        "node_distance": ensemble.expect(((x - best) ** 2).sum(2).mean(1)),
        "gradient_norm": ensemble.expect(((mean @ H - c) ** 2).sum(1)),
        "spread": np.sqrt(ensemble.expect((mean - first) ** 2)),
    }
