"""Files of rows in LIBSVM's format: read as written, and every damage by name."""

import bz2
import gzip
import lzma

import pytest
from test_problems_data import LINES, refused

from hzbench.core.errors import UserMistakeError
from hzbench.core.problem import Placement
from hzbench.core.registry import find
from hzbench.problems.data import table_of
from hzbench.problems.examples import data_set, load_examples

ROWS = [[0.5, 0, 2], [0, -1.5, 0], [0, 0, 4], [1, 1, 0], [7, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("packed", [False, True])
def test_a_libsvm_file_is_read_as_written(folder, packed):
    name = "tiny.gz" if packed else "tiny"
    folder({name: gzip.compress(LINES, mtime=0) if packed else LINES, "more": b"1 1:1\n"})
    words = {"name": "libsvm", "file": name}
    features, targets = table_of(words, "real", ())
    assert features.tolist() == ROWS
    assert targets.tolist() == [1, -1, 1, -1, 1, -1]
    assert table_of(words, "signs", ())[1].tolist() == [1, -1, 1, -1, 1, -1]
    assert table_of(words, "classes", ())[1].tolist() == [1, 0, 1, 0, 1, 0]
    found = load_examples(words | {"test": "more"})
    assert found.targets.tolist() == [1, 0, 1, 0, 1, 0]
    assert found.validation_inputs.tolist() == [[1, 0, 0]]
    assert found.validation_targets.tolist() == [1]
    assert (found.classes, found.shape) == (2, (3,))
    assert table_of(words | {"features": 5}, "real", ())[0].shape == (6, 5)


@pytest.mark.parametrize(
    ("content", "kind", "keys", "words"),
    [
        (None, "signs", {}, ["without tiny"]),
        (b"", "signs", {}, ["with 0 rows", "at least one"]),
        (LINES[:40], "real", {"rows": 6}, ["with 4 rows", "expected 6"]),
        (LINES + b"+1 2:", "real", {}, ["tiny, which cannot be read"]),
        (b"+1 one:2\n", "real", {}, ["tiny, which cannot be read"]),
        (b"\x00\x01", "real", {}, ["tiny, which cannot be read"]),
        (LINES, "real", {"features": 2}, ["; raise features"]),
        (b"1 3:1 1:2\n2 1:1\n", "real", {}, ["sorted and unique", "; correct line 1 of tiny"]),
        (LINES + b"1 1:1 1:2\n2 1:1\n", "real", {}, ["sorted and unique", "; correct line 7 of"]),
        (LINES + b"1 1.5:1\n2 1:1\n# end\n", "real", {}, ["; correct line 7 of tiny (one"]),
        (b"\n# so\n" + LINES + b"x 1:1\ny\n", "real", {}, ["; correct line 9 of tiny (one"]),
        (b"\xef\xbb\xbf" + LINES, "real", {}, ["; save tiny as UTF-8 without the byte order mark"]),
        (LINES.decode().encode("utf-16"), "real", {}, ["; save tiny as UTF-8 without"]),
        (b"1 1:1e71\n2 1:3\n", "real", {}, ["features up to 1e+71", "row 0", "; rescale"]),
        (b"1 1:1\n-1e200 1:3\n", "real", {}, ["targets up to 1e+200", "row 1", "; rescale"]),
        (
            gzip.compress(LINES, mtime=0),
            "real",
            {},
            ["(tiny is compressed and does not end", "; unpack it"],
        ),
        (bz2.compress(LINES), "real", {}, ["(tiny is compressed and does not end", "; unpack it"]),
        (lzma.compress(LINES), "real", {}, ["(tiny is compressed and does not end", "; unpack it"]),
        (b"\x01" * 999, "real", {}, ["...); expected lines"]),
        (b"1 1:2\n1 1:3\n1 1:4\n", "signs", {}, ["tiny with targets of one class, 1"]),
        (b"1 1:2\n1 1:3\n1 1:4\n", "classes", {}, ["tiny with targets of one class, 1"]),
        (b"1.5 1:2\n1 1:3\n1 1:4\n", "signs", {}, ["the target 1.5", "whole numbers"]),
        (b"1 1:2\n2 1:3\n3 1:4\n", "signs", {}, ["two different ones of 0 ... 2"]),
        (b"-1 1:2\n2 1:3\n3 1:4\n", "counts", {}, ["targets -1", "counts 0, 1, 2"]),
        (b"1 1:nan\n2 1:3\n", "real", {}, ["tiny with missing or infinite values in 1 rows"]),
        (b"1 99999999999999999999:2\n2 1:3\n", "real", {}, ["tiny, which cannot be read"]),
        (b"1 4000000000:2\n2 1:3\n", "real", {}, ["tiny, which cannot be read"]),
    ],
)
def test_every_damage_of_a_libsvm_file_is_named(folder, content, kind, keys, words):
    folder({} if content is None else {"tiny": content})
    with pytest.raises(UserMistakeError) as caught:
        table_of({"name": "libsvm", "file": "tiny"} | keys, kind, ())
    text = str(caught.value)
    assert text.startswith("got ")
    assert "published" not in text  # it is the user's own
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (b"4 1:2\n4 1:3\n", b"4 1:1\n", ["tiny with targets of one class, 4"]),
        (b"1.5 1:2\n4 1:3\n", b"4 1:1\n", ["tiny with the target 1.5", "whole numbers"]),
        (b"1 1:2\n4 1:3\n", b"5 1:1\n", ["more with the target 5", "those of tiny"]),
        (b"1 1:2\n4 1:3\n", b"", ["more with 0 rows"]),
        (b"1 1:2\n4 1:nan\n", b"4 1:1\n", ["tiny, more with missing", "the first: row 1"]),
        (b"1 1:2\n4 1:3\n", b"4 1:inf\n", ["more with missing", "in 1 rows"]),
    ],
)
def test_classes_of_a_libsvm_file_that_do_not_fit(folder, content, more, words):
    folder({"tiny": content, "more": more})
    text = refused({"name": "libsvm", "file": "tiny", "test": "more"})
    assert "published" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("problem", "keys"),
    [("multinomial", {"hold_out": True}), ("mlp", {"hidden": [3]}), ("cnn", {})],
)
def test_rows_too_few_to_keep_one_aside_are_refused(folder, problem, keys):
    """Every fifth row of a class is kept aside: four of each leave nothing, five of one do."""
    few = b"1 1:1 4:2\n2 2:3\n" * 4
    folder({"few": few, "enough": few + b"1 3:1\n", "more": b"2 1:1\n"})
    data = {"name": "libsvm", "file": "few"}
    component = find("problem", problem).target(data=data, **keys)
    (mistake,) = component.mistakes(Placement(kinds=("first", "zeroth")))
    assert "few with at most 4 rows of a class, so that none is kept aside" in mistake
    assert mistake.endswith("; name a second file with test, or take more rows")
    assert len(load_examples(data | {"file": "enough"}).validation_targets) == 1
    assert len(load_examples(data | {"test": "more"}).validation_targets) == 1
    if problem != "cnn":  # no images
        assert (
            find("problem", problem)
            .target(data=data | {"test": "more"}, **keys)
            .build(Placement(kinds=("first", "zeroth")))
        )


@pytest.mark.parametrize("place", [15, 25, 40])
def test_a_damaged_gzip_file_of_rows_is_named(folder, place):
    """Bytes turned within the compressed part, as a bad disk leaves them."""
    packed = bytearray(gzip.compress(LINES * 9, mtime=0))
    packed[place] ^= 0x5A
    folder({"tiny.gz": bytes(packed)})
    with pytest.raises(UserMistakeError, match=r"tiny\.gz, which cannot be read"):
        table_of({"name": "libsvm", "file": "tiny.gz"}, "real", ())


def test_a_table_that_is_too_large_is_refused_unread(folder):
    folder({"wide": b"1 1:1\n2 100000000:1\n"})
    for problem in ("logistic", "ridge", "mlp"):
        component = find("problem", problem).target(data={"name": "libsvm", "file": "wide"})
        (mistake,) = component.mistakes(Placement(kinds=("first",) * 2))
        assert "2×100000000 numbers; expected at most 134217728 in a dense table" in mistake


def test_a_file_that_changes_is_read_again_and_has_another_fingerprint(folder):
    words = {"name": "libsvm", "file": "tiny"}
    folder({"tiny": LINES})
    before = data_set(words).fingerprint()
    assert table_of(words, "real", ())[1].sum() == 0
    folder({"tiny": LINES + b"+1 1:9\n" * 2})
    assert data_set(words).fingerprint() != before
    assert table_of(words, "real", ())[1].sum() == 2
    assert load_examples(words).targets.sum() + load_examples(words).validation_targets.sum() == 5
