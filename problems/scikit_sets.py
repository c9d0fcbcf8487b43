"""Data sets that scikit-learn ships: nothing is downloaded."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hzbench.core.registry import register
from hzbench.problems.examples import DataSet, Examples, every_fifth_aside


@register("data", "digits")
class Digits(DataSet):
    """Handwritten digits, 8×8 pixels, numbers 0 ... 16 divided by 16.

    Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998 (the test
    part, as scikit-learn ships it).
    """

    origin: ClassVar[str] = "scikit-learn"
    content: ClassVar[str] = "1797 images of 1×8×8, 10 classes"

    def load(self) -> Examples:
        """Every fifth image of each class is kept aside."""
        from sklearn import datasets

        pixels, labels = datasets.load_digits(return_X_y=True)
        images = (pixels / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
        return every_fifth_aside(images, labels.astype(np.int64), classes=10)
