"""Compiled passes of transformers against torch's own, which autograd differentiates."""

import numpy as np
import pytest
import torch
from problems_cases import rows

from hzbench.core import lanes
from hzbench.problems.architecture import Architecture
from hzbench.problems.dropout import Dropout
from hzbench.problems.transformer import Transformer

MODELS, EXAMPLES = 3, 37  # two groups of 16 and a part of one
SIZES = {
    "figure 4": {"width": 4, "heads": 2, "layers": 2, "feedforward": 16},
    "one head, one layer": {"width": 3, "heads": 1, "layers": 1, "feedforward": 5},
    "three heads": {"width": 6, "heads": 3, "layers": 2, "feedforward": 3},
}


def network(label, length=11, **changes):
    return Transformer(
        shape=(length,), classes=3, vocabulary=5, **(SIZES[label] | {"dropout": 0.3} | changes)
    )


def given(transformer, models=MODELS):
    """Parameters, tokens with gaps and padding, targets and weights of every model."""
    random = np.random.default_rng(3)
    flat = np.stack([transformer.start(random) for _ in range(MODELS)])
    length = transformer.shape[0]
    tokens = random.integers(1, 5, (models, EXAMPLES, length))
    tokens[np.arange(length) >= random.integers(2, length + 1, (models, EXAMPLES, 1))] = 0
    tokens[:, ::7, 1] = 0
    weights = random.random((models, EXAMPLES))
    arrays = flat, tokens, random.integers(0, 3, (models, EXAMPLES)), weights
    return [torch.from_numpy(array) for array in arrays]


def coins(transformer):
    """Models of two rows, the second data sample of each, from an odd place on."""
    return Dropout(
        rows=rows(2),
        row=torch.tensor([0, 4, 4]),
        draw=torch.tensor([1, 1, 0]),
        shape=(2, EXAMPLES + 1),
        masks=transformer.masks,
        chance=transformer.kept_of_65536,
        here=slice(1, EXAMPLES + 1),
    )


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("label", list(SIZES))
def test_gradients_are_those_of_autograd(label, dropout):
    transformer = network(label)
    flat, *rest = given(transformer)
    if dropout:
        transformer = transformer.masked(coins(transformer))
    expected = Architecture.gradients(transformer, flat, *rest)
    found = transformer.gradients(flat, *rest)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("label", list(SIZES))
def test_scores_are_those_of_torch(label, dropout):
    transformer = network(label)
    flat, tokens, *_ = given(transformer)
    if dropout:
        transformer = transformer.masked(coins(transformer))
    expected = transformer.logits(transformer.parts(flat), tokens)
    torch.testing.assert_close(transformer.scores(flat, tokens), expected, rtol=1e-11, atol=1e-13)


def test_the_places_of_coins_need_no_boundary():
    """Some examples begin within the 16 coins of a word."""
    transformer = network("one head, one layer")
    assert transformer.masks % 16
    assert (coins(transformer).first % 16).unique().numel() > 1


def test_models_may_share_tokens():
    transformer = network("figure 4", dropout=0.0)
    flat, tokens, targets, _ = given(transformer, models=1)
    weights = torch.full((1, 1), 1 / EXAMPLES, dtype=torch.float64)
    each = tokens.repeat(MODELS, 1, 1), targets.repeat(MODELS, 1)
    assert torch.equal(transformer.scores(flat, tokens), transformer.scores(flat, each[0]))
    shared = transformer.gradients(flat, tokens, targets, weights)
    assert torch.equal(shared, transformer.gradients(flat, *each, weights))


def test_float32_is_float64_up_to_its_rounding():
    transformer = network("figure 4")
    transformer = transformer.masked(coins(transformer))
    flat, tokens, targets, weights = given(transformer)
    expected = transformer.gradients(flat, tokens, targets, weights)
    found = transformer.gradients(flat.float(), tokens, targets, weights.float())
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max() / expected.abs().max()) < 3e-6


def test_exponentials_are_those_of_numpy_to_a_few_units_in_the_last_place():
    from numba import njit

    from hzbench.problems.transformer_pass import Size, compiled, numbers

    exp, load, store = compiled().exp, lanes.load, lanes.store

    @njit
    def each(x, number, out):
        for k in range(0, len(x), 16):
            store(out, k, exp(load(x, k), number))

    size = Size(8, 4, 2, 1, 4, 2, 3)
    for dtype, least in ((np.float32, -87.0), (np.float64, -708.0)):
        x = -np.random.default_rng(0).random(1600).astype(dtype) * dtype(-least)
        x[:3] = 0, least, -1e-9
        out = np.empty_like(x)
        each(x, numbers(dtype, size, 1.0), out)
        expected = np.exp(x.astype(np.longdouble))
        assert float(np.max(np.abs(out / expected - 1))) < 3 * np.finfo(dtype).eps


@pytest.mark.parametrize(("dropout", "kept"), [(7.6e-6, 65536), (8e-6, 65535)])
def test_the_least_dropout_of_16_bits_drops_nothing_or_one_coin_of_65536(dropout, kept):
    """Of 65536 kept there are no masks: compiled coins are compared with 16 bits."""
    transformer = network("figure 4", dropout=dropout)
    assert transformer.kept_of_65536 == kept
    assert (transformer.masks == 0) == (kept == 65536)
    flat, *rest = given(transformer)
    bare = transformer.gradients(flat, *rest)
    if transformer.masks:
        transformer = transformer.masked(coins(transformer))
    expected = Architecture.gradients(transformer, flat, *rest)
    found = transformer.gradients(flat, *rest)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)
    assert float((found - bare).abs().max()) < 0.1 * float(bare.abs().max())


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_in_any_tensor_comes_out(dtype, dropout):
    transformer = network("three heads")
    flat, tokens, targets, weights = given(transformer)
    flat, weights = flat.to(dtype), weights.to(dtype)
    begins = np.cumsum([0, *transformer.tensors])
    if dropout:
        transformer = transformer.masked(coins(transformer))
    for name, begin in zip(transformer.weights, begins, strict=False):
        spoilt = flat.clone()
        spoilt[:, begin + (transformer.width if name.startswith("embedding") else 0)] = torch.nan
        seen = transformer.logits(transformer.parts(spoilt), tokens).isnan()
        assert seen.any(), name
        assert torch.equal(transformer.scores(spoilt, tokens).isnan(), seen), name
        slopes = transformer.gradients(spoilt, tokens, targets, weights)
        assert slopes.isnan().any(dim=1).all(), name


def test_a_variance_that_overflows_comes_out():
    """Of float32 numbers near 1e20: 1/deviation would be 0, and all entries of a row the shift."""
    transformer = network("figure 4", dropout=0.0)
    flat, tokens, targets, weights = given(transformer)
    begins = dict(zip(transformer.weights, np.cumsum([0, *transformer.tensors]), strict=False))
    for name in ("position.weight", "layers.0.self_attn.out_proj.bias", "layers.1.linear2.bias"):
        large = flat.float()
        large[:, begins[name]] = 1e20
        assert transformer.scores(large, tokens).isnan().all()
        slopes = transformer.gradients(large, tokens, targets, weights.float())
        assert slopes.isnan().any(dim=1).all()
        assert transformer.scores(large.double(), tokens).isfinite().all()
