"""Partitions cover exactly what they claim; data sets load as described."""

import re
from itertools import pairwise

import numpy as np
import pytest
from problems_cases import make

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import entries
from hzbench.problems.data import require_finite, standardized, table_of
from hzbench.problems.partition import partition_from

KINDS = ("first", "zeroth", "zeroth", "first", "zeroth", "zeroth", "zeroth")
CLASSES = np.where(np.random.default_rng(0).random(103) < 0.3, 1.0, -1.0)
REAL = np.random.default_rng(1).standard_normal(103)
WORDS = [
    "iid",
    "sorted",
    "replicated",
    "two-copies",
    "dirichlet",
    {"name": "dirichlet", "alpha": 0.01, "seed": 4},
    {"name": "dirichlet", "alpha": 100.0, "bins": 3},
]


def members(words, targets=REAL, kinds=KINDS, seed=0):
    return partition_from(words).members(targets, kinds, seed)


def covers(parts, rows=103):
    return np.sort(np.concatenate(parts)).tolist() == list(range(rows))


def test_all_partitions_are_covered():
    names = {words if isinstance(words, str) else words["name"] for words in WORDS}
    assert names == set(entries("partition"))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("targets", [CLASSES, REAL])
def test_every_node_holds_rows_once_and_draws_are_seeded(words, targets):
    parts = members(words, targets)
    assert len(parts) == len(KINDS)
    for part in parts:
        assert part.dtype == np.int64
        assert len(part) >= 1
        assert len(set(part.tolist())) == len(part)
    again = members(words, targets)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("words", [w for w in WORDS if w not in ("replicated", "two-copies")])
def test_splits_cover_every_row_exactly_once(words):
    assert covers(members(words))
    assert covers(members(words, CLASSES))


def test_iid_shares_are_near_equal_and_follow_the_seed():
    sizes = [len(part) for part in members("iid")]
    assert max(sizes) - min(sizes) == 1
    assert not np.array_equal(members("iid")[0], members("iid", seed=1)[0])
    own = members({"name": "iid", "seed": 5})
    assert all(map(np.array_equal, own, members({"name": "iid", "seed": 5}, seed=1)))
    assert all(map(np.array_equal, own, members("iid", seed=5)))


def test_sorted_shares_are_contiguous_in_the_target():
    parts = members("sorted")
    for left, right in pairwise(parts):
        assert REAL[left].max() <= REAL[right].min()


def test_two_copies_give_each_kind_all_rows():
    parts = members("two-copies")
    for kind in ("first", "zeroth"):
        held = [part for part, k in zip(parts, KINDS, strict=True) if k == kind]
        assert covers(held)
        sizes = [len(part) for part in held]
        assert max(sizes) - min(sizes) <= 1
    assert covers(members("two-copies", kinds=("zeroth",) * 4))


def test_replicated_gives_every_node_all_rows():
    assert all(covers([part]) for part in members("replicated"))


def test_dirichlet_is_more_even_for_large_alpha():
    def unevenness(alpha):
        parts = members({"name": "dirichlet", "alpha": alpha}, CLASSES)
        return np.std([np.mean(CLASSES[part]) for part in parts])

    assert unevenness(1000.0) < 0.15 < unevenness(0.02)


def test_dirichlet_leaves_no_node_empty():
    for seed in range(20):
        parts = members({"name": "dirichlet", "alpha": 0.01}, CLASSES[:8], seed=seed)
        assert covers(parts, 8)
        assert min(map(len, parts)) >= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("idd", "did you mean 'iid'"),
        ({"alpha": 1.0}, "without a name"),
        ({"name": "dirichlet", "alpha": 0.0}, "alpha: got 0.0"),
        ({"name": "dirichlet", "alpha": "big"}, "alpha: got 'big'"),
        ({"name": "iid", "alpha": 1.0}, "alpha: got an unknown key"),
    ],
)
def test_bad_words(words, message):
    with pytest.raises(UserMistakeError, match=message):
        partition_from(words)


def test_too_few_rows():
    (text,) = partition_from("iid").mistakes(6, KINDS)
    assert text.startswith("got 6 rows for 7 nodes")
    assert not partition_from("two-copies").mistakes(6, KINDS)
    (text,) = partition_from("two-copies").mistakes(4, KINDS)
    assert "5 nodes of one kind" in text
    assert not partition_from("replicated").mistakes(1, KINDS)


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("diabetes", 442, 10), ("breast_cancer", 569, 30)]
)
def test_data_sets_have_their_known_size(name, rows, columns):
    features, targets = table_of(name, "real", ())
    assert features.shape == (rows, columns)
    assert targets.shape == (rows,)
    if name == "breast_cancer":
        assert sorted(set(targets)) == [-1, 1]
        assert (targets == 1).sum() == 357


def test_digits_pairs_in_their_order():
    features, targets = table_of("digits", "signs", (3, 8))
    assert features.shape == (183 + 174, 64)
    assert (targets == -1).sum() == 183
    assert (table_of("digits", "signs", (8, 3))[1] == -targets).all()


def test_standardized_columns():
    values = np.column_stack([np.arange(5.0), np.full(5, 0.1), 1e9 + np.arange(5.0)])
    got = standardized(values)
    assert got.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert got.std(axis=0) == pytest.approx([1, 0, 1])
    assert (got[:, 1] == 0).all()
    problem = make("ridge")
    assert problem.structure.features.std(axis=0) == pytest.approx(np.ones(10))
    assert problem.structure.targets.mean() == pytest.approx(0, abs=1e-12)


def test_missing_values_are_named():
    features = np.ones((4, 2))
    features[2, 1] = np.nan
    with pytest.raises(UserMistakeError, match=r"got 1 rows of data .* row 2"):
        require_finite(features, np.ones(4))


@pytest.mark.parametrize(
    ("name", "classes", "kind", "message"),
    [
        ("diabetis", (3, 8), "real", "did you mean 'diabetes'"),
        ("diabetes", (3, 8), "signs", "got data 'diabetes', whose targets are real numbers"),
        ("diabetes", (), "counts", "expected counts as targets"),
        ("digits", (3, 3), "signs", "two different ones of 0 ... 9"),
        ("digits", (3, 12), "signs", "two different ones of 0 ... 9"),
        ("digits", (1, 2, 3), "real", "two different ones of 0 ... 9"),
        ("iris", (3, 8), "signs", "two different ones of 0 ... 2"),
        ("brackets", (), "signs", "got data whose inputs are tokens"),
        ({"file": "a9a"}, (), "signs", "got data without a name"),
        ({"name": "libsvm"}, (), "signs", "file"),
        ({"name": "brackets", "longest": 10}, (), "classes", "got shortest 20 above longest 10"),
        ({"name": "brackets", "shortest": 4, "longest": 4}, (), "classes", "raise shortest"),
    ],
)
def test_bad_data_words(name, classes, kind, message):
    with pytest.raises(UserMistakeError, match=re.escape(message)):
        table_of(name, kind, classes)
