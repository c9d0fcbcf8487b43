"""Partitions cover exactly what they claim; data sets load as described."""

import re
from itertools import pairwise

import numpy as np
import pytest
from problems_cases import make

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import entries
from hzbench.problems.data import standardized, table_of
from hzbench.problems.examples import data_set
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
    "by-label",
    {"name": "by-label", "labels": 1, "bins": 3},
    "by-quantity",
    {"name": "by-quantity", "alpha": 0.01, "seed": 4},
    {"name": "by-quantity", "power": 1.5},
]
TEN = np.repeat(np.arange(10.0), np.arange(11, 21))  # label i in 11 + i rows


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
    for words in ("iid", "sorted", "dirichlet", "by-quantity"):
        (text,) = partition_from(words).mistakes(REAL[:6], KINDS)
        assert text.startswith("got 6 rows for 7 nodes")
    assert not partition_from("two-copies").mistakes(REAL[:6], KINDS)
    (text,) = partition_from("two-copies").mistakes(REAL[:4], KINDS)
    assert "5 nodes of one kind" in text
    assert not partition_from("replicated").mistakes(REAL[:1], KINDS)


@pytest.mark.parametrize(
    ("labels", "targets", "nodes", "message"),
    [
        (11, TEN, 7, "11 labels for each of 7 nodes and data of 10"),
        (1, TEN, 7, "every label at a node"),
        (2, np.zeros(50), 7, "data of 1"),
        (5, TEN, 23, "got 11 rows of label 0 for up to 12 nodes"),
    ],
)
def test_labels_that_cannot_be_dealt(labels, targets, nodes, message):
    partition = partition_from({"name": "by-label", "labels": labels})
    (text,) = partition.mistakes(targets, ("first",) * nodes)
    assert message in text
    assert text.startswith("got ")
    assert text.count(";") == 2


@pytest.mark.parametrize(("labels", "nodes"), [(2, 5), (2, 7), (3, 7), (10, 4), (4, 27), (1, 10)])
def test_every_node_holds_that_many_labels_and_labels_are_split_evenly(labels, nodes):
    partition = partition_from({"name": "by-label", "labels": labels})
    kinds = ("first",) * nodes
    assert not partition.mistakes(TEN, kinds)
    parts = partition.members(TEN, kinds, 3)
    assert covers(parts, len(TEN))
    counts = np.array([np.bincount(TEN[part].astype(int), minlength=10) for part in parts])
    assert ((counts > 0).sum(axis=1) == labels).all()
    holders = (counts > 0).sum(axis=0)
    assert holders.max() - holders.min() <= 1
    for column in counts.T:
        held = column[column > 0]
        assert held.max() - held.min() <= 1
    order = [tuple(np.unique(TEN[part])) for part in partition.members(TEN, kinds, 4)]
    assert labels == 10 or order != [tuple(np.unique(TEN[part])) for part in parts]


def test_quantities_follow_the_power_law_with_a_row_a_node_beside():
    parts = members({"name": "by-quantity", "power": 2.0}, np.zeros(5000))
    law = 1 / np.arange(1.0, 8) ** 2
    ideal = 1 + (5000 - 7) * law / law.sum()
    sizes = np.array([len(part) for part in parts])
    assert sizes.sum() == 5000
    assert (abs(sizes - ideal) < 1).all()
    equal = [len(part) for part in members({"name": "by-quantity", "power": 0.0})]
    assert max(equal) - min(equal) <= 1


def test_quantities_are_spread_as_the_dirichlet_law_says():
    """Var q_i = (1/n)(1 − 1/n)/(nα + 1) over 2000 seeds; five standard errors of the variance."""
    alpha, rows, nodes = 0.5, 2_000, 4
    partition = partition_from({"name": "by-quantity", "alpha": alpha})
    drawn = [partition.members(np.zeros(rows), ("first",) * nodes, s) for s in range(2000)]
    shares = np.array([len(parts[0]) / rows for parts in drawn])
    wanted = (1 / nodes) * (1 - 1 / nodes) / (nodes * alpha + 1)
    squares = (shares - 1 / nodes) ** 2
    assert abs(squares.mean() - wanted) < 5 * squares.std() / np.sqrt(len(squares))


def test_quantities_leave_the_mixture_alone():
    """Every share is a random sample: its mean target within five standard errors."""
    parts = members({"name": "by-quantity", "power": 1.0}, REAL)
    for part in parts:
        error = REAL.std() / np.sqrt(len(part))
        assert abs(REAL[part].mean() - REAL.mean()) < 5 * error


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
    with pytest.raises(UserMistakeError, match=r"got data of Wine with .* in 1 rows .* row 2"):
        data_set("wine").require_finite(features, np.ones(4))


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


@pytest.mark.parametrize("alpha", [1e12, 1e100, 1e300, 1e308])
@pytest.mark.parametrize("name", ["dirichlet", "by-quantity"])
def test_a_concentration_beyond_doubles_gives_equal_parts(name, alpha):
    targets = np.repeat([0.0, 1.0, 2.0], [42, 7, 14])
    parts = partition_from({"name": name, "alpha": alpha}).members(targets, ("first",) * 7, 3)
    assert sorted(np.concatenate(parts)) == list(range(63))
    assert [len(part) for part in parts] == [9] * 7
    if name == "dirichlet":
        assert all(np.bincount(targets[part].astype(int)).tolist() == [6, 1, 2] for part in parts)


@pytest.mark.parametrize("name", ["dirichlet", "by-quantity"])
def test_a_concentration_near_zero_gives_one_node_all_that_may_be(name):
    targets = np.zeros(30)
    parts = partition_from({"name": name, "alpha": 1e-300}).members(targets, ("first",) * 4, 3)
    assert sorted(len(part) for part in parts) == [1, 1, 1, 27]
