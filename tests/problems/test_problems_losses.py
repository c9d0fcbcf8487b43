"""The bounds that the table of losses declares: they hold, and they are not loose."""

from decimal import Decimal, localcontext
from math import inf

import numpy as np
import pytest
import torch

from hzbench.problems.losses import LOSSES
from hzbench.problems.penalties import Penalty

WIDTH = 0.7
GRID = torch.linspace(-60.0, 60.0, 400_001, dtype=torch.float64)
TARGETS = {
    "real": [0.0, 1.3],
    "signs": [1.0, -1.0],
    "counts": [0.0, 3.0],
    "nonnegative": [0.0, 2.0],
}
CASES = [(name, y) for name, kind in LOSSES.items() for y in TARGETS[kind.targets]]
ALL = pytest.mark.parametrize(("name", "target"), CASES)


def derivatives(name, target):
    """φ', φ'' on the grid by autograd of the value, φ''' of the declared curvature."""
    loss, y = LOSSES[name](width=WIDTH), torch.tensor(target, dtype=torch.float64)
    m = GRID.clone().requires_grad_(True)
    (first,) = torch.autograd.grad(loss.value(m, y).sum(), m)
    n = GRID.clone().requires_grad_(True)
    (second,) = torch.autograd.grad(loss.slope(n, y).sum(), n)
    return loss, y, first, second


@ALL
def test_slopes_and_curvatures_are_derivatives(name, target):
    loss, y, first, second = derivatives(name, target)
    torch.testing.assert_close(loss.slope(GRID, y), first, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(loss.curvature(GRID, y), second, rtol=1e-9, atol=1e-11)


@ALL
def test_bounds_hold_and_are_attained(name, target):
    """Within 2 % on a grid of step 3e-4 that reaches far; an unbounded one keeps growing."""
    loss, _, first, second = derivatives(name, target)
    y = np.array([target])
    for values, (low, high) in ((first, loss.slopes(y)), (second, loss.curvatures(y))):
        for bound, seen in (
            (float(high[0]), float(values.max())),
            (-float(low[0]), -float(values.min())),
        ):
            assert seen <= bound * (1 + 1e-12) + 1e-12 * (bound == 0) or bound < 0
            if bound < 0:  # a lower bound above 0
                assert seen <= bound + 1e-12
            size = abs(bound)
            assert seen > 50 if bound == inf else seen >= bound - 0.02 * size - 1e-5


@ALL
def test_third_derivatives_are_bounded_and_the_bound_attained(name, target):
    loss, _, _, second = derivatives(name, target)
    change = (second[1:] - second[:-1]).abs() / (GRID[1] - GRID[0])
    if loss.third == inf:
        assert float(change.max()) > 50
        return
    assert float(change.max()) <= loss.third * (1 + 1e-6) + 1e-9
    assert float(change.max()) >= 0.999 * loss.third


@pytest.mark.parametrize("name", ["pseudo-huber", "geman-mcclure"])
def test_a_penalty_is_its_factor_times_the_loss_of_every_coordinate(name):
    penalty = Penalty(loss=LOSSES[name](width=WIDTH), factor=3.0)
    x = torch.tensor([[0.2, -1.0, 4.0]], dtype=torch.float64)
    step = torch.tensor([[1e-9, 0.5, -2.0]], dtype=torch.float64)
    plain = 3.0 * penalty.loss.value(x, torch.zeros(1).double()).sum()
    assert float(penalty.value(x)) == pytest.approx(float(plain))
    change = penalty.value(x + step) - penalty.value(x)
    assert float(penalty.change(x, step)) == pytest.approx(float(change), rel=1e-9)
    low, high = penalty.curvatures
    assert (low, high) == pytest.approx(
        (3.0 * float(penalty.loss.curvatures(np.zeros(1))[0][0]), 3.0)
    )
    assert penalty.third == 3.0 * penalty.loss.third


def exact_poisson(m, delta, y):
    """e^m (e^δ − 1) − yδ in decimals, and e^m."""
    with localcontext() as context:
        context.prec = 60
        grown = Decimal(m).exp()
        return grown * (Decimal(delta).exp() - 1) - Decimal(y) * Decimal(delta), float(grown)


@pytest.mark.parametrize("y", [0.0, 3.0, 1000.0])
@pytest.mark.parametrize("away", [0.0, 1e-6, -1e-3, 0.5, -40.0])
def test_poisson_changes_are_as_exact_as_their_slopes(y, away):
    """Within rounding of (e^m + y)|δ|; of (e^m − y)δ alone where that is what `slope` gives."""
    loss, eps, m = LOSSES["poisson"](), 2.0**-52, float(np.log(max(y, 1.0))) + away
    deltas = np.array([s * 10.0**k for k in range(-12, 1) for s in (1.0, -1.0, 0.26, 2.4, -2.6)])
    point, target = (torch.from_numpy(np.full(deltas.shape, v)) for v in (m, y))
    found = loss.change(point, torch.from_numpy(deltas), target).numpy()
    slope = float(loss.slope(point, target)[0])
    for value, delta in zip(found.tolist(), deltas.tolist(), strict=True):
        true, grown = exact_poisson(m, delta, y)
        scale = 4 * eps * ((grown + y) * abs(delta) + abs(float(true)))
        assert abs(Decimal(value) - true) <= scale
        if abs(delta) < 1e-9 < abs(slope):  # the next term is 1e-20 of these
            near = slope * delta + grown * (delta**2 / 2 + delta**3 / 6)
            assert value == pytest.approx(near, rel=1e-15, abs=0)
