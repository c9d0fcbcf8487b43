"""Seconds of the processor until everything is compiled on a new machine: `make bench`."""

import os
import subprocess
import sys

import pytest
from bench_tools import tell

pytestmark = pytest.mark.benchmark

PROGRAM = """
import time
import numpy as np
import torch
from hzbench.core.streams import Purpose, Rows, choices, normals, replica_keys, signs, words
from hzbench.engine.fused.executor import kernel_of
from hzbench.engine.fused.mean_loss import mean_loss_kernel
from hzbench.engine.fused.server import server_kernel
from hzbench.problems.transformer_pass import compile_passes

def draws():
    four = torch.arange(4)
    rows = Rows(keys=replica_keys(0, range(4)), replica=four, node=four, step=four)
    for draw in (words, normals, signs):
        draw(rows, Purpose.DATA, 8)
    choices(rows.keys, Purpose.DATA, 0, 3, np.ones(4) / 4)

protocols = map(kernel_of, ("pair", "matching", "matrix"))
kernels = *protocols, server_kernel(), mean_loss_kernel()
parts = {"draws": draws} | {k.title: k.compile for k in kernels}
parts["transformer"] = lambda: compile_passes("float32")
for name, compile in parts.items():
    begun = time.process_time()
    compile()
    print(name, time.process_time() - begun)
"""


def compiled_in(folder):
    """Seconds of the processor by part, with an empty cache or a full one."""
    run = (sys.executable, "-W", "error", "-c", PROGRAM)
    here = os.environ | {"XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=here)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    return {name: float(value) for name, value in lines}


def test_cold_compile(benchmark, tmp_path):
    found = benchmark.pedantic(compiled_in, (tmp_path,), rounds=1)
    again = compiled_in(tmp_path)
    assert found.keys() == again.keys()
    assert sum(again.values()) < 0.1 * sum(found.values())  # everything was kept
    more = {"transformer": found.pop("transformer"), "all_from_the_cache": sum(again.values())}
    row = "cold compile of draws, three protocols, servers and mean losses"
    tell(benchmark, row, sum(found.values()), 90.0, "s", **found, **more)
