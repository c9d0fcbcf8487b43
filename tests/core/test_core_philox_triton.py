"""Draws of the CUDA kernel in Triton's interpreter: the words of Random123 and of `streams`."""

from itertools import combinations

import mpmath
import numpy as np
import pytest
import torch
from core_draw_cases import (
    ROUNDINGS,
    SHAPES,
    SIGNS,
    STREAMS,
    ends,
    interpreted,
    some_rows,
    some_words,
    strided_rows,
)
from test_core_streams import KNOWN

from hzbench.core.device_draws import Draw
from hzbench.core.inverse_normal import inverse_normal
from hzbench.core.streams import integers, signs, words

pytest.importorskip("triton", reason="no triton: its wheels are for Linux on x86-64")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return interpreted(tmp_path_factory.mktemp("interpreted") / "draws.pt")


@pytest.mark.parametrize("index", range(len(KNOWN)))
def test_known_answers_of_random123(drawn, index):
    assert drawn["known", index].tolist() == [[int(word, 16) for word in KNOWN[index][2].split()]]


@pytest.mark.parametrize("shape", SHAPES)
def test_words_are_those_of_the_streams(drawn, shape):
    assert torch.equal(drawn["words", shape], words(some_rows(), 1, *shape))


def test_words_of_rows_that_are_views(drawn):
    assert not strided_rows().keys.is_contiguous()
    assert torch.equal(drawn["strided", 0], words(strided_rows(), 1, 33, 5))


@pytest.mark.parametrize("count", SIGNS)
def test_signs_are_those_of_the_streams(drawn, count):
    assert torch.equal(drawn["signs", count], signs(some_rows(), 2, count))
    assert drawn["signs", count].dtype == torch.float64


@pytest.mark.parametrize("name", ["rows", "one", "strided"])
def test_integers_are_those_of_the_streams(drawn, name):
    rows = some_rows()
    assert torch.equal(drawn["integers", name], integers(rows, 1, ends(rows)[name], 33, 5))


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_take_the_operations_of_torch(drawn, shape):
    """Bit for bit, but where the two logarithms differ: a few in a thousand, in tails alone."""
    packed = words(some_rows(), 3, *shape)
    found, expected = drawn["normals", shape], inverse_normal(packed)
    centre = ((packed.double() + 0.5) * 2.0**-32 - 0.5).abs() < 0.425
    assert torch.equal(found[centre], expected[centre])
    assert (found == expected).double().mean() > 0.98
    assert found.is_contiguous()


@pytest.mark.parametrize("name", STREAMS)
def test_streams_draw_by_the_kernel_what_they_draw_without(drawn, name):
    assert torch.equal(drawn["streams", name], STREAMS[name](some_rows()))


def test_no_rows_or_no_values_give_no_draws(drawn):
    assert drawn["none", 7].shape == (0, 7)
    assert {drawn["none", what.name].shape for what in Draw} == {(len(some_rows()), 0)}


@pytest.fixture(scope="module")
def exact():
    """Normals of the given words, rounded once."""
    with mpmath.workdps(40):
        points = [(2 * mpmath.mpf(word) + 1) / 2**33 for word in some_words().tolist()]
        return np.array([float(mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)) for p in points])


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_normals_invert_the_normal_distribution_to_four_ulps(drawn, exact, rounding):
    """However the logarithm is rounded: a device's is within a unit in the last place."""
    found = drawn["inverted", rounding].numpy()
    assert (np.abs(found - exact) <= 4 * np.spacing(np.abs(exact))).all()


def test_the_logarithm_was_rounded_otherwise(drawn):
    some = [drawn["inverted", rounding] for rounding in ROUNDINGS]
    assert not any(torch.equal(one, other) for one, other in combinations(some, 2))


def test_the_proof_finds_one_wrong_key_of_the_last_round_and_one_wrong_coefficient(drawn):
    assert drawn["mistake", ""] == ""
    assert torch.equal(drawn["words", "last key"], words(some_rows(), 1, 33, 5))
    assert drawn["mistake", "last key"] == "wrong signs"  # first words of blocks, offset 5 has none
    assert drawn["mistake", "coefficient"] == "wrong normals"
