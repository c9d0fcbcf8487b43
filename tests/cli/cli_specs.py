"""Spec files and runs of the command line, in this process."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from hzbench.cli import main

BASE = {
    "problem": {"name": "quadratic", "dimension": 2, "initial_spread": 1.0},
    "nodes": [{"count": 4, "batch_size": "full"}],
    "run": {"steps": 6, "replicas": 8},
    "checks": [{"theorem": "step_invariants"}],
}


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def toml(value) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def write(path: Path, table) -> Path:
    """A spec or suite file; text is written as it is."""
    if isinstance(table, dict):
        table = "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
    path.write_text(table, encoding="utf-8")
    return path


class Shell:
    """Runs `hzbench ...` in this process, in an empty folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def __call__(self, *arguments) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        said = self.capsys.readouterr()
        return Outcome(int(caught.value.code or 0), said.out, said.err)

    def spec(self, name="spec.toml", table=None, **changes) -> Path:
        return write(self.folder / name, (BASE if table is None else table) | changes)

    def run(self, path, *options) -> Outcome:
        return self("run", path, "--workers", "1", *options)

    @property
    def written(self) -> list[str]:
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))
