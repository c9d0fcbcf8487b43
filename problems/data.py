"""Data sets that scikit-learn ships (nothing is downloaded), loaded when first needed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.problems.losses import Targets

Array = NDArray[np.float64]
Table = tuple[Array, Array]  # features [N, d], targets [N]

REGRESSION = ("diabetes",)
CLASSES = ("breast_cancer", "digits")
SEVERAL = ("iris", "wine", "digits")


def data_mistakes(name: str, classes: Sequence[int], *, needs_classes: bool) -> list[str]:
    """What is wrong with the keys `data` and `classes`, without loading anything."""
    known = CLASSES if needs_classes else (*REGRESSION, *CLASSES)
    if needs_classes and name in REGRESSION:
        return [
            f"got data {name!r}, whose targets are real numbers; expected two classes; take one of "
            f"{', '.join(CLASSES)}, or problem ridge"
        ]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.5) or known
        return [
            f"got data {name!r}; expected one of {', '.join(known)}; "
            f"did you mean {' or '.join(map(repr, near))}?"
        ]
    if name == "digits" and not _is_pair(classes):
        return [
            f"got classes {list(classes)}; expected two different digits; write classes = [3, 8]"
        ]
    return []


def class_mistakes(name: str, classes: Sequence[int]) -> list[str]:
    """What is wrong with the keys `data` and `classes` where there are several classes."""
    if name not in SEVERAL:
        near = difflib.get_close_matches(name, SEVERAL, n=2, cutoff=0.5) or SEVERAL
        return [
            f"got data {name!r}; expected a set of several classes, one of {', '.join(SEVERAL)}; "
            f"did you mean {' or '.join(map(repr, near))}?"
        ]
    known = range(10) if name == "digits" else range(3)
    if len(set(classes)) == len(classes) != 1 and set(classes) <= set(known):
        return []
    return [
        f"got classes {list(classes)}; expected different ones of 0 ... {known[-1]}, at least two, "
        "or [] for all; change them"
    ]


def target_mistakes(kind: Targets, targets: Array) -> list[str]:
    """What is wrong with given targets of a kind."""
    fits = {
        "signs": (np.abs(targets) == 1, "−1 and +1; recode the two classes"),
        "counts": ((targets >= 0) & (targets % 1 == 0), "counts 0, 1, 2, ...; round them"),
        "nonnegative": (targets >= 0, "numbers >= 0; square the margins"),
        "classes": ((targets >= 0) & (targets % 1 == 0), "classes 0, 1, 2, ...; number them"),
    }
    if kind not in fits or fits[kind][0].all():
        return []
    other = sorted(set(targets[~fits[kind][0]].tolist()))[:3]
    shown = ", ".join(f"{value:g}" for value in other)
    return [f"got the targets {shown}; expected {fits[kind][1]}"]


def load(name: str, classes: Sequence[int] = (3, 8)) -> Table:
    """Features and targets; two classes are −1 and +1 (digits: in the order of `classes`).

    Raises:
        UserMistakeError: the set holds a value that is not finite.
    """
    features, targets = _raw(name)
    if name == "digits":
        kept = np.isin(targets, list(classes))
        features, targets = features[kept], np.where(targets[kept] == classes[1], 1.0, -1.0)
    elif name in CLASSES:
        targets = 2.0 * targets - 1.0
    require_finite(name, features, targets)
    return features, targets


def load_classes(name: str, classes: Sequence[int] = ()) -> Table:
    """Features and targets 0, 1, ..., in the order of `classes` (none: all that there are)."""
    features, targets = _raw(name)
    wanted = np.asarray(classes or np.unique(targets), dtype=np.float64)
    kept = np.isin(targets, wanted)
    place = (targets[kept][:, None] == wanted).argmax(axis=1)
    require_finite(name, features[kept], targets[kept])
    return features[kept], place.astype(np.float64)


def require_finite(name: str, features: Array, targets: Array) -> None:
    """Refuse missing values.

    Raises:
        UserMistakeError: a feature or target is not finite.
    """
    bad = ~(np.isfinite(features).all(axis=1) & np.isfinite(targets))
    if bad.any():
        raise UserMistakeError(
            f"got {int(bad.sum())} rows of {name} with missing or infinite values (the first: row "
            f"{int(bad.argmax())}); expected finite numbers; drop or fill these rows"
        )


def standardized(values: Array) -> Array:
    """Columns of mean 0 and standard deviation 1; constant columns become 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    constant = spread <= 1e-12 * np.abs(values).max(axis=0, initial=0.0)
    return np.asarray(np.where(constant, 0.0, centred / np.where(constant, 1.0, spread)))


def _is_pair(classes: Sequence[int]) -> bool:
    return len(set(classes)) == len(classes) == 2 and all(0 <= digit <= 9 for digit in classes)


@lru_cache
def _raw(name: str) -> Table:
    from sklearn import datasets

    features, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    return np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
