"""pytest plugin: `*.hz.toml` files as tests, the fixture `hz`, and a table at the end.

Imported by every pytest run of the environment, so nothing but pytest is imported until it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hzbench.core.spec import Spec
    from hzbench.core.verdict import Statistic
    from hzbench.harness.run import Result

SUFFIX = ".hz.toml"
KEY = "hzbench"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The error rate of one file or one fixture check."""
    parser.addini("hzbench_alpha", "error rate of one *.hz.toml file or hz.check", default="1e-4")


def pytest_configure(config: pytest.Config) -> None:
    """The marker that every item of ours carries: pytest -m hzbench."""
    config.addinivalue_line("markers", "hzbench: a check of measurement against theory")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test that asks for `hz`, before markers select."""
    if "hz" in getattr(item, "fixturenames", ()):
        item.add_marker(KEY)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect `*.hz.toml`."""
    if file_path.name.endswith(SUFFIX):
        collector: pytest.Collector = SuiteFile.from_parent(parent, path=file_path)
        return collector
    return None


class SuiteFile(pytest.File):
    """One spec or suite; its α is shared by all its checks."""

    def collect(self) -> Iterable[pytest.Item]:
        """One item a run (a cell of the grid)."""
        from hzbench.core.errors import UserMistakeError
        from hzbench.harness.suite import load
        from hzbench.harness.sweep import prepare_all

        try:
            suite = load(str(self.path))
            checks = sum(case.statistical for case in prepare_all(suite.specs))
        except UserMistakeError as error:
            raise self.CollectError(str(error)) from None
        own = "alpha" in suite.table.model_fields_set
        alpha = suite.table.alpha if own else float(self.config.getini("hzbench_alpha"))
        for spec in suite.specs:
            item = RunItem.from_parent(
                self, name=spec.name, spec=spec, level=alpha / max(1, checks)
            )
            item.add_marker(KEY)
            yield item


class RunItem(pytest.Item):
    """One run with its checks."""

    def __init__(self, *, spec: Spec, level: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec, self.level = spec, level

    def runtest(self) -> None:
        """Simulate and judge."""
        from hzbench.harness.prepare import prepare
        from hzbench.harness.run import execute_case
        from hzbench.testing.checking import paragraph
        from hzbench.testing.laws import CheckFailed

        result = execute_case(prepare(self.spec), self.level)
        self.user_properties.extend(properties(result))
        if not result.met:
            raise CheckFailed(paragraph(result, self.spec.name))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A paragraph for what the judge says, a traceback for what is a bug."""
        from hzbench.core.errors import HzbenchError
        from hzbench.testing.laws import CheckFailed

        if isinstance(excinfo.value, (CheckFailed, HzbenchError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """File and name."""
        return self.path, None, self.name


class Checker:
    """The fixture `hz`: `hz.check(mine, against="zeroth_order", samples=4)`."""

    def __init__(self, item: pytest.Item, alpha: float) -> None:
        self.item, self.alpha = item, alpha

    def check(self, suspect: Any, **options: Any) -> Any:
        """Check a component as `hzbench.testing.check` does; a failure is a paragraph."""
        from hzbench.testing.checking import check
        from hzbench.testing.laws import CheckFailed

        with readable():
            try:
                result = check(suspect, **{"alpha": self.alpha, **options})
            except CheckFailed as failure:
                self._report(failure.result)
                raise
        self._report(result)
        return result

    def _report(self, result: Result | None) -> None:
        if result is not None:
            self.item.user_properties.extend(properties(result))


@contextmanager
def readable() -> Iterator[None]:
    """Turn a law that does not hold, or a user's mistake, into a failure that is its paragraph."""
    from hzbench.core.errors import HzbenchError
    from hzbench.testing.laws import CheckFailed

    try:
        yield
    except (CheckFailed, HzbenchError) as failure:
        raise pytest.fail.Exception(str(failure), pytrace=False) from None


@pytest.fixture
def hz(request: pytest.FixtureRequest) -> Checker:
    """Check your own estimator, method or problem against theory."""
    return Checker(request.node, float(request.config.getini("hzbench_alpha")))


def properties(result: Result) -> list[tuple[str, object]]:
    """What junit and the table show: one property a tested number, or one for a check without."""
    return [
        (KEY, " | ".join([result.spec.name, verdict.theorem, *cells, verdict.outcome]))
        for verdict in result.verdicts
        for cells in [_cells(statistic) for statistic in verdict.statistics] or [["–"] * 4]
    ]


def _cells(statistic: Statistic) -> list[str]:
    """Observable, step, measured, predicted."""
    measured = f"{statistic.measured:.6g} ± {statistic.standard_error:.2g}"
    return [statistic.observable, str(statistic.step), measured, f"{statistic.predicted:.6g}"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Measured against predicted, one line a tested number."""
    lines = [
        str(value).split(" | ")
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for key, value in report.user_properties
        if key == KEY
    ]
    if not lines:
        return
    head = ["run", "theorem", "observable", "step", "measured", "predicted", "outcome"]
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    terminalreporter.section("hzbench: measured against predicted")
    for row in [head, *lines]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())
