"""Simulate: one spec to one trace, block by block. Knows nothing of theory or verdicts."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.machine import memory_errors, on_cuda, settle, share
from hzbench.core.mutant import Mutant
from hzbench.core.plan import BLOCK, Plan, blocks
from hzbench.core.probe import PROBES
from hzbench.core.problem import Problem
from hzbench.core.server import ServerMethod
from hzbench.core.spec import Spec
from hzbench.core.trace import DIVERGED, OK, Trace
from hzbench.engine.fused.executor import execute as execute_fused
from hzbench.engine.fused.mean_loss import evaluator
from hzbench.engine.fused.server import execute_server as execute_server_fused
from hzbench.engine.server_executor import execute_server
from hzbench.engine.torch_executor import COUNTERS, execute
from hzbench.harness.build import Components, build, build_plan, build_problem, build_server_plan
from hzbench.harness.engines import Engine
from hzbench.harness.gossip_seconds import SECONDS, gossip_seconds
from hzbench.harness.path_averages import PATHS, path_weights
from hzbench.harness.recorder import TICKS, BlockRecorder, fixed_values, probe_steps
from hzbench.harness.server import SCHEDULED, schedule_columns
from hzbench.harness.setting import clock_of, method_of, reference_spec, work_of
from hzbench.harness.ticks import TickProbe
from hzbench.harness.used_points import POINT, UsedPoints

HELD = {"torch": 25, "fused": 11}
"""Arrays of the size of the iterates that a run holds at its peak, its problem and what is measured
included (22 to 25 and 8 to 11 at n = 1e5, d = 100 and 300, R = 1)."""
REUSED = 1 << 25  # bytes of an array up to which malloc reuses memory; fresh pages cost 4 times
DIFFERENCES = {
    "objective_gap_difference": "objective_gap",
    "gradient_norm_difference": "gradient_norm",
}
REFERENCE = "reference_objective_gap"
Progress = Callable[[float], None]
Columns = dict[str, NDArray[np.float64]]


@memory_errors()
def simulate(
    spec: Spec,
    observables: Sequence[str],
    device: str = "cpu",
    progress: Progress | None = None,
    mutant: Mutant | None = None,
    shorter: Trace | None = None,
    engine: Engine = "torch",
) -> Trace:
    """Run every replica of a spec.

    Arguments:
        spec: what to run.
        observables: names of core/observable.py to record; costs are always recorded.
        device: torch device.
        progress: called with the fraction done.
        mutant: replaces components (see `build`).
        shorter: the same run with fewer replicas; its whole blocks are taken over.
        engine: who executes; `why_not_fused` says when only torch can.

    Raises:
        SpecError: the spec's mistakes.
        MemoryError: it does not fit.
    """
    import torch

    settle()
    parts = build(spec, device, mutant)
    other = build(reference_spec(spec), device) if spec.versus else None
    declared = build_problem(spec.model_copy(update={"mutant": None}), device)
    todo = blocks(spec.run.replicas)
    names = tuple(dict.fromkeys([*observables, *COUNTERS]))
    own = tuple(dict.fromkeys(DIFFERENCES.get(name, name) for name in names))
    found: list[Columns] = [] if shorter is None else [_whole_blocks(shorter)]
    known = sum(next(iter(columns.values())).shape[1] for columns in found) // BLOCK
    with torch.no_grad():
        for index, replicas in enumerate(todo[known:], start=known):
            columns = _block(parts, replicas, own, index, device, declared, engine, progress)
            if other is not None:
                judged = replace(other, measured_on=parts.problem)
                columns |= _against(judged, replicas, names, columns, index, device, engine)
            found.append(columns)
            if progress:
                progress(replicas.stop / spec.run.replicas)
    # in C order, as the store reads them: sums over replicas depend on the layout in the last bit
    joined = {
        name: np.ascontiguousarray(np.concatenate([c[name] for c in found], axis=1))
        for name in found[0]
    }
    return Trace(
        steps=np.array(spec.record_steps, dtype=np.int64),
        columns=joined,
        status=_status(joined),
        provenance=provenance(spec, device) | graphics_card(device) | {"engine": engine},
    )


def _against(
    other: Components,
    replicas: range,
    names: Sequence[str],
    columns: Columns,
    index: int,
    device: str,
    engine: Engine,
) -> Columns:
    """The reference's gap, and the differences from it that are asked for."""
    wanted = {name: DIFFERENCES[name] for name in names if name in DIFFERENCES}
    measured = tuple({"objective_gap": None, **dict.fromkeys(wanted.values())})
    theirs = _block(other, replicas, measured, index, device, engine=engine)
    apart = {name: columns[of] - theirs[of] for name, of in wanted.items()}
    return {REFERENCE: theirs["objective_gap"], **apart}


def _whole_blocks(trace: Trace) -> Columns:
    """The columns of its complete canonical blocks, which any longer run shares."""
    whole = trace.replicas // BLOCK * BLOCK
    return {name: values[:, :whole] for name, values in trace.columns.items()}


def provenance(spec: Spec, device: str) -> dict[str, Any]:
    """Versions, device and seed."""
    packages = ("hzbench", "numpy", "numba", "torch", "scipy", "networkx", "scikit-learn")
    return {
        "seed": spec.run.seed,
        "device": device,
        "dtype": spec.run.dtype,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in packages},
    }


def graphics_card(device: str) -> dict[str, str]:
    """On CUDA its name and the version of CUDA, on which the last bits depend."""
    if not on_cuda(device):
        return {}
    import torch

    return {"gpu": torch.cuda.get_device_name(device), "cuda": str(torch.version.cuda)}


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "not installed"


def _block(
    parts: Components,
    replicas: range,
    names: Sequence[str],
    index: int,
    device: str,
    declared: Problem | None = None,
    engine: Engine = "torch",
    progress: Progress | None = None,
) -> Columns:
    """One block; `declared` is the problem without any mutant, for what probe ticks evaluate.

    A block that does not fit memory is run in parts, one after the other.
    """
    size = fitting(parts, engine, device)
    pieces = [replicas[a : a + size] for a in range(0, len(replicas), size)]
    if isinstance(parts.method, ServerMethod):
        found = [_server_part(parts, each, names, index, device, engine) for each in pieces]
    else:
        found = [
            _part(parts, each, names, index, device, declared, engine, progress) for each in pieces
        ]
    if len(found) == 1:
        return found[0]
    return {name: np.concatenate([part[name] for part in found], axis=1) for name in found[0]}


def fitting(parts: Components, engine: Engine, device: str = "cpu") -> int:
    """How many replicas run at a time: whole blocks unless they are too large.

    They fit a fraction of the memory; in torch, whose arithmetic makes many temporaries, an array
    is no larger than what malloc reuses, but for servers, whose arrays are those of one node each.
    On CUDA they fit a fraction of the device's, too.
    """
    cuda, served = on_cuda(device), isinstance(parts.method, ServerMethod)
    few = engine == "torch" and not cuda and not served
    reused = REUSED // (8 * _numbers(parts)) if few else BLOCK
    fits = int(share() / bytes_of_a_replica(parts, engine, device))
    if cuda:
        fits = min(fits, int(share(device) / bytes_on_device(parts)))
    return max(1, min(BLOCK, reused, fits))


def bytes_of_a_replica(parts: Components, engine: Engine, device: str = "cpu") -> float:
    """What one replica holds, roughly: its draws of who meets whom, and arrays of iterates.

    Where these lie on a device, one array is left: what is measured comes back.
    """
    held = _numbers(parts) if on_cuda(device) else _state(parts, engine)
    return 8 * held + bytes_drawn(parts)


def bytes_drawn(parts: Components) -> float:
    """What one replica draws before it runs: who meets whom."""
    spec = parts.spec
    drawn = {"pair": 64.0, "matching": 16.0 * spec.node_count, "matrix": _links(parts)}
    return drawn.get(spec.network.gossip, 0.0) * spec.run.steps


def bytes_on_device(parts: Components) -> float:
    """What one replica holds on a CUDA device, roughly: its iterates, and tables of all rounds."""
    spec = parts.spec
    tables = {"matching": 4.0 * spec.node_count, "matrix": _links(parts)}
    return 8 * _state(parts, "torch") + tables.get(spec.network.gossip, 0.0) * spec.run.steps


def _numbers(parts: Components) -> int:
    """Of one array of a replica's iterates."""
    return parts.spec.node_count * parts.problem.dimension


def _state(parts: Components, engine: Engine) -> int:
    """Numbers in the arrays of one replica: iterates, and in torch W of a round that draws it."""
    square = 2 * parts.spec.node_count**2 if engine == "torch" and _links(parts) else 0
    return HELD[engine] * _numbers(parts) + square


def _links(parts: Components) -> int:
    """Bytes of a round's draws of links and of a coin."""
    network = parts.network
    links = len(network.edges) if network.link_failure else 0
    return links + (network.exchange_probability < 1)


def _part(
    parts: Components,
    replicas: range,
    names: Sequence[str],
    index: int,
    device: str,
    declared: Problem | None,
    engine: Engine,
    progress: Progress | None,
) -> Columns:
    """Some replicas of a block."""
    import torch

    spec = parts.spec
    asked = any(name in PATHS for name in names)
    probes = probe_steps(spec.run.steps, spec.run.seed, index) if asked else ()
    plan, measured = build_plan(parts, replicas), parts.measured_on or parts.problem
    recorder = BlockRecorder(
        [name for name in names if name != SECONDS],
        spec.record_steps,
        probes,
        measured,
        fixed_values(names, parts.network, plan),
        _ticks(spec, index, declared) if declared is not None and TICKS in names else None,
        path_weights(spec, parts.problem),
        told=_within(replicas, spec, progress),
        evaluate=evaluator(measured, replicas.start) if engine == "fused" else None,
    )
    dtype = getattr(torch, spec.run.dtype)
    start = torch.as_tensor(parts.problem.initial, device=device).to(dtype)
    run = execute_fused if engine == "fused" else execute
    run(plan, start, parts.problem, parts.population, parts.method, recorder)
    return recorder.columns | _timed(spec, plan, names)


def _within(replicas: range, spec: Spec, progress: Progress | None) -> Callable[[int], None] | None:
    """Steps of these replicas as a fraction of the whole run."""
    if progress is None:
        return None
    run, before = spec.run, replicas.start
    return lambda step: progress((before + len(replicas) * step / run.steps) / run.replicas)


def _timed(spec: Spec, plan: Plan, names: Sequence[str]) -> Columns:
    """Simulated seconds, if asked for."""
    if SECONDS not in names:
        return {}
    clock, exchanges = clock_of(spec), method_of(spec).exchanges
    taken = gossip_seconds(plan, clock, work_of(spec), spec.run.seed, spec.record_steps, exchanges)
    return {SECONDS: np.broadcast_to(taken, (len(taken), plan.replicas))}


def _server_part(
    parts: Components,
    replicas: range,
    names: Sequence[str],
    index: int,
    device: str,
    engine: Engine,
) -> Columns:
    """Some replicas of a block of a server's run."""
    import torch

    spec, plan = parts.spec, build_server_plan(parts, replicas)
    measured = parts.measured_on or parts.problem
    asked = any(name in PATHS for name in names)
    recorder = BlockRecorder(
        [name for name in names if name not in SCHEDULED],
        spec.record_steps,
        probe_steps(spec.run.steps, spec.run.seed, index) if asked else (),
        measured,
        {},
        weights=path_weights(spec, parts.problem),
        used=UsedPoints(plan) if POINT in names else None,
        evaluate=evaluator(measured, replicas.start) if engine == "fused" else None,
    )
    initial = torch.as_tensor(parts.problem.initial[0], device=device)
    start = initial.to(getattr(torch, spec.run.dtype))
    run = execute_server_fused if engine == "fused" else execute_server
    run(plan, start, parts.problem, parts.population, recorder)
    return recorder.columns | schedule_columns(plan, spec.record_steps, names)


def _ticks(spec: Spec, index: int, declared: Problem) -> TickProbe:
    marks = frozenset(probe_steps(spec.run.steps, spec.run.seed, index, PROBES))
    groups = tuple(group.count for group in spec.nodes)
    return TickProbe(marks=marks, problem=declared, groups=groups)


def _status(columns: Columns) -> NDArray[np.int8]:
    replicas = next(iter(columns.values())).shape[1]
    finite = np.ones(replicas, dtype=bool)
    for values in columns.values():
        axes = tuple(axis for axis in range(values.ndim) if axis != 1)
        finite &= np.isfinite(values).all(axis=axes)
    return np.where(finite, OK, DIVERGED).astype(np.int8)
