"""Compiled passes of many small transformers: 16 examples side by side, sorted by length.

What a pass leaves behind stays in the second-level cache, places beyond the longest sequence of 16
are not computed, and the coins of dropout are drawn where they are used. Import inside functions;
`hzbench.problems.transformer_pass` prepares what they take. Shapes of flat arrays are given without
their last axis, the 16 lanes.
"""

from __future__ import annotations

from numba import njit

from hzbench.core.compiled import entry
from hzbench.core.lanes import LANES, fma, larger, load, spread, store, total, where_positive
from hzbench.problems.lane_layers import (
    affine,
    affine_back,
    coin_words,
    dropped,
    exp,
    norm,
    norm_back,
    pass_share,
)


@njit(error_model="numpy", _nrt=False)
def spread_attention(z, line, query, keys, rows, each, step, number):
    """Softmax of one query over all keys into z.shares[line]; `step` lanes from key to key."""
    highest = spread(number.absent)
    for j in range(rows):
        score = load(z.absent, j * LANES)
        for c in range(each):
            key = load(z.projected, keys + j * step + c * LANES)
            score = fma(load(z.projected, query + c * LANES), key, score)
        store(z.shares, line + j * LANES, score)
        highest = larger(score, highest)
    sum_ = spread(number.zero)
    for j in range(rows):
        share = exp(load(z.shares, line + j * LANES) - highest, number)
        share = share * load(z.present, j * LANES)
        store(z.shares, line + j * LANES, share)
        sum_ = sum_ + share
    inverse = spread(number.one) / sum_
    for j in range(rows):
        store(z.shares, line + j * LANES, load(z.shares, line + j * LANES) * inverse)


@njit(error_model="numpy", _nrt=False)
def attend(z, layer, rows, size, place, words, keeps, number):
    """Attention of one layer: projections [rows, 3e] to what its heads mix, [rows, e]."""
    length, e, each = size.length, size.width, size.width // size.heads
    step, q0 = 3 * e * LANES, layer * length * 3 * e * LANES
    for t in range(rows):
        for c in range(e):
            at = q0 + t * step + c * LANES
            store(z.projected, at, load(z.projected, at) * spread(number.per_root))
    for head in range(size.heads):
        keys = q0 + (e + head * each) * LANES
        for i in range(rows):
            line = ((layer * size.heads + head) * length + i) * length * LANES
            query = q0 + i * step + head * each * LANES
            spread_attention(z, line, query, keys, rows, each, step, number)
            first = place + (head * length + i) * length
            for j in range(rows):
                share = load(z.shares, line + j * LANES)
                passed = pass_share(share, first + j, words, keeps, number)
                store(z.line, j * LANES, passed)
            for c in range(each):
                found = spread(number.zero)
                for j in range(rows):
                    value = load(z.projected, keys + j * step + (e + c) * LANES)
                    found = fma(load(z.line, j * LANES), value, found)
                at = (layer * length + i) * e + head * each + c
                store(z.mixed, at * LANES, found)


@njit(error_model="numpy", _nrt=False)
def score_slopes(z, line, grad, q0, values, first, rows, each, step, words, keeps, number):
    """Slopes of one query's scores into z.line, and of the values into z.wide."""
    along = spread(number.zero)
    for j in range(rows):
        share = load(z.shares, line + j * LANES)
        passed = pass_share(share, first + j, words, keeps, number)
        slope = spread(number.zero)
        for c in range(each):
            at, g = values + j * step + c * LANES, load(z.grad, grad + c * LANES)
            slope = fma(g, load(z.projected, q0 + at), slope)
            store(z.wide, at, fma(passed, g, load(z.wide, at)))
        slope = pass_share(slope, first + j, words, keeps, number) * share
        along = along + slope
        store(z.line, j * LANES, slope)
    for j in range(rows):
        share = load(z.shares, line + j * LANES)
        store(z.line, j * LANES, load(z.line, j * LANES) - share * along)


@njit(error_model="numpy", _nrt=False)
def attend_back(z, layer, rows, size, place, words, keeps, number):
    """From z.grad [rows, e] behind the mixing to z.wide [rows, 3e] behind the projections."""
    length, e, each = size.length, size.width, size.width // size.heads
    step, q0 = 3 * e * LANES, layer * length * 3 * e * LANES
    for k in range(rows * 3 * e):
        store(z.wide, k * LANES, spread(number.zero))
    for head in range(size.heads):
        keys = (e + head * each) * LANES
        values = keys + e * LANES
        for i in range(rows):
            line = ((layer * size.heads + head) * length + i) * length * LANES
            first = place + (head * length + i) * length
            query = i * step + head * each * LANES
            grad = (i * e + head * each) * LANES
            score_slopes(z, line, grad, q0, values, first, rows, each, step, words, keeps, number)
            for c in range(each):
                found = spread(number.zero)
                asked = load(z.projected, q0 + query + c * LANES)
                for j in range(rows):
                    key, slope = keys + j * step + c * LANES, load(z.line, j * LANES)
                    found = fma(slope, load(z.projected, q0 + key), found)
                    store(z.wide, key, fma(slope, asked, load(z.wide, key)))
                store(z.wide, query + c * LANES, found * spread(number.per_root))


@njit(error_model="numpy", _nrt=False)
def forward(z, rows, size, p, words, keeps, number):
    """All layers on the 16 examples that z holds, up to the logits."""
    e, hidden, length = size.width, size.hidden, size.length
    narrow, w = length * e * LANES, (size.vocabulary + length) * e
    place = 0
    for layer in range(size.layers):
        x, out = layer * narrow, layer * length * e * LANES
        affine(z.x, x, z.projected, 3 * x, rows, e, 3 * e, p, w)
        w += 3 * e * (e + 1)
        attend(z, layer, rows, size, place, words, keeps, number)
        place += size.heads * length * length
        affine(z.mixed, out, z.grad, 0, rows, e, e, p, w)
        w += e * (e + 1)
        dropped(z.grad, 0, z.grad, 0, rows, e, place, words, keeps, number)
        place += length * e
        for k in range(rows * e):
            store(z.grad, k * LANES, load(z.grad, k * LANES) + load(z.x, x + k * LANES))
        w1, w2 = w, w + hidden * (e + 1)
        w = w2 + e * (hidden + 1)
        r = layer * length * LANES
        norm(z.grad, z.first, x, z.first_scale, r, z.between, x, rows, e, p, w, number)
        h = layer * length * hidden * LANES
        affine(z.between, x, z.hidden, h, rows, e, hidden, p, w1)
        for k in range(rows * hidden):
            entry = load(z.hidden, h + k * LANES)
            store(z.hidden, h + k * LANES, where_positive(entry, entry))
        dropped(z.hidden, h, z.hidden, h, rows, hidden, place, words, keeps, number)
        place += length * hidden
        affine(z.hidden, h, z.grad, 0, rows, hidden, e, p, w2)
        dropped(z.grad, 0, z.grad, 0, rows, e, place, words, keeps, number)
        place += length * e
        for k in range(rows * e):
            store(z.grad, k * LANES, load(z.grad, k * LANES) + load(z.between, x + k * LANES))
        w += 2 * e
        norm(z.grad, z.second, x, z.second_scale, r, z.x, x + narrow, rows, e, p, w, number)
        w += 2 * e
    for c in range(e):
        found = spread(number.zero)
        for t in range(rows):
            at = size.layers * narrow + (t * e + c) * LANES
            found = fma(load(z.x, at), load(z.present, t * LANES), found)
        store(z.pooled, c * LANES, found * load(z.per_length, 0))
    affine(z.pooled, 0, z.logits, 0, 1, e, size.classes, p, w)


@njit(error_model="numpy", _nrt=False)
def backward(z, rows, size, p, words, keeps, number, slope):
    """Add the slopes of the 16 weighted losses, [d], after `forward`; z.logits: their slopes."""
    e, hidden, length = size.width, size.hidden, size.length
    narrow = length * e * LANES
    w = len(p) - size.classes * (e + 1)
    place = size.layers * length * (size.heads * length + 2 * e + hidden)
    for c in range(e):
        store(z.line, c * LANES, spread(number.zero))
    affine_back(z.logits, z.pooled, 0, z.line, 1, e, size.classes, p, slope, w)
    for t in range(rows):
        share = load(z.present, t * LANES) * load(z.per_length, 0)
        for c in range(e):
            store(z.back, (t * e + c) * LANES, load(z.line, c * LANES) * share)
    for up in range(size.layers):
        layer = size.layers - 1 - up
        x, r, h = layer * narrow, layer * length * LANES, layer * length * hidden * LANES
        w -= 2 * e
        norm_back(z.back, z.second, x, z.second_scale, r, rows, e, p, slope, w, number)
        w -= 2 * e
        place -= length * e
        dropped(z.back, 0, z.grad, 0, rows, e, place, words, keeps, number)
        w2 = w - e * (hidden + 1)
        w1 = w2 - hidden * (e + 1)
        for k in range(rows * hidden):
            store(z.deep, k * LANES, spread(number.zero))
        affine_back(z.grad, z.hidden, h, z.deep, rows, hidden, e, p, slope, w2)
        place -= length * hidden
        for k in range(rows * hidden):
            g = load(z.deep, k * LANES) * spread(number.per_kept)
            store(z.deep, k * LANES, where_positive(load(z.hidden, h + k * LANES), g))
        affine_back(z.deep, z.between, x, z.back, rows, e, hidden, p, slope, w1)
        norm_back(z.back, z.first, x, z.first_scale, r, rows, e, p, slope, w, number)
        w = w1 - e * (e + 1)
        place -= length * e
        dropped(z.back, 0, z.deep, 0, rows, e, place, words, keeps, number)
        for k in range(rows * e):
            store(z.grad, k * LANES, spread(number.zero))
        affine_back(z.deep, z.mixed, x, z.grad, rows, e, e, p, slope, w)
        place -= size.heads * length * length
        attend_back(z, layer, rows, size, place, words, keeps, number)
        w -= 3 * e * (e + 1)
        affine_back(z.wide, z.x, x, z.back, rows, e, 3 * e, p, slope, w)


@njit(error_model="numpy", _nrt=False)
def toss(z, rows, size, coins, model, words):
    """The coins of the 16 examples, of places that these rows have."""
    length = size.length
    each = (size.heads * length + 2 * size.width + size.hidden) * length
    for lane in range(LANES):
        first = coins.first[model] + z.example[lane] * size.layers * each
        for layer in range(size.layers):
            place = layer * each
            for _ in range(size.heads):
                coin_words(first, place, place + rows * length, coins, model, lane, words)
                place += length * length
            for wide in (size.width, size.hidden, size.width):
                coin_words(first, place, place + rows * wide, coins, model, lane, words)
                place += length * wide


@njit(error_model="numpy", _nrt=False)
def by_length(tokens, order, lengths):
    """Examples of tokens [b, l] in the order of their lengths (to the last token that is there)."""
    examples, length = tokens.shape
    for k in range(length + 2):
        lengths[k] = 0
    for k in range(examples):
        lengths[_last(tokens, k) + 1] += 1
    for k in range(length + 1):
        lengths[k + 1] += lengths[k]
    for k in range(examples):
        size = _last(tokens, k)
        order[lengths[size]] = k
        lengths[size] += 1


@njit(error_model="numpy", _nrt=False)
def _last(tokens, k):
    size = tokens.shape[1]
    while size > 0 and tokens[k, size - 1] == 0:
        size -= 1
    return size


@njit(error_model="numpy", _nrt=False)
def enter(z, tokens, order, start, size, p, number):
    """Examples order[start : start + 16] into z, the last one again where there are fewer; rows."""
    e, rows = size.width, 0
    for lane in range(LANES):
        k = order[min(start + lane, len(order) - 1)]
        z.example[lane] = k
        rows = max(rows, _last(tokens, k))
        present = 0
        for t in range(size.length):
            token = tokens[k, t]
            z.token[t * LANES + lane] = token
            there = token != 0
            present += there
            z.present[t * LANES + lane] = number.one if there else number.zero
            z.absent[t * LANES + lane] = number.zero if there else number.absent
            for c in range(e):
                x = p[token * e + c] + p[(size.vocabulary + t) * e + c]
                z.x[(t * e + c) * LANES + lane] = x
        z.per_length[lane] = number.one / z.present.dtype.type(present)
    return rows


@njit(error_model="numpy", _nrt=False)
def embed_back(z, rows, size, slope):
    """Add z.back [rows, e] to the slopes of positions and embeddings."""
    e = size.width
    for t in range(rows):
        for c in range(e):
            at = ((size.vocabulary + t) * e + c) * LANES
            store(slope, at, load(slope, at) + load(z.back, (t * e + c) * LANES))
            for lane in range(LANES):
                token = z.token[t * LANES + lane]
                slope[(token * e + c) * LANES + lane] += z.back[(t * e + c) * LANES + lane]


@entry
def run_transformer(
    flat,
    back,
    tokens,
    targets,
    weights,
    coins,
    size,
    z,
    number,
    order,
    lengths,
    words,
    slope,
    scores,
    out,
):
    """Of models [M, d] on tokens [M or 1, b, l].

    Arguments:
        back: whether gradients of weighted sums of cross-entropies go into `out` [M, d], see
            `Architecture.gradients`; else logits go into `scores` [M, b, C].
    """
    for model in range(len(flat)):
        p = flat[model]
        mine = tokens[model if len(tokens) > 1 else 0]
        if model == 0 or len(tokens) > 1:
            by_length(mine, order, lengths)
        for k in range(len(p) if back else 0):
            store(slope, k * LANES, spread(number.zero))
        for start in range(0, len(order), LANES):
            left = len(order) - start
            rows = enter(z, mine, order, start, size, p, number)
            if coins.keeps:
                toss(z, rows, size, coins, model, words)
            forward(z, rows, size, p, words, coins.keeps, number)
            if back:
                _loss_slopes(z, model, left, targets, weights, size, number)
                backward(z, rows, size, p, words, coins.keeps, number, slope)
                embed_back(z, rows, size, slope)
            else:
                tell(z, size, min(LANES, left), scores[model])
        for k in range(len(p) if back else 0):
            out[model, k] = total(load(slope, k * LANES))


@njit(error_model="numpy", _nrt=False)
def tell(z, size, lanes, out):
    """The logits of the examples in some lanes, [b, C]."""
    for lane in range(lanes):
        for c in range(size.classes):
            out[z.example[lane], c] = z.logits[c * LANES + lane]


@njit(error_model="numpy", _nrt=False)
def _loss_slopes(z, model, left, targets, weights, size, number):
    """Turn z.logits [C] into weights times (softmax − one-hot); 0 in lanes beyond those left."""
    highest, sum_ = load(z.logits, 0), spread(number.zero)
    for c in range(1, size.classes):
        highest = larger(load(z.logits, c * LANES), highest)
    for c in range(size.classes):
        share = exp(load(z.logits, c * LANES) - highest, number)
        store(z.logits, c * LANES, share)
        sum_ = sum_ + share
    for c in range(size.classes):
        store(z.logits, c * LANES, load(z.logits, c * LANES) / sum_)
    for lane in range(LANES):
        k, weight = z.example[lane], number.zero
        if lane < left:
            weight = weights[model if len(weights) > 1 else 0, k if weights.shape[1] > 1 else 0]
            z.logits[targets[model if len(targets) > 1 else 0, k] * LANES + lane] -= number.one
        for c in range(size.classes):
            z.logits[c * LANES + lane] *= weight
