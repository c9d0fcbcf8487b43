"""Where compiled code is kept: by its source, whatever checkout it lies in, and found again."""

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba.core import caching

import hzbench
from hzbench import problems
from hzbench.core import compiled
from hzbench.core.compiled import folder

PROGRAM = """
import numpy as np
import hzbench
from hzbench.core import compiled
from hzbench.core.compiled import folder, ready
from hzbench.core.philox import draw_indices
known = ready("draw_indices")
law, none = np.ones(1), np.zeros(1, dtype=np.int64)
keys = np.zeros((1, 2), dtype=np.int64)
draw_indices(keys, 0, 0, law, none, 0, np.zeros((1, 2), dtype=np.int64))
loaded = sum(draw_indices.stats.cache_hits.values())
print(hzbench.__file__, known, loaded, ready("draw_indices"), folder())
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


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("kept", [0, 60])
def test_what_a_disk_has_cut_off_is_compiled_again(kind, kept, tmp_path):
    package = Path(hzbench.__file__).parent.parent
    whole = told(package, tmp_path)
    assert told(package, tmp_path)[1:4] == ["True", "1", "True"]
    (file,) = Path(whole[4]).glob(f"*.draw_indices-*.{kind}")
    file.write_bytes(file.read_bytes()[:kept])
    assert told(package, tmp_path)[1:4] == ["False", "0", "True"]
    assert told(package, tmp_path)[1:4] == ["True", "1", "True"]


def test_without_a_folder_to_write_to_all_processes_share_a_temporary_one(tmp_path, monkeypatch):
    """So that workers find what their parent has compiled; what others own is not touched."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    package = Path(hzbench.__file__).parent.parent
    found = [told(package, tmp_path / "file") for _ in range(2)]
    assert found[0][4] == found[1][4]
    assert Path(found[0][4]).parent.parent == tmp_path
    assert found[1][1:4] == ["True", "1", "True"]


def test_a_relative_folder_of_caches_is_ignored(tmp_path, monkeypatch):
    """As the specification of XDG_CACHE_HOME has it: it would be another one in every folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    compiled.folder.cache_clear()
    found = compiled.folder()
    compiled.folder.cache_clear()
    assert found.parent == tmp_path / ".cache" / "hzbench"


def test_processes_that_compile_at_once_damage_nothing(tmp_path):
    package = Path(hzbench.__file__).parent.parent
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: told(package, tmp_path), range(3)))
    assert {line[3] for line in found} == {"True"}
    assert told(package, tmp_path)[1:4] == ["True", "1", "True"]


def test_what_a_full_disk_cannot_keep_is_compiled_again(monkeypatch, tmp_path):
    def full(_, __, data):
        assert data
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(compiled, "folder", lambda: tmp_path)
    function, values = compiled.entry(twice), np.ones(1)
    with monkeypatch.context() as patch:
        patch.setattr(caching.IndexDataCacheFile, "_save_data", full)
        with pytest.warns(RuntimeWarning, match="No space left.*XDG_CACHE_HOME"):
            function(values)
    function(values)
    assert values == 4
    assert not compiled.ready("twice")
    again = compiled.entry(twice)
    again(values)
    assert compiled.ready("twice")
    assert not again.stats.cache_hits


def twice(values):
    values[0] *= 2


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64")])
def test_one_type_of_numbers_is_not_the_other(dtypes, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "folder", lambda: tmp_path)
    function, known = compiled.entry(twice), []
    for dtype in dtypes:
        assert not compiled.ready("twice", dtype)
        function(np.ones(1, dtype=dtype))
        known.append(dtype)
        assert [d for d in dtypes if compiled.ready("twice", d)] == known
    assert compiled.ready("twice")


def test_there_are_at_most_eight_entries():
    """Each costs seconds when it is first called: variants are told apart by codes."""
    folders = [Path(module.__file__).parent for module in (hzbench, problems)]
    sources = {file.resolve() for folder in folders for file in folder.rglob("*.py")}
    entries = sum(file.read_text(encoding="utf-8").count("\n@entry\n") for file in sources)
    assert 4 < entries <= 8
