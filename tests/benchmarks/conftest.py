"""One thread: what a core does, whatever the machine has; plain networks of tests/problems."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "problems"))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
