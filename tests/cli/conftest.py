"""One torch thread; a shell in an empty folder, with a terminal wide enough for whole words."""

import pytest
import torch
from cli_specs import Shell

torch.set_num_threads(1)


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """`shell("run", path)` gives the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(tmp_path, capsys)
