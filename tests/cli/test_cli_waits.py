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
    path = tmp_path / "slow.toml"
    path.write_text(SPEC.format(method=method, slow=slow, steps=steps))
    began = time.perf_counter()
    with pytest.raises(SystemExit) as exit_:
        main(["predict", str(path)])
    assert exit_.value.code == 2
    assert time.perf_counter() - began < 30
    error = capsys.readouterr().err
    assert told in " ".join(error.split())
    assert "expected at most" in " ".join(error.split())
