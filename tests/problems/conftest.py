"""One torch thread: the machine is shared; and a data folder."""

import pytest
import torch

from hzbench.problems.folder import VARIABLE

torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder; `folder(files)` writes them."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))

    def write(files, inside=""):
        (tmp_path / inside).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (tmp_path / inside / name).write_bytes(content)
        return tmp_path

    return write
