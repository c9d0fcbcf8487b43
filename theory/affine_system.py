"""A random affine system on a network, and the layout of its second moments.

The idea: the state is z = (y_1, ..., y_n, 1), y_i all that node i remembers (its slots: x_i, with
momentum v_i, and what else `slots` names), and the carried object is Z = E z z'. One step of any
protocol is a mixture of scenarios (probability, affine map, additive noise whose covariance is
linear in Z), so Z ↦ Z+ is linear and exact. Coordinates that interact only through the size of the
noise are carried as C separate blocks of dimension p: C = d, p = 1 if all Hessians are diagonal,
C = 1, p = d in general. Z has shape [C, N+1, N+1] with N = nq, q = p times the number of slots; its
last row holds the mean, its corner the mass 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import Order, UpdateFacts

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

NoiseLaw = Callable[[Integers, Array], Array]
"""(nodes [B], second moments of (x_i, 1) [C, B, p+1, p+1]) -> covariance of G_i, [C, B, p, p]."""


CONSERVED = ("correction", "control", "dual", "shift")
"""Slots whose sum over nodes stays what it is, 0, under a doubly stochastic W."""


def slots(update: UpdateFacts, momentum: float) -> tuple[str, ...]:
    """What a node remembers, x first.

    A gradient tracker is held as its difference to the last estimate, in which the noise that two
    rounds share does not appear.
    """
    own = {
        "tracking": ("correction",),
        "delayed": tuple(f"past {age + 1}" for age in range(update.delay)),
        "control-variate": ("control",),
        "sparsified": ("error",) if update.memory else (),
        "compressed-exchange": ("public",),
        "extra": ("dual",),
        "exact-diffusion": ("correction",),
        "second-order": ("shift",),
    }.get(update.rule, ())
    return ("x", *(("velocity",) if momentum else ()), *own)


@dataclass(frozen=True, kw_only=True)
class LocalSteps:
    """Every node's own step y+ = P y + c − k ⊗ (noise of G).

    Attributes:
        linear: P, shape [C, n, q, q].
        offset: c, shape [C, n, q].
        gain: outer products k k' of the noise's gains on (x, v), shape [n, s, s], s = 1 or 2.
    """

    linear: Array
    offset: Array
    gain: Array


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """A random mixing matrix W through its first two moments.

    Attributes:
        mean: E W, shape [n, n].
        excess: M ↦ E W M W' − E W · M · E W' on [..., n, n]; None if W is fixed.
    """

    mean: Array
    excess: Callable[[Array], Array] | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way a round may go: its probability, its mixing and who steps (shape [n])."""

    probability: float
    mixing: Mixing
    active: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class AffineSystem:
    """The network of nodes, ready to advance Z.

    Attributes:
        hessians: A_i, shape [C, n, p, p].
        linear: b_i, shape [C, n, p] (coordinates shifted so that the optimum is 0).
        noise: covariance of every node's estimate.
        step_sizes: base step sizes, shape [n].
        momentum: m.
        order: order of mixing and stepping.
        update: what else a round does.
        scenarios: the round's mixture (matrix and matching).
        edges: pairs of the pair protocol, shape [E, 2]; empty otherwise.
        probabilities: of the pairs, shape [E].
        pair_weight: w in x_i+ = (1 − w) y_i + w y_j.
        exchange_probability: of a round's exchange, as the scenarios have it.
    """

    hessians: Array
    linear: Array
    noise: NoiseLaw
    step_sizes: Array
    momentum: float
    order: Order
    update: UpdateFacts
    scenarios: tuple[Scenario, ...] = ()
    edges: Integers
    probabilities: Array
    pair_weight: float = 0.5
    exchange_probability: float = 1.0

    @property
    def slots(self) -> tuple[str, ...]:
        """What a node remembers."""
        return slots(self.update, self.momentum)

    @property
    def dimension(self) -> int:
        """The dimension d = Cp of x."""
        blocks, _, size = self.linear.shape
        return int(blocks * size)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, n, p, q)."""
        C, n, p = self.linear.shape
        return C, n, p, p * len(self.slots)

    def start(self, points: Array, origin: Array | float = 0.0) -> Array:
        """Z of a certain start: points [C, n, p]; public copies at the origin [C, 1, p]; else 0."""
        C, n, p, q = self.shape
        z = np.zeros((C, n * q + 1))
        for index, name in enumerate(self.slots):
            here = origin if name == "public" else points
            if name in ("x", "public") or name.startswith("past"):
                z[:, :-1].reshape(C, n, q)[:, :, index * p : (index + 1) * p] = here
        z[:, -1] = 1.0
        result: Array = z[:, :, None] * z[:, None, :]
        return result


def positions(system: AffineSystem) -> Integers:
    """Index of x_ik in z, shape [n, p]."""
    _, n, p, q = system.shape
    return np.arange(n)[:, None] * q + np.arange(p)[None, :]


def local_steps(system: AffineSystem, scale: float) -> LocalSteps:
    """P, c and gains of every node.

    Formula:
        v+ = m v + (1−m) G, x+ = x − η v+, G = A x − b + noise.

    Source:
        the contract of `Setting.momentum`.
    """
    C, n, p, q = system.shape
    eta = scale * system.step_sizes
    fresh = 1.0 - system.momentum
    eye = np.eye(p)
    P = np.zeros((C, n, q, q))
    c = np.zeros((C, n, q))
    P[:, :, :p, :p] = eye - fresh * eta[None, :, None, None] * system.hessians
    c[:, :, :p] = fresh * eta[None, :, None] * system.linear
    gains = fresh * eta[:, None]
    if q > p:
        P[:, :, :p, p:] = -system.momentum * eta[:, None, None] * eye
        P[:, :, p:, :p] = fresh * system.hessians
        P[:, :, p:, p:] = system.momentum * eye
        c[:, :, p:] = -fresh * system.linear
        gains = np.column_stack([gains[:, 0], np.full(n, -fresh)])
    return LocalSteps(linear=P, offset=c, gain=gains[:, :, None] * gains[:, None, :])


def node_moments(system: AffineSystem, Z: Array) -> Array:
    """Second moments of (x_i, 1) of every node, shape [C, n, p+1, p+1]."""
    index = positions(system)
    last = np.full((len(index), 1), Z.shape[1] - 1)
    own = np.hstack([index, last])
    result: Array = Z[:, own[:, :, None], own[:, None, :]]
    return result
