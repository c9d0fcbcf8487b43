"""The game of hidden coordinates: quadrature, enumeration, and a plain simulation of players."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from test_theory_server_moments import given
from theory_servers import ASGD, clock
from theory_settings import FIRST, zeroth

from hzbench.core.structure import GradientLaw, ZeroChain
from hzbench.theory import zero_chain_game as game
from hzbench.theory.time_complexity import rennala_round_bound
from hzbench.theory.zero_chain import zero_chain_time


@pytest.mark.parametrize(
    ("tau", "p"),
    [((1.0,), 0.3), ((1.0, 2.0), 0.5), ((0.7, 1.1, 2.9), 0.25), ((1.0, 1.0, 5.0), 1.0)],
)
def test_game_value_by_a_fine_sum(tau, p):
    """Survival at the midpoints of cells that divide every τ_i."""
    cell = 0.05
    t = np.arange(cell / 2, 400, cell)
    survival = np.prod([(1 - p) ** np.floor(t / each) for each in tau], axis=0)
    assert game.game_value(tau, [p] * len(tau)) == pytest.approx(survival.sum() * cell, rel=1e-9)


def test_worked_examples():
    assert game.game_value((1.0, 2.0), (0.5, 0.5)) == pytest.approx(12 / 7, rel=1e-12)
    assert game.game_value((1.0,), (0.25,)) == pytest.approx(4.0, rel=1e-12)
    assert game.mean_hidden((Fraction(1),), (0.5,), 1, np.array([2.0])) == pytest.approx([0.25])


@pytest.mark.parametrize("p", [1.0, 0.3, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_value_is_the_time_complexity_within_a_half(p, power):
    """G over min_m (Σ 1/τ)⁻¹ (m + 1/p), within [.50, .985] on these speeds."""
    tau = np.arange(1, 33) ** power
    ratio = game.game_value(tau, [p] * 32) / rennala_round_bound(tau, 1 / p)
    assert 0.49 <= ratio <= 0.986


def played(tau, odds, length, times, replicas=40_000):
    """Players who all restart when anyone reveals: mean number of hidden coordinates."""
    rng = np.random.default_rng(5)
    now, hidden = np.zeros(replicas), np.zeros(len(times))
    for _ in range(length):
        waits = [each * rng.geometric(p, replicas) for each, p in zip(tau, odds, strict=True)]
        now = now + np.min(waits, axis=0)
        hidden += [(now > t).mean() for t in times]
    return hidden


def test_hidden_coordinates_by_play():
    tau, odds, times = (1.0, 1.5, 4.0), (0.3, 0.5, 1.0), np.array([0.0, 2.0, 5.5, 9.0, 20.0])
    told = game.mean_hidden([Fraction(each) for each in tau], odds, 5, times)
    np.testing.assert_allclose(told, played(tau, odds, 5, times), atol=0.03)
    assert told[0] == 5
    fine = np.arange(0.25, 200, 0.5)
    total = game.mean_hidden([Fraction(each) for each in tau], odds, 5, fine).sum() * 0.5
    assert total == pytest.approx(15 * game.game_value(tau, odds), rel=1e-9)


def test_a_coarse_grid_only_lowers(monkeypatch):
    tau = [Fraction(1), Fraction(14142135, 10**7), Fraction(17320508, 10**7)]
    times = np.array([3.0, 6.0, 12.0])
    exact = game.mean_hidden(tau, (0.3,) * 3, 4, times)
    monkeypatch.setattr(game, "LARGEST_GRID", 4096)
    coarse = game.mean_hidden(tau, (0.3,) * 3, 4, times)
    assert (coarse <= exact + 1e-12).all()
    np.testing.assert_allclose(coarse, exact, atol=0.05)
    monkeypatch.setattr(game, "LARGEST_GRID", 2)
    assert (game.mean_hidden(tau, (0.3,) * 3, 4, times) <= exact + 1e-12).all()


def chain(laws=(FIRST,) * 2, server=ASGD, **changes):
    case = given(None, laws, server, clock(*[1.0] * len(laws)), 6, initial=np.zeros((len(laws), 2)))
    facts = {"chain": ZeroChain(probability=0.5, scale=1.0), "dimension": 3} | changes
    return replace(case, problem=replace(case.problem, **facts))


def test_batches_are_more_coins():
    """Two equal workers a second; batches of 2 show with probability ¾, full ones always."""
    plain = zero_chain_time(chain()).values["hidden_coordinates"]
    assert plain[0] == 3
    assert plain[2] == pytest.approx(3 - 3 / 4)  # at 1 s one of two coins is enough
    sure = zero_chain_time(chain((GradientLaw(batch_size="full"), FIRST)))
    np.testing.assert_allclose(sure.values["hidden_coordinates"], [3, 2, 2, 1, 1, 0, 0])
    more = zero_chain_time(chain((GradientLaw(batch_size=2), FIRST))).values["hidden_coordinates"]
    assert more[2] == pytest.approx(3 - (1 - 0.25 * 0.5))


def test_what_does_not_apply_says_why():
    assert zero_chain_time(chain()).applies
    for other in (
        chain(chain=None),
        chain(initial=np.ones((2, 3))),
        chain((FIRST, zeroth())),
        replace(chain(), clock=clock(1, 1, law="exponential")),
    ):
        assert not zero_chain_time(other).applies
