"""Addressed streams: known answers, no shared words, no dependence on chunking, right moments."""

import numpy as np
import pytest
import torch
from core_rows import rows_of

from hzbench.core import streams
from hzbench.core.philox import index_of
from hzbench.core.streams import Purpose, Rows, integers, normals, philox, signs, uniforms, words

KNOWN = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def hexes(text):
    return tuple(torch.tensor([int(word, 16)]) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_known_answers_of_random123(counter, key, output):
    assert philox(hexes(counter), hexes(key)) == hexes(output)


def test_philox_equals_python_integers():
    def reference(counter, key):
        c, k, mask = list(counter), list(key), 0xFFFFFFFF
        for _ in range(10):
            first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [
                (second >> 32) ^ c[1] ^ k[0],
                second & mask,
                (first >> 32) ^ c[3] ^ k[1],
                first & mask,
            ]
            k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
        return tuple(c)

    drawn = np.random.default_rng(1).integers(0, 2**32, size=(200, 6))
    columns = [torch.from_numpy(drawn[:, i].copy()) for i in range(6)]
    found = torch.stack(philox(tuple(columns[:4]), tuple(columns[4:])), dim=1)
    assert found.tolist() == [list(reference(row[:4], row[4:])) for row in drawn.tolist()]


def test_a_word_is_where_its_address_says():
    rows = rows_of(replicas=2, nodes=3, steps=4, seed=5)
    drawn = words(rows, Purpose.DATA, 11)
    row, word = 17, 9  # replica 1, node 1, step 1; block 2, word 1
    assert (rows.replica[row], rows.node[row], rows.step[row]) == (1, 1, 1)
    counter = tuple(torch.tensor([v]) for v in (word // 4, 1, 1, int(Purpose.DATA)))
    expected = philox(counter, tuple(rows.keys[row].reshape(2, 1)))[word % 4]
    assert drawn[row, word] == expected


def test_replicas_nodes_steps_purposes_and_seeds_share_no_words():
    parts = [
        words(rows_of(replicas=8, nodes=8, steps=16, seed=seed), purpose, 8)
        for seed in (0, 1)
        for purpose in Purpose
    ]
    pairs = torch.cat([part.reshape(-1, 2) for part in parts])  # 64 bits: chance 2e-9 of a clash
    joined = pairs[:, 0] << 32 ^ pairs[:, 1]
    assert len(torch.unique(joined)) == len(joined) == 2 * len(Purpose) * 8 * 8 * 16 * 4


@pytest.mark.parametrize("field", ["keys", "node", "step"])
def test_each_part_of_the_address_matters_and_nothing_else(field):
    rows = rows_of(replicas=2, nodes=2, steps=2)
    known = words(rows, Purpose.DIRECTION, 4)
    shifted = {name: getattr(rows, name) for name in ("keys", "replica", "node", "step")}
    same = Rows(**{**shifted, "replica": shifted["replica"] + 7})
    assert torch.equal(words(same, Purpose.DIRECTION, 4), known)
    moved = Rows(**{**shifted, field: shifted[field] + 2})
    assert not (words(moved, Purpose.DIRECTION, 4) == known).any()


def test_keys_depend_on_seed_and_replica_only():
    assert torch.equal(
        streams.replica_keys(3, range(5, 9)), streams.replica_keys(3, range(20))[5:9]
    )
    assert not (streams.replica_keys(3, range(9)) == streams.replica_keys(4, range(9))).any()


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 5, 9, 16])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 13])
def test_an_offset_skips_words(offset, count):
    rows = rows_of(replicas=3, nodes=2)
    whole = words(rows, Purpose.DATA, 40)
    assert torch.equal(words(rows, Purpose.DATA, count, offset), whole[:, offset : offset + count])


DRAWS = {
    "words": lambda rows: words(rows, Purpose.DATA, 7),
    "uniforms": lambda rows: uniforms(rows, Purpose.DATA, 7, 2),
    "normals": lambda rows: normals(rows, Purpose.DATA, 7),
    "signs": lambda rows: signs(rows, Purpose.DATA, 45),
    "integers": lambda rows: integers(rows, Purpose.DATA, torch.tensor(10), 7),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_any_chunking_of_rows_gives_the_same_bits(draw, monkeypatch):
    rows = rows_of(replicas=7, nodes=5, steps=3)
    whole = draw(rows)
    parts = [draw(rows.take(part)) for part in torch.arange(len(rows)).split(11)]
    assert torch.equal(torch.cat(parts), whole)
    reverse = torch.arange(len(rows)).flip(0)
    assert torch.equal(draw(rows.take(reverse)).flip(0), whole)
    monkeypatch.setattr(streams, "_CHUNK", 10)
    assert torch.equal(draw(rows), whole)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_no_rows_give_no_draws(draw):
    none = rows_of().take(torch.arange(0))
    assert draw(none).shape == (0, draw(rows_of()).shape[1])


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 100])
def test_signs_are_the_bits_of_words_least_first(count):
    rows = rows_of(replicas=2, nodes=3)
    drawn = signs(rows, Purpose.DIRECTION, count)
    packed = words(rows, Purpose.DIRECTION, 4).tolist()
    expected = [[2.0 * (row[k // 32] >> k % 32 & 1) - 1 for k in range(count)] for row in packed]
    assert drawn.tolist() == expected
    assert drawn.dtype == torch.float64


def z_scores(values, moments):
    """Standard scores of powers against their expectations under independence."""
    count = values.numel() ** 0.5
    powers = {power: values**power for power in moments}
    return {p: float((v - moments[p]).mean() / v.std() * count) for p, v in powers.items()}


BIG = {"replicas": 64, "nodes": 32, "steps": 16}


@pytest.mark.parametrize(
    ("draw", "moments"),
    [
        (lambda rows: uniforms(rows, Purpose.DATA, 8), {1: 1 / 2, 2: 1 / 3, 3: 1 / 4, 4: 1 / 5}),
        (lambda rows: normals(rows, Purpose.DATA, 8), {1: 0, 2: 1, 3: 0, 4: 3, 6: 15}),
        (lambda rows: signs(rows, Purpose.DATA, 64), {1: 0}),
    ],
    ids=["uniforms", "normals", "signs"],
)
def test_moments(draw, moments):
    scores = z_scores(draw(rows_of(**BIG)), moments)
    assert max(map(abs, scores.values())) < 4, scores


@pytest.mark.parametrize("draw", [DRAWS["normals"], DRAWS["signs"]], ids=["normals", "signs"])
def test_neighbouring_draws_are_uncorrelated(draw):
    drawn = draw(rows_of(**BIG)).reshape(64, 32, 16, -1)
    for axis in range(4):
        product = drawn * drawn.roll(1, axis)
        assert abs(float(product.mean())) * product.numel() ** 0.5 < 4.5


def test_uniforms_stay_inside_the_interval(monkeypatch):
    extremes = torch.tensor([[0, 0xFFFFFFFF]])
    monkeypatch.setattr(streams, "words", lambda *_: extremes)
    drawn = uniforms(rows_of(), 0, 2)
    assert drawn.min() > 0
    assert drawn.max() < 1


@pytest.mark.parametrize("high", [1, 2, 7, 1000])
def test_integers_are_uniform_below_their_end(high):
    drawn = integers(rows_of(**BIG), Purpose.DATA, torch.tensor(high), 4)
    counts = torch.bincount(drawn.reshape(-1), minlength=high).double()
    assert len(counts) == high
    expected = drawn.numel() / high
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi2 - (high - 1)) <= 4.5 * (2 * (high - 1)) ** 0.5


def test_each_row_has_its_own_end_of_integers():
    rows = rows_of(nodes=50)
    high = torch.arange(1, 51)
    drawn = integers(rows, Purpose.DATA, high, 200)
    assert (drawn >= 0).all()
    assert (drawn < high[:, None]).all()
    assert (drawn.amax(1)[:20] == high[:20] - 1).all()


LAWS = {
    "uniform": np.full(7, 1 / 7),
    "one": np.ones(1),
    "unequal": np.array([0.0, 0.5, 0.0, 1e-9, 0.4999999, 1e-7 - 1e-9, 0.0]),
    "many": np.random.default_rng(0).dirichlet(np.full(500, 0.2)),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_choices_invert_the_law_at_the_uniforms_of_node_0(law):
    steps, start = 400, 3
    keys = streams.replica_keys(2, range(5))
    found = streams.choices(keys, Purpose.SCHEDULE, start, steps, law)
    step = torch.arange(start, start + steps).repeat(5)
    rows = Rows(keys=keys.repeat_interleave(steps, 0), replica=step, node=0 * step, step=step)
    uniform = uniforms(rows, Purpose.SCHEDULE, 1).numpy().reshape(5, steps)
    positive = np.flatnonzero(law)
    upper = np.cumsum(law[positive])
    expected = positive[np.minimum(np.searchsorted(upper, uniform, "right"), len(positive) - 1)]
    assert (found == expected).all()
    assert set(np.unique(found)) <= set(positive)


def test_the_last_uniform_cannot_leave_the_law():
    """Probabilities may sum to a little less than 1; the largest uniform is 1 − 2⁻³³."""
    law = np.array([0.5, 0.5 - 5e-10, 0.0])
    assert index_of(np.uint64(0xFFFFFFFF), *streams.inversion(law)) == 1
