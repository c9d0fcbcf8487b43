"""Network: a record that refuses what is not a connected graph with a doubly stochastic W."""

import numpy as np
import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.core.network import Network

PATH = np.array([[0, 1], [1, 2]])
W = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])


def network(**changes):
    given = {"nodes": 3, "edges": PATH, "weights": W, "edge_probabilities": np.array([0.3, 0.7])}
    return Network(**(given | changes))


def test_a_good_one_knows_its_spectra():
    found = network()
    np.testing.assert_allclose(found.laplacian_spectrum, [0, 1, 3], atol=1e-12)
    assert found.slem == pytest.approx(0.5)
    assert found.adjacency.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def changed(i, j, value, symmetric=True):
    matrix = W.copy()
    matrix[i, j] = value
    if symmetric:
        matrix[j, i] = value
    return matrix


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edges": PATH[:1], "edge_probabilities": np.array([1.0])}, "2 components"),
        ({"weights": W[:2]}, "shape (2, 3)"),
        ({"weights": changed(0, 0, 0.6)}, "row 0 sums to 1.1"),
        ({"weights": changed(0, 1, 0.4, symmetric=False)}, "not symmetric"),
        ({"weights": changed(0, 2, 0.1)}, "without an edge"),
        ({"weights": changed(0, 1, np.nan)}, "not finite"),
        ({"weights": changed(0, 1, np.inf)}, "not finite"),
        ({"edge_probabilities": np.array([1.0])}, "1 edge probabilities for 2 edges"),
        ({"edge_probabilities": np.array([0.5, 0.6])}, "sum to 1.1"),
        ({"edge_probabilities": np.array([-0.5, 1.5])}, "least -0.5"),
        ({"edge_probabilities": np.array([np.nan, 1.0])}, "non-negative"),
    ],
)
def test_a_bad_one_says_what_is_wrong(changes, words):
    with pytest.raises(UserMistakeError) as caught:
        network(**changes)
    assert words in str(caught.value)
    assert "expected" in str(caught.value)
