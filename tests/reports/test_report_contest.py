"""The page of a contest: what it says of synthetic results, and that it renders."""

import copy
from dataclasses import replace

from hzbench.reports.contest import contest_view
from hzbench.reports.contest_figures import draw_slopes
from hzbench.reports.html import render_contest
from hzbench.reports.schedule_figure import draw_schedule

CURVE = {"seconds": [0.0, 1.0, 10.0], "mean": [1.0, 0.5, 0.01], "standard_error": [0.0, 0.0, 0.0]}
JOBS = [
    {"worker": 0, "version": 0, "sent": 0.0, "ended": 1.0, "state": "used"},
    {"worker": 1, "version": 0, "sent": 0.0, "ended": 2.0, "state": "stopped"},
    {"worker": 0, "version": 1, "sent": 1.0, "ended": 2.0, "state": "running"},
]
EXCERPT = {"workers": 2, "until": 2.0, "updates": [1.0, 2.0], "jobs": JOBS}


def entrant(seconds, **changes):
    trial = {"values": {"step_size": 0.1}, "point": [0.0], "seconds": seconds, "level": 0.1}
    return {
        "seconds": seconds,
        "low": seconds,
        "high": seconds,
        "until": 30.0,
        "floor": 0.07,
        "tuned": {"step_size": 0.1},
        "edges": [],
        "runs": 4,
        "trials": [trial],
        "exact": True,
        "replicas": 0,
        "tuned_seconds": seconds,
        "common": None,
        "curve": CURVE,
        "predicted_floor": None,
        **changes,
    }


def ratio(value, low, high, outcome):
    return {"ratio": value, "low": low, "high": high, "level": 0.01, "outcome": outcome}


CELL = {
    "problem": "quadratic <b>",
    "clock": "linear",
    "target": 0.05,
    "entrants": {
        "Ringleader": entrant(10.0),
        "Malenia": entrant(8.0, common={"seconds": 20.0, "step_size": 0.4, "at_end": True}),
        "ASGD": entrant(None, predicted_floor=0.06),
        "edgy": entrant(1.0, edges=[["step_size", "above"]]),
    },
    "ratios": {
        "Malenia": ratio(1.25, 1.2, 1.3, "slower"),
        "ASGD": ratio(0.4, 0.0, 0.42, "faster"),
        "edgy": ratio(10.0, 9.0, 11.0, "error"),
    },
}
RECORD = {
    "contest": {
        "name": "c",
        "title": "C",
        "description": "",
        "reference": "Ringleader",
        "alpha": 0.05,
        "budget": 4,
        "patience": 3.0,
        "step_sizes": {"first": None, "ratio": 4.0, "count": 4},
    },
    "methods": [
        {"label": "Ringleader", "method": {"name": "ringleader"}},
        {"label": "Malenia", "method": {"name": "malenia"}},
        {"label": "ASGD", "method": {"name": "asgd"}},
        {"label": "edgy", "method": {"name": "ia2sgd"}},
    ],
    "nodes": [{"count": 2}],
    "comparisons": 3,
    "level": 0.05 / 3,
    "cells": [CELL],
    "slopes": [
        {"problem": "q <b>", "clock": "linear", "method": m, "noise_free": 0.61, **words}
        for m, words in {
            "Ringleader": {"measured": 1.3, "predicted": 1.2, "progress": 0.2},
            "Malenia": {"measured": 1.1, "predicted": 1.25, "progress": 0.7},
            "ASGD": {"measured": None, "predicted": 1.5, "progress": None},
            "edgy": {"measured": None, "predicted": None, "progress": None},
        }.items()
    ],
    "schedules": {"clock": "linear", "methods": {"Ringleader": EXCERPT}},
    "provenance": {"seconds": 3.0, "created": "now"},
}


def test_the_answer_counts_wins_losses_and_what_was_not_judged():
    view = contest_view(RECORD)
    assert view.answer[0].startswith("No. Ringleader is the fastest of all methods in 0 of 1 cells")
    assert "Malenia: slower in 1 (1.25)" in view.answer[1]
    assert "ASGD, which never arrives in 1: faster in 1 (at most 0.4)" in view.answer[1]
    assert "edgy: not judged in 1" in view.answer[1]
    assert view.errors == 1


def test_the_answer_says_by_how_much_and_why_some_never_arrive():
    answer = contest_view(RECORD).answer
    median = "Where both arrive, Ringleader's time is in the median 1.25 times that of Malenia"
    assert answer[2] == f"{median} (1 cells)."
    assert answer[3] == "Who never arrives: ASGD 1 times for its predicted bias above ε."
    record = copy.deepcopy(RECORD)
    record["cells"][0]["entrants"]["ASGD"]["predicted_floor"] = 0.0
    late = "Who never arrives: ASGD 1 times for being given up long after Ringleader."
    assert late in contest_view(record).answer


def test_the_answer_names_where_it_wins():
    record = copy.deepcopy(RECORD)
    record["cells"].append(copy.deepcopy(CELL) | {"clock": "outages"})
    record["cells"][1]["ratios"]["Malenia"] = ratio(0.5, 0.4, 0.6, "faster")
    record["cells"][1]["entrants"]["Malenia"] = entrant(20.0)
    answer = contest_view(record).answer
    assert answer[0].startswith("Seldom. Ringleader is the fastest of all methods in 1 of 2")
    assert ": quadratic <b>, outages at ε = 0.05 (" in answer[0]
    assert "faster in 1 (0.5: outages at ε = 0.05), slower in 1 (1.25)" in answer[1]


def test_an_entrant_on_an_edge_is_never_the_fastest():
    entries = {each.method: each for each in contest_view(RECORD).cells[0].entries}
    assert [name for name, each in entries.items() if each.best] == ["Malenia"]
    assert entries["edgy"].note.startswith("error")
    assert entries["ASGD"].note == "predicted bias 0.06 > ε, lowest seen 0.07"
    assert entries["ASGD"].ratio == "at most 0.4"


def test_what_only_passes_by_is_not_the_fastest():
    record = copy.deepcopy(RECORD)
    record["cells"][0]["entrants"]["ASGD"] = entrant(1.0, predicted_floor=0.06)
    view = contest_view(record)
    assert "Malenia in 1;" in view.answer[0]
    assert "ASGD, in 1 only passing by" in view.answer[1]
    notes = {each.method: each.note for each in view.cells[0].entries}
    assert notes["ASGD"] == "passes by, on its way to the bias 0.06"


def test_an_edge_is_left_out_of_the_figure_and_a_bound_is_marked():
    bars = contest_view(RECORD).forests[0].bars
    assert [(bar.series, bar.bound) for bar in bars] == [(1, False), (2, True)]


def test_one_grid_for_all_would_have_turned_the_answer():
    view = contest_view(RECORD)
    assert view.grids[0].entries == (("0.5", "1.25", True), None, None)
    assert view.answer[4].endswith("would have it faster than Malenia in 1 cells of 1 (tuned: 0).")


def test_slopes_are_hollow_where_the_dimension_bends_them():
    (row,) = contest_view(RECORD).slopes
    assert [slope.bent for slope in row.slopes] == [False, True, False, False]
    drawing = draw_slopes([row], "s")
    filled = draw_slopes([replace(row, slopes=row.slopes[:1])], "s")
    assert drawing.count("<use") - filled.count("<use") >= 2  # one more stroke and one more dot
    assert "fill: none" in drawing


def test_the_page_renders_escaped_and_twice_alike():
    page = render_contest(contest_view(RECORD))
    assert page == render_contest(contest_view(RECORD))
    assert "quadratic &lt;b&gt;" in page
    assert "quadratic <b>" not in page
    assert page.count("<svg") >= 3


def test_a_schedule_has_a_bar_a_job_and_a_line_an_update():
    drawing = draw_schedule(EXCERPT, "s")
    fewer = draw_schedule({**EXCERPT, "jobs": JOBS[:1]}, "s")
    assert drawing.count("<path") > fewer.count("<path")
    assert "var(--alarm)" in drawing
    assert "var(--alarm)" not in fewer
