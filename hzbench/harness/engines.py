"""Engines: who executes a run, the torch executor or the fused kernels, and on which device.

They read the same plans and draws and agree to rounding (about 1e-15 relative), so the choice is
not part of a spec. It is part of a run's name in the store, and depends on nothing but the spec:
not on the machine, the workers or what has been compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Literal

from hzbench.core.errors import UserMistakeError
from hzbench.core.mutant import Mutant
from hzbench.core.objective import DENSE, DIAGONAL
from hzbench.core.server import ServerMethod
from hzbench.core.spec import NodeGroup
from hzbench.engine.fused.support import obstacle, oracle_obstacle
from hzbench.harness.build import Components
from hzbench.harness.recorder import INVARIANTS
from hzbench.harness.setting import protocol_of

Engine = Literal["torch", "fused"]
Asked = Literal["torch", "fused", "auto"]
ENGINES: tuple[Asked, ...] = ("auto", "torch", "fused")

WORTH = 30.0  # seconds in the torch executor from which kernels pay even if they must be compiled
# Nanoseconds in the torch executor, of one and of each of its coordinates (measured, one core).
_VECTOR = 150.0, 1.2
_ROW = 15.0, 3.0  # of data, gathered for a minibatch
_PAIRS = 2.2  # how many times as long as in a round a node's step takes among pairs
_WIDEST = {  # dimension up to which kernels beat torch's matrix products (measured, one core)
    "one Hessian": {"pair": 100, "matching": 100, "matrix": 1000, "server": 64},
    "own Hessians": {"pair": 300, "matching": 100, "matrix": 100, "server": 64},
    "logistic rows": {"pair": 300, "matching": 20, "matrix": 0, "server": 64},
}


def checked_engine(name: str) -> Asked:
    """The engine of that name.

    Raises:
        UserMistakeError: there is none.
    """
    found = next((engine for engine in ENGINES if engine == name), None)
    if found is None:
        raise UserMistakeError(
            f"got engine {name!r}; expected one of {', '.join(ENGINES)}; take one of these"
        )
    return found


def checked_device(device: str) -> str:
    """The torch device that a name means here.

    Raises:
        UserMistakeError: there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserMistakeError(
            f"got device {device!r}; expected auto, cpu or cuda; take one of these"
        )
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UserMistakeError(
            "got device 'cuda', but torch sees no CUDA device; expected one; use --device cpu, or "
            "install a CUDA build of torch"
        )
    return "cpu"


def why_not_fused(parts: Components, observables: Sequence[str]) -> str | None:
    """Why these components need the torch executor; None: the fused kernels can take them."""
    if type(parts.mutant) is not Mutant:
        return "a mutant or a component of the user's is planted"
    if isinstance(parts.method, ServerMethod):
        return oracle_obstacle(parts.problem, parts.population)
    watched = [name for name in observables if name in INVARIANTS]
    if watched:
        return f"{', '.join(watched)} look at every single step"
    return obstacle(parts.problem, parts.population, parts.method)


def pays(parts: Components) -> bool:
    """Whether a run that the fused kernels can take is long enough, and of a kind that they win."""
    d, groups = parts.problem.dimension, parts.spec.nodes
    if d > _widest(parts):
        return False
    few = parts.spec.network.gossip in ("pair", "server")
    acting = _PAIRS * 2 / parts.spec.node_count if few else 1
    ticks = parts.spec.run.replicas * parts.spec.run.steps
    return ticks * acting * sum(map(partial(_nanoseconds, parts), groups)) * 1e-9 >= WORTH


def _nanoseconds(parts: Components, group: NodeGroup) -> float:
    """What one step of all nodes of a group takes in the torch executor, roughly."""
    d, samples = parts.problem.dimension, int(group.estimator.get("samples", 0))
    rows = 0.0
    if parts.problem.compiled().kind > DENSE:  # type: ignore[attr-defined]
        fresh = group.estimator.get("data") == "fresh"
        rows = 0 if group.batch_size == "full" else group.batch_size * (samples if fresh else 1)
    costs = (_VECTOR, _ROW)
    vector, row = (fixed + each * d for fixed, each in costs)
    return group.count * ((2 + 2 * samples) * vector + rows * row)


def _widest(parts: Components) -> float:
    """Dimension up to which the kernels win, by what a step multiplies with."""
    form = parts.problem.compiled()  # type: ignore[attr-defined]
    full = any(group.batch_size == "full" for group in parts.spec.nodes)
    if form.kind == DIAGONAL or (form.kind > DENSE and not full):
        return inf
    kinds = {0: "logistic rows", 1: "one Hessian"}
    server = isinstance(parts.method, ServerMethod)
    protocol = "server" if server else protocol_of(parts.spec, parts.method)
    return _WIDEST[kinds.get(len(form.hessians), "own Hessians")][protocol]
