"""CUDA graphs: a round that repeats is captured once and replayed, with one launch a step.

A capture keeps every address and every number that was not read from a tensor. So the state lies in
tensors that stay where they are, the step is a number on the device which the round itself counts
up, and rounds that use another W are captured apart. Torch asks for a few runs on a stream of their
own before a capture; these are the first steps of the run.

No capture has run on a device so far: that a round is fit for one is shown on the CPU, by programs
that keep the same things (`tests/engine/test_engine_graphs.py`).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WARM_UP = 3
"""Rounds before a capture; the first ones fetch what stays on the device."""
BROKEN: list[Any] = []
"""Graphs whose capture broke off: the allocator may still ask them, so they stay. None follows."""
WAITS = "called a synchronizing CUDA operation"
"""How torch words it that the host waits for the device, which nothing captured may do."""


class Replay:
    """Rounds of one run by their graphs; round by round where these cannot be had.

    Attributes:
        plain: why rounds run one by one, told as a warning; empty while they do not.
    """

    def __init__(
        self, body: Callable[[int], None], phase: Callable[[int], int], now: Tensor
    ) -> None:
        """Begin with nothing captured.

        Arguments:
            body: runs the round that `now` says in place and counts `now` up; a function of the
                step's phase, of which it reads no more than that.
            phase: which rounds repeat each other.
            now: the next step, int64 [] on a CUDA device.
        """
        import torch

        self.body, self.phase, self.now = body, phase, now
        self.plain = "an earlier capture of this process broke off" if BROKEN else ""
        self.warm: Counter[int] = Counter()
        self.graphs: dict[int, Any] = {}
        self.stream = side_stream(now.device)
        self.pool = torch.cuda.graph_pool_handle()

    def run(self, start: int, stop: int) -> None:
        """Steps start ... stop − 1."""
        self.now.fill_(start)
        for step in range(start, stop):
            self.one(step)

    def one(self, step: int) -> None:
        """One step: replayed, or as what comes before."""
        phase = self.phase(step)
        if not self.plain and phase not in self.graphs and self.warm[phase] == WARM_UP:
            self.capture(step, phase)
        if phase in self.graphs:
            self.graphs[phase].replay()
        elif self.plain:
            self.body(step)
        else:
            self.warm_up(step, phase)

    def warm_up(self, step: int, phase: int) -> None:
        """A round on a stream of its own; the last of them tells whether it waits."""
        import torch

        current = torch.cuda.current_stream(self.now.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream), waiting() as seen:
            self.body(step)
        current.wait_stream(self.stream)
        self.warm[phase] += 1
        if seen and self.warm[phase] == WARM_UP:
            self.give_up("that wait for the device")

    def capture(self, step: int, phase: int) -> None:
        """Keep the round; nothing of it runs yet.

        A capture that breaks off ends by an error, too, before it has left its stream and told the
        allocator: both are done here.
        """
        import torch

        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.now.device)
        try:
            with (
                torch.cuda.stream(current),
                torch.cuda.graph(graph, pool=self.pool, stream=self.stream),
            ):
                self.body(step)
        except RuntimeError as error:  # the state is as before: a real error comes again
            BROKEN.append(graph)
            with suppress(RuntimeError):  # it had ended
                torch._C._cuda_endAllocateToPool(self.now.device.index or 0, self.pool)  # noqa: SLF001
            self.give_up(f"that cannot be captured ({first_line(error)})")
        else:
            self.graphs[phase] = graph

    def give_up(self, reason: str) -> None:
        """Run what is not captured round by round from here on, and say so."""
        self.plain = f"got rounds {reason}; expected some for CUDA graphs; they run one by one"
        warnings.warn(self.plain, RuntimeWarning, stacklevel=2)


def first_line(error: BaseException) -> str:
    """What an error says, or the one before it: of a capture that broke off, what broke it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]


@cache
def side_stream(device: torch.device) -> torch.cuda.Stream:
    """Where rounds of that device are warmed up and captured: one, so that its memory is reused."""
    import torch

    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def waiting() -> Iterator[list[str]]:
    """The places where the host waits for the device within, as torch tells them."""
    import torch

    seen: list[str] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield seen
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for each in told:
        if WAITS in str(each.message):
            seen.append(f"{each.filename}:{each.lineno}")
        elif "Synchronization debug mode" not in str(each.message):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
