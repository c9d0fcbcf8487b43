"""What this machine has, and how a process uses it."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from hzbench.core.errors import UserMistakeError

THREADS = "NUMBA_NUM_THREADS"
WORKERS = "HZBENCH_WORKERS"
"""How many processes share the machine's memory; set for workers by whoever starts them."""
_GROUPS = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt in the GNU C library
_KEPT = 1 << 30


def memory() -> int:
    """Bytes that this process may use: of the machine, of its control group, of its own limit."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [machine, *_group_limits(), *([own] if own != resource.RLIM_INFINITY else [])]
    return min(limits)


def share() -> int:
    """Bytes for the replicas that one worker runs at a time: half of all is for these."""
    return memory() // (2 * max(2, int(os.environ.get(WORKERS, "1"))))


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
    """What every run asks of its process: one thread, all digits of float32, memory kept.

    One thread fixes the last bit; TensorFloat-32 would keep ten bits of a mantissa of 23.
    """
    import torch

    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    keep_freed_memory()


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
