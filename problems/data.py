"""Rows and targets of a data set as a linear model of some kind takes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.problems.examples import DataSet, Table, Words, data_set
from hzbench.problems.labels import class_mistake
from hzbench.problems.loss import Targets

Array = NDArray[np.float64]
_LARGEST = 1e70  # sums of products of four are finite


def table_of(
    words: Words, kind: Targets, classes: Sequence[int], *, standardize: bool = False
) -> Table:
    """Features and targets; of several classes, the two (as −1 and +1) or the ones asked for.

    Classes are numbered 0, 1, ... in the order of their targets. Where a real target is wanted, a
    set of classes gives −1 and +1 too.

    Raises:
        UserMistakeError: the set cannot be read, or its targets do not fit.
    """
    known = data_set(words)
    _require_targets(words if isinstance(words, str) else words["name"], known.labels, kind)
    return _table_of(known, known.fingerprint(), kind, tuple(classes), standardize)


@lru_cache(maxsize=4)
def _table_of(
    known: DataSet, fingerprint: str, kind: Targets, classes: tuple[int, ...], standardize: bool
) -> Table:
    del fingerprint  # a key: a file that changes is read again
    features, targets = known.table()
    known.require_finite(features, targets)
    if kind in ("signs", "classes"):
        known.require_classes(targets)
    if kind == "classes":
        features, targets = _several(features, targets, classes)
    elif kind == "signs" or (kind == "real" and known.labels):
        features, targets = _two(features, targets, classes)
    for mistake in size_mistakes(features, targets) or target_mistakes(kind, targets):
        raise UserMistakeError(mistake)
    return scaled(features, targets, kind) if standardize else (features, targets)


def _require_targets(name: str, labels: int | None, kind: Targets) -> None:
    """Refuse, unread, a set whose targets are known not to fit."""
    if labels is not None and kind in ("counts", "nonnegative"):
        raise UserMistakeError(
            f"got data {name!r}; expected {kind} as targets, which that set does not have; give "
            "planted, features and targets, or a libsvm file"
        )
    if labels == 0 and kind in ("signs", "classes"):
        raise UserMistakeError(
            f"got data {name!r}, whose targets are real numbers; expected classes; take "
            "breast_cancer, digits, iris or wine, or problem ridge"
        )


def scaled(features: Array, targets: Array, kind: Targets) -> Table:
    """Standardized features, and real targets too."""
    return standardized(features), standardized(targets) if kind == "real" else targets


def size_mistakes(features: Array, targets: Array) -> list[str]:
    """Rows too large for squares of their gradients, |a_j|²(a_j'x − y_j)², and for a solver."""
    rows = np.maximum(features.max(axis=1, initial=0.0), -features.min(axis=1, initial=0.0))
    named = (("features", rows), ("targets", np.abs(targets)))
    return [
        f"got {name} up to {sizes.max():.3g} (the first beyond: row {int(bad.argmax())}); expected "
        f"at most {_LARGEST:g}, whose squares a computer can sum; rescale them"
        for name, sizes in named
        if (bad := ~(sizes <= _LARGEST)).any()
    ]


def target_mistakes(kind: Targets, targets: Array) -> list[str]:
    """What is wrong with given targets of a kind."""
    fits = {
        "signs": (np.abs(targets) == 1, "−1 and +1; recode the two classes"),
        "counts": ((targets >= 0) & (targets % 1 == 0), "counts 0, 1, 2, ...; round them"),
        "nonnegative": (targets >= 0, "numbers >= 0; square the margins"),
        "classes": ((targets >= 0) & (targets % 1 == 0), "classes 0, 1, 2, ...; number them"),
    }
    if kind not in fits:
        return []
    if fits[kind][0].all():
        return _class_mistakes(kind, targets)
    other = sorted(set(targets[~fits[kind][0]].tolist()))[:3]
    shown = ", ".join(f"{value:g}" for value in other)
    return [f"got the targets {shown}; expected {fits[kind][1]}"]


def _class_mistakes(kind: Targets, targets: Array) -> list[str]:
    """One class only, or numbers of classes with a gap."""
    if kind not in ("signs", "classes"):
        return []
    found = class_mistake(targets, int(targets.max()) + 1 if kind == "classes" else None)
    return [] if found is None else [f"got {found[0]}; expected {found[1]}; add rows of the others"]


def standardized(values: Array, like: Array | None = None) -> Array:
    """Columns of mean 0 and standard deviation 1, those of `like` if given; constant ones 0."""
    of = values if like is None else like
    centred = values - of.mean(axis=0)
    spread = of.std(axis=0)
    constant = spread <= 1e-12 * np.abs(of).max(axis=0, initial=0.0)
    return np.asarray(np.where(constant, 0.0, centred / np.where(constant, 1.0, spread)))


def _two(features: Array, targets: Array, classes: Sequence[int]) -> Table:
    """The rows of two classes, −1 and +1; of more than two classes, those of `classes`."""
    known = np.unique(targets)
    if len(known) == 2:
        return features, np.where(targets == known[1], 1.0, -1.0)
    if len(classes) != 2 or not _are_different(classes, len(known)):
        raise UserMistakeError(
            f"got classes {list(classes)}; expected two different ones of 0 ... {len(known) - 1}; "
            "write classes = [0, 1]"
        )
    first, second = (targets == known[label] for label in classes)
    kept = first | second
    return features[kept], np.where(second[kept], 1.0, -1.0)


def _several(features: Array, targets: Array, classes: Sequence[int]) -> Table:
    """The rows of `classes`, as 0, 1, ... in that order (none: all that there are)."""
    known = np.unique(targets)
    if len(classes) == 1 or not _are_different(classes, len(known)):
        raise UserMistakeError(
            f"got classes {list(classes)}; expected different ones of 0 ... {len(known) - 1}, at "
            "least two, or [] for all; change them"
        )
    wanted = known[list(classes)] if classes else known
    kept = np.isin(targets, wanted)
    place = (targets[kept][:, None] == wanted).argmax(axis=1)
    return features[kept], place.astype(np.float64)


def _are_different(classes: Sequence[int], count: int) -> bool:
    return len(set(classes)) == len(classes) and set(classes) <= set(range(count))
