"""What a peer takes for one of its own programs, where it is installed: `make bench`."""

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.benchmark
PROGRAM = (
    "import time\nbegun = time.perf_counter()\n"
    "from PEPit.examples.unconstrained_convex_minimization import wc_gradient_descent\n"
    "found = wc_gradient_descent(L=1, gamma=1, n=5, verbose=-1)\n"
    "print(found[0], found[1], time.perf_counter() - begun)"
)


def test_overhead_of_a_worst_case_program(benchmark):
    """PEPit: one semidefinite program of gradient descent, its import included; no goal."""
    if importlib.util.find_spec("PEPit") is None:
        pytest.skip("no PEPit: pip install 'hzbench[pep]'")

    def program():
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [float(word) for word in done.stdout.split()[-3:]]

    worst, theory, took = program()
    assert abs(worst - theory) < 1e-4
    benchmark.pedantic(program, rounds=1)
    benchmark.extra_info |= {"pepit_seconds": took}
    print(f"\nPEPit, gradient descent, 5 steps: {took:.2f} s a program")
