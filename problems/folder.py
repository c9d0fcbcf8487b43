"""The folder of data files that the user names; nothing is ever downloaded."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from hzbench.core.errors import UserMistakeError

VARIABLE = "HZBENCH_DATA"


def use_folder(folder: Path | None) -> None:
    """Read data from there, in this process and in its workers (None: leave it as it is)."""
    if folder is not None:
        os.environ[VARIABLE] = str(folder)


def locate(names: Sequence[str], places: Sequence[str] = ("",)) -> Path:
    """The first of these files that is in the folder, or in one of its sub-folders `places`.

    Raises:
        UserMistakeError: no folder is named, it is not there, or it has none of the files.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise UserMistakeError(
            f"got no data folder, where {names[0]} would be; expected one; name it with --data DIR "
            f"or {VARIABLE} (nothing is downloaded)"
        )
    folder = Path(named)
    if not _holds(folder.is_dir):
        raise UserMistakeError(
            f"got the data folder {folder}, which is no folder; expected one with {names[0]}; "
            f"correct --data or {VARIABLE}"
        )
    tried = [folder / place / name for place in places for name in names]
    found = next((path for path in tried if _holds(path.is_file)), None)
    if found is None:
        inside = ", ".join(f"{place}/" for place in places if place)
        raise UserMistakeError(
            f"got the data folder {folder} without {' or '.join(names)}; expected the file there"
            f"{f' or in {inside}' if inside else ''}; put it there (nothing is downloaded)"
        )
    return found


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked where it ends in .gz.

    Raises:
        UserMistakeError: it cannot be read, or is no whole gzip file.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise broken(path, f"({error})", "a whole gzip file") from None
    except OSError as error:
        raise broken(path, f"(cannot be read: {error.strerror})", "a readable file") from None


def _holds(check: Callable[[], bool]) -> bool:
    """What a path is asked; no where the system refuses its name (too long) or its folder."""
    try:
        return check()
    except OSError:
        return False


def broken(
    path: Path, got: str, expected: str, remedy: str = "take the published file"
) -> UserMistakeError:
    """A file that is not what it should be."""
    return UserMistakeError(f"got {path} {got}; expected {expected}; {remedy}")


def digest(path: Path) -> str:
    """Hash of a file as it is now."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache
def _digest(path: Path, size: int, changed: int) -> str:
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
