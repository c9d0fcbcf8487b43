"""What a terminal or a log shows while something runs, and where a library does not fit."""

import io

import pytest
from rich.console import Console

from hzbench import cli
from hzbench.commands import output


def logged(*reports):
    file = io.StringIO()
    with output.progress(Console(file=file, width=100), "suite") as report:
        for each in reports:
            report(*each)
    return file.getvalue().split("\n")[: len(reports)]


def test_a_log_says_at_once_what_comes_before_the_work(monkeypatch):
    told = ("compiling the pair kernel, once on this machine", 0.0)
    assert logged(told, ("one", 0.5))[0] == f"suite: {told[0]}, 0%"
    assert "one" not in "".join(logged(told, ("one", 0.5)))
    assert logged(told, told, ("next", 0.0), ("next", 0.0))[:3] == [
        f"suite: {told[0]}, 0%",
        "suite: next, 0%",
        "",
    ]
    monkeypatch.setattr(output, "LOGGED", -1.0)
    assert logged(told, ("one", 0.5))[1] == "suite: one, 50%"


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError("Could not find/load shared object file 'libllvmlite.so'. This could mean more."),
    ],
)
def test_a_library_that_does_not_fit_is_a_limit_of_memory(error, monkeypatch, capsys):
    def app(args):
        raise error

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run"])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(("hzbench: got lib", "hzbench: got Could"))
    assert told.endswith("raise this process's limit of memory\n")


def test_other_errors_of_libraries_are_no_limit(monkeypatch):
    def app(args):
        raise ImportError("no module named torch")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(ImportError, match="no module"):
        cli.main(["run"])
