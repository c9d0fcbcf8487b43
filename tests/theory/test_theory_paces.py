"""Seconds of jobs from the words of a clock, by hand; and that no bug of a clock hides in them."""

from fractions import Fraction

import pytest

import hzbench
from hzbench.clocks.fixed import FixedClock, PacedClock
from hzbench.core.clock import JobTimes
from hzbench.theory.paces import job_seconds

DECIMALS = {
    "equal": ["1.5", "1.5", "1.5", "3"],
    "sqrt": ["1.5", "2.12132034355964265", "2.5980762113533158", "6"],
    "linear": ["1.5", "3", "4.5", "12"],
    "square": ["1.5", "6", "13.5", "48"],
    "two-speed": ["1.5", "1.5", "10.5", "21"],
}


@pytest.mark.parametrize("pace", DECIMALS)
def test_every_pace_by_hand(pace):
    """Unit 1.5, the fourth worker with twice the work; two slow ones with factor 7."""
    clock = FixedClock(
        pace=pace, unit=1.5, slow=2, slow_factor=7.0, download=0.25, upload=(0.0, 0.1, 0.2, 0.3)
    )
    work = (1.0, 1.0, 1.0, 2.0)
    links = [Fraction(25 + 10 * k, 100) for k in range(4)]
    expected = [Fraction(c) + link for c, link in zip(DECIMALS[pace], links, strict=True)]
    assert list(job_seconds(clock.facts(work, 0))) == expected
    assert list(clock.timer(work, 0).times.totals) == expected


def test_given_seconds():
    clock = FixedClock(seconds=(0.1, 0.3), upload=0.2)
    assert job_seconds(clock.facts((1.0, 3.0), 0)) == (Fraction(3, 10), Fraction(11, 10))


SPEC = {
    "problem": {"name": "quadratic", "dimension": 2},
    "nodes": [{"count": 3}],
    "method": {"name": "asgd", "step_size": 0.1},
    "run": {"steps": 6, "replicas": 64, "record": [3, 6]},
    "checks": [{"theorem": "server_schedule"}],
}


def _crooked(self, work):
    return tuple(Fraction(str((i + 1) ** 0.55)) * Fraction(str(w)) for i, w in enumerate(work))


def _without_download(self):
    return tuple(sum(pair) for pair in zip(self.computing, self.upload, strict=True))


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [(PacedClock, "paces", _crooked), (JobTimes, "totals", property(_without_download))],
)
def test_a_wrong_clock_is_seen(monkeypatch, owner, name, wrong):
    """What the product's clock computes never reaches theory."""
    clock = {"name": "fixed", "pace": "sqrt", "download": 5.0}
    monkeypatch.setattr(owner, name, wrong)
    assert [v.outcome for v in hzbench.run({**SPEC, "clock": clock}).verdicts] == ["violated"]
