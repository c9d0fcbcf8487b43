"""One thread: what a core does, whatever the machine has."""

import pytest


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
