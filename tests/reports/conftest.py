"""The synthetic suite and its page, built once."""

from pathlib import Path
from typing import Any

import pytest
import synthetic_results

from hzbench.reports.html import write_report


@pytest.fixture
def results() -> dict[str, Any]:
    """Results of a suite that was never run; a fresh copy for each test."""
    return synthetic_results.results()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of that suite."""
    path: Path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    return write_report(synthetic_results.results(), path).read_text(encoding="utf-8")
