"""Recorder: measures observables at record points, path averages and one-step invariants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core import registry
from hzbench.core.network import Network, contraction
from hzbench.core.plan import Plan
from hzbench.core.problem import Problem
from hzbench.core.state import State
from hzbench.engine.fused.mean_loss import Evaluate
from hzbench.engine.torch_executor import Event
from hzbench.harness.measurable import VALIDATION, validated
from hzbench.harness.observables import Snapshot
from hzbench.harness.path_averages import PATHS, PathAverages
from hzbench.harness.ticks import TickProbe
from hzbench.harness.used_points import POINT, UsedPoints

if TYPE_CHECKING:
    from torch import Tensor

STRATA = 128  # a path average looks at one uniform step in each of min(T, 128) strata
_COORDINATES = 1 << 17  # numbers of the iterates that invariants are computed of at once
INVARIANTS = frozenset(("pair_disagreement", "mass_residual", "idle_change"))
SHIFT = "mean_shift"
TICKS = "probe_sums"


class BlockRecorder:
    """Records one block; `columns` holds [T', R] or [T', R, k] arrays when the run is done."""

    def __init__(
        self,
        observables: Sequence[str],
        record: Sequence[int],
        probes: Sequence[int],
        problem: Problem,
        fixed: Mapping[str, NDArray[np.float64]],
        ticks: TickProbe | None = None,
        weights: NDArray[np.float64] | None = None,
        used: UsedPoints | None = None,
        told: Callable[[int], None] | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.told = told  # is called with the step
        self.evaluate = evaluate
        self.problem, self.fixed, self.ticks, self.used = problem, fixed, ticks, used
        self.observables = tuple(observables)
        self.record_steps, self.probes = frozenset(record), Counter(probes)
        around = ticks.boundaries if ticks else set()
        around = around | set(range(max(record, default=0) + 1)) if used else around
        self.boundaries = tuple(sorted(self.record_steps | set(self.probes) | around))
        self.seen: dict[str, list[NDArray[np.float64]]] = {name: [] for name in self.observables}
        weights = np.ones(max(record, default=0) + 1) if weights is None else weights
        self.path = PathAverages(observables, self.probes, weights)
        self.previous: Tensor | None = None
        self.invariants: dict[str, Tensor] = {}
        self.validated: dict[str, Tensor] = {}
        wanted = any(name in INVARIANTS for name in self.observables)
        self.watch: Callable[[Event], None] | None = self._watch if wanted else None

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Observable -> [T', R] or [T', R, k]."""
        return {name: np.stack(rows) for name, rows in self.seen.items()}

    def record(self, state: State) -> None:
        """Measure what this step asks for."""
        if self.told:
            self.told(state.step)
        if self.ticks:
            self.ticks.finish(state)
            self.ticks.begin(state)
        if self.used:
            self.used.look(state)
        at = Snapshot(state=state, problem=self.problem, evaluate=self.evaluate)
        if state.step in self.record_steps:
            asked = any(name in VALIDATION for name in self.observables)
            self.validated = validated(state, self.problem) if asked else {}
            for name in self.observables:
                value = self._measure(name, at).double().cpu().numpy()
                self.seen[name].append(value)
            self.previous = at.mean.clone()
        self.path.look(at)

    def _measure(self, name: str, at: Snapshot) -> Tensor:
        import torch

        state, replicas = at.state, len(at.x)
        if name in state.counters:
            return state.counters[name].clone()
        if name in self.validated:
            return self.validated[name]
        if name in PATHS:
            return self.path.value(name, at)
        if name == SHIFT:
            previous = at.mean if self.previous is None else self.previous
            return (at.mean - previous).square().sum(-1)
        if name == TICKS and self.ticks:
            return torch.from_numpy(self.ticks.value(replicas))
        if name == POINT and self.used:
            return self.used.value(state)
        if name in INVARIANTS:
            return self.invariants.get(name, state.x.new_zeros(replicas)).clone()
        if name in self.fixed:
            value = torch.from_numpy(self.fixed[name])
            return value.expand(replicas, *value.shape)
        measured: Tensor = registry.find("observable", name).target(at)
        return measured

    def _watch(self, event: Event) -> None:
        for name, value in invariant_residuals(event).items():
            known = self.invariants.get(name, value)
            self.invariants[name] = value.maximum(known)


def fixed_values(
    names: Sequence[str], network: Network, plan: Plan
) -> dict[str, NDArray[np.float64]]:
    """Observables that no draw changes: the spectrum of the graph, and the rate of W.

    W is the one that the plan executes, where it executes one, and not the one that was built.
    """
    weights = network.weights if plan.matrix is None else plan.matrix
    known: dict[str, Callable[[], object]] = {
        "laplacian_spectrum": lambda: network.laplacian_spectrum,
        "slem": lambda: contraction(weights),
        "adjacency_slem": lambda: adjacency_slem(network.adjacency),
    }
    return {name: np.asarray(known[name](), float) for name in names if name in known}


def adjacency_slem(adjacency: NDArray[np.float64]) -> float:
    """The second largest |eigenvalue| of D^(−1/2) A D^(−1/2): A [n, n] without isolated nodes."""
    root = 1 / np.sqrt(adjacency.sum(1))
    spectrum = np.linalg.eigvalsh(root[:, None] * adjacency * root)
    return float(np.sort(np.abs(spectrum))[-2])


def probe_steps(steps: int, seed: int, block: int, strata: int = STRATA) -> tuple[int, ...]:
    """Steps at which a path average over 0 ... T−1 looks, so that it is unbiased.

    All of them if T <= strata; else one uniform point in each of the equal strata of [0, T),
    rounded down and drawn afresh for every block (a step shared by two strata may appear twice).
    """
    if steps <= strata:
        return tuple(range(steps))
    source = np.random.SeedSequence(seed, spawn_key=(1 << 31, block))
    uniform = np.random.default_rng(source).random(strata)
    return tuple(np.floor((np.arange(strata) + uniform) * (steps / strata)).astype(int).tolist())


def invariant_residuals(event: Event) -> dict[str, Tensor]:
    """What every step must leave at zero, per replica [R] (theory.md F4).

    pair_disagreement: |x_i − x_j| of partners after averaging, over |X|_max. mass_residual:
    |Σ x+ − Σ x + Σ η_i G_i|, over |X|_max. idle_change: |x_k+ − x_k| of nodes that took no part.
    Each is a maximum over coordinates, of which a few are looked at at a time.
    """
    import torch

    replicas, nodes, d = event.before.shape
    size = max(1, _COORDINATES // (replicas * nodes))
    parts = [_residuals(event, slice(k, k + size)) for k in range(0, d, size)]
    largest: dict[str, Tensor] = {
        name: torch.stack([part[name] for part in parts]).amax(0) for name in parts[0]
    }
    scale = largest.pop("scale").clamp_min(1e-300)
    return {k: v if k == "idle_change" else v / scale for k, v in largest.items()}


def _residuals(event: Event, here: slice) -> dict[str, Tensor]:
    """Of some coordinates, not yet divided by the scale |X|_max."""
    import torch

    before, after, each = event.before[..., here], event.after[..., here], event.round
    replica = torch.as_tensor(each.replica, device=before.device)
    node = torch.as_tensor(each.node, device=before.device)
    step = torch.zeros_like(before)  # a sum by `index_add_` would have no order on CUDA
    step[replica, node] = event.step_size * event.gradient[:, here]
    change = after - before
    found = {
        "scale": torch.maximum(before.abs().amax((1, 2)), after.abs().amax((1, 2))),
        "mass_residual": change.sum(1).add_(step.sum(1)).abs_().amax(1),
    }
    if each.partner is not None:
        rows = after[replica, node]
        gap = (rows - rows[torch.as_tensor(each.partner, device=before.device)]).abs_().amax(1)
        zero = torch.zeros(len(before), dtype=before.dtype, device=before.device)
        found["pair_disagreement"] = zero.scatter_reduce(0, replica, gap, "amax")
    idle = torch.ones(before.shape[:2], dtype=torch.bool, device=before.device)
    idle[replica, node] = False
    moved = change.abs_().amax(2).mul_(idle).amax(1)
    return found | {"idle_change": moved}
