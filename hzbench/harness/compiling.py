"""Compiling: the kernels that runs need and this machine has not, before these runs."""

from __future__ import annotations

import fcntl
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from hzbench.core.compiled import Kernel, folder, ready
from hzbench.core.problem import ProblemComponent
from hzbench.engine.fused.executor import kernel_of
from hzbench.engine.fused.mean_loss import mean_loss_kernel
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
        with _alone(), _interruptible():
            kernel.compile()
    return round(time.perf_counter() - began, 3) if missing else 0.0


def _kernels(case: Case, engine: Asked, device: str) -> Iterator[Kernel]:
    """The kernels of a case's engine and of its problem."""
    if case.engine(engine, device) == "fused":
        protocol = case.setting.protocol
        yield server_kernel() if protocol == "server" else kernel_of(protocol)
        if getattr(case.setting.problem.structure, "loss", None) == "logistic":
            yield mean_loss_kernel()
    problem = case.spec.component("problem", case.spec.problem)
    if isinstance(problem, ProblemComponent) and device == "cpu":
        own = problem.kernel(case.spec.run.dtype)
        yield from (own,) if own else ()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for other processes that compile: what they have kept is loaded then."""
    with ExitStack() as stack:
        with suppress(OSError):  # a full disk, or one that knows no locks
            file = stack.enter_context((folder() / "lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Keep the first interrupt until the end: in a callback of the compiler it would be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def hold(number: int, frame: object) -> None:
        del frame
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        told = "interrupted; stops once this kernel is compiled, or at the next interrupt"
        print(f"hzbench: {told}", file=sys.stderr)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt
