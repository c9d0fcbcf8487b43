"""What this machine has, and how a process uses it."""

import ctypes
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hzbench.core.errors import UserMistakeError

THREADS = "NUMBA_NUM_THREADS"
WORKERS = "HZBENCH_WORKERS"
"""How many processes share the memory of machine and device; set for workers by who starts them."""
AT_ONCE = 1 << 28
"""Numbers of a temporary array that a CUDA device computes at once, where they fit its memory."""
_TEMPORARIES = 4  # arrays of that size at a time, roughly
_NO_ROOM = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
_GROUPS = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt in the GNU C library
_KEPT = 1 << 30


def memory(device: str = "cpu") -> int:
    """Bytes that this process may use: of the machine, of its control group, of its own limit.

    Of a CUDA device all it has, whoever holds some of it now: what is cut by it stays the same.
    """
    if on_cuda(device):
        return _device_memory(device)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [machine, *_group_limits(), *([own] if own != resource.RLIM_INFINITY else [])]
    return min(limits)


def share(device: str = "cpu") -> int:
    """Bytes for the replicas that one worker runs at a time: half of all is for these."""
    return memory(device) // (2 * max(2, int(os.environ.get(WORKERS, "1"))))


def at_once(device: str, on_host: int) -> int:
    """Numbers of a temporary array that are computed at once; results differ in their last bits.

    Arguments:
        device: torch device; on CUDA `AT_ONCE`, halved until temporaries fit a worker's share.
        on_host: what pays elsewhere: as many as caches hold, or malloc reuses.
    """
    if not on_cuda(device):
        return on_host
    fitting = share(device) // (8 * _TEMPORARIES)
    return min(AT_ONCE, 1 << max(0, fitting.bit_length() - 1))


def on_cuda(device: str) -> bool:
    """Whether a torch device is one with memory of its own that torch knows: "cuda", "cuda:1"."""
    return device.startswith("cuda")


@cache
def _device_memory(device: str) -> int:
    import torch

    return int(torch.cuda.mem_get_info(device)[1])


def peak_device_memory(device: str) -> int:
    """Most bytes of tensors that this process has held on a CUDA device; 0 elsewhere."""
    if not on_cuda(device):
        return 0
    import torch

    return int(torch.cuda.max_memory_allocated(device))


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError where torch finds no room, on the host or on a device.

    Raises:
        MemoryError: which says how much was asked for, and of a device how much is free.
    """
    try:
        yield
    except RuntimeError as error:
        told = _out_of_memory(error)
        if not told:
            raise
        raise MemoryError(told) from None


def _out_of_memory(error: RuntimeError) -> str:
    """What torch says of the room that it did not find; empty: the error is another one."""
    told = str(error)
    host = re.search(r"DefaultCPUAllocator: (can't allocate memory.*?) *\.", told)
    if host:
        return host[1]
    if type(error).__name__ != "OutOfMemoryError" and not any(each in told for each in _NO_ROOM):
        return ""
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", told)
    room = re.search(r"total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free", told)
    return (
        "CUDA out of memory"
        + (f": tried to allocate {asked[1]}" if asked else "")
        + (f" on a device of {room[1]}, of which {room[2]} is free" if room else "")
    )


def _group_limits() -> Iterator[int]:
    """The limits of this process's control group and of those around it (containers, Slurm)."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for kinds, path in (line.split(":", 2)[1:] for line in lines):
        if kinds not in ("", "memory"):  # version 2, version 1
            continue
        top = _GROUPS / kinds
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(top):
                yield from _number(folder / ("memory.limit_in_bytes" if kinds else "memory.max"))


def _number(file: Path) -> Iterator[int]:
    """The number in a file, if there is one ("max" is none)."""
    try:
        yield int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Threads of this process: NUMBA_NUM_THREADS if set (workers have one each), else all cores.

    Raises:
        UserMistakeError: it is set to something else than a number from 1 on, as numba wants it.
    """
    told = os.environ.get(THREADS, "").strip()
    if told and not (told.isascii() and told.isdigit() and int(told)):
        raise UserMistakeError(
            f"got {THREADS}={told!r} in the environment; expected a whole number from 1 on; "
            "correct or unset it"
        )
    return int(told or cores())


def settle() -> None:
    """What every run asks of its process: one thread, all digits, equal bits, memory kept.

    One thread fixes the last bit on the host. On CUDA cuDNN is asked for convolutions that add up
    in one order, and cuBLAS for room of a fixed size on every stream.
    """
    import torch

    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    keep_all_digits()
    keep_freed_memory()


def keep_all_digits() -> None:
    """Products of float32 with all 24 bits: TensorFloat-32 would keep eleven of them.

    PyTorch 2.9 has words of its own for it, which go before the older ones; both are told, since
    who asks in the older words gets an error where the two differ.
    """
    import torch

    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    convolution = getattr(torch.backends.cudnn, "conv", None)
    recurrent = getattr(torch.backends.cudnn, "rnn", None)
    for kind in (torch.backends.cuda.matmul, convolution, recurrent):
        if kind is not None and hasattr(kind, "fp32_precision"):
            kind.fp32_precision = "ieee"


def keep_freed_memory() -> None:
    """Let arrays reuse what others have freed, up to 1 GiB, where the C library can be told so.

    Otherwise every array above some megabytes is given back to the system and faulted in again page
    by page, which takes longer than most arithmetic on it.
    """
    if not sys.platform.startswith("linux"):
        return
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(_MMAP_THRESHOLD, _KEPT)
        tell(_TRIM_THRESHOLD, _KEPT)
