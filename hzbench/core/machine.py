"""What this machine has, and how a process uses it."""

import ctypes
import os
import sys

from hzbench.core.errors import UserMistakeError

THREADS = "NUMBA_NUM_THREADS"
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt in the GNU C library
_KEPT = 1 << 30


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
    return int(told or os.cpu_count() or 1)


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
