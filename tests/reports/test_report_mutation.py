"""The mutation study in the report: who is found, how surely, what stays unseen."""

from typing import Any

from hzbench.reports.document import build
from hzbench.reports.html import render
from hzbench.reports.mutation import study


def check(theorem: str, with_it: str, method: str = "Hall t") -> dict[str, Any]:
    return {
        "theorem": theorem,
        "without": "consistent",
        "with": with_it,
        "method": method,
        "p_value": 1e-9,
        "reason": "",
    }


def repeated(mutant: str, found: int, trials: int, low: float, certain: bool) -> dict[str, Any]:
    rates = [
        {"replicas": 1600, "found": found, "trials": trials, "low": low},
        {"replicas": 4096, "found": trials, "trials": trials, "low": 1.0},
    ]
    return {
        "mutant": mutant,
        "run": "run <1>",
        "theorem": "moments",
        "deterministic": certain,
        "rates": rates,
        "enough": low >= 0.95,
    }


RECORD: dict[str, Any] = {
    "schema": 1,
    "suite": "mine",
    "level": 1e-6,
    "commit": "abc",
    "created": "2026-11-21",
    "rows": [
        {
            "mutant": "b",
            "run": "r",
            "checks": [check("moments", "violated"), check("x", "consistent")],
        },
        {"mutant": "a", "run": "r", "checks": [check("moments", "violated")]},
        {"mutant": "z", "run": "r", "checks": [check("moments", "inconclusive")]},
    ],
    "found": {"a": True, "b": True, "z": False},
    "blind_spots": {"<fit>": "both sides are fitted alike"},
    "unplanted": ["q"],
    "power": {
        "repetitions": 59,
        "replicas": [1600, 4096],
        "confidence": 0.95,
        "claimed": 0.95,
        "rows": [
            repeated("a", 40, 59, 0.57, certain=False),
            repeated("b", 1, 1, 1.0, certain=True),
            repeated("b", 50, 59, 0.74, certain=False),
        ],
        "enough": {"a": False, "b": True},
    },
}


def test_the_lost_come_first_and_counts_are_kept() -> None:
    found = study(RECORD)
    assert [each.mutant for each in found.plantings] == ["z", "a", "b"]
    assert [(each.found, each.checks) for each in found.plantings] == [(0, 1), (1, 1), (1, 2)]
    assert [each.well for each in found.plantings] == [False, False, True]
    assert (found.found, found.enough) == (2, 1)
    assert [row.counts for row in found.plantings[2].repeated] == [
        ("1 of 1", "1 of 1"),
        ("50 of 59", "59 of 59"),
    ]
    assert found.plantings[1].repeated[0].low == 0.57
    assert found.made == "2026-11-21 · abc"


def test_without_power_the_found_are_well() -> None:
    found = study({key: value for key, value in RECORD.items() if key != "power"})
    assert (found.found, found.enough, found.replicas) == (2, 2, ())


def test_the_page_shows_it_escaped() -> None:
    page = render(build({"suite": {"name": "mine"}, "runs": []}, RECORD))
    for words in (
        "2 of 3 mutants found",
        "40 of 59",
        "1 (no chance)",
        "0.57",
        "run &lt;1&gt;",
        "&lt;fit&gt;",
        "both sides are fitted alike",
        "named by no check here: q",
    ):
        assert words in page, words
    assert "<fit>" not in page
    assert 'id="mutants"' not in render(build({"runs": []}))
