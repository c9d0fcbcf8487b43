"""Results are kept by content, the oldest forgotten, arrays never changed by who got them."""

import numpy as np
import pytest

from hzbench.theory.mode_moments import eigenmodes
from hzbench.theory.remember import by_content
from hzbench.theory.weights import contraction


def test_results_are_those_of_the_content():
    asked = []

    @by_content(2)
    def total(array):
        asked.append(array.shape)
        return float(array.sum())

    a, b, c = np.arange(4.0), np.arange(4.0).reshape(2, 2), np.ones(3)
    assert [total(a), total(a.copy()), total(b)] == [6.0, 6.0, 6.0]
    assert asked == [(4,), (2, 2)]  # a copy is known, another shape is not
    a[0] = 10.0
    assert total(a) == 16.0
    total(c)
    total(b)
    assert len(asked) == 5  # b was the oldest of three


def test_spectra_are_not_mixed_up():
    rng = np.random.default_rng(4)
    for n in (5, 5, 6):
        W = rng.normal(size=(n, n))
        W = W + W.T
        assert contraction(W) == pytest.approx(np.linalg.norm(W - 1 / n, 2))
        lopsided = W + np.triu(W, 1)
        assert contraction(lopsided) == pytest.approx(np.linalg.norm(lopsided - 1 / n, 2))
    values, vectors = eigenmodes(np.full((4, 4), 0.25))
    with pytest.raises(ValueError, match="read-only"):
        vectors[0, 0] = 3.0
    np.testing.assert_allclose(values, [1, 0, 0, 0], atol=1e-12)
