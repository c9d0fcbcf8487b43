"""Labelled data with a validation part, and the data sets that give it (registered kind "data")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from hzbench.core.component import Component
from hzbench.core.errors import UserMistakeError
from hzbench.core.normal_form import component_from
from hzbench.problems.folder import digest
from hzbench.problems.labels import class_mistake

Array = NDArray[Any]
Classes = NDArray[np.int64]
Table = tuple[NDArray[np.float64], NDArray[np.float64]]  # features [N, d], targets [N]
Words = str | dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Labelled data.

    Attributes:
        inputs: [N, *shape]: numbers (images: float32, channels first), or int64 tokens [N, L].
        targets: classes 0, 1, ..., shape [N].
        validation_inputs: the part kept aside, [V, *shape].
        validation_targets: shape [V].
        shape: of one input.
        classes: how many there are.
        vocabulary: how many tokens there are, padding (0) included; 0 for numbers.
    """

    inputs: Array
    targets: Classes
    validation_inputs: Array
    validation_targets: Classes
    shape: tuple[int, ...]
    classes: int
    vocabulary: int = 0


class DataSet(Component):
    """Base of data sets.

    Attributes:
        origin: where it comes from, in words.
        content: what it holds, in words.
        labels: number of classes; 0: the targets are real numbers; None: the file tells.
    """

    origin: ClassVar[str] = ""
    content: ClassVar[str] = ""
    labels: ClassVar[int | None] = None

    def load(self) -> Examples:
        """Inputs with classes, and a validation part.

        Raises:
            UserMistakeError: it cannot be read, or its targets are no classes.
        """
        raise NotImplementedError

    def table(self) -> Table:
        """What linear models take: every input as a row (without the part kept aside), targets.

        Raises:
            UserMistakeError: it cannot be read, or its inputs are no numbers.
        """
        found = load_examples(self)
        if found.vocabulary:
            raise UserMistakeError(
                "got data whose inputs are tokens; expected numbers; take another data set, or a "
                "problem that reads tokens"
            )
        rows = found.inputs.reshape(len(found.inputs), -1)
        return rows.astype(np.float64), found.targets.astype(np.float64)

    def files(self) -> tuple[Path, ...]:
        """The files that it reads.

        Raises:
            UserMistakeError: one is missing.
        """
        return ()

    def labelled(self) -> tuple[Path, ...]:
        """Those of the files that hold the labels of the training part."""
        return self.files()

    def require_finite(self, inputs: Array, targets: Array) -> None:
        """Refuse missing values.

        Raises:
            UserMistakeError: an input or target is not finite.
        """
        whole = np.isfinite(inputs).all(axis=tuple(range(1, inputs.ndim)))
        bad = ~(whole & np.isfinite(targets))
        if bad.any():
            raise UserMistakeError(
                f"got {self._told(self.files())} with missing or infinite values in "
                f"{int(bad.sum())} rows (the first: row {int(bad.argmax())}); expected finite "
                "numbers; drop or fill these rows"
            )

    def require_classes(self, targets: Array, count: int | None = None) -> None:
        """Refuse targets of the training part that name no classes, or lack one of `count`.

        Raises:
            UserMistakeError: they do.
        """
        mistake = class_mistake(targets, count)
        if mistake is not None:
            raise UserMistakeError(
                f"got {self._told(self.labelled())} with {mistake[0]} in the training part; "
                f"expected {mistake[1]}; take other files or data"
            )

    def _told(self, files: tuple[Path, ...]) -> str:
        named = [*map(str, files[:1]), *(path.name for path in files[1:])]
        return ", ".join(named) or f"data of {type(self).__name__}"

    def fingerprint(self) -> str:
        """Hash of the content of its files ("" where there is nothing to read)."""
        try:
            return "".join(map(digest, self.files()))
        except (UserMistakeError, OSError):
            return ""


def data_set(words: Words) -> DataSet:
    """The data set that a spec names, with or without parameters.

    Raises:
        UserMistakeError: an unknown name or parameter.
    """
    unnamed = 'got data without a name; expected { name = "libsvm", ... }; add the name'
    return cast("DataSet", component_from("data", words, unnamed=unnamed))


def load_examples(data: Words | DataSet) -> Examples:
    """The examples of a data set, "digits" or {"name": "brackets", "seed": 1}; kept in memory.

    Raises:
        UserMistakeError: there is no such set, or it cannot be read.
    """
    known = data if isinstance(data, DataSet) else data_set(data)
    return _load(known, known.fingerprint())


@lru_cache(maxsize=4)
def _load(known: DataSet, fingerprint: str) -> Examples:
    """Keyed by what decides the content too: a file that changes is read again."""
    del fingerprint
    found = known.load()
    known.require_classes(found.targets, found.classes)
    known.require_finite(found.inputs, found.targets)
    known.require_finite(found.validation_inputs, found.validation_targets)
    return found


def every_fifth_aside(inputs: Array, targets: Classes, *, classes: int) -> Examples:
    """Each class in its order, every fifth example of it in the validation part: nothing random."""
    place = np.empty(len(targets), dtype=np.int64)
    for label in range(classes):
        rows = np.flatnonzero(targets == label)
        place[rows] = np.arange(len(rows))
    aside = place % 5 == 4
    return Examples(
        inputs=inputs[~aside],
        targets=targets[~aside],
        validation_inputs=inputs[aside],
        validation_targets=targets[aside],
        shape=inputs.shape[1:],
        classes=classes,
    )
