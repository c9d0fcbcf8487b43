"""Setting: everything a theorem may read, and nothing that was built.

The problem's declared facts come from the problem; all else comes from the Spec, so that a mistake
in the plumbing (a key ignored, a wrong matrix, a lost step size) cannot predict itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import ClockFacts
from hzbench.core.constants import Constants
from hzbench.core.server_facts import ServerFacts
from hzbench.core.structure import EstimatorLaw, Structure, ZeroChain

Protocol = Literal["pair", "matching", "matrix", "server"]
MatchingLaw = Literal["uniform", "greedy", "alternating"]
Order = Literal["adapt-combine", "combine-adapt", "simultaneous"]


@dataclass(frozen=True, kw_only=True)
class ProblemFacts:
    """Declared facts of a problem.

    Attributes:
        dimension: d.
        constants: L, μ, noise, heterogeneity, f*.
        structure: the closed form of every f_i, or None.
        optimum: argmin f, shape [d]; empty when unknown.
        initial: starting points of the nodes, shape [n, d].
        chain: what gradients hide, on a zero-chain that nothing else gives away; else None.
    """

    dimension: int
    constants: Constants
    structure: Structure
    optimum: NDArray[np.float64]
    initial: NDArray[np.float64]
    chain: ZeroChain | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """The network as the Spec words it; a theorem rebuilds edges and matrices from these words.

    Attributes:
        graph: name of the graph family ("explicit" when `edges` were given).
        graph_parameters: its parameters (rows, columns, degree, probability, seed, ...).
        weights: name of the weight rule; "explicit" when `matrix` was given.
        edges: the edge list, when given, pairs i < j.
        edge_law: pair protocol: "uniform" over edges, "node-neighbour" (a uniform node, then a
            uniform neighbour), or "explicit" with `edge_probabilities`.
        edge_probabilities: one probability an edge, in the order of `edges`.
        matrix: W, shape [n, n], when given.
        pair_weight: w in x_i+ = (1 − w) y_i + w y_j of two partners (pair and matching).
        matching_law: "uniform" over the perfect matchings of all nodes, "greedy" (edges of the
            graph in uniformly random order, each taken if both ends are free), or "alternating"
            (one of the two perfect matchings of an even ring, with probability ½ each).
        link_failure: matrix protocol: probability q with which every edge fails in a round,
            independently; its weight returns to the diagonal at both ends.
        exchange_probability: matrix protocol: probability with which a round exchanges at all (one
            coin for all nodes); W = I otherwise.
        exchange_period: matrix protocol: K; the exchanges are those of the rounds K, 2K, ...
            (W_0, W_1, ... where W has a period of its own); W = I in all others.
        silent_rounds: matching and matrix protocols: the first rounds, in which nobody exchanges
            and every node takes its local step (W = I).
        column_stochastic: matrix protocol: columns of W sum to 1, rows need not; the graph may be
            directed, then W_ji > 0 only for j = i and arcs i → j.
        acceleration: "none"; "chebyshev": a step multiplies by T_K(W/ρ)/T_K(1/ρ), K = `rounds`.
        rounds: K of chebyshev.
        rate: ρ of chebyshev.
    """

    graph: str = "complete"
    graph_parameters: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "metropolis"
    edges: tuple[tuple[int, int], ...] = ()
    edge_law: Literal["uniform", "node-neighbour", "explicit"] = "uniform"
    edge_probabilities: tuple[float, ...] = ()
    matrix: NDArray[np.float64] | None = None
    pair_weight: float = 0.5
    matching_law: MatchingLaw = "uniform"
    link_failure: float = 0.0
    exchange_probability: float = 1.0
    exchange_period: int = 1
    silent_rounds: int = 0
    column_stochastic: bool = False
    acceleration: Literal["none", "chebyshev"] = "none"
    rounds: int = 1
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ScheduleFacts:
    """η_t = base · shape(t), t = 0, 1, ..., T−1; `base` is per node.

    Linear warm-up (t+1)/w for t < w = `warmup`, then with s = t − w: constant 1; inverse-time
    1/(1 + s/offset); cosine ½(1 + cos(π s/(T − w))). Warm-up ramps the step size only; gossip
    goes on.
    """

    name: Literal["constant", "inverse-time", "cosine"] = "constant"
    offset: float = 1.0
    warmup: int = 0

    @property
    def constant(self) -> bool:
        """Whether the step sizes never change."""
        return self.name == "constant" and self.warmup == 0

    def __str__(self) -> str:
        """Name, and the warm-up if there is one."""
        return f"{self.name} after {self.warmup} steps of warm-up" if self.warmup else self.name


@dataclass(frozen=True, kw_only=True)
class UpdateFacts:
    """What a node remembers or drops in a round of the matrix protocol, and how it uses it.

    D is the direction of momentum, v+ = m v + (1 − m) G, or G itself. Arrays start at 0 but for the
    past iterates, which start at the start.

    Attributes:
        rule: plain: nothing but the step and the exchange of `order`.
            tracking: Y+ = W Y + G − G_before (simultaneous, X+ = W X − η D(Y+)) or
            Y+ = W (Y + G − G_before) (adapt-combine, X+ = W (X − η D(Y+))); D acts on Y+, not on G.
            delayed: X+ = W (X − η D(G(X_{t−τ}))), the start before there was such a round.
            control-variate: X̂ = X − η D + p C, X+ = W X̂, C+ = C + X+ − X̂, p the exchange
            probability.
            sparsified: X+ = W (X − Q): Q = (d/k) M∘(η D), or with memory Q = M∘(E + η D),
            E+ = E + η D − Q; every node's M keeps k of d coordinates, drawn afresh.
            compressed-exchange: H = X − η D, P+ = P + M∘(H − P), X+ = H + γ (W P+ − P+).
            extra: X+ = W X − η D − S, S+ = S + ½ (X − W X).
            exact-diffusion: H = X − η D, X+ = V (H + C), C+ = X+ − H, V = ½ (I + W) if lazy else W.
            second-order: Y = X − η D, X+ = γ W Y + (1 − γ)(Y − S), S+ = X+ − Y,
            γ = 2/(1 + sqrt(1 − ρ²)).
            push-sum: w+ = W w, w = 1 at the start, X+ = diag(1/w+) W (diag(w) X − η D).
        delay: τ.
        kept: k.
        memory: sparsified: whether what a mask drops is kept for later.
        consensus_step: γ.
        lazy: exact-diffusion: whether V is ½ (I + W).
        rate: second-order: ρ.
    """

    rule: Literal[
        "plain",
        "tracking",
        "delayed",
        "control-variate",
        "sparsified",
        "compressed-exchange",
        "extra",
        "exact-diffusion",
        "second-order",
        "push-sum",
    ] = "plain"
    delay: int = 0
    kept: int = 0
    memory: bool = False
    consensus_step: float = 1.0
    lazy: bool = False
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One run as theory sees it.

    pair: at each tick t one edge e = {i, j} is drawn; only its two nodes act. matching: a random
    matching by `network.matching_law`; nodes without a partner idle. matrix: all nodes act.
    server: workers compute on their own clocks and a server updates one point.
    Order: adapt-combine X+ = W(X − D G(X)); combine-adapt Z = WX, X+ = Z − D G(Z); simultaneous
    X+ = WX − D G(X). In pair and matching W is the averaging matrix of the drawn pairs.

    Attributes:
        nodes: n.
        problem: the declared facts.
        laws: per node, what its estimator declares (None: nothing is known).
        kinds: per node, "first" or "zeroth".
        groups: number of nodes of each group of the spec, in order; () counts as one group.
        step_sizes: per node, the base step size η_i, shape [n].
        schedule: how η_i moves in time.
        momentum: m in v+ = m v + (1 − m) G, x+ = x − η v+; v stays local and starts at 0.
            In the pair protocol only the two nodes of the tick update their v.
        update: what else a round does.
        protocol, order, network: who talks to whom, when.
        idle_steps: matching: whether an idle node still takes its local step.
        moves: False when the iterates stay at the start and every step only draws fresh estimates
            G_i (to study an estimator alone).
        steps: T (ticks in pair, rounds elsewhere).
        record: steps at which the state is observed (0 = the start), increasing, shape [T'].
        replicas: R.
        clock: how long the workers take, where the spec has a clock or the protocol is server.
        server: protocol server: what the server does. Then steps are its updates, x̄ is its point,
            and `network` says nothing.
        reference: the other population of a paired comparison (same seeds), or None.
    """

    nodes: int
    problem: ProblemFacts
    laws: tuple[EstimatorLaw, ...]
    kinds: tuple[Literal["first", "zeroth"], ...]
    groups: tuple[int, ...] = ()
    step_sizes: NDArray[np.float64]
    schedule: ScheduleFacts = ScheduleFacts()
    momentum: float = 0.0
    update: UpdateFacts = UpdateFacts()
    protocol: Protocol
    order: Order = "adapt-combine"
    network: NetworkFacts = NetworkFacts()
    idle_steps: bool = False
    moves: bool = True
    steps: int
    record: tuple[int, ...]
    replicas: int = 4096
    clock: ClockFacts | None = None
    server: ServerFacts | None = None
    reference: "Setting | None" = None
