"""The import ladder: who may import whom, and where the heavy libraries live."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("hzbench", "problems", "theory", "reports")
COMPONENTS = ("problems", "topology", "clocks", "estimators", "methods")
EVERYTHING = {
    "cli",
    "commands",
    "mutants",
    "testing",
    "planner",
    "pilot",
    "pool_planner",
    "crossing",
    "contest_theory",
    "__init__",
    "__main__",
}
LADDER = {
    "core": set(),
    "engine": {"core"},
    "judge": {"core"},
    "theory": {"core"},
    "reports": {"core"},
    **{room: {"core"} for room in COMPONENTS},
    "suites": set(),
    "harness": {"core", "engine", "judge", "topology.build"},
}
COMPILED = (
    "core.lane_building",
    "core.lane_words",
    "core.masked_lanes",
    "core.lane_functions",
    "core.philox",
    "core.philox_triton",
    "engine.fused.draws",
    "engine.fused.vectors",
    "engine.fused.oracles",
    "engine.fused.eights",
    "engine.fused.row_steps",
    "engine.fused.mixing",
    "engine.fused.kernels",
    "engine.fused.server_kernels",
    "engine.fused.mean_loss_kernels",
    "core.lanes",
    "problems.lane_layers",
    "problems.transformer_kernels",
)
"""Modules of compiled code: others import them inside functions."""
HOMES = {  # library -> the modules or rooms that may import it
    "cvxpy": {"problems.reference", "topology.fastest_mixing"},
    "PEPit": {"theory.worst_case_programs"},
    "seaborn": {"reports.figures"},
    "matplotlib": {"reports"},
    "numba": {*COMPILED, "core.compiled"} - {"core.philox_triton"},
    "triton": {"core.philox_triton"},
    "sklearn": {"problems.scikit_sets", "problems.libsvm"},
    "mlxtend": {"problems.image_files"},
    "pyarrow": {"harness.store"},
    "typer": {"cli"},
    "jinja2": {"reports.html"},
    "pytest": {"testing"},
}


def modules():
    """Module name below hzbench -> its tree."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if folder == "hzbench" and parts[1] in FOLDERS:
                continue  # a link to a top-level folder
            name = parts[1:] if folder == "hzbench" else parts
            found[".".join(name)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imported(tree):
    """Full names of everything a tree imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(module):
    return module.split(".")[0]


def below(full):
    return full.removeprefix("hzbench.") if full.startswith("hzbench.") else None


def may(room, target):
    if room in EVERYTHING or room_of(target) == room:
        return True
    return any(target == step or target.startswith(f"{step}.") for step in LADDER[room])


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module):
    room = room_of(module)
    assert room in LADDER or room in EVERYTHING, f"give the room {room} a place on the ladder"
    names = [target for _, full in imported(MODULES[module]) if (target := below(full))]
    assert [target for target in names if not may(room, target)] == []


def test_the_ladder_refuses_what_it_should():
    for room, target in (
        ("theory", "harness.run"),
        ("theory", "estimators.zeroth_order"),
        ("theory", "engine.rounds"),
        ("judge", "theory.spectra"),
        ("reports", "harness.run"),
        ("engine", "estimators.first_order"),
        ("methods", "estimators.first_order"),
        ("harness", "topology.graphs"),
        ("harness", "theory.spectra"),
        ("core", "engine.rounds"),
    ):
        assert not may(room, target), (room, target)
    assert may("harness", "topology.build.build_network")
    assert may("mutants", "estimators.zeroth_order")


@pytest.mark.parametrize("module", MODULES)
def test_top_level_folders_are_not_imported_by_their_bare_names(module):
    bare = {full.split(".")[0] for _, full in imported(MODULES[module])}
    assert not bare & {"problems", "theory", "reports", "tests"}


@pytest.mark.parametrize("library", HOMES)
def test_heavy_libraries_stay_at_home(library):
    users = {
        module
        for module, tree in MODULES.items()
        if any(full.split(".")[0] == library for _, full in imported(tree))
    }
    strangers = {u for u in users if u not in HOMES[library] and room_of(u) not in HOMES[library]}
    assert not strangers


LAZY = (
    "torch",
    "PEPit",
    "seaborn",
    "matplotlib",
    "cvxpy",
    "numba",
    "triton",
    "sklearn",
    "pyarrow",
    "mlxtend",
)


def eager(tree):
    """Libraries imported when the module is (not in a function, not for types only)."""
    todo, found = list(tree.body), set()
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            found |= {name.split(".")[0] for name in names}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return found


LIGHT = [  # loaded by --help, by discovery, or by pytest at its start
    module
    for module in MODULES
    if (room_of(module) not in ("mutants", "testing") and module not in COMPILED)
    or module == "testing.plugin"
]


@pytest.mark.parametrize("module", LIGHT)
def test_heavy_libraries_are_imported_inside_functions(module):
    assert not eager(MODULES[module]) & set(LAZY)


@pytest.mark.parametrize("module", [m for m in LIGHT if m in MODULES])
def test_compiled_code_is_imported_inside_functions(module):
    names = {full for node, full in imported(MODULES[module]) if node in MODULES[module].body}
    assert not {name for name in COMPILED if any(f"hzbench.{name}" in full for full in names)}


def test_heavy_libraries_are_not_loaded_before_they_are_needed():
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, hzbench, hzbench.cli, hzbench.core.spec, hzbench.core.streams\n"
            "import hzbench.testing.plugin\n"
            f"print(sorted(set({LAZY!r}) & set(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_every_heavy_library_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = " ".join(project["dependencies"]).replace("scikit-learn", "sklearn")
    extras = project["optional-dependencies"]
    optional = " ".join([*extras["data"], *extras["reference"], *extras["pep"]])
    used = {full.split(".")[0] for tree in MODULES.values() for _, full in imported(tree)}
    own = {"hzbench", "__future__", *sys.stdlib_module_names}
    carried = {
        "pydantic_core": "pydantic",
        "llvmlite": "numba",
        "matplotlib": "seaborn",
        "pandas": "seaborn",
        "triton": "torch",
    }
    for name in used - own - {"pytest"}:
        assert carried.get(name, name) in declared or name in optional, f"{name} is not declared"
