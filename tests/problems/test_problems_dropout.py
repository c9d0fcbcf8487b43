"""Dropout of the transformer against one model at a time, with the masks written out."""

import math

import numpy as np
import pytest
import torch
from problems_cases import KINDS, NETWORKS, N, points, rows
from torch.nn.functional import cross_entropy, layer_norm, linear

from hzbench.core import streams
from hzbench.core.errors import SpecError
from hzbench.core.problem import Placement
from hzbench.core.registry import find
from hzbench.core.spec import Spec
from hzbench.core.streams import Purpose, coins
from hzbench.core.wide_philox import wide_words
from hzbench.estimators.zeroth_order import ZerothOrder
from hzbench.problems import network_model
from hzbench.problems.dropout import Dropout

DROPOUT = 0.25
LENGTH, WIDTH, HEADS, HIDDEN = 14, 4, 2, 4


def remade(**changes):
    name, keys = NETWORKS["transformer"]
    return find("problem", name).target(**{**keys, **changes}).build(Placement(kinds=KINDS))


def plain_loss(problem, x, tokens, target, kept):
    """One example of one model; masks in the order attention, output, hidden layer, output."""
    parts = {name: tensor[0] for name, tensor in problem.architecture.parts(x[None]).items()}
    masks = [mask.double() / (1 - DROPOUT) for mask in kept.split(sizes() * 2)]
    present = tokens != 0
    h = parts["embedding.weight"][tokens] + parts["position.weight"]
    for number in range(2):
        name, (attended, first, inner, second) = f"layers.{number}", masks[4 * number :][:4]
        at = {key[len(name) + 1 :]: value for key, value in parts.items() if key.startswith(name)}
        q, k, v = linear(h, at["self_attn.in_proj_weight"], at["self_attn.in_proj_bias"]).chunk(
            3, -1
        )
        heads, e = [], WIDTH // HEADS
        for i, mask in enumerate(attended.view(HEADS, LENGTH, LENGTH)):
            part = slice(i * e, (i + 1) * e)
            scores = (q[:, part] @ k[:, part].T / math.sqrt(e)).masked_fill(~present, -math.inf)
            heads.append((scores.softmax(1) * mask) @ v[:, part])
        out = linear(
            torch.cat(heads, 1), at["self_attn.out_proj.weight"], at["self_attn.out_proj.bias"]
        )
        h = normed(h + out * first.view(LENGTH, WIDTH), at, "norm1")
        inside = linear(h, at["linear1.weight"], at["linear1.bias"]).relu()
        inside = inside * inner.view(LENGTH, HIDDEN)
        more = linear(inside, at["linear2.weight"], at["linear2.bias"])
        h = normed(h + more * second.view(LENGTH, WIDTH), at, "norm2")
    logits = linear(h[present].mean(0), parts["head.weight"], parts["head.bias"])
    return cross_entropy(logits[None], target[None])


def normed(x, at, name):
    return layer_norm(x, (WIDTH,), at[f"{name}.weight"], at[f"{name}.bias"])


def sizes():
    return [HEADS * LENGTH**2, LENGTH * WIDTH, LENGTH * HIDDEN, LENGTH * WIDTH]


def somewhere(problem, *shape):
    return torch.as_tensor(problem.initial)[0] + 0.2 * points(problem, *shape, seed=1)


def test_losses_and_gradients_are_those_of_the_masks_at_their_address():
    problem, at = remade(dropout=DROPOUT), rows(2)
    x, sample = somewhere(problem, 2 * N), problem.sample(at, 3, 2)
    masks = 2 * sum(sizes())
    kept = coins(at, Purpose.DROPOUT, 49152, 2 * 3 * masks).view(-1, 2, 3, masks)
    values = problem.values(x[:, None, None].expand(-1, 2, -1, -1), at.node, sample)
    slopes = problem.gradients(x, at.node, sample)
    examples = problem.examples
    for b in (0, 1, N):
        for s in range(2):
            leaf = x[b].clone().requires_grad_()
            loss = sum(
                plain_loss(
                    problem,
                    leaf,
                    torch.as_tensor(examples.inputs[row]),
                    torch.as_tensor(examples.targets[row]),
                    kept[b, s, place],
                )
                for place, row in enumerate(sample.index[b, s].tolist())
            )
            torch.testing.assert_close(values[b, s, 0], loss.detach() / 3, rtol=1e-11, atol=0)
            (slope,) = torch.autograd.grad(loss / 3, leaf)
            torch.testing.assert_close(slopes[b, s], slope, rtol=1e-9, atol=1e-11)


def test_one_estimate_shares_its_masks():
    """Along every vector the differences are those of one function, so they are its slope."""
    problem, at = remade(dropout=DROPOUT), rows(2)
    x = somewhere(problem, 2 * N)
    slope = problem.gradients(x, at.node, problem.sample(at, 3, 1))[:, 0]
    keys = {"directions": "gaussian", "samples": 5, "smoothing": 1e-5}
    for difference in ("central", "directional_derivative"):
        node = ZerothOrder(difference=difference, **keys)
        found = node.estimate(problem, x, at, 3).gradient
        u = node.draw(at, problem.dimension)
        expected = (u * (u @ slope[:, :, None])).mean(1)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_a_dropout_that_16_bits_cannot_draw_is_none():
    with_, without, at = remade(dropout=7.6e-6), remade(), rows(2)
    x = somewhere(with_, 2 * N)
    sample = with_.sample(at, 3, 2)
    assert sample.rows is None
    slopes = with_.gradients(x, at.node, sample)
    assert torch.equal(slopes, without.gradients(x, at.node, without.sample(at, 3, 2)))
    u = points(with_, 2 * N, 2, 1, seed=2)
    found = with_.directional_derivatives(x, u, at.node, sample)
    torch.testing.assert_close(found[..., 0], (slopes * u[:, :, 0]).sum(-1), rtol=1e-9, atol=1e-11)


def test_validation_the_objective_and_full_batches_drop_nothing():
    with_, without, at = remade(dropout=DROPOUT), remade(), rows(2)
    x = somewhere(with_, 2, N)
    flat = x.flatten(0, 1)
    for problem in (with_, without):
        assert problem.sample(at, "full", 1).rows is None
    for ask in (
        lambda p: p.validation(x)["validation_loss"],
        lambda p: p.objective(flat),
        lambda p: p.objective_gradient(flat),
        lambda p: p.gradients(flat, at.node, p.sample(at, "full", 1)),
    ):
        assert torch.equal(ask(with_), ask(without))
    batch = [p.gradients(flat, at.node, p.sample(at, 3, 1)) for p in (with_, without)]
    assert not torch.allclose(*batch)


def test_small_parts_and_single_rows_have_the_same_masks(monkeypatch):
    problem, at = remade(dropout=DROPOUT), rows(2)
    x, sample = somewhere(problem, 2 * N), problem.sample(at, 5, 2)
    whole = problem.gradients(x, at.node, sample)
    alone = at.take(torch.tensor([N]))
    one = problem.gradients(x[N : N + 1], alone.node, problem.sample(alone, 5, 2))
    torch.testing.assert_close(one[0], whole[N], rtol=1e-10, atol=1e-12)
    monkeypatch.setattr(network_model, "_BLOCK", 3 * problem.architecture.activations)
    fields = {name: getattr(problem, name) for name in problem.__dataclass_fields__}
    parts = type(problem)(**fields).gradients(x, at.node, sample)
    torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


def test_what_is_kept_is_scaled_to_mean_1():
    """The mean over 4000 masks of a number that passes one place is what it is without."""
    network = remade(dropout=DROPOUT).architecture
    zero = torch.zeros(1, dtype=torch.int64)
    dropout = Dropout(
        rows=rows(1),
        row=zero,
        draw=zero,
        shape=(1, 4000),
        masks=network.masks,
        chance=network.kept_of_65536,
    )
    drop = network.masked(dropout)._dropped()
    passed = drop(torch.ones(1, 4000, HEADS, LENGTH, LENGTH, dtype=torch.float64))
    assert sorted(passed.unique().tolist()) == pytest.approx([0, 1 / 0.75])
    error = math.sqrt(DROPOUT / (1 - DROPOUT) / passed.numel())
    assert abs(float(passed.mean()) - 1) < 4.5 * error


def test_coins_are_those_of_numpy_at_their_address():
    at = rows(2)
    drawn = coins(at, Purpose.DROPOUT, 6554, 999)
    row = 3
    key = at.keys[row].tolist()
    counter = [0, int(at.node[row]), int(at.step[row]), int(Purpose.DROPOUT)]
    bits = np.random.Philox(key=key, counter=counter).random_raw(250)
    halves = [(int(word) >> shift) & 0xFFFF for word in bits for shift in (0, 16, 32, 48)]
    assert drawn[row].tolist() == [half < 6554 for half in halves[:999]]
    assert len({tuple(line) for line in drawn.tolist()}) == len(at)
    assert not coins(at, 0, 0, 9).any()
    assert coins(at, 0, 65536, 9).all()


@pytest.mark.parametrize("count", [1, 15, 16, 17, 999])
def test_a_device_draws_the_same_coins(monkeypatch, count):
    at = rows(2)
    expected = coins(at, Purpose.DROPOUT, 40000, count)
    monkeypatch.setattr(streams, "on_host", lambda _: False)
    monkeypatch.setattr(streams, "_CHUNK", 100)  # some rows at a time
    assert torch.equal(coins(at, Purpose.DROPOUT, 40000, count), expected)


def test_wide_words_are_those_of_numpy():
    random = np.random.default_rng(8)
    words = random.integers(0, 1 << 64, (50, 6), dtype=np.uint64)
    words[0] = (1 << 64) - 1
    words[1] = 0
    given = [torch.from_numpy(column.copy().view(np.int64)) for column in words.T]
    found = torch.stack(wide_words(tuple(given[:4]), tuple(given[4:])), dim=1).numpy()
    for line, (*counter, k0, k1) in zip(found, words.tolist(), strict=True):
        before = sum(word << 64 * place for place, word in enumerate(counter)) - 1  # numpy adds 1
        before %= 1 << 256
        split = np.array([(before >> 64 * k) % (1 << 64) for k in range(4)], dtype=np.uint64)
        key = np.array([k0, k1], dtype=np.uint64)
        expected = np.random.Philox(key=key, counter=split).random_raw(4)
        assert line.view(np.uint64).tolist() == expected.tolist()


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_probability_without_sense_is_a_mistake(dropout):
    tables = {
        "problem": {"name": "transformer", "dropout": dropout},
        "nodes": [{"count": 2}],
    }
    with pytest.raises(SpecError, match="dropout"):
        Spec.parse(tables)
