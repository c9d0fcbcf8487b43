"""What the kernel for draws is asked for, and the process that has it interpreted."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from core_rows import rows_of

from hzbench.core.streams import Rows, integers, masks, normals, signs, uniforms, words

SHAPES = [(1, 0), (3, 2), (4, 4), (33, 5), (130, 0), (600, 3)]
"""Values a row and those before the first."""
SIGNS = [1, 31, 128, 129, 2100]
STREAMS = {
    "words": lambda rows: words(rows, 2, 9, 3),
    "uniforms": lambda rows: uniforms(rows, 2, 9, 3),
    "signs": lambda rows: signs(rows, 2, 45),
    "integers": lambda rows: integers(rows, 2, rows.node + 5, 9, 3),
    "masks": lambda rows: masks(rows, 2, 3, 9),
    "normals": lambda rows: normals(rows, 2, 9, 3).float(),
}
"""What callers draw; of normals the digits that do not depend on who rounds."""
ROUNDINGS = ("nearest", "floor", "ceiling")
"""How a logarithm within a unit in the last place may be rounded."""


def some_rows():
    """Rows of which not all words are small, with one step for all as rounds of all nodes have."""
    rows = rows_of(replicas=3, nodes=4, seed=3)
    step = torch.tensor(2**32 - 3).expand(len(rows))
    return Rows(keys=rows.keys, replica=rows.replica, node=rows.node, step=step).take(slice(1, 12))


def strided_rows():
    """Rows of which every part is a view of a table, with words between them."""
    rows = some_rows()
    step = torch.arange(2**32 - 3 * len(rows), 2**32)[::3]
    keys, node = rows.keys.T.contiguous().T, rows.node.repeat_interleave(2)[::2]
    return Rows(keys=keys, replica=rows.replica, node=node, step=step)


def ends(rows):
    """Exclusive upper ends of integers, as callers may give them."""
    return {"rows": rows.node + 1000, "one": torch.tensor(77), "strided": torch.arange(5, 27)[::2]}


def some_words():
    """Words of the centre, of the tails, and from where they meet: int64 [2048]."""
    random = np.random.default_rng(1)
    known = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 322_122_547, 322_122_548, 3_972_844_747]
    low, high = (2.0 ** random.uniform(0, 28.2, (2, 500))).astype(np.int64)
    near = [*low, *(2**32 - 1 - high)]
    rest = random.integers(0, 2**32, 2048 - len(known) - len(near))
    return torch.tensor([*known, *near, *rest])


def known_address(counter, key):
    """The row, the purpose and the offset that are a counter of Random123."""
    block, node, step, purpose = (torch.tensor([int(word, 16)]) for word in counter.split())
    keys = torch.tensor([[int(word, 16) for word in key.split()]])
    return Rows(keys=keys, replica=node, node=node, step=step), int(purpose), 4 * int(block)


def interpreted(path):
    """What `core_interpreted` finds: the interpreter is chosen when Triton is imported."""
    script = Path(__file__).with_name("core_interpreted.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, script, path], env=environment, check=True)
    return torch.load(path)
