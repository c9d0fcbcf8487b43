"""What a round does, as algebra on rows: from the words of `UpdateFacts` to random affine maps.

A quantity of all nodes is held as its rows over (z, 1, ξ), an array [C, n, p, K]. So one round of a
method is written here in a few lines, and its matrices T and F fall out. Masks enter linearly, so
the map of a perturbation is a difference of two rounds.
"""

from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from hzbench.theory.affine_system import AffineSystem, Array, Scenario
from hzbench.theory.random_affine import Map, Outcome

Rows = Array
Slots = dict[str, Rows]


def outcomes(system: AffineSystem, scale: float) -> tuple[Outcome, ...]:
    """Every way a round may go, with step sizes scale · η_i.

    Args:
        system: its scenarios have a fixed W each.
        scale: the schedule's factor.
    """
    return tuple(_outcome(system, scale, scenario) for scenario in system.scenarios)


def _outcome(system: AffineSystem, scale: float, scenario: Scenario) -> Outcome:
    n, words = system.shape[1], system.update
    share = words.kept / system.dimension
    mean, query = _round(system, scale, scenario, np.full(n, share))
    maps = [_split(system, mean, weight=1.0)]
    if 0 < share < 1:
        for unit in np.eye(n):
            shifted, _ = _round(system, scale, scenario, share + unit)
            variance = share * (1 - share)
            maps.append(_split(system, shifted - mean, weight=variance, corner=0.0))
    width = system.shape[1] * system.shape[3] + 1
    return Outcome(probability=scenario.probability, query=query[..., :width], maps=tuple(maps))


def _split(system: AffineSystem, rows: Array, weight: float, corner: float = 1.0) -> Map:
    """T and F of the new slots [C, n q, K], and the row of the 1."""
    C, n, p, q = system.shape
    last = np.zeros((C, 1, rows.shape[2]))
    last[:, 0, n * q] = corner
    full = np.concatenate([rows, last], axis=1)
    gain = full[:, :, n * q + 1 :].reshape(C, n * q + 1, n, p)
    return Map(weight=weight, linear=full[:, :, : n * q + 1], gain=gain)


def _round(
    system: AffineSystem, scale: float, scenario: Scenario, mask: Array
) -> tuple[Array, Rows]:
    """The new slots of all nodes [C, n q, K], and where their estimates were taken."""
    C, n, _, q = system.shape
    algebra = _Algebra(system=system, scale=scale, W=scenario.mixing.mean, mask=mask)
    old = {name: algebra.slot(index) for index, name in enumerate(system.slots)}
    new = {**old, **_RULES[system.update.rule](algebra, old)}
    kept = ~scenario.active[None, :, None, None]
    rows = np.stack([np.where(kept, old[s], new[s]) for s in system.slots], axis=2)
    return rows.reshape(C, n * q, -1), algebra.queries[-1]


@dataclass(kw_only=True, eq=False)
class _Algebra:
    """The verbs of a round.

    Attributes:
        system: Hessians, linear terms, step sizes, words.
        scale: the schedule's factor.
        W: the mixing matrix of this outcome.
        mask: what every node's mask multiplies by, shape [n].
        queries: where estimates were taken.
    """

    system: AffineSystem
    scale: float
    W: Array
    mask: Array
    queries: list[Rows] = field(default_factory=list)

    def slot(self, index: int) -> Rows:
        """The unit rows of one slot."""
        C, n, p, q = self.system.shape
        rows = np.zeros((C, n, p, n * q + 1 + n * p))
        i, k = np.meshgrid(np.arange(n), np.arange(p), indexing="ij")
        rows[:, i, k, i * q + index * p + k] = 1.0
        return rows

    def gradient(self, at: Rows) -> Rows:
        """G = A q − b + ξ."""
        _, n, p, q = self.system.shape
        self.queries.append(at)
        G: Rows = np.einsum("cnkl,cnlz->cnkz", self.system.hessians, at)
        G[..., n * q] -= self.system.linear
        i, k = np.meshgrid(np.arange(n), np.arange(p), indexing="ij")
        G[:, i, k, n * q + 1 + i * p + k] += 1.0
        return G

    def mix(self, y: Rows) -> Rows:
        """W y."""
        result: Rows = np.einsum("ij,cjkz->cikz", self.W, y)
        return result

    def masked(self, y: Rows) -> Rows:
        """M∘y."""
        result: Rows = self.mask[:, None, None] * y
        return result

    def step(self, y: Rows, old: Slots) -> tuple[Rows, Slots]:
        """η times the direction that momentum makes of y, and the new buffer."""
        m = self.system.momentum
        eta = self.scale * self.system.step_sizes[:, None, None]
        if m == 0:
            return eta * y, {}
        buffer = m * old["velocity"] + (1 - m) * y
        return eta * buffer, {"velocity": buffer}


def _plain(a: _Algebra, old: Slots) -> Slots:
    """C1-C4: the three orders of one step and one exchange."""
    x, order = old["x"], a.system.order
    mixed = x if order == "adapt-combine" else a.mix(x)
    step, buffer = a.step(a.gradient(mixed if order == "combine-adapt" else x), old)
    moved = mixed - step
    return {"x": a.mix(moved) if order == "adapt-combine" else moved, **buffer}


def _tracking(a: _Algebra, old: Slots) -> Slots:
    """The tracker Y through its correction C, which has no noise of the past in common with G.

    simultaneous: C = W Y − G of the last round, so Y+ = C + G; adapt-combine: C = Y − G, so
    Y+ = W (C + G). Σ C = 0 always.
    """
    x, g = old["x"], a.gradient(old["x"])
    tracker, first = old["correction"] + g, a.system.order == "adapt-combine"
    mixed = a.mix(tracker)
    step, buffer = a.step(mixed if first else tracker, old)
    x = a.mix(x - step) if first else a.mix(x) - step
    return {"x": x, "correction": mixed - g, **buffer}


def _delayed(a: _Algebra, old: Slots) -> Slots:
    past = [name for name in a.system.slots if name.startswith("past")]
    iterates = [old["x"], *(old[name] for name in past)]
    step, buffer = a.step(a.gradient(iterates[-1]), old)
    return {"x": a.mix(old["x"] - step), **dict(zip(past, iterates, strict=False)), **buffer}


def _control(a: _Algebra, old: Slots) -> Slots:
    step, buffer = a.step(a.gradient(old["x"]), old)
    moved = old["x"] - step + a.system.exchange_probability * old["control"]
    x = a.mix(moved)
    return {"x": x, "control": old["control"] + x - moved, **buffer}


def _sparsified(a: _Algebra, old: Slots) -> Slots:
    wanted, buffer = a.step(a.gradient(old["x"]), old)
    if not a.system.update.memory:
        applied = a.system.dimension / a.system.update.kept * a.masked(wanted)
        return {"x": a.mix(old["x"] - applied), **buffer}
    wanted = old["error"] + wanted
    applied = a.masked(wanted)
    return {"x": a.mix(old["x"] - applied), "error": wanted - applied, **buffer}


def _compressed(a: _Algebra, old: Slots) -> Slots:
    step, buffer = a.step(a.gradient(old["x"]), old)
    half = old["x"] - step
    public = old["public"] + a.masked(half - old["public"])
    moved = half + a.system.update.consensus_step * (a.mix(public) - public)
    return {"x": moved, "public": public, **buffer}


def _extra(a: _Algebra, old: Slots) -> Slots:
    mixed = a.mix(old["x"])
    step, buffer = a.step(a.gradient(old["x"]), old)
    dual = old["dual"] + 0.5 * (old["x"] - mixed)
    return {"x": mixed - step - old["dual"], "dual": dual, **buffer}


def _exact_diffusion(a: _Algebra, old: Slots) -> Slots:
    step, buffer = a.step(a.gradient(old["x"]), old)
    moved = old["x"] - step
    corrected = moved + old["correction"]
    x = a.mix(corrected)
    if a.system.update.lazy:
        x = 0.5 * (x + corrected)
    return {"x": x, "correction": x - moved, **buffer}


def _second_order(a: _Algebra, old: Slots) -> Slots:
    step, buffer = a.step(a.gradient(old["x"]), old)
    moved, gamma = old["x"] - step, 2 / (1 + sqrt(1 - a.system.update.rate**2))
    x = gamma * a.mix(moved) + (1 - gamma) * (moved - old["shift"])
    return {"x": x, "shift": x - moved, **buffer}


_RULES = {
    "plain": _plain,
    "tracking": _tracking,
    "delayed": _delayed,
    "control-variate": _control,
    "sparsified": _sparsified,
    "compressed-exchange": _compressed,
    "extra": _extra,
    "exact-diffusion": _exact_diffusion,
    "second-order": _second_order,
}
