"""The page of saved benchmarks: words by goals in both directions, bars, growth, mistakes."""

import json
import re

import numpy as np
import pytest

from hzbench.commands.run import report
from hzbench.core.errors import UserMistakeError
from hzbench.reports.benchmark_figures import draw_goals, draw_ratios
from hzbench.reports.benchmarks import benchmark_view
from hzbench.reports.roofline_figure import draw_roofline


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


DRAWING = 'role="img"'
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
    assert text.count(DRAWING) == 4  # goals, growth, and ratios of either machine


def test_rows_without_a_goal_alone_are_a_page_too(tmp_path):
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(saved(*GPU)))
    text = report(None, None, path).read_text()
    assert "2 rows without a goal</h1>" in text
    assert text.count(DRAWING) == 1
    assert "<h3>" not in text
    assert "Rows with a goal" not in text
    timed = told("a step", 3.0, None, None, "µs"), told("nothing", 0.0, None, None)
    path.write_text(json.dumps(saved(*timed)))
    assert DRAWING not in report(None, None, path).read_text()


def test_ratios_are_dots_in_the_lines_of_the_table():
    rows = [*GPU, told("a step", 3.0, None, None, "µs"), told("faster", 40.0, None, None)]
    drawn = draw_ratios(benchmark_view(saved(*rows)).others, "p")
    places = re.findall(r'<g clip-path[^>]*>\n<use [^>]*x="([\d.]+)" y="([\d.]+)"', drawn)
    (half, first), (other, second), (forty, fourth) = (map(float, place) for place in places)
    assert fourth - second == pytest.approx(second - first)
    lines = re.findall(r"text-anchor: end[^>]*>([^<]*)</text>", drawn)
    named = [f"{rows[place]['row']} {place + 1}" for place in (0, 1, 3)]
    assert [" ".join(line.split()) for line in lines] == named  # microseconds are no ratio
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
    assert "for its own sake" in text[text.index("Measured without a goal") :]
    assert text.count(DRAWING) == 3
    assert "Under the roof" not in text
    assert "above its limit: the limit is not one" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def bar_ends(drawn):
    """Where bars begin and end, in points: lines as wide as bars."""
    path = r'd="M ([-\d.]+) [\d.]+ \nL ([-\d.]+) [\d.]+ \n"[^>]*stroke-width: 5[;"]'
    return [tuple(map(float, each)) for each in re.findall(path, drawn)]


def test_bars_tell_by_which_factor_a_goal_is_missed():
    names = "half of it", "twice", "a quarter", "at it"
    rows = [
        told(name, value, 20, 100) for name, value in zip(names, (50, 200, 25, 100), strict=True)
    ]
    drawn = draw_goals(benchmark_view(saved(*rows)).rows, "p")
    (start, half), (also, twice), (_, quarter), (_, same) = bar_ends(drawn)
    assert start == also == same
    assert start - half == pytest.approx(twice - start, abs=0.02)
    assert start - quarter == pytest.approx(2 * (start - half), abs=0.02)
    lines = re.findall(r"text-anchor: end[^>]*>([^<]*)</text>", drawn)
    assert [line.split("  ")[0] for line in lines] == list(names)


def counted(row, flops, moved, seconds, **limits):
    roof = {"flops": flops, "bytes": moved, "seconds": seconds} | limits
    return told(row, 0.5, None, None, "", limit="the roof", roofline=roof)


ROOFED = [
    counted("dense: of it", 8e9, 1e9, {"fused": 0.4, "torch": 0.8}, bandwidth=2e10, peak=4e10),
    counted("a ring: of it", 1e9, 2e9, {"fused": 0.5}, bandwidth=1e10),
    counted("rows: of it", 1.1e9, 2e9, {"fused": 0.44}, bandwidth=1.2e10),
]


def test_rows_that_count_their_work_lie_under_the_roof_of_their_machine(tmp_path):
    noise = counted("noise", 1.0, 1.0, {"fused": -0.1}, bandwidth=1e10)
    gpu = counted("a GPU's ring", 1e9, 2e9, {"torch, float32": 1e-3}, bandwidth=2e12)
    every = [*ROOFED, noise, gpu | {"machine": "x86, H1"}, ROWS[0]]
    view = benchmark_view(saved(*every))
    assert list(view.roofs) == ["x86, 2 cores", "x86, H1"]
    ring, rows, dense = view.roofs["x86, 2 cores"]
    assert [each.name for each in (ring, rows, dense)] == ["a ring", "rows", "dense"]
    assert [each.intensity for each in (ring, rows, dense)] == pytest.approx([0.5, 0.55, 8])
    assert dense.attained == pytest.approx({"fused": 2e10, "torch": 1e10})
    assert (ring.peak, dense.peak) == (None, 4e10)
    path = tmp_path / "roofs.json"
    path.write_text(json.dumps(saved(*every)))
    page = report(None, None, path).read_text()
    part = page[page.index("Under the roof") : page.index("Rows with a goal")]
    assert part.count(DRAWING) == 2
    assert "1: a ring. 2: rows. 3: dense. " in part
    assert part.index("<h3>x86, H1</h3>") < part.index("1: a GPU&#39;s ring")
    assert "noise" not in part
    here, there = part.split("<h3>x86, H1</h3>")
    entries = [re.findall(r"</svg>([^<]+)</span>", panel) for panel in (here, there)]
    assert entries == [["fused", "torch"], ["torch, float32"]]


def axes_of(drawn):
    """Functions from flops a byte and gigaflops a second to places, by marks and labels of axes."""
    marks = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*stroke-width: 0.7', drawn)
    labels = re.findall(r"font-size: 8.5px[^>]*anchor: (\w+)[^>]*>([\d.]+)</text>", drawn)
    every = list(zip(marks, labels, strict=True))
    for place, side in enumerate(("middle", "end")):
        known = [(float(of), float(at[place])) for at, (anchor, of) in every if anchor == side]
        values, places = np.array(known).T
        yield lambda value, x=values, y=places: np.interp(np.log(value), np.log(x), y)


def lines_of(drawn, style):
    """First and last point of every line of that style."""
    for path in re.findall(rf'<path d="(M [^"]*)"[^>]*stroke-width: {style}"', drawn):
        numbers = list(map(float, re.findall(r"-?[\d.]+", path)))
        yield (*numbers[:2], *numbers[-2:])


def test_points_and_roofs_are_where_flops_and_bytes_say():
    drawn = draw_roofline(benchmark_view(saved(*ROOFED)).rooflines, "p")
    across, up = axes_of(drawn)
    point = r'<use href="#(\S+)" x="([\d.]+)" y="([\d.]+)" style="fill: var\(--series'
    marks, *places = zip(*re.findall(point, drawn), strict=True)
    expected = [(0.5, 2), (0.55, 2.5), (8, 20), (8, 10)]  # flops a byte, gigaflops a second
    at = [(across(x), up(y)) for x, y in expected]
    np.testing.assert_allclose(np.array(places, dtype=float).T, at, atol=0.02)
    assert marks[0] == marks[1] == marks[2] != marks[3]
    [roof] = lines_of(drawn, "1.2; stroke-linecap: round")
    assert roof[1] == pytest.approx(up(0.25 * 12), abs=0.1)  # by the median of 10, 12 and 20
    assert roof[3] == pytest.approx(up(40), abs=0.1)
    own = [(0.5, 2, 5), (0.55, 2.5, 6.6), (8, 10, 40)]
    at = [(across(x), up(least), across(x), up(roof)) for x, least, roof in own]
    np.testing.assert_allclose([*lines_of(drawn, "0.7; stroke-linecap: round")], at, atol=0.1)
    numbers = re.findall(r"font-size: 9px[^>]*anchor: (\w+)[^>]*>(\d)</text>", drawn)
    assert numbers == [("end", "1"), ("start", "2"), ("start", "3"), ("start", "3")]


NUMBERLESS = '{"benchmarks": [{"extra_info": {"rows": [{"row": 1}]}}]}'
NOTHING = ["", "[]", "{}", "no json", '{"benchmarks": 3}', '{"benchmarks": []}', NUMBERLESS]


@pytest.mark.parametrize("content", NOTHING)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(UserMistakeError, match=r"holds no benchmarks .*; run make bench"):
        report(None, None, path)
    with pytest.raises(UserMistakeError, match=r"holds no results .* hzbench run wrote"):
        report(path, None)
    with pytest.raises(UserMistakeError, match="run make bench"):
        report(None, None, tmp_path / "none.json")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserMistakeError, match="neither"):
        report(None, None)
    with pytest.raises(UserMistakeError, match="both"):
        report(path, None, path)
