"""A GPU near its limits, and against what one does without this project: `make TORCH=cuda bench`.

No goals: nothing has been measured on a GPU. Each row is a function of the device and of sizes,
which test_device_rows.py runs on the CPU at tiny ones.
"""

import pytest
import torch
from bench_tools import tell
from device_networks import resnet
from device_rows import INTERACTIONS, STEPS, dense, draws, interactions, launches, ring

TRIAD = 1 << 27  # numbers: a GiB an array, beyond any cache
HYBRID, GAUSSIAN, QUADRATIC, MATCHINGS = INTERACTIONS
IMAGES = 64, 32, 10_000  # channels, side, rows
ROWS = {
    "ring": (ring, {"nodes": 100_000, "dimension": 1000, "steps": 25, "triad": TRIAD}),
    **{
        label: (
            interactions,
            {"label": label, "nodes": n, "replicas": (256, 1024, 8192), "steps": steps},
        )
        for label, n, steps in (
            (HYBRID, 64, 2000),
            (GAUSSIAN, 64, 2000),
            (QUADRATIC, 1024, 2000),
            (MATCHINGS, 64, 60),
        )
    },
    **{
        f"launches, {label}, R={replicas}": (
            launches,
            {"label": label, "nodes": 16, "replicas": replicas, "steps": 205},
        )
        for label in STEPS
        for replicas in (1, 256)
    },
    "draws": (draws, {"rows": 4096, "count": 4096}),
    **{
        f"dense, d={d}": (
            dense,
            {
                "dimension": d,
                "nodes": 64,
                "replicas": replicas,
                "steps": 25,
                "product": 8192,
                "triad": TRIAD,
            },
        )
        for d, replicas in ((200, 256), (2000, 64))
    },
    **{
        f"resnet, {kind}, b={batch}": (
            resnet,
            {"kind": kind, "sizes": IMAGES, "nodes": (4, 8, 16), "batch": batch, "steps": 12},
        )
        for kind in ("FO", "ZO")
        for batch in (10, 50)
    },
}
pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("default:got rounds:RuntimeWarning"),  # no graphs: a number tells
]


def measured(benchmark, device, measure, sizes):
    """Keep the rows of one function."""
    rows = benchmark.pedantic(lambda: list(measure(device, **sizes)), rounds=1)
    for row in rows:
        tell(benchmark, device=device, **row)


@pytest.mark.parametrize("name", ROWS)
def test_on_a_gpu(benchmark, name):
    measured(benchmark, "cuda", *ROWS[name])
