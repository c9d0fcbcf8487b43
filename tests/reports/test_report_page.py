"""The page: self-contained, complete, well-formed, safe, and the same for the same input."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_results import HOSTILE, exact_run, run

from hzbench.reports.document import build
from hzbench.reports.html import render, write_report

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Reader(HTMLParser):
    """Collects tags, attributes and ids, and checks that elements nest."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.stack == []
    return reader


def test_nothing_is_fetched(page: str) -> None:
    reader = read(page)
    assert not reader.of("link")
    assert all("src" not in attributes for _, attributes in reader.tags)
    links = [a["href"] for _, a in reader.tags if a.get("href")]
    assert links
    assert all(str(link).startswith("#") for link in links)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in page.replace("http-equiv", "")


def test_ids_are_unique_and_every_link_arrives(page: str) -> None:
    reader = read(page)
    ids = [a["id"] for _, a in reader.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in reader.tags:
        link = attributes.get("href")
        assert link is None or link[1:] in ids
    used = set(re.findall(r"url\(#([^)]*)\)", page))
    assert used
    assert used <= set(ids)


def test_every_run_and_verdict_is_there(page: str, results: dict[str, Any]) -> None:
    reader = read(page)
    runs = [a for a in reader.of("details") if "run" in str(a.get("class")).split()]
    assert len(runs) == len(results["runs"])
    verdicts = [item for record in results["runs"] for item in record["verdicts"]]
    rows = [a for a in reader.of("tr") if a.get("data-outcome")]
    assert [a["data-outcome"] for a in rows] == [item["outcome"] for item in verdicts]
    words = " ".join(" ".join(reader.text).split())
    met = sum(item["met"] for item in verdicts)
    assert f"{met} of {len(verdicts)} checks as expected" in words
    assert f"{len(verdicts)} of {len(verdicts)} shown" in words
    for item in verdicts:
        assert " ".join(item["reason"].split()) in words
        assert item["expectation_reason"] in words


def test_surprises_come_before_everything_else(page: str) -> None:
    order = ["Not as expected", "Expected not to hold", "Map of verdicts", 'id="runs"']
    places = [page.index(text) for text in order]
    assert places == sorted(places)


def test_hostile_names_are_text(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("<script>") == 1
    assert HOSTILE in "".join(read(page).text)


def test_light_and_dark(page: str) -> None:
    assert "color-scheme: light dark" in page
    assert '[data-theme="dark"] { color-scheme: dark; }' in page
    assert 'id="theme"' in page
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert "currentColor" in drawings
    assert "var(--measured)" in drawings
    assert not re.findall(r"(?:fill|stroke): #", drawings), "every colour must follow the theme"


def test_every_drawing_is_well_formed_and_named(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        root = ET.fromstring(drawing)  # noqa: S314 (our own output)
        assert root.get("aria-hidden") or root.get("aria-label")


def test_colours_come_with_signs(page: str) -> None:
    for outcome, sign in {"consistent": "✓", "violated": "✗", "inconclusive": "?"}.items():
        assert f'class="badge {outcome}"><span aria-hidden="true">{sign}</span>' in page


def test_same_results_same_bytes(results: dict[str, Any], page: str) -> None:
    assert render(build(results)) == page


def test_json_round_trip_changes_nothing(results: dict[str, Any], page: str) -> None:
    assert render(build(json.loads(json.dumps(results, allow_nan=False)))) == page


def test_an_existing_report_is_replaced_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report({"runs": [run("empty")]}, path) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    "results",
    [
        {},
        {"suite": {}, "runs": []},
        {"runs": [{"name": "bare"}]},
        {"runs": [{"name": "x", "observables": {"objective_gap": {"mean": [None]}}, "steps": [0]}]},
        {"suite": {"alpha": None, "level": None}, "runs": [exact_run()]},
    ],
    ids=["empty", "no runs", "bare run", "all null", "no level"],
)
def test_missing_fields_are_tolerated(results: dict[str, Any]) -> None:
    read(render(build(results)))


def test_nulls_anywhere_in_the_numbers_are_tolerated(results: dict[str, Any]) -> None:
    def hollow(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: hollow(item) for key, item in value.items()}
        if isinstance(value, list):
            return [hollow(item) for item in value]
        return None if isinstance(value, float) else value

    read(render(build(hollow(results))))


def test_importing_the_report_does_not_import_the_plotting_library() -> None:
    heavy = "{'seaborn', 'matplotlib', 'torch'} & set(sys.modules)"
    code = f"import sys, hzbench.reports.html; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
