"""Data sets that scikit-learn ships: nothing is downloaded."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.problems.examples import DataSet, Examples, Table, every_fifth_aside

LEARN = "scikit-learn"


class ScikitSet(DataSet):
    """Base: linear models take all rows as they are, others keep every fifth of a class aside.

    Attributes:
        name: scikit-learn's.
        shape: of one input.
        largest: what inputs are divided by; 0: columns are standardized by the rows not kept aside.
    """

    origin: ClassVar[str] = LEARN
    shape: ClassVar[tuple[int, ...]] = ()
    largest: ClassVar[float] = 0.0
    name: ClassVar[str]

    def load(self) -> Examples:
        """Inputs divided by the largest possible one, or standardized.

        Raises:
            UserMistakeError: the targets are real numbers.
        """
        if not self.labels:
            raise UserMistakeError(
                f"got data {self.name!r}, whose targets are real numbers; expected classes; take "
                "breast_cancer, digits, iris or wine"
            )
        rows, targets = self.table()
        found = every_fifth_aside(rows, targets.astype(np.int64), classes=self.labels)
        centre, spread = 0.0, self.largest
        if not self.largest:
            centre, spread = found.inputs.mean(axis=0), found.inputs.std(axis=0)
        inputs, aside = (
            ((part - centre) / spread).astype(np.float32).reshape(-1, *self.shape)
            for part in (found.inputs, found.validation_inputs)
        )
        return replace(found, inputs=inputs, validation_inputs=aside, shape=self.shape)

    def table(self) -> Table:
        """All rows, as scikit-learn gives them."""
        from sklearn import datasets

        features, targets = getattr(datasets, f"load_{self.name}")(return_X_y=True)
        return np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)


@register("data", "digits")
class Digits(ScikitSet):
    """Handwritten digits, 8×8 pixels 0 ... 16 (as images divided by 16).

    Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998 (the test
    part, as scikit-learn ships it).
    """

    content: ClassVar[str] = "1442 + 355 images of 1×8×8, 10 classes"
    labels: ClassVar[int | None] = 10
    shape: ClassVar[tuple[int, ...]] = (1, 8, 8)
    largest: ClassVar[float] = 16.0
    name: ClassVar[str] = "digits"


@register("data", "iris")
class Iris(ScikitSet):
    """Measures of flowers of three species.

    Source: Fisher, "The use of multiple measurements in taxonomic problems", 1936.
    """

    content: ClassVar[str] = "120 + 30 rows of 4, 3 classes"
    labels: ClassVar[int | None] = 3
    shape: ClassVar[tuple[int, ...]] = (4,)
    name: ClassVar[str] = "iris"


@register("data", "wine")
class Wine(ScikitSet):
    """Chemical analyses of wines of three growers.

    Source: Aeberhard and Forina, "Wine", UCI, 1992.
    """

    content: ClassVar[str] = "144 + 34 rows of 13, 3 classes"
    labels: ClassVar[int | None] = 3
    shape: ClassVar[tuple[int, ...]] = (13,)
    name: ClassVar[str] = "wine"


@register("data", "breast_cancer")
class BreastCancer(ScikitSet):
    """Features of cell nuclei; class 0 malignant, 1 benign.

    Source: Wolberg, Mangasarian, Street, Street, "Breast cancer Wisconsin (diagnostic)", UCI, 1995.
    """

    content: ClassVar[str] = "456 + 113 rows of 30, 2 classes"
    labels: ClassVar[int | None] = 2
    shape: ClassVar[tuple[int, ...]] = (30,)
    name: ClassVar[str] = "breast_cancer"


@register("data", "diabetes")
class Diabetes(ScikitSet):
    """Ten measures of patients and the progress of their disease after a year, a real number.

    Source: Efron, Hastie, Johnstone, Tibshirani, "Least angle regression", 2004.
    """

    content: ClassVar[str] = "442 rows of 10, real targets"
    labels: ClassVar[int | None] = 0
    name: ClassVar[str] = "diabetes"
