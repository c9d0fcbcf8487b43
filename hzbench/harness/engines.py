"""Engines: who executes a run, the torch executor or the fused kernels.

They read the same plans and draws and agree to rounding (about 1e-15 relative), so the choice is
not part of a spec. It is part of a run's name in the store, and depends on nothing but the spec:
not on the machine, the workers or what has been compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hzbench.core.errors import UserMistakeError
from hzbench.core.mutant import Mutant
from hzbench.core.objective import DENSE, DIAGONAL
from hzbench.core.server import ServerMethod
from hzbench.engine.fused.support import obstacle, oracle_obstacle
from hzbench.harness.build import Components
from hzbench.harness.recorder import INVARIANTS

Engine = Literal["torch", "fused"]
Asked = Literal["torch", "fused", "auto"]
ENGINES: tuple[Asked, ...] = ("auto", "torch", "fused")

WORTH = 60.0  # seconds in the torch executor from which kernels pay even if they must be compiled
_NANOSECONDS = 150.0, 1.2  # of one vector in the torch executor, and of each coordinate (measured)
_WIDE = 64  # dimension from which torch's matrix products beat the kernels' on dense Hessians


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
    form = parts.problem.compiled()  # type: ignore[attr-defined]
    d, groups = parts.problem.dimension, parts.spec.nodes
    full = any(group.batch_size == "full" for group in groups)
    products = form.kind == DENSE or (full and form.kind > DENSE)
    if products and d >= _WIDE and form.kind != DIAGONAL:
        return False
    vectors = sum(g.count * (2 + 2 * int(g.estimator.get("samples", 0))) for g in groups)
    few = parts.spec.network.gossip in ("pair", "server")
    acting = 2 / parts.spec.node_count if few else 1
    nanoseconds = vectors * acting * (_NANOSECONDS[0] + _NANOSECONDS[1] * d)
    ticks = parts.spec.run.replicas * parts.spec.run.steps
    return ticks * nanoseconds * 1e-9 >= WORTH
