"""Where compiled code is kept: by its source, whatever checkout it lies in, and found again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import hzbench
from hzbench.core.compiled import folder

PROGRAM = """
import numpy as np
import hzbench
from hzbench.core.compiled import folder, ready
from hzbench.core.philox import first_words
known = ready("first_words")
first_words(np.zeros((1, 2), dtype=np.int64), 0, 0, np.zeros((1, 2), dtype=np.int64))
loaded = sum(first_words.stats.cache_hits.values())
print(hzbench.__file__, known, loaded, ready("first_words"), folder())
"""


def told(package, cache):
    """What a process says that imports the package from there."""
    names = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(cache)}
    call = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        call, env=os.environ | names, capture_output=True, text=True, check=True, cwd=package
    )
    return done.stdout.split()


def test_another_checkout_of_the_same_source_compiles_nothing_again(tmp_path):
    package, cache = Path(hzbench.__file__).parent, tmp_path / "cache"
    found = []
    for name in ("one", "other"):
        target = tmp_path / name
        shutil.copytree(
            package,
            target / "hzbench",
            symlinks=False,
            ignore=shutil.ignore_patterns("__pycache__"),
            copy_function=shutil.copyfile,  # and so with times of their own
        )
        found.append(told(target, cache))
    assert [line[0] for line in found] == [
        str(tmp_path / name / "hzbench" / "__init__.py") for name in ("one", "other")
    ]
    assert [line[1:4] for line in found] == [["False", "0", "True"], ["True", "1", "True"]]
    assert found[0][4] == found[1][4]


def test_another_source_has_another_folder(tmp_path):
    """So that an entry whose helpers have changed is compiled again."""
    package = tmp_path / "hzbench"
    shutil.copytree(
        Path(hzbench.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    with (package / "core" / "inverse_normal.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    found = told(tmp_path, tmp_path / "cache")
    assert found[1] == "False"
    assert Path(found[4]).name != folder().name
