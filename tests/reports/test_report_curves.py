"""Panels: what is drawn, residuals, crossings, thinning; and the clean-up of an SVG."""

import time
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from synthetic_results import (
    STEPS,
    decay,
    exact_run,
    inapplicable_run,
    order_run,
    prediction,
    real_run,
    run,
    scalar,
    static_run,
    statistic,
    verdict,
    violated_run,
)

from hzbench.reports import figures, formats, svg
from hzbench.reports.axes import digits_for, power_of_ten
from hzbench.reports.curves import (
    POINTS_AT_MOST,
    array,
    last_sign_change,
    panels,
    race,
    residual,
    split_component,
)


def test_the_predicted_observables_are_drawn() -> None:
    gap, mean, potential = panels(exact_run())
    assert [p.observable for p in (gap, mean, potential)] == [
        "objective_gap",
        "mean_iterate",
        "consensus_potential",
    ]
    assert [overlay.kind for overlay in potential.overlays] == ["exact", "upper"]
    assert [STEPS[row] for row, _ in gap.overlays[0].tested] == [3, 13, 36, 100]
    assert mean.overlays[0].tested == ((10, 2),)


def test_two_checks_of_one_theorem_draw_one_curve_and_the_tested_observable_comes_first() -> None:
    values = {"node_distance": decay(), "objective_gap": decay()}
    checks = [
        verdict("t", statistics=[statistic("objective_gap", 8, 1.0, 1.0)]),
        verdict("t", statistics=[statistic("objective_gap", 100, 1.0, 1.0)]),
    ]
    record = run(
        "twice",
        observables={name: scalar(value) for name, value in values.items()},
        predictions=[prediction("t", "exact", values), prediction("t", "exact", values)],
        verdicts=checks,
    )
    first, second = panels(record)
    assert (first.observable, second.observable) == ("objective_gap", "node_distance")
    (overlay,) = first.overlays
    assert [STEPS[row] for row, _ in overlay.tested] == [8, 100]


def test_without_predictions_the_telling_observables_are_drawn() -> None:
    (panel,) = panels(real_run("a", 0.1, 0.01))
    assert (panel.observable, panel.overlays) == ("objective_gap", ())
    (panel,) = panels(inapplicable_run())
    assert panel.overlays == ()


def test_static_observables_are_dots() -> None:
    assert [panel.shape for panel in panels(static_run())] == ["static", "static"]


def test_wide_vectors_are_dots() -> None:
    wide = np.ones((len(STEPS), 20))
    record = run(
        "wide",
        observables={"mean_iterate": {"mean": wide.tolist(), "standard_error": wide.tolist()}},
        predictions=[prediction("t", "exact", {"mean_iterate": wide})],
    )
    assert panels(record)[0].shape == "static"


def test_a_pair_is_one_panel_with_its_crossing() -> None:
    (panel,) = panels(order_run())
    assert panel.shape == "pair"
    assert panel.crossing == pytest.approx(66, abs=5)


def test_residuals_are_in_standard_errors_where_there_are_any() -> None:
    record = run(
        "a",
        steps=[0, 1, 2],
        observables={"objective_gap": {"mean": [1.0, 2.0, 3.0], "standard_error": [0.0, 0.1, 0.5]}},
        predictions=[
            prediction("t", "exact", {"objective_gap": [1.9, 4.0]}, steps=[1, 2]),
        ],
    )
    (panel,) = panels(record)
    values, in_errors = residual(panel, panel.overlays[0])
    assert in_errors
    assert values[:, 0] == pytest.approx([1.0, -2.0])


def test_bands_of_three_seeds_are_those_of_student() -> None:
    given = {"mean": [1.0, 2.0], "standard_error": [0.1, 0.2]}
    fields = {"observables": {"objective_gap": given}, "steps": [1, 2]}
    drawn = [panels(run("few", **fields, replicas=replicas))[0] for replicas in (3, 4096)]
    few, many = (panel.curves[0].half[:, 0].tolist() for panel in drawn)
    assert few == pytest.approx([0.4303, 0.8605], abs=1e-4)
    assert many == pytest.approx([0.1961, 0.3921], abs=1e-4)


def test_ticks_that_differ_are_labelled_differently() -> None:
    for size, spread in [(2.3, 1e-4), (2.3, 2.0), (1e4, 0.3), (0.7, 3e-9)]:
        ticks = np.linspace(size - spread, size, 6)
        digits = digits_for(size, spread)
        assert len({power_of_ten(tick, digits=digits) for tick in ticks}) == 6
    assert digits_for(2.0, 5.0) == digits_for(2.0, 0.0) == 3


def test_residuals_of_deterministic_observables_are_relative() -> None:
    panel = panels(static_run())[0]
    values, in_errors = residual(panel, panel.overlays[0])
    assert not in_errors
    assert np.abs(values).max() < 1e-14


def test_a_common_start_has_no_residual() -> None:
    panel = panels(exact_run())[0]
    values, _ = residual(panel, panel.overlays[0])
    assert np.isnan(values[0, 0])
    assert np.isfinite(values[1:]).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, -1], 1.5),
        ([1, -1, 1], 1.5),
        ([0, 1, 3], None),
        ([np.nan, 1, -3], 1.25),
        ([1, 0, -1], 1.0),
    ],
)
def test_last_sign_change(values: list[float], expected: float | None) -> None:
    assert last_sign_change(np.arange(3.0), np.array(values, float)) == expected


def test_thinning_keeps_the_tested_points() -> None:
    steps = list(range(1000))
    gap = np.exp(-0.01 * np.array(steps))
    record = run(
        "long",
        steps=steps,
        observables={"objective_gap": scalar(gap)},
        predictions=[prediction("t", "exact", {"objective_gap": gap}, steps=steps)],
        verdicts=[verdict("t", statistics=[statistic("objective_gap", 501, 1.0, 1.0)])],
    )
    (panel,) = panels(record)
    assert len(panel.steps) <= POINTS_AT_MOST + 1
    ((row, _),) = panel.overlays[0].tested
    assert panel.steps[row] == 501
    assert panel.overlays[0].values[:, 0] == pytest.approx(np.exp(-0.01 * panel.steps))


def test_a_race_needs_common_steps() -> None:
    one, two = real_run("a", 0.1, 0.01), real_run("b", 0.2, 0.01)
    panel = race([("a", one), ("b", two)])
    assert panel is not None
    assert [curve.name for curve in panel.curves] == ["a", "b"]
    assert race([("a", one), ("b", {**two, "steps": STEPS[:-1]})]) is None
    assert race([]) is None


@pytest.mark.parametrize("values", [None, [], [[]], [[1], [1, 2]], "text", [None, 1.0]])
def test_any_json_becomes_an_array(values: Any) -> None:
    assert array(values).ndim == 2


def test_components() -> None:
    assert split_component("mean_iterate[12]") == ("mean_iterate", 12)
    assert split_component("slem") == ("slem", 0)


EVERY_KIND = {
    "exact": exact_run,
    "violated": violated_run,
    "diverged": inapplicable_run,
    "pair": order_run,
    "static": static_run,
    "plain": lambda: real_run("a", 0.1, 0.01),
    "negative": lambda: run(
        "n",
        observables={"objective_gap": scalar(-decay())},
        predictions=[prediction("t", "lower", {"objective_gap": -2 * decay()})],
    ),
    "constant": lambda: run(
        "c",
        observables={"objective_gap": scalar(0 * decay())},
        predictions=[prediction("t", "exact", {"objective_gap": 0 * decay()})],
    ),
    "far off": lambda: run(
        "f",
        observables={"objective_gap": scalar(decay(), 1e-9)},
        predictions=[prediction("t", "exact", {"objective_gap": 7 * decay()})],
    ),
    "inside a bound": lambda: run(
        "b",
        observables={"objective_gap": scalar(decay())},
        predictions=[
            prediction("t", "upper", {"objective_gap": 1e4 * decay()}),
            prediction("s", "lower", {"objective_gap": 0 * decay()}),
        ],
    ),
}


@pytest.mark.parametrize("make", EVERY_KIND.values(), ids=EVERY_KIND)
def test_every_kind_of_panel_is_drawn(make: Any) -> None:
    for index, panel in enumerate(panels(make(), critical=4.5)):
        text = figures.draw(panel, f"p{index}")
        assert text == figures.draw(panel, f"p{index}")
        identified = [e for e in ET.fromstring(text).iter() if e.get("id")]  # noqa: S314
        assert identified
        assert all(str(e.get("id")).startswith(f"p{index}-") for e in identified)


def test_a_drawing_is_fast() -> None:
    panel = panels(exact_run(), 4.5)[0]
    figures.draw(panel, "warm")
    start = time.perf_counter()
    figures.draw(panel, "fast")
    assert time.perf_counter() - start < 2.0  # measured .08 s; loose, since machines are shared


def test_drawing_leaves_the_style_of_others_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.draw(panels(exact_run())[0], "p")
    assert dict(mpl.rcParams) == before


def test_clean_up_of_an_svg() -> None:
    raw = (
        '<?xml version="1.0"?><svg width="9pt" viewBox="0 0 9 9" xmlns="http://x">'
        "<metadata>http://y</metadata><style>*{}</style>"
        f'<path id="a" d="M 1.23456 -0.98765" style="stroke: {svg.INK}"/>'
        '<use xlink:href="#a" transform="translate(0.015625 1.234567)" clip-path="url(#a)"/></svg>'
    )
    text = svg.inline(raw, "q", 'a "label" & more')
    assert "http" not in text
    assert "<style" not in text
    assert 'id="q-a"' in text
    assert 'href="#q-a"' in text
    assert "url(#q-a)" in text
    assert 'd="M 1.23 -0.99"' in text
    assert "translate(0.015625 1.234567)" in text
    assert "stroke: currentColor" in text
    assert ET.fromstring(text).get("aria-label") == 'a "label" & more'  # noqa: S314


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234.5, "1234"),
        (99999.0, "99999"),
        (1e5, "10⁵"),
        (-2.5e-7, "−2.5×10⁻⁷"),
        (0.05, "0.05"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert formats.number(value) == text


def test_other_words() -> None:
    assert formats.p_value(0.0) == "< 10⁻³⁰⁰"
    assert formats.duration(90) == "90 s"
    assert formats.duration(600) == "10 min"
    assert formats.duration(9000) == "2.5 h"
    assert formats.words({"a": [1, None]}) == "a 1 + "
    assert formats.slug("A <b> C!") == "a-b-c"
