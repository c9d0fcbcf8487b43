"""Runs of a server that nobody can wait for, told before anything is simulated."""

from __future__ import annotations

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.setting import Setting
from hzbench.core.spec import Spec
from hzbench.engine.arrivals import PATIENCE
from hzbench.harness.setting import clock_of, reference_spec, work_of

MOST_ARRIVALS = 100_000_000
"""Arrivals of one run: minutes of one core, and as many jobs in memory."""


def refuse_waits(spec: Spec, setting: Setting) -> None:
    """Raise where a server, or that of the reference, asks for too many arrivals.

    Raises:
        SpecError: how many arrivals the first update or the whole run take at least, and a way out.
    """
    found = _mistakes(spec, setting)
    if setting.reference is not None:
        found += _mistakes(reference_spec(spec), setting.reference)
    if found:
        raise SpecError(list(dict.fromkeys(found)), f"spec {spec.name!r}")


def _mistakes(spec: Spec, setting: Setting) -> list[str]:
    if setting.server is None or setting.clock is None:
        return []
    count = registry.find("limit", "arrivals").target
    first, total = count(setting.server, setting.clock, setting.steps)
    if first > PATIENCE:
        slowest = max(clock_of(spec).timer(work_of(spec), spec.run.seed).times.totals)
        return [
            f"method: got a server whose first update takes {first:.3g} arrivals or more (the "
            f"slowest of {setting.nodes} workers takes about {float(slowest):.3g} s); expected at "
            f"most {PATIENCE}; ask for fewer arrivals a round, or let the slowest worker be faster"
        ]
    most = min(MOST_ARRIVALS, PATIENCE * setting.steps)
    if total > most:
        return [
            f"run.steps: got {setting.steps} updates that take {total:.3g} arrivals or more; "
            f"expected at most {most}; take fewer steps, or fewer arrivals a round"
        ]
    return []
