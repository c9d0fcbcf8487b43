"""Baselines: one Python object a node (how most peers work), and vectorised numpy.

For timing they draw with numpy's generator, as such code does; to be compared number by number they
read the samples and vectors of the run.
"""

import numpy as np

from hzbench.core.streams import Purpose, Rows, signs


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
    """The run's own data rows [R, T, n] and Rademacher vectors [R, T, n, d]."""

    def __init__(self, run):
        rows, shape = addresses(run)
        d = run.parts.problem.dimension
        self.index = run.parts.problem.sample(rows, 1, 1).index.numpy().reshape(shape)
        self.vectors = signs(rows, Purpose.DIRECTION, d).numpy().reshape(*shape, d)

    def row(self, replica, step, node):
        return self.index[replica, step, node]

    def rows(self, step):
        return self.index[:, step]

    def vector(self, replica, step, node):
        return self.vectors[replica, step, node]


class Fresh:
    """The same from numpy's generator."""

    def __init__(self, run, law="rademacher"):
        shares, self.law = run.parts.problem.shares, law
        self.random, self.d = np.random.default_rng(0), run.parts.problem.dimension
        self.members, self.shape = shares.members, (run.plan.replicas, run.plan.nodes)
        self.counts, self.starts, self.flat = shares.counts, shares.starts, shares.flat

    def row(self, _replica, _step, node):
        held = self.members[node]
        return held[self.random.integers(len(held))]

    def rows(self, _step):
        return self.flat[self.starts + self.random.integers(0, self.counts, self.shape)]

    def vector(self, _replica, _step, _node):
        if self.law == "gaussian":
            return self.random.standard_normal(self.d)
        return 2.0 * self.random.integers(0, 2, self.d) - 1.0


def addresses(run):
    import torch

    shape = run.plan.replicas, run.plan.steps, run.plan.nodes
    replica, step, node = (torch.from_numpy(i.ravel()) for i in np.indices(shape))
    return Rows(keys=run.plan.keys[replica], replica=replica, node=node, step=step), shape


def nodes_of(run, replica):
    problem = run.parts.problem
    shares, ridge = problem.shares, problem.regularization
    assert replica < run.plan.replicas
    return [Node(x.copy(), shares.features, shares.targets, ridge) for x in problem.initial]


def naive_ring(run, drawn, replica, steps):
    """DSGD on a ring, node by node; the iterates [n, d]."""
    nodes, eta = nodes_of(run, replica), run.plan.step_sizes[0, 0]
    n = len(nodes)
    for t in range(steps):
        y = [v.x - eta * v.gradient(drawn.row(replica, t, i)) for i, v in enumerate(nodes)]
        for i, v in enumerate(nodes):
            v.x = (y[i - 1] + y[i] + y[(i + 1) % n]) / 3
    return np.array([v.x for v in nodes])


def numpy_ring(run, drawn):
    """The same for all replicas at once, with numpy's best: [R, n, d]."""
    problem, eta = run.parts.problem, run.plan.step_sizes[0, 0]
    features, targets = problem.shares.features, problem.shares.targets
    x = np.broadcast_to(problem.initial, (run.plan.replicas, *problem.initial.shape)).copy()
    for t in range(run.plan.steps):
        rows = drawn.rows(t)
        a, y = features[rows], targets[rows]
        slope = -y / (1.0 + np.exp(y * np.einsum("rnd,rnd->rn", a, x)))
        x -= eta * (slope[..., None] * a + problem.regularization * x)
        x = (np.roll(x, 1, axis=1) + x + np.roll(x, -1, axis=1)) / 3
    return x


def naive_pairs(run, drawn, replica, steps):
    """HDO in random pairs: the first half of the nodes take gradients, the others differences."""
    nodes, eta = nodes_of(run, replica), run.plan.step_sizes[0, 0]
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
    return np.array([v.x for v in nodes])


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
