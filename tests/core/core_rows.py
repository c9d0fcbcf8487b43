"""Addresses for tests of the streams."""

import torch

from hzbench.core.streams import Rows, replica_keys


def rows_of(replicas=1, nodes=1, steps=1, seed=0):
    """Every (replica, node, step), replica-major."""
    keys = replica_keys(seed, range(replicas))
    grid = torch.meshgrid(*(torch.arange(k) for k in (replicas, nodes, steps)), indexing="ij")
    replica, node, step = (part.reshape(-1) for part in grid)
    return Rows(keys=keys[replica], replica=replica, node=node, step=step)
