"""Runs that nobody can wait for are refused before they start."""

import time

import pytest

from hzbench.cli import main

SPEC = """
[problem]
name = "quadratic"
dimension = 2
[[nodes]]
count = 2
[method]
{method}
[clock]
name = "fixed"
seconds = [1.0, {slow}]
[run]
steps = {steps}
replicas = 16
"""


@pytest.mark.parametrize(
    ("method", "slow", "steps", "told"),
    [
        ('name = "malenia"', "1e300", 10, "takes 1e+300 arrivals or more"),
        ('name = "malenia"\nbatch = 4000000', "1.0", 10, "takes 4e+06 arrivals or more"),
        ('name = "ringleader"', "1e7", 10, "slowest of 2 workers takes about 1e+07 s"),
        ('name = "rennala"\nbatch = 900000', "1.0", 1000, "take 9e+08 arrivals or more"),
    ],
)
def test_a_hopeless_wait_is_refused_at_once(tmp_path, capsys, method, slow, steps, told):
    spec = SPEC.format(method=method, slow=slow, steps=steps)
    _refused(tmp_path, capsys, "predict", spec, told, "expected at most")


@pytest.mark.parametrize(
    ("exponent", "steps", "told", "expected"),
    [
        ("1e-3", 2, "take 1.07e+301 arrivals or more", "expected at most 2000000"),
        ("1e-3", 10, "arrivals or more", "expected at most 10000000"),
        pytest.param(
            *("0.0488", 2, "no update in 1000000 arrivals after update 1", "expected one"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_later_update_is_not_waited_for(tmp_path, capsys, exponent, steps, told, expected):
    """Also where the closed form alone (1.48e6 arrivals in two updates) does not tell."""
    power = f'name = "power"\nexponents = [1.0, {exponent}]'
    spec = SPEC.format(method='name = "malenia"', slow=1.0, steps=steps)
    spec = spec.replace('name = "fixed"\nseconds = [1.0, 1.0]', power)
    _refused(tmp_path, capsys, "run", spec, told, expected)


def _refused(tmp_path, capsys, command, spec, told, expected):
    path = tmp_path / "slow.toml"
    path.write_text(spec)
    began = time.perf_counter()
    with pytest.raises(SystemExit) as exit_:
        main([command, str(path), *(["--out", str(tmp_path)] if command == "run" else [])])
    assert exit_.value.code == 2
    assert time.perf_counter() - began < 30
    error = capsys.readouterr().err
    assert told in " ".join(error.split())
    assert expected in " ".join(error.split())
