"""Problems, rows and injected directions for tests of the estimators."""

import torch

from hzbench.core import registry
from hzbench.core.problem import Placement
from hzbench.core.streams import Rows, replica_keys
from hzbench.estimators.zeroth_order import ZerothOrder

LAWS = ("gaussian", "sphere", "rademacher", "coordinate")
DIFFERENCES = ("central", "forward", "directional_derivative")


def rows_of(count, nodes=1, seed=0, step=0):
    """`count` rows, each of its own replica, cycling over the nodes."""
    index = torch.arange(count)
    return Rows(
        keys=replica_keys(seed, range(count)),
        replica=index,
        node=index % nodes,
        step=torch.full_like(index, step),
    )


def many_rows(count, seed=0):
    """Cheap addresses: few replicas, many steps."""
    keys = replica_keys(seed, range(16))
    index = torch.arange(count)
    zero = torch.zeros_like(index)
    return Rows(keys=keys[index % 16], replica=index % 16, node=zero, step=index // 16)


def problem_of(name="quadratic", nodes=1, **parameters):
    """A built problem on the CPU."""
    component = registry.find("problem", name).target(**parameters)
    return component.build(Placement(kinds=("first",) * nodes))


def injected(u, **parameters):
    """The estimator with these directions [B, m, d]."""

    class Injected(ZerothOrder):
        def draw(self, rows, d):
            del rows, d
            return u

    return Injected(samples=u.shape[1], **parameters)


def expected_square_of(values):
    """Mean and standard error of |G|² over rows."""
    squares = values.square().sum(-1)
    return float(squares.mean()), float(squares.std() / len(squares) ** 0.5)
