"""One torch thread; a shell in an empty folder, with a terminal wide enough for whole words."""

import pytest
import torch
from cli_specs import Shell

from hzbench.commands import run as run_command

torch.set_num_threads(1)


@pytest.fixture
def shell_with_report(tmp_path, capsys, monkeypatch):
    """`shell("run", path)` gives the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(tmp_path, capsys)


@pytest.fixture
def shell(shell_with_report, monkeypatch):
    """The same, which draws no figures: they take a second a run."""

    def write_report(_record, path, _mutation=None):
        path.write_text("no figures")
        return path

    monkeypatch.setattr(run_command, "write_report", write_report)
    return shell_with_report
