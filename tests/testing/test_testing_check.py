"""`check`: what a user's object was given is what runs; mistakes are sentences."""

import numpy as np
import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.methods.hdo import HybridDecentralizedOptimization as Hdo
from hzbench.testing import check
from hzbench.testing.laws import CheckFailed

DECLARED = {"against": "hdo", "step_size": 0.1}


@pytest.mark.parametrize("suspect", [Hdo, Hdo(), Hdo(step_size=0.1)])
def test_the_declared_step_size_is_taken_unless_one_was_given(suspect):
    assert check(suspect, **DECLARED).met


@pytest.mark.parametrize(
    "suspect",
    [
        Hdo(step_size=0.11),
        Hdo(step_size=0.3),
        Hdo(step_size=0.1, schedule={"name": "inverse-time", "offset": 2}),
        Hdo(schedule={"warmup": 5}),
    ],
)
def test_another_step_size_or_schedule_is_seen(suspect):
    with pytest.raises(CheckFailed, match="got violated"):
        check(suspect, **DECLARED)


def test_a_schedule_is_checked_against_the_same_one():
    schedule = {"name": "inverse-time", "offset": 2}
    run = {"steps": 20, "record": [5, 20], "replicas": 16384}
    assert check(Hdo(schedule=schedule), against="hdo", schedule=schedule, run=run).met


def test_results_of_another_shape_are_named():
    with pytest.raises(UserMistakeError, match=r"got shape .* from the step"):
        check(lambda *_: np.zeros(3), against="hdo")
    with pytest.raises(UserMistakeError, match=r"got shape .* from the estimator"):
        check(lambda *given: given[1][:1], against="zeroth_order")
