"""Files in the sparse text format of LIBSVM, read as dense rows."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.problems.examples import (
    Array,
    Classes,
    DataSet,
    Examples,
    Table,
    every_fifth_aside,
)
from hzbench.problems.folder import broken, locate
from hzbench.problems.labels import class_mistake

_MOST = 2**27  # numbers in a dense table: 1 GiB
_CORRECT = "correct its targets, or take another file"
_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")  # how files of gzip, bzip2 and xz begin
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # of byte order, in UTF-8 and UTF-16
_OPENED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_LONG = 120
_Lines = list[bytes]


@register("data", "libsvm")
class Libsvm(DataSet):
    """A file of lines `target index:value ...`, plain, .gz or .bz2; values are left as they are.

    Linear models take all rows of `file`; networks keep `test` aside, or every fifth row of each
    class. Classes are the different targets in ascending order.

    Source: Chang and Lin, "LIBSVM: a library for support vector machines", 2011 (its README states
    the format).
    """

    origin: ClassVar[str] = "a file in --data DIR"
    content: ClassVar[str] = "what the file holds"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"file": "a9a"},)

    file: str = Field(min_length=1, description="the file, below the data folder")
    test: str = Field("", description="a second file, kept aside")
    rows: int | None = Field(None, ge=1, description="rows that `file` must have")
    features: int | None = Field(None, ge=1, description="features; default: the largest index")

    def load(self) -> Examples:
        """Rows and classes.

        Raises:
            UserMistakeError: a file is missing, damaged, or its targets are no classes.
        """
        (inputs, targets), *others = self._tables()
        found = class_mistake(targets)
        if found is not None:
            raise broken(self.files()[0], f"with {found[0]}", found[1], _CORRECT)
        known = np.unique(targets)
        labels = np.searchsorted(known, targets)
        if not others:
            return self._split(inputs, labels, len(known))
        ((aside, beside),) = others
        if not np.isin(beside, known).all():
            other = beside[~np.isin(beside, known)][0]
            targets_of = f"those of {self.file}"
            raise broken(self.files()[1], f"with the target {other:g}", targets_of, _CORRECT)
        return Examples(
            inputs=inputs,
            targets=labels,
            validation_inputs=aside,
            validation_targets=np.searchsorted(known, beside),
            shape=inputs.shape[1:],
            classes=len(known),
        )

    def table(self) -> Table:
        """All rows and their targets as they are written."""
        return self._tables()[0]

    def files(self) -> tuple[Path, ...]:
        """The file, and the second one."""
        return tuple(locate([name]) for name in (self.file, self.test) if name)

    def _tables(self) -> list[Table]:
        """Features and targets of each file.

        Raises:
            UserMistakeError: a file is missing or damaged, or too large as a dense table.
        """
        from sklearn.datasets import load_svmlight_files

        files = self.files()
        told = " and ".join(map(str, files))
        try:
            found = load_svmlight_files([*map(str, files)], n_features=self.features)
        except (ValueError, EOFError, OSError, OverflowError, zlib.error) as error:
            raise UserMistakeError(
                f"got {told}, which cannot be read ({_shown(files, error)}); expected lines "
                f"`target index:value ...`; {_remedy(files, error)}"
            ) from None
        parts = list(zip(found[::2], found[1::2], strict=True))
        return [self._dense(path, *part) for path, part in zip(files, parts, strict=True)]

    def _dense(self, path: Path, sparse: Any, targets: Any) -> Table:
        rows, columns = sparse.shape
        wanted = self.rows if path == self.files()[0] else None
        if rows != (wanted or max(rows, 1)):
            remedy = "correct rows, or take the whole file" if wanted else "take another file"
            raise broken(path, f"with {rows} rows", f"{wanted or 'at least one'}", remedy)
        if rows * columns > _MOST:
            raise broken(
                path,
                f"with {rows}×{columns} numbers",
                f"at most {_MOST} in a dense table",
                "leave out rows, or number the features that occur 1, 2, ...",
            )
        return sparse.toarray(), np.asarray(targets, dtype=np.float64)

    def _split(self, inputs: Array, labels: Classes, classes: int) -> Examples:
        """Every fifth row of each class aside.

        Raises:
            UserMistakeError: no class has five.
        """
        most = int(np.bincount(labels).max())
        if most < 5:
            raise broken(
                self.files()[0],
                f"with at most {most} rows of a class, so that none is kept aside",
                "5 of some class",
                "name a second file with test, or take more rows",
            )
        return every_fifth_aside(inputs, labels, classes=classes)


def _shown(files: Sequence[Path], error: Exception) -> str:
    packed = _packed(files)
    if packed is not None:
        return f"{packed.name} is compressed and does not end in .gz or .bz2"
    text = str(error)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def _remedy(files: Sequence[Path], error: Exception) -> str:
    if _packed(files) is not None:
        return "unpack it, or name it as it is packed"
    if "n_features" in str(error):
        return "raise features"
    if isinstance(error, (ValueError, OverflowError)) and not isinstance(error, UnicodeError):
        with suppress(EOFError, OSError, zlib.error):  # a damaged archive holds no lines
            return _correction(files)
    return "take the whole file"


def _correction(files: Sequence[Path]) -> str:
    """What to do about the first line that cannot be read."""
    for path in files:
        with _OPENED.get(path.suffix, open)(path, "rb") as file:
            lines = list(file)
        if lines and lines[0].startswith(_MARKS):
            return f"save {path.name} as UTF-8 without the byte order mark that it begins with"
        if not _is_read(lines):
            number = _first_unread(lines) + 1
            return (
                f"correct line {number} of {path.name} (one target; whole indices from 1 on, "
                "ascending)"
            )
    return "take other files"


def _first_unread(lines: _Lines) -> int:
    """The index of the first line that cannot be read, of lines that hold one."""
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _is_read(lines[low:middle]) else (low, middle)
    return low


def _is_read(lines: _Lines) -> bool:
    from sklearn.datasets import load_svmlight_file

    try:
        load_svmlight_file(io.BytesIO(b"".join(lines)))
    except (ValueError, OverflowError):
        return False
    return True


def _packed(files: Sequence[Path]) -> Path | None:
    """The first file that is compressed, but not by its name."""
    for path in files:
        if path.suffix not in (".gz", ".bz2"):
            with path.open("rb") as file:
                if file.read(6).startswith(_MAGIC):
                    return path
    return None
