"""Brackets: every statement about the sequences, by an independent parser with a stack."""

import itertools

import numpy as np
import pytest
from scipy import stats

from hzbench.problems.brackets import Brackets, _correct
from hzbench.problems.examples import load_examples

SIGNS = {1: "(", 2: ")"}


def text_of(row):
    """The brackets of a row; its padding must be at the end."""
    tokens = row.tolist()
    size = len(tokens) - tokens.count(0)
    assert 0 not in tokens[:size]
    return "".join(SIGNS[token] for token in tokens[:size])


def is_correct(text):
    stack = []
    for sign in text:
        if sign == "(":
            stack.append(sign)
        elif not stack:
            return False
        else:
            stack.pop()
    return not stack


@pytest.fixture(scope="module")
def parts():
    found = load_examples("brackets")
    return [
        ([text_of(row) for row in inputs], targets)
        for inputs, targets in (
            (found.inputs, found.targets),
            (found.validation_inputs, found.validation_targets),
        )
    ]


def test_sizes_and_types():
    found = load_examples("brackets")
    assert found.inputs.shape == (25_600, 32)
    assert found.validation_inputs.shape == (2_560, 32)
    assert found.inputs.dtype == found.targets.dtype == np.int64
    assert (found.shape, found.classes, found.vocabulary) == ((32,), 2, 3)


def test_the_class_is_what_a_stack_says_and_both_are_equally_frequent(parts):
    for texts, targets in parts:
        assert [int(is_correct(text)) for text in texts] == targets.tolist()
        assert targets.sum() == len(targets) / 2


def test_all_sequences_are_different(parts):
    texts = [*parts[0][0], *parts[1][0]]
    assert len(set(texts)) == len(texts) == 28_160


def test_lengths_are_uniform_and_tell_nothing(parts):
    for texts, targets in parts:
        lengths = np.array([len(text) for text in texts])
        known, counts = np.unique(lengths[targets == 1], return_counts=True)
        assert known.tolist() == [20, 22, 24, 26, 28, 30, 32]
        assert stats.chisquare(counts).pvalue > 1e-4
        assert np.array_equal(counts, np.unique(lengths[targets == 0], return_counts=True)[1])


def test_counting_is_right_for_three_of_four(parts):
    for texts, targets in parts:
        excess = np.array([abs(text.count("(") - text.count(")")) for text in texts])
        assert set(excess[targets == 0]) == {0, 2}
        assert (excess[targets == 0] == 2).mean() == 0.5
        assert ((excess == 0) == (targets == 1)).mean() == 0.75


def test_wrong_ones_are_one_turn_or_one_exchange_from_a_correct_one(parts):
    """Every wrong sequence of the validation part, repaired by trying all changes."""
    texts, targets = parts[1]
    for text in itertools.compress(texts, targets == 0):
        signs = list(text)
        where = {sign: [i for i, other in enumerate(signs) if other == sign] for sign in "()"}
        if len(where["("]) != len(where[")"]):
            changes = [[i] for i in range(len(signs))]
        else:
            changes = itertools.product(where["("], where[")"])
        turned = {"(": ")", ")": "("}
        assert any(
            is_correct([turned[s] if i in change else s for i, s in enumerate(signs)])
            for change in changes
        )


def test_correct_sequences_are_uniform_among_all_of_their_length():
    every = ["".join(signs) for signs in itertools.product("()", repeat=8)]
    known = [text for text in every if is_correct(text)]
    assert len(known) == 14  # the fourth Catalan number
    drawn = [text_of(row) for row in _correct(np.random.default_rng(5), 4, 14_000)]
    counts = [drawn.count(text) for text in known]
    assert sum(counts) == 14_000
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_seed_decides():
    small = {"training": 40, "validation": 8}
    one, same, other = (Brackets(seed=seed, **small).load() for seed in (1, 1, 2))
    assert np.array_equal(one.inputs, same.inputs)
    assert np.array_equal(one.validation_targets, same.validation_targets)
    assert not np.array_equal(one.inputs, other.inputs)
