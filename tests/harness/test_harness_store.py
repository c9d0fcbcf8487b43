"""Store: round trips, atomic writes, names that follow the spec and exactly the source it uses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.core.spec import Spec
from hzbench.core.trace import Trace
from hzbench.harness import store
from hzbench.harness.store import Store, modules_of, run_digest, source_closure

ROOT = Path(__file__).parents[2]


def trace_of(replicas=5):
    source = np.random.default_rng(0)
    columns = {
        "objective_gap": source.normal(size=(3, replicas)),
        "mean_iterate": source.normal(size=(3, replicas, 4)),
        "one": source.normal(size=(3, replicas, 1)),
    }
    columns["objective_gap"][2, 1:3] = np.nan, np.inf
    return Trace(
        steps=np.array([0, 2, 9]),
        columns=columns,
        status=np.array([0, 1, 1, 0, 0], dtype=np.int8),
        provenance={"seed": 2**70, "device": "cpu", "numpy": np.__version__},
    )


def test_a_round_trip_keeps_every_bit(tmp_path):
    trace = trace_of()
    Store(tmp_path / "deep" / "er").save("abc", trace)
    found = Store(tmp_path / "deep" / "er").load("abc")
    assert found.steps.tolist() == trace.steps.tolist()
    assert found.status.tolist() == trace.status.tolist()
    assert found.status.dtype == np.int8
    assert found.provenance == trace.provenance
    assert list(found.columns) == list(trace.columns)
    for name, values in trace.columns.items():
        assert found.columns[name].dtype == np.float64
        assert found.columns[name].flags.c_contiguous
        np.testing.assert_array_equal(found.columns[name], values)
    assert found.diverged == 2


def test_one_file_a_run_and_nothing_else(tmp_path):
    folder = Store(tmp_path)
    assert folder.load("abc") is None
    folder.save("abc", trace_of())
    folder.save("abc", trace_of())
    folder.save("def", trace_of())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["abc.parquet", "def.parquet"]


def test_a_failed_write_leaves_nothing_and_keeps_the_old(tmp_path, monkeypatch):
    folder = Store(tmp_path)
    folder.save("old", trace_of())
    before = (tmp_path / "old.parquet").read_bytes()

    def fail(_table, path, **_):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("pyarrow.parquet.write_table", fail)
    for digest in ("old", "new"):
        with pytest.raises(UserMistakeError, match=r"cannot be written \(disk full\)"):
            folder.save(digest, trace_of())
    assert [path.name for path in tmp_path.iterdir()] == ["old.parquet"]
    assert (tmp_path / "old.parquet").read_bytes() == before


def test_no_single_bit_changes_what_is_read(tmp_path):
    """Most of them can still be read as Parquet."""
    folder, trace = Store(tmp_path), trace_of()
    folder.save("abc", trace)
    whole = folder.path("abc").read_bytes()
    drawn = np.random.default_rng(1)
    lost = 0
    for place, bit in zip(
        drawn.integers(0, len(whole), 300), drawn.integers(0, 8, 300), strict=True
    ):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        folder.path("abc").write_bytes(changed)
        found = folder.load("abc")
        lost += found is None
        if found is not None:
            assert found.provenance == trace.provenance
            assert found.status.tolist() == trace.status.tolist()
            for name, values in trace.columns.items():
                np.testing.assert_array_equal(found.columns[name], values)
    assert lost > 100


def test_unreadable_files_count_as_none(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Store(tmp_path)
    folder.save("abc", trace_of())
    path = folder.path("abc")
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[10:]):
        path.write_bytes(content)
        assert folder.load("abc") is None
    foreign = pa.table({"status": [0, 1]})
    for meta in (
        None,
        {"hzbench": "{"},
        {"hzbench": "{}"},
        {"hzbench": '{"shapes": {"x": [1, 2]}}'},
    ):
        pq.write_table(foreign.replace_schema_metadata(meta), path)
        assert folder.load("abc") is None
    path.unlink()
    path.mkdir()
    assert folder.load("abc") is None


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(UserMistakeError, match="cannot be written"):
            Store(folder)


BASE = {"problem": {"name": "quadratic", "dimension": 2}, "nodes": [{"count": 4}]}
ZEROTH = {"count": 2, "estimator": "zeroth_order"}
SPECS = {
    "first": {},
    "zeroth": {"nodes": [ZEROTH]},
    "hybrid": {"nodes": [{"count": 2}, ZEROTH]},
    "against": {"versus": {"nodes": [{**ZEROTH, "count": 4}]}},
    "dsgd": {"method": "dsgd", "network": {"graph": "ring"}},
    "local": {"method": "local"},
    "ridge": {"problem": "ridge"},
    "logistic": {"problem": "logistic"},
    "mutant": {"mutant": "self_pairs"},
    "oracle mutant": {"mutant": "noise_plus_5"},
}
ALL = set(SPECS)
USERS = {
    "hzbench.estimators.zeroth_order": {"zeroth", "hybrid", "against", "oracle mutant"},
    "hzbench.estimators.first_order": ALL - {"zeroth"},
    "hzbench.methods.dsgd": {"dsgd"},
    "hzbench.methods.local": {"local"},
    "hzbench.methods.hdo": ALL - {"dsgd", "local"},
    "hzbench.problems.logistic": {"logistic"},
    "hzbench.problems.least_squares": {"ridge"},
    "hzbench.problems.linear_model": {"ridge", "logistic"},
    "hzbench.problems.partition": {"ridge", "logistic"},
    "hzbench.problems.scikit_sets": {"ridge", "logistic"},
    "hzbench.problems.libsvm": set(),
    "hzbench.problems.quadratic_model": ALL - {"ridge", "logistic"},
    "hzbench.mutants.steps": {"mutant"},
    "hzbench.mutants.oracles": {"oracle mutant"},
    "hzbench.topology.protocols": ALL,
    "hzbench.topology.gossip": ALL,
    "hzbench.core.streams": ALL,
    "hzbench.engine.rounds": ALL,
    "hzbench.harness.recorder": ALL,
    "hzbench.harness.observables": ALL,
    "hzbench.theory.quadratic_dynamics": set(),
    "hzbench.judge.exact": set(),
    "hzbench.reports.html": set(),
    "hzbench.harness.results": set(),
    "hzbench.cli": set(),
}


def digests():
    specs = {name: Spec.parse(BASE | changes) for name, changes in SPECS.items()}
    return {name: run_digest(spec, ("objective_gap",), "cpu") for name, spec in specs.items()}


@pytest.mark.parametrize(("module", "users"), USERS.items(), ids=USERS)
def test_editing_a_module_renames_exactly_the_runs_that_use_it(module, users, monkeypatch):
    before = digests()
    assert len(set(before.values())) == len(before)
    read = store._source

    def edited(name):
        return read(name) + (b"\n# edited\n" if name == module else b"")

    assert read(module)
    monkeypatch.setattr(store, "_source", edited)
    store.source_hash.cache_clear()
    try:
        after = digests()
    finally:
        store.source_hash.cache_clear()
    assert {name for name in before if before[name] != after[name]} == users


def test_the_closure_holds_no_theory_judge_or_report():
    for changes in SPECS.values():
        closure = source_closure(modules_of(Spec.parse(BASE | changes)))
        rooms = {name.split(".")[1] for name in closure if "." in name}
        assert rooms <= {
            "core", "engine", "estimators", "harness", "methods", "mutants", "problems", "topology"
        }  # fmt: skip
        assert "hzbench.harness.simulate" in closure


def test_the_closure_follows_a_package_of_others(tmp_path, monkeypatch):
    """Relative imports of its own modules, and what it takes from hzbench."""
    package = tmp_path / "store_closure_case"
    (package / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "helper.py": "SCALE = 1.0",
        "deep/__init__.py": "from .parts import SCALE",
        "deep/parts.py": "from ..helper import SCALE\nfrom .. import constants\n"
        "from hzbench.estimators.zeroth_order import ZerothOrder\nimport numpy, math",
        "constants.py": "import itertools",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = source_closure({"store_closure_case.deep"})
    own = {name for name in found if name.startswith("store_closure_case")}
    base = "store_closure_case"
    assert own >= {f"{base}.helper", f"{base}.constants", f"{base}.deep.parts", base}
    assert "hzbench.estimators.zeroth_order" in found
    assert "numpy" not in found


def test_a_run_is_named_by_what_its_data_files_hold(tmp_path, monkeypatch):
    """Not by where they lie, when they were written, or what else is there."""
    data = {"name": "libsvm", "file": "tiny"}
    spec = Spec.parse(BASE | {"problem": {"name": "ridge", "data": data}})

    def name_of(folder, text):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "tiny").write_text(text)
        monkeypatch.setenv("HZBENCH_DATA", str(tmp_path / folder))
        return run_digest(spec, ("a",), "cpu")

    first = name_of("one", "1 1:2\n2 1:3\n")
    assert name_of("two", "1 1:2\n2 1:3\n") == first
    assert name_of("one", "1 1:2\n2 1:4\n") != first
    (tmp_path / "one" / "other").write_text("1 1:2\n")
    assert name_of("one", "1 1:2\n2 1:3\n") == first


def test_what_is_recorded_and_the_device_count():
    spec = Spec.parse(BASE)
    base = run_digest(spec, ("a", "b"), "cpu")
    assert run_digest(spec, ("b", "a"), "cpu") == base
    assert run_digest(spec, ("a",), "cpu") != base
    assert run_digest(spec, ("a", "b"), "cuda") != base


SUITE = """
[suite]
name = "two"
[default]
problem = { name = "quadratic", dimension = 2 }
run = { steps = 3, replicas = 4 }
[[case]]
name = "first"
nodes = [{ count = 4 }]
checks = [{ theorem = "step_invariants" }]
[[case]]
name = "hybrid"
nodes = [{ count = 2 }, { count = 2, estimator = "zeroth_order" }]
checks = [{ theorem = "step_invariants" }]
"""
PROGRAM = """
from pathlib import Path
import hzbench
from hzbench.harness.suite import load
from hzbench.harness.sweep import Options, run_suite
assert Path(hzbench.__file__).is_relative_to(Path.cwd()), hzbench.__file__
record = run_suite(load("two.toml"), Options(out=Path("out")))
print([run["reused"] for run in record["runs"]])
"""


def test_editing_an_estimator_on_disk_reruns_exactly_the_runs_that_use_it(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "hzbench", tmp_path / "hzbench", ignore=ignore)
    (tmp_path / "two.toml").write_text(SUITE)

    def reused():
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        return found.stdout.strip()

    assert reused() == "[False, False]"
    assert reused() == "[True, True]"
    with (tmp_path / "hzbench/estimators/zeroth_order.py").open("a") as file:
        file.write("\n# edited\n")
    with (tmp_path / "hzbench/theory/invariants.py").open("a") as file:
        file.write("\n# edited\n")
    assert reused() == "[True, False]"


SCRIPT = '''
import hzbench
from hzbench.core.registry import register
from hzbench.methods.hdo import HybridDecentralizedOptimization

@register("method", "mine")
class Mine(HybridDecentralizedOptimization):
    """SCALE"""

spec = {"problem": {"name": "quadratic", "dimension": 2}, "nodes": [{"count": 2}],
        "method": "mine", "run": {"steps": 1, "replicas": 2, "record": [1]}}
print(hzbench.run(spec).digest)
'''


def test_a_script_can_run_what_it_registers_itself(tmp_path):
    """Run as a file it has no import spec; its text still names the run."""

    def digest(text):
        (tmp_path / "script.py").write_text(text)
        command = [sys.executable, str(tmp_path / "script.py")]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    first = digest(SCRIPT)
    assert first
    assert digest(SCRIPT) == first
    assert digest(SCRIPT.replace("SCALE", "another")) != first
