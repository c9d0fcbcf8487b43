"""The page of saved benchmarks: words by goals in both directions, bars, growth, mistakes."""

import json
import re

import pytest

from hzbench.commands.run import report
from hzbench.core.errors import UserMistakeError
from hzbench.reports.benchmark_figures import draw_ratios
from hzbench.reports.benchmarks import benchmark_view


def told(row, value, good, very_good, unit="times", less=False, limit="", **more):
    return {
        "row": row,
        "value": value,
        "low": 0.9 * value,
        "high": 1.1 * value,
        "good": good,
        "very_good": very_good,
        "less": less,
        "unit": unit,
        "limit": limit,
        "besides": {},
        "machine": "x86, 2 cores",
        "load": 1.5,
    } | more


GROWTH = {"of": "nodes", "seconds": {"1000": 1.0, "100": 0.1}}
ROWS = [
    told("more is better", 250.0, 100, 300, besides={"torch_over_fused": 7.0}),
    told("less is better", 1.6, 10, 2, "µs", less=True),
    told("a fraction", 0.1, 0.3, 0.7, "", limit="the triad", growth=GROWTH),
    told("a cost within noise", -0.4, 10, 5, "%", less=True),
    told("one goal", 95.0, 90, 90, "s", less=True),
    told("more than there is", 1.2, 0.3, 0.7, "", limit="the triad"),
    told("for its own sake", 3.0, None, None, growth=GROWTH | {"of": "replicas"}),
]
SAVED = {
    "datetime": "2026-11-21T16:48:56.221625+00:00",
    "benchmarks": [
        {"extra_info": {"rows": ROWS[:2]}},
        *({"extra_info": {"rows": [row]}} for row in ROWS[2:]),
        {"extra_info": {}},
    ],
}


def test_words_follow_the_goals_in_either_direction():
    view = benchmark_view(SAVED)
    words = ["good", "very good", "short", "very good", "short", "above its limit"]
    assert [row.word for row in view.rows] == words
    assert view.reached == 2
    shares = [250 / 300, 2 / 1.6, 0.1 / 0.7, 1000, 90 / 95, 1.2 / 0.7]
    assert [row.share for row in view.rows] == pytest.approx(shares)
    assert view.rows[1].good_share == pytest.approx(0.2)
    assert view.rows[0].besides == (("torch over fused", 7.0),)
    assert [row.word for row in view.others] == ["no goal"]
    assert [(each.of, each.seconds) for each in view.growth] == [
        ("nodes", {1000: 1.0, 100: 0.1}),
        ("replicas", {1000: 1.0, 100: 0.1}),
    ]


def saved(*rows):
    return {"benchmarks": [{"extra_info": {"rows": rows}}]}


GPU = [
    told(f"a {word} on a GPU", 0.5, None, None, "", limit="its triad", machine="x86, 2 cores, H1")
    for word in ("ring", "step")
]


def test_rows_of_a_gpu_stand_apart_from_those_of_the_cpu(tmp_path):
    view = benchmark_view(saved(GPU[0], *ROWS, GPU[1]))
    assert view.machines == ("x86, 2 cores", "x86, 2 cores, H1")
    names = {machine: [row.name for row in rows] for machine, rows in view.without_goal.items()}
    assert names["x86, 2 cores, H1"] == ["a ring on a GPU", "a step on a GPU"]
    assert names["x86, 2 cores"] == ["for its own sake"]
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(saved(GPU[0], *ROWS, GPU[1], ROWS[0] | {"machine": "y86"})))
    text = report(None, None, path).read_text()
    assert "x86, 2 cores; y86; x86, 2 cores, H1; load" in text
    assert text.index("<h3>x86, 2 cores, H1</h3>") < text.index("a step on a GPU")
    assert text.count("<small>on y86</small>") == 1
    assert text.count("<svg") == 4  # goals, growth, and ratios of either machine


def test_rows_without_a_goal_alone_are_a_page_too(tmp_path):
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(saved(*GPU)))
    text = report(None, None, path).read_text()
    assert "2 rows without a goal</h1>" in text
    assert text.count("<svg") == 1
    assert "<h3>" not in text
    assert "Rows with a goal" not in text
    timed = told("a step", 3.0, None, None, "µs"), told("nothing", 0.0, None, None)
    path.write_text(json.dumps(saved(*timed)))
    assert "<svg" not in report(None, None, path).read_text()


def test_ratios_are_dots_in_the_lines_of_the_table():
    rows = [*GPU, told("a step", 3.0, None, None, "µs"), told("faster", 40.0, None, None)]
    drawn = draw_ratios(benchmark_view(saved(*rows)).others, "p")
    places = re.findall(r'<g clip-path[^>]*>\n<use [^>]*x="([\d.]+)" y="([\d.]+)"', drawn)
    (half, first), (other, second), (forty, fourth) = (map(float, place) for place in places)
    assert fourth - second == pytest.approx(second - first)
    lines = re.findall(r"text-anchor: end[^>]*>(\d)</text>", drawn)
    assert lines == ["1", "2", "4"]  # microseconds are no ratio
    ticks = re.findall(r'x="([\d.]+)" y="[\d.]+" transform="[^"]*">([\d.]+)</text>', drawn)
    at = {float(label): float(x) for x, label in ticks if float(x) > half - 1}
    assert half == other == pytest.approx(at[0.5])
    assert at[20] < forty < at[50]


def test_a_row_is_told_in_a_line():
    lines = [str(row) for row in benchmark_view(SAVED).rows]
    assert lines[0] == (
        "more is better: 250 times (225 to 275); good 100, very good 300: good, torch over fused 7"
    )
    assert "1.2 of the triad (1.08 to 1.32)" in lines[5]


def test_the_page_is_drawn_beside_the_file(tmp_path):
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps(SAVED))
    page = report(None, None, path)
    assert page == tmp_path / "benchmarks.html"
    text = page.read_text()
    assert "2 of 6 rows are very good" in text
    assert "2026-11-21 16:48<" in text
    assert "the limit is not one" in text
    assert "for its own sake" in text[text.index("Measured without a goal") :]
    assert text.count("<svg") == 3
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
