"""Workers: spawned processes that take tasks, and what they are sent."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from hzbench.core.machine import THREADS as NUMBA
from hzbench.core.machine import WORKERS

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", NUMBA)
_meter: Any = None  # of a worker
Submit = Callable[..., Future[Any]]


def worker_pool(workers: int, meter: Any = None) -> ProcessPoolExecutor:
    """Spawned processes of one thread each, which leave with their parent.

    Arguments:
        meter: shared numbers, one a case, in which workers say how far they are.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(os.getpid(), meter, workers)
    )


def here(task: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Do it at once, in this process, as a pool would in another."""
    future: Future[Any] = Future()
    future.set_result(task(*arguments))
    return future


def say(index: int, done: float) -> None:
    """Let a worker's parent see how far case `index` is."""
    _meter[index] = done


def _without_repetition(array: Any) -> Any:
    """How an array is sent: one that repeats itself along an axis (stride 0) as what it repeats.

    The declared Hessian of n nodes is one [d, d] seen n times; whole it would be n times as large.
    """
    repeats = [
        step == 0 and size > 1 for step, size in zip(array.strides, array.shape, strict=True)
    ]
    if not any(repeats):
        return array.__reduce_ex__(4)
    once = array[tuple(slice(1) if repeat else slice(None) for repeat in repeats)]
    return np.broadcast_to, (np.ascontiguousarray(once), array.shape)


ForkingPickler.register(np.ndarray, _without_repetition)


def _start(parent: int, meter: Any, workers: int) -> None:
    """Pin threads, share memory, and leave when the parent is gone (a worker would outlive it)."""
    import threading

    import torch

    global _meter  # noqa: PLW0603  (what a process inherits)
    _meter = meter
    os.environ[WORKERS] = str(workers)
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def one_thread() -> Iterator[None]:
    """Workers inherit one thread each: more make a busy machine slower."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
