"""Baselines: one Python object a node (how most peers work), and vectorised numpy.

For timing they draw with numpy's generator, as such code does; to be compared number by number they
read the samples and vectors of the run.
"""

import numpy as np

from hzbench.core.streams import Purpose, Rows, normals, signs


class Node:
    """One node as most peers write it: numpy inside."""

    def __init__(self, x, features, targets, ridge):
        self.x, self.features, self.targets, self.ridge = x, features, targets, ridge

    def gradient(self, row):
        a, y = self.features[row], self.targets[row]
        return -y / (1.0 + np.exp(y * (a @ self.x))) * a + self.ridge * self.x

    def difference(self, row, u, nu=1e-3):
        a, y = self.features[row], self.targets[row]
        values = [np.logaddexp(0.0, -y * (a @ (self.x + s * nu * u))) for s in (1, -1)]
        penalty = self.ridge * (self.x @ u)
        return ((values[0] - values[1]) / (2 * nu) + penalty) * u


class Drawn:
    """The run's own data rows [R, T, n] and random vectors [R, T, n, d]."""

    def __init__(self, run, law="rademacher"):
        rows, shape = addresses(run)
        d = run.parts.problem.dimension
        self.index = run.parts.problem.sample(rows, 1, 1).index.numpy().reshape(shape)
        draw = {"rademacher": signs, "gaussian": normals}[law]
        self.vectors = draw(rows, Purpose.DIRECTION, d).numpy().reshape(*shape, d)

    def row(self, replica, step, node):
        return self.index[replica, step, node]

    def rows(self):
        """All of a run, [T, n, R]."""
        return self.index.transpose(1, 2, 0)

    def vector(self, replica, step, node):
        return self.vectors[replica, step, node]


class Fresh:
    """The same from numpy's generator."""

    def __init__(self, run, law="rademacher"):
        shares, self.law, plan = run.parts.problem.shares, law, run.plan
        self.random, self.d = np.random.default_rng(0), run.parts.problem.dimension
        self.members, self.shape = shares.members, (plan.steps, plan.nodes, plan.replicas)
        self.counts, self.starts = (
            np.asarray(each)[:, None] for each in (shares.counts, shares.starts)
        )
        self.flat = shares.flat

    def row(self, _replica, _step, node):
        held = self.members[node]
        return held[self.random.integers(len(held))]

    def rows(self):
        place = self.random.random(self.shape)
        place *= self.counts
        place += self.starts
        return np.take(self.flat, place.astype(np.int64))

    def vector(self, _replica, _step, _node):
        if self.law == "gaussian":
            return self.random.standard_normal(self.d)
        return 2.0 * self.random.integers(0, 2, self.d) - 1.0


def addresses(run):
    import torch

    shape = run.plan.replicas, run.plan.steps, run.plan.nodes
    replica, step, node = (torch.from_numpy(i.ravel()) for i in np.indices(shape))
    return Rows(keys=run.plan.keys[replica], replica=replica, node=node, step=step), shape


def nodes_of(run, replica, kind=float):
    problem = run.parts.problem
    shares, ridge = problem.shares, problem.regularization
    assert replica < run.plan.replicas
    return [Node(x, shares.features, shares.targets, ridge) for x in problem.initial.astype(kind)]


def naive_ring(run, drawn, replica, steps):
    """DSGD on a ring, node by node; the iterates [n, d]."""
    nodes, eta = nodes_of(run, replica), run.plan.step_sizes[0, 0]
    n = len(nodes)
    for t in range(steps):
        y = [v.x - eta * v.gradient(drawn.row(replica, t, i)) for i, v in enumerate(nodes)]
        for i, v in enumerate(nodes):
            v.x = (y[i - 1] + y[i] + y[(i + 1) % n]) / 3
    return np.array([v.x for v in nodes])


def numpy_ring(run, drawn, width=16):
    """The same for all replicas, [R, n, d], as fast as numpy goes.

    Nothing is allocated within a run: rows are taken and multiplied into buffers, neighbours are
    slices of [n, width, d], and as many replicas run at a time as the caches hold.
    """
    rows, problem = drawn.rows(), run.parts.problem
    signed = -problem.shares.targets[:, None] * problem.shares.features
    found = np.empty((run.plan.nodes, run.plan.replicas, problem.dimension))
    for first in range(0, run.plan.replicas, width):
        some = slice(first, first + width)
        x = np.broadcast_to(problem.initial[:, None], found[:, some].shape).copy()
        found[:, some] = _numpy_rounds(run, signed, rows[:, :, some], x)
    return found.transpose(1, 0, 2)


def _numpy_rounds(run, signed, rows, x):
    """All rounds of x [n, r, d]: a third of a step of each node, then sums of three."""
    eta = run.plan.step_sizes[0, 0]
    kept = (1.0 - eta * run.parts.problem.regularization) / 3
    a, total, margin = np.empty_like(x), np.empty_like(x), np.empty(x.shape[:2])
    for row in rows:
        np.take(signed, row, axis=0, out=a, mode="clip")
        np.einsum("nrd,nrd->nr", a, x, out=margin)
        np.negative(margin, out=margin)
        np.exp(margin, out=margin)
        margin += 1.0
        np.divide(-eta / 3, margin, out=margin)  # the slope of log(1 + e^m) is 1 / (1 + e^-m)
        a *= margin[:, :, None]
        x *= kept
        x += a
        np.add(x[:-1], x[1:], out=total[1:])
        np.add(x[-1], x[0], out=total[0])
        total[:-1] += x[1:]
        total[-1] += x[0]
        x, total = total, x
    return x


def naive_pairs(run, drawn, replica, steps, kind=float):
    """HDO in random pairs: the first half of the nodes take gradients, the others differences.

    In numpy's long double the difference of two losses does not show their rounding.
    """
    nodes, eta = nodes_of(run, replica, kind), run.plan.step_sizes[0, 0]
    first = run.spec.nodes[0].count
    for t in range(steps):
        i, j = run.plan.pairs[replica, t]
        moved = []
        for k in (i, j):
            row, v = drawn.row(replica, t, k), nodes[k]
            u = None if k < first else drawn.vector(replica, t, k)
            g = v.gradient(row) if u is None else v.difference(row, u)
            moved.append(v.x - eta * g)
        nodes[i].x = nodes[j].x = (moved[0] + moved[1]) / 2
    return np.array([v.x for v in nodes], dtype=float)


def naive_quadratic_pairs(run, replica, steps):
    """Pairwise gossip on a diagonal quadratic, tick by tick."""
    problem, eta = run.parts.problem, run.plan.step_sizes[0, 0]
    hessian, x = problem.hessians[0], [row.copy() for row in problem.initial]
    b = problem.linear
    for i, j in run.plan.pairs[replica, :steps]:
        y = x[i] - eta * (hessian * x[i] - b[i])
        z = x[j] - eta * (hessian * x[j] - b[j])
        x[i] = x[j] = (y + z) / 2
    return np.array(x)
