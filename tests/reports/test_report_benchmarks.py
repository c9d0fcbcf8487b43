"""The page of saved benchmarks: words by goals in both directions, bars, growth, mistakes."""

import json

import pytest

from hzbench.commands.run import report
from hzbench.core.errors import UserMistakeError
from hzbench.reports.benchmarks import benchmark_view


def told(row, value, good, very_good, unit="times", **more):
    words = {"row": row, "value": value, "good": good, "very_good": very_good, "unit": unit}
    return {"extra_info": words | {"machine": "x86, 2 cores", "load": 1.5} | more}


SAVED = {
    "datetime": "2026-11-21",
    "benchmarks": [
        told("more is better", 250.0, 100, 300, torch_over_fused=7.0),
        told("less is better", 1.6, 10, 2, "µs"),
        told("a fraction", 0.1, 0.3, 0.7, "", growth={"1000": 1.0, "100": 0.1}),
        told("a cost within noise", -0.4, 10, 5, "%"),
        {"extra_info": {"loop_over_batched": 3.0}},
    ],
}


def test_words_follow_the_goals_in_either_direction():
    view = benchmark_view(SAVED)
    assert [row.word for row in view.rows] == ["good", "very good", "short", "very good"]
    assert view.reached == 2
    assert [row.share for row in view.rows[:3]] == pytest.approx([250 / 300, 2 / 1.6, 0.1 / 0.7])
    assert view.rows[1].good_share == pytest.approx(0.2)
    assert view.rows[0].more == (("torch over fused", 7.0),)
    assert view.growth == (("a fraction", {1000: 1.0, 100: 0.1}),)


def test_the_page_is_drawn_beside_the_file(tmp_path):
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps(SAVED))
    page = report(None, None, path)
    assert page == tmp_path / "benchmarks.html"
    text = page.read_text()
    assert "2 of 4 rows are very good" in text
    assert text.count("<svg") == 2
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize("content", ["[]", "{}", "no json"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(UserMistakeError, match="holds no results"):
        report(None, None, path)
    with pytest.raises(UserMistakeError, match="neither"):
        report(None, None)
    with pytest.raises(UserMistakeError, match="both"):
        report(path, None, path)
