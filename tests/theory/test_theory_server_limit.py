"""Where servers without rounds settle: dense periodic maps, and long runs of plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from test_theory_server_moments import GRADIENTS
from test_theory_server_moments import given as setting_of
from theory_servers import ASGD, FASTEST, RATIO, RENNALA, RINGLEADER, TABLE, clock
from theory_settings import quadratic, zeroth

from hzbench.core.setting import ScheduleFacts
from hzbench.theory.server_limit import period_of, server_limit


def case(server, seconds=(1, 2, 4), common=True, **changes):
    form, _ = quadratic(np.random.default_rng(6), 3, 2, common=common)
    words = {"step_sizes": np.array([0.2, 0.1, 0.15]), "record": (700, 1400, 2100)}
    words = words | changes
    laws = words.pop("laws", GRADIENTS)
    return setting_of(form, laws, server, clock(*seconds), 2100, **words)


def plain(form, steps, seconds, updates):
    """Points, worker and version of every update of plain asynchronous SGD without noise."""
    x, due = [np.array([3.0, -2.0])], dict(enumerate(seconds))
    started, told = dict.fromkeys(due, 0), []
    for _ in range(updates):
        now, i = min((round(t, 9), i) for i, t in due.items())
        gradient = form.hessians[i] @ x[started[i]] - form.linear[i]
        told.append((i, started[i]))
        x.append(x[-1] - steps[i] * gradient)
        due[i], started[i] = now + seconds[i], len(told)
    return x, told


@pytest.mark.parametrize("seconds", [(1, 2, 4), (1, 2.5, 4), (0.3, 0.1, 0.2)])
def test_asgd_computes_there_on_average(seconds):
    """The mean of the x^v of one period of a plain loop, weighted by the steps taken with them."""
    asked = case(ASGD, seconds, record=(0, 2000, 2000 + period_of(case(ASGD, seconds))))
    form, steps = asked.problem.structure, asked.step_sizes
    x, told = plain(form, steps, seconds, asked.record[-1])
    late = told[2000:]
    weights = np.array([steps[i] for i, _ in late])
    found = weights @ np.array([x[v] for _, v in late]) / weights.sum()
    answer = server_limit(asked)
    assert answer.applies, answer.assumptions
    assert answer.steps == asked.record[-1:]
    np.testing.assert_allclose(answer.values["used_point"][0], found, rtol=1e-9)
    middle = np.mean([x[v] for _, v in late], axis=0)
    assert np.abs(middle - found).max() > 1e-3  # the weights matter


@pytest.mark.parametrize(("seconds", "period"), [((1, 2, 4), 7), ((1, 2.5, 4), 33), ((2, 2, 2), 3)])
def test_periods_by_hand(seconds, period):
    assert period_of(case(ASGD, seconds)) == period


def test_only_whole_periods_are_told():
    """τ = (1, 2, 4): 700, 1400 and 2100 are 100, 200 and 300 periods."""
    assert server_limit(case(ASGD)).steps == (1400, 2100)
    assert server_limit(case(ASGD, record=(700, 1401, 2101))).steps == (2101,)
    assert not server_limit(case(ASGD, record=(700, 1401))).applies
    assert not server_limit(case(ASGD, record=(7, 14))).applies  # the start is not forgotten


def test_only_those_who_take_part_count():
    found = server_limit(case(FASTEST))
    form = case(FASTEST).problem.structure
    b = (2 * 0.2 * form.linear[0] + 0.1 * form.linear[1]) / 0.5
    assert found.steps == ()  # 700 is no multiple of the period 3
    found = server_limit(case(FASTEST, record=(900, 1200)))
    np.testing.assert_allclose(form.hessians[0] @ found.values["used_point"][0], b, rtol=1e-12)


@pytest.mark.parametrize("server", [TABLE, RINGLEADER])
@pytest.mark.parametrize("law", ["fixed", "exponential"])
def test_tables_settle_where_all_workers_agree(server, law):
    """x with Σ η_i (A_i x − b_i) = 0: the optimum where all steps are alike."""
    asked = case(server, common=False, clock=clock(1, 2, 4, law=law))
    found = server_limit(asked)
    assert found.applies, found.assumptions
    form = asked.problem.structure
    point = found.values["mean_iterate"][-1]
    pulls = np.einsum("nkl,l->nk", form.hessians, point) - form.linear
    np.testing.assert_allclose(asked.step_sizes @ pulls, 0, atol=1e-12)
    alike = server_limit(replace(asked, step_sizes=np.full(3, 0.15)))
    optimum = np.linalg.solve(form.hessians.mean(0), form.linear.mean(0))
    np.testing.assert_allclose(alike.values["mean_iterate"][-1], optimum, rtol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"server": RATIO},
        {"server": RENNALA},
        {"common": False},
        {"clock": clock(1, 2, 4, law="exponential")},
        {"step_sizes": np.full(3, 3.0)},
        {"laws": (zeroth(), *GRADIENTS[1:])},
        {"schedule": ScheduleFacts(name="cosine")},
    ],
    ids=str,
)
def test_what_does_not_apply_says_why(changes):
    words = dict(changes)
    found = server_limit(case(words.pop("server", ASGD), **words))
    assert not found.applies
    assert not found.values
