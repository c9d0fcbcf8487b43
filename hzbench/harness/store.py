"""Store: one Parquet file a run, named by the digest of what was run and of the code that ran it.

"The file exists" is the cache, the resume and the merge. A file is written under a temporary name,
synced and renamed, so a reader never sees half of one.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hzbench.core import registry
from hzbench.core.errors import UserMistakeError
from hzbench.core.setting import NetworkFacts
from hzbench.core.spec import Spec
from hzbench.core.trace import Trace

Array = NDArray[np.float64]

_FUSED = "hzbench.engine.fused."


def run_digest(spec: Spec, observables: Iterable[str], device: str, engine: str = "torch") -> str:
    """Name of a run: what is simulated, what is recorded, where, and the source that does it."""
    problem = spec.component("problem", spec.problem)
    used = (problem, *problem.parts())
    modules = source_closure(modules_of(spec) | {type(each).__module__ for each in used})
    if engine == "torch":  # the harness can call the kernels, but this run does not
        modules = {name for name in modules if not name.startswith(_FUSED)}
    parts = [spec.digest, *sorted(observables), device, engine]
    parts += [f"{name}:{source_hash(name)}" for name in sorted(modules)]
    parts += filter(None, [each.fingerprint() for each in used])
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def modules_of(spec: Spec) -> set[str]:
    """Modules of the components that a run uses, and the harness's own entry."""
    named = [
        ("problem", spec.problem["name"]),
        ("method", spec.method["name"]),
        ("gossip", spec.network.gossip),
        *(("estimator", group.estimator["name"]) for group in spec.nodes),
    ]
    if spec.clock is not None:
        named.append(("clock", spec.clock["name"]))
    if spec.versus is not None:
        named += [("estimator", group.estimator["name"]) for group in spec.versus.nodes]
    if spec.network.graph["name"] != "explicit":
        named.append(("graph", spec.network.graph["name"]))
    if spec.network.weights["name"] != NetworkFacts(weights="explicit").weights:
        named.append(("weights", spec.network.weights["name"]))
    if spec.mutant is not None:
        named.append(("mutant", spec.mutant))
    used = {registry.find(kind, name).target.__module__ for kind, name in named}
    return used | {"hzbench.harness.simulate", "hzbench.harness.observables"}


def source_closure(modules: Iterable[str]) -> set[str]:
    """The modules and all that they import of their own packages and of hzbench, transitively."""
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(_imports(name))
    return seen


@cache
def source_hash(module: str) -> str:
    """Hash of a module's source."""
    return hashlib.sha256(_source(module)).hexdigest()


@cache
def _source(module: str) -> bytes:
    origin = _origin(module)
    return Path(origin).read_bytes() if origin is not None and origin.endswith(".py") else b""


def _origin(module: str) -> str | None:
    """The file of a module; a script that is run has no import spec, but its file."""
    if module == "__main__":
        return getattr(sys.modules[module], "__file__", None)
    found = importlib.util.find_spec(module)
    return None if found is None else found.origin


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of its own top-level package and of hzbench that a module imports, by its source."""
    roots = {module.split(".", maxsplit=1)[0], "hzbench"}
    names: list[str] = []
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(n for n in names if n.split(".")[0] in roots and _is_module(n))


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """What `from ..x import y` in that module names: x with its package."""
    if not node.level:
        return node.module or ""
    found = importlib.util.find_spec(module)
    package = found.parent if found is not None and found.parent else ""
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


@cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def check_writable(folder: Path) -> None:
    """Raise at once what `writable` would raise later; makes nothing.

    Raises:
        UserMistakeError: the folder, or the nearest one above it that exists, cannot be written.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:  # a name that is too long
        raise _unwritable(folder, error.strerror) from None
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "no permission" if there.is_dir() else "not a folder"
        raise _unwritable(folder, f"{there}: {reason}")


def writable(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        UserMistakeError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise _unwritable(folder, error.strerror) from None


def _unwritable(folder: Path, reason: str | None) -> UserMistakeError:
    return UserMistakeError(
        f"got folder {folder}, which cannot be written ({reason}); expected a writable one; give "
        "another with --out"
    )


class Store:
    """A folder of finished runs.

    Raises:
        UserMistakeError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = writable(folder)

    def path(self, digest: str) -> Path:
        """Where a run is or would be."""
        return self.folder / f"{digest}.parquet"

    def load(self, digest: str) -> Trace | None:
        """A finished run, or None (a file that is unreadable or altered counts as none)."""
        import pyarrow as pa

        path = self.path(digest)
        if not path.exists():
            return None
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def save(self, digest: str, trace: Trace) -> None:
        """Write a run atomically.

        Raises:
            UserMistakeError: it cannot be written any more.
        """
        import pyarrow.parquet as pq

        try:
            with _atomic(self.path(digest)) as temporary:
                pq.write_table(_table(trace), temporary, compression="zstd", use_dictionary=False)
        except OSError as error:
            raise _unwritable(self.folder, error.strerror or str(error)) from None


def _table(trace: Trace) -> object:
    """One row a replica; a column an observable: a list over record points and components."""
    import pyarrow as pa

    replicas = trace.replicas
    columns = {"status": pa.array(trace.status)}
    shapes = {}
    for name, values in trace.columns.items():
        flat = np.ascontiguousarray(np.moveaxis(values, 1, 0)).reshape(replicas, -1)
        size = flat.shape[1]
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), size)
        shapes[name] = list(values.shape)
    meta = {"steps": trace.steps.tolist(), "shapes": shapes, "provenance": dict(trace.provenance)}
    words = json.dumps(meta)
    return pa.table(columns).replace_schema_metadata(
        {"hzbench": words, "checksum": _checksum(words, trace.columns, trace.status)}
    )


def _checksum(words: str, columns: Mapping[str, Array], status: NDArray[np.int8]) -> str:
    """Of all that a file holds: decompressing and parsing miss a quarter of single bits."""
    found = hashlib.blake2b(words.encode(), digest_size=16)
    for values in (*(columns[name] for name in sorted(columns)), status.astype(np.int8)):
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()


def _read(path: Path) -> Trace:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    words = table.schema.metadata[b"hzbench"].decode()
    meta = json.loads(words)
    columns = {}
    for name, shape in meta["shapes"].items():
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        moved = flat.reshape(shape[1], shape[0], *shape[2:])
        columns[name] = np.ascontiguousarray(np.moveaxis(moved, 0, 1))
    status = table["status"].to_numpy().astype(np.int8)
    if _checksum(words, columns, status).encode() != table.schema.metadata[b"checksum"]:
        raise ValueError("an altered file")
    return Trace(
        steps=np.array(meta["steps"], dtype=np.int64),
        columns=columns,
        status=status,
        provenance=meta["provenance"],
    )


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[str]:
    """A temporary name that becomes `path` on success and disappears on failure."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        yield temporary
        with Path(temporary).open("rb") as file:
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
