"""Estimates in plain loops: the declared closed form of a problem, and draws by their addresses.

Neither executor's arithmetic, problem nor estimator is used: values are sums over rows or
coordinates in numpy's long double, whose rounding a difference of two values does not show.
"""

import numpy as np
import torch

from hzbench.core.streams import Purpose, Rows, integers, normals, replica_keys, signs, words
from hzbench.core.structure import Quadratic

Long = np.longdouble
SMOOTHING = 1e-3


class PlainOracle:
    """One node's estimate at a time, for the kinds of `engine_cells`."""

    def __init__(self, spec, problem, replica):
        self.keys = replica_keys(spec.run.seed, range(replica, replica + 1))
        self.replica, self.facts = replica, problem.structure
        self.groups = spec.group_of_node()

    def __call__(self, node, step, x):
        group, x = self.groups[node], x.astype(Long)
        address = {
            name: torch.tensor([value])
            for name, value in (("replica", self.replica), ("node", node), ("step", step))
        }
        rows = Rows(keys=self.keys, **address)
        kind = Samples if isinstance(self.facts, Quadratic) else DataRows
        f = kind(self.facts, node, rows, group.batch_size)
        if group.estimator["name"] == "gradient":
            return f.gradient(x).astype(float)
        law = DIRECTIONS[group.estimator.get("directions", "sphere")]
        vectors = law(rows, group.estimator.get("samples", 1), len(x)).astype(Long)
        differences = [difference(f.value, x, u, group.estimator) for u in vectors]
        return np.mean([slope * u for slope, u in zip(differences, vectors, strict=True)], 0)


def difference(value, x, u, table):
    """The slope along u by two values of one data sample."""
    nu = Long(table.get("smoothing", SMOOTHING))
    if table.get("difference", "central") == "forward":
        return (value(x + nu * u) - value(x)) / nu
    return (value(x + nu * u) - value(x - nu * u)) / (2 * nu)


class Samples:
    """½x'Ax − b'x + ζ'x with ζ ~ N(0, Σ/batch), Σ diagonal."""

    def __init__(self, facts, node, rows, batch_size):
        self.A, self.b = facts.hessians[node].astype(Long), facts.linear[node].astype(Long)
        assert np.count_nonzero(facts.noise[node] - np.diag(facts.noise[node].diagonal())) == 0
        self.zeta = np.zeros(len(self.b), dtype=Long)
        if batch_size != "full":
            z = normals(rows, Purpose.DATA, len(self.b))[0].numpy()
            self.zeta += np.sqrt(facts.noise[node].diagonal() / batch_size) * z

    def gradient(self, x):
        return self.A @ x - self.b + self.zeta

    def value(self, x):
        return x @ self.A @ x / 2 - self.b @ x + self.zeta @ x


class DataRows:
    """The mean loss over the batch's rows, and the penalty."""

    def __init__(self, facts, node, rows, batch_size):
        held = facts.members[node]
        if batch_size != "full":
            drawn = integers(rows, Purpose.DATA, torch.tensor(len(held)), batch_size)
            held = held[drawn[0].numpy()]
        self.rows = [(facts.features[j].astype(Long), Long(facts.targets[j])) for j in held]
        self.penalty, self.squared = Long(facts.regularization), facts.loss == "squared"

    def gradient(self, x):
        total = np.zeros_like(x)
        for a, y in self.rows:
            margin = a @ x
            total += (margin - y if self.squared else -y / (1 + np.exp(y * margin))) * a
        return total / len(self.rows) + self.penalty * x

    def value(self, x):
        total = Long(0)
        for a, y in self.rows:
            margin = a @ x
            total += (margin - y) ** 2 / 2 if self.squared else np.log1p(np.exp(-y * margin))
        return total / len(self.rows) + self.penalty / 2 * (x @ x)


def gaussian(rows, m, d):
    return normals(rows, Purpose.DIRECTION, m * d)[0].numpy().reshape(m, d)


def sphere(rows, m, d):
    u = gaussian(rows, m, d)
    return u * np.sqrt(d / (u**2).sum(1, keepdims=True))


def rademacher(rows, m, d):
    return signs(rows, Purpose.DIRECTION, m * d)[0].numpy().reshape(m, d)


def coordinate(rows, m, d):
    """The axis from the upper 31 bits of a word, the sign from the last one (0: plus)."""
    u = np.zeros((m, d))
    for each, word in zip(u, words(rows, Purpose.DIRECTION, m)[0].tolist(), strict=True):
        each[(word >> 1) * d >> 31] = np.sqrt(d) * (1 - 2 * (word & 1))
    return u


DIRECTIONS = {f.__name__: f for f in (gaussian, sphere, rademacher, coordinate)}
