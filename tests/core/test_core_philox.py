"""Compiled draws: the words of Random123 and of `streams`, and normals and signs made of them."""

from functools import partial

import mpmath
import numpy as np
import pytest
import torch
from core_rows import rows_of
from scipy.special import ndtri
from test_core_streams import KNOWN

from hzbench.core import streams
from hzbench.core.inverse_normal import inverse_normal
from hzbench.core.philox import SLACK, fill_words, to_normals, to_signs
from hzbench.core.streams import Purpose, normals, philox, signs, words


def compiled_words(counter, key, count=4, offset=0):
    out = np.zeros(count + SLACK, dtype=np.uint64)
    _, node, step, purpose = counter
    first = fill_words(*key, node, step, purpose, 4 * counter[0] + offset, count, out, 0)
    return out[first : first + count]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_known_answers_of_random123_in_numba_and_numpy(counter, key, output):
    counter, key, output = ([int(word, 16) for word in t.split()] for t in (counter, key, output))
    assert compiled_words(counter, key).tolist() == output
    arrays = [tuple(np.array([word]) for word in part) for part in (counter, key)]
    assert [int(word[0]) for word in philox(*arrays)] == output


def drawn(rows, purpose, count, offset=0):
    """Words of every row, [B, count]."""
    addresses = zip(rows.keys.tolist(), rows.node.tolist(), rows.step.tolist(), strict=True)
    found = [compiled_words((0, n, s, purpose), key, count, offset) for key, n, s in addresses]
    return np.array(found)


@pytest.mark.parametrize("offset", [0, 1, 3, 4, 7])
@pytest.mark.parametrize("count", [1, 4, 5, 33])
def test_words_equal_those_of_the_streams(count, offset):
    rows = rows_of(replicas=3, nodes=4, steps=2, seed=7)
    expected = words(rows, Purpose.DATA, count, offset).numpy()
    assert (drawn(rows, Purpose.DATA, count, offset).astype(np.int64) == expected).all()


def ulps(found, expected):
    return np.abs(found - expected) / np.spacing(np.abs(expected))


def normals_of(packed):
    """Normals that compiled code makes of these words [B, count]."""
    count = packed.shape[1]
    out, spare = np.empty((len(packed), count)), np.empty(count)
    words = np.empty(2 * count + SLACK, dtype=np.uint64)
    for row, each in enumerate(packed):
        words[:count] = each
        to_normals(words, 0, count, out.ravel(), row * count, spare)
    return out


def some_words():
    random = np.random.default_rng(1)
    ends = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 322_122_547, 322_122_548, 3_972_844_747]
    near = [*random.integers(0, 10**5, 500), *(2**32 - 1 - random.integers(0, 10**5, 500))]
    return np.array([[*ends, *near, *random.integers(0, 2**32, 3000)]])


@pytest.mark.parametrize("invert", [normals_of, lambda w: inverse_normal(torch.from_numpy(w))])
def test_normals_invert_the_normal_distribution_to_four_ulps(invert):
    """The compiled inverse and that of torch, which other devices use, against mpmath."""
    packed = some_words()
    with mpmath.workdps(40):
        points = [(2 * mpmath.mpf(int(word)) + 1) / 2**33 for word in packed[0]]
        exact = np.array([float(mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)) for p in points])
    assert ulps(np.asarray(invert(packed))[0], exact).max() <= 4


def test_both_inverses_are_near_scipys():
    """Which is itself within 4 units of the exact value."""
    packed = np.concatenate(
        [some_words(), np.random.default_rng(2).integers(0, 2**32, (300, some_words().shape[1]))]
    )
    expected = ndtri((packed + 0.5) * 2.0**-32)
    assert ulps(normals_of(packed), expected).max() <= 6
    assert ulps(inverse_normal(torch.from_numpy(packed)).numpy(), expected).max() <= 6


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_normals_read_and_write_only_what_they_are_asked_for(count):
    """Garbage behind the words, tails among it, changes nothing."""
    packed = some_words()[:, :count]
    words = np.full(2 * count + SLACK, 2**64 - 1, dtype=np.uint64)
    out = np.full(count + 20, 7.0)
    words[3 : 3 + count] = packed[0]
    to_normals(words, 3, count, out, 2, np.empty(count))
    assert (out[2 : 2 + count] == normals_of(some_words())[0, :count]).all()
    assert (out[:2] == 7).all()
    assert (out[2 + count :] == 7).all()


ROWS = [1, 7, 8, 21]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("count", [1, 4, 6, 27, 28, 29, 140])
def test_torch_and_compiled_code_give_the_same_words_and_signs(rows, count, monkeypatch):
    """Whether eight rows are drawn side by side or eight blocks of one."""
    some = rows_of(replicas=7, nodes=3, seed=4).take(slice(rows))
    drawn = (partial(words, offset=6), partial(words, offset=0), signs)
    compiled = [draw(some, Purpose.MASK, count) for draw in drawn]
    monkeypatch.setattr(streams, "on_host", lambda _: False)
    for chunk in (1 << 20, 10):
        monkeypatch.setattr(streams, "_CHUNK", chunk)
        for draw, expected in zip(drawn, compiled, strict=True):
            assert torch.equal(draw(some, Purpose.MASK, count), expected)


@pytest.mark.parametrize("count", [897, 2000])
def test_signs_of_long_rows_are_those_of_torch(count, monkeypatch):
    rows = rows_of(replicas=5, nodes=2)
    compiled = signs(rows, Purpose.MASK, count)
    monkeypatch.setattr(streams, "on_host", lambda _: False)
    assert torch.equal(signs(rows, Purpose.MASK, count), compiled)


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 64), (5, 60), (31, 2)])
def test_signs_are_bits(start, count):
    rows = rows_of(replicas=2, nodes=3)
    expected = signs(rows, Purpose.DIRECTION, 100)[:, start : start + count].numpy()
    found = np.empty((len(rows), count))
    for row, packed in enumerate(drawn(rows, Purpose.DIRECTION, 5)):
        to_signs(packed, 0, count, start, found, row)
    assert (found == expected).all()


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("count", [1, 2, 20, 25, 28, 29, 200, 1025, 2500])
@pytest.mark.parametrize("offset", [0, 2, 8])
def test_normals_of_rows_are_those_of_their_words(offset, count, rows):
    some = rows_of(replicas=7, nodes=3).take(slice(rows))
    packed = words(some, Purpose.DATA, count, offset).numpy().astype(np.uint64)
    assert (normals(some, Purpose.DATA, count, offset).numpy() == normals_of(packed)).all()
