"""Multinomial regression with a validation part, against scikit-learn's metrics."""

import numpy as np
import pytest
import torch
from problems_cases import KINDS, N
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

from hzbench.core.errors import SpecError
from hzbench.core.problem import Placement, Validates
from hzbench.core.registry import find
from hzbench.problems.examples import load_examples

MULTINOMIAL = find("problem", "multinomial").target


def built(**keys):
    return MULTINOMIAL(**keys).build(Placement(kinds=KINDS))


def test_validation_against_scikit_learn():
    problem, data = built(data="wine", hold_out=True), load_examples("wine")
    assert isinstance(problem, Validates)
    scaler = StandardScaler().fit(data.inputs.astype(float))
    aside = scaler.transform(data.validation_inputs.astype(float))
    assert problem.shares.features == pytest.approx(scaler.transform(data.inputs.astype(float)))
    x = np.random.default_rng(0).standard_normal((2, N, problem.dimension))
    found = problem.validation(torch.from_numpy(x))
    for r in range(2):
        for node in range(N):
            z = aside @ x[r, node].reshape(3, -1).T
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            loss = log_loss(data.validation_targets, p, labels=[0, 1, 2])
            right = accuracy_score(data.validation_targets, z.argmax(axis=1))
            assert float(found["validation_loss"][r, node]) == pytest.approx(loss, rel=1e-9)
            assert float(found["validation_accuracy"][r, node]) == pytest.approx(right)


def test_without_hold_out_all_rows_are_shared():
    problem = built(data="wine")
    assert not isinstance(problem, Validates)
    assert len(problem.shares.targets) == 178


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"data": "digits", "classes": (1, 2), "hold_out": True}, "got hold_out with"),
        ({"data": "brackets", "hold_out": True}, "got data of tokens"),
    ],
)
def test_mistakes(keys, words):
    with pytest.raises(SpecError, match=words) as caught:
        built(**keys)
    assert len(caught.value.mistakes) == 1
