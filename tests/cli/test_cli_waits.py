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


@pytest.mark.parametrize(
    ("method", "clock", "told"),
    [
        (
            "minibatch_sgd",
            "seconds = [1.0, 1e308]",
            "node 1, in a run of 10 steps; expected 1e-300",
        ),
        ("asgd", "seconds = [5e-324, 1.0]", "got 5e-324 s of work and links of node 0"),
        (
            "hdo",
            'pace = "two-speed"\nunit = 1e200\nslow_factor = 1e200',
            "got seconds times work beyond",
        ),
        ("asgd", "download = 1e308\nupload = 1e308", "got 2.00e+308 s of work and links of node 0"),
    ],
)
def test_seconds_that_floats_cannot_add_up_are_refused(tmp_path, capsys, method, clock, told):
    spec = SPEC.format(method=f'name = "{method}"', slow=1.0, steps=10)
    _refused(tmp_path, capsys, "run", spec.replace("seconds = [1.0, 1.0]", clock), told, "1e+305")


@pytest.mark.parametrize(
    ("clock", "told", "expected"),
    [
        ("slow = 2\nslow_factor = 3.0", "clock.slow: got 2, which nothing reads", "pace two-speed"),
        ("slow_factor = 3.0", "clock.slow_factor: got 3, which nothing reads", "pace two-speed"),
        ("seconds = [1.0, 2.0]\nunit = 3.0", "clock.unit: got 3, which", "or no seconds; correct"),
    ],
)
def test_keys_of_a_clock_that_nothing_reads_are_mistakes(tmp_path, capsys, clock, told, expected):
    spec = SPEC.format(method='name = "asgd"', slow=1.0, steps=10)
    _refused(
        tmp_path, capsys, "predict", spec.replace("seconds = [1.0, 1.0]", clock), told, expected
    )


def test_limits_are_told_as_they_are(tmp_path, capsys):
    spec = SPEC.format(method='name = "ringmaster"\ndelay_threshold = 0', slow=1.0, steps=10)
    _refused(tmp_path, capsys, "predict", spec, "got 0", "expected a whole number of at least 1 or")
    spec = SPEC.format(method='name = "asgd"', slow=1.0, steps=10)
    power = spec.replace('name = "fixed"\nseconds', 'name = "power"\nexponents = 0.0\nseconds')
    _refused(tmp_path, capsys, "predict", power, "exponents: got 0;", "expected numbers above 0")
    rates = spec.replace('"fixed"\nseconds = [1.0, 1.0]', '"intervals"\nrates = [[1.0], []]')
    _refused(tmp_path, capsys, "predict", rates, "rates.1: got []", "expected at least 1 of them")
