"""What several observables ask of the mean iterate is computed once."""

from types import SimpleNamespace

import torch

from hzbench.core.state import State
from hzbench.harness.observables import Snapshot, gradient_norm, objective, objective_gap

X = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]], dtype=torch.float64)  # the mean is (2, 4)


class Apart:
    """f(x) = x_1 and a gradient of its own, so that neither can stand for the other."""

    constants = SimpleNamespace(minimum=0.5)

    def __init__(self):
        self.asked = []

    def objective(self, x):
        self.asked.append("value")
        return x[:, 0]

    def objective_gradient(self, x):
        self.asked.append("gradient")
        return 3.0 * x


class Together(Apart):
    def objective_and_gradient(self, x):
        self.asked.append("both")
        return x[:, 0], 3.0 * x


def measured(problem):
    at = Snapshot(state=State(step=1, arrays={"x": X}, counters={}), problem=problem)
    return [measure(at).tolist() for measure in (objective_gap, gradient_norm, objective)]


def test_each_is_asked_once():
    for problem, asked in ((Apart(), ["value", "gradient"]), (Together(), ["both"])):
        assert measured(problem) == [[1.5], [180.0], [2.0]]
        assert problem.asked == asked
