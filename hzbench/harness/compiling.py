"""Compiling: the kernels that runs need and this machine has not, before these runs."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hzbench.core.compiled import Kernel, ready
from hzbench.core.problem import ProblemComponent
from hzbench.engine.fused.executor import kernel_of
from hzbench.engine.fused.server import server_kernel
from hzbench.harness.engines import Asked
from hzbench.harness.prepare import Case


def compile_missing(
    cases: Sequence[Case],
    engine: Asked,
    device: str,
    report: Callable[[str, float], None] | None,
) -> float:
    """Compile what is missing, so that each is compiled once and the user sees it.

    Arguments:
        cases: runs to come.
        engine: who is asked to execute them.
        device: where.
        report: is called with a sentence before each, and 0.

    Returns:
        Seconds, 0 for none.
    """
    every = [kernel for case in cases for kernel in _kernels(case, engine, device)]
    needed = {(kernel.title, kernel.dtype): kernel for kernel in every}
    missing = [each for each in needed.values() if not ready(each.function, each.dtype)]
    began = time.perf_counter()
    for kernel in missing:
        if report:
            report(f"compiling the {kernel.title} kernel, once on this machine", 0.0)
        with _interruptible():
            kernel.compile()
    return round(time.perf_counter() - began, 3) if missing else 0.0


def _kernels(case: Case, engine: Asked, device: str) -> Iterator[Kernel]:
    """The kernels of a case's engine and of its problem."""
    if case.engine(engine, device) == "fused":
        protocol = case.setting.protocol
        yield server_kernel() if protocol == "server" else kernel_of(protocol)
    problem = case.spec.component("problem", case.spec.problem)
    if isinstance(problem, ProblemComponent) and device == "cpu":
        own = problem.kernel(case.spec.run.dtype)
        yield from (own,) if own else ()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Keep an interrupt until the end: within a callback of the compiler it would be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt
