"""A problem that has f and its gradient at once: it must be the same f."""

from dataclasses import fields

import pytest

from hzbench.problems.additive_model import AdditiveProblem
from hzbench.problems.sine_square import SineSquareComponent
from hzbench.testing.laws import CheckFailed
from hzbench.testing.problem_laws import problem_laws


@pytest.mark.parametrize(
    ("value", "slope", "sentence"),
    [
        (1.0, 1.0, ""),
        (1.001, 1.0, "objective_and_gradient differs from objective;"),
        (1.0, 1.001, "objective_and_gradient differs from objective_gradient;"),
    ],
)
def test_f_and_its_gradient_at_once(value, slope, sentence):
    class Together(AdditiveProblem):
        def objective_and_gradient(self, x):
            return value * self.objective(x), slope * self.objective_gradient(x)

    class Component(SineSquareComponent):
        def build(self, placement):
            built = super().build(placement)
            return Together(**{each.name: getattr(built, each.name) for each in fields(built)})

    if not sentence:
        problem_laws(Component())
        return
    with pytest.raises(CheckFailed, match=sentence):
        problem_laws(Component())
