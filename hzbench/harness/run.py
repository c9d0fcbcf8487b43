"""Run: the only loop from a spec to its verdicts."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hzbench.core.contrast import contrasted
from hzbench.core.machine import on_cuda, peak_device_memory
from hzbench.core.prediction import Prediction
from hzbench.core.spec import CheckTable, Spec
from hzbench.core.trace import Trace
from hzbench.core.verdict import Verdict
from hzbench.harness.compiling import compile_missing
from hzbench.harness.engines import (
    Asked,
    checked_device,
    checked_engine,
)
from hzbench.harness.prepare import (
    FEWER,
    Case,
    prepare,
    refuse_engine,
    refuse_sizes,
    within_memory,
)
from hzbench.harness.refuted import refuted_minimum
from hzbench.harness.simulate import Progress, simulate
from hzbench.harness.store import Store, run_digest
from hzbench.judge import judge
from hzbench.judge.sequential import look_levels, look_sizes

ALPHA = 1e-4


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run gave.

    Attributes:
        spec: what was run.
        trace: what was measured.
        predictions: what theory says, one a check.
        verdicts: what the judge says, one a check.
        warnings: sentences for the user.
        digest: name in the store.
        reused: whether the trace came from the store.
        seconds: wall-clock time of this run.
        device_memory: most bytes of tensors that its process has held on a CUDA device by its end.
    """

    spec: Spec
    trace: Trace
    predictions: tuple[Prediction, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...] = ()
    digest: str = ""
    reused: bool = False
    seconds: float = 0.0
    device_memory: int = 0

    @property
    def met(self) -> bool:
        """Whether every outcome equals its expectation."""
        return all(verdict.met for verdict in self.verdicts)


def execute_case(
    case: Case,
    level: float,
    store: Store | None = None,
    device: str = "cpu",
    fresh: bool = False,
    progress: Progress | None = None,
    engine: Asked = "torch",
) -> Result:
    """Simulate (or load) one case and judge its checks, each at `level`.

    With `run.max_replicas` the replicas double while some check is inconclusive. The looks and the
    level of each are fixed in advance (`judge.sequential`); a check keeps its first other outcome.
    """
    began = time.perf_counter()
    chosen = case.engine(engine, device)
    fewer = f"{FEWER}, or fewer --workers, or --device cpu" if on_cuda(device) else FEWER
    looks = look_sizes(case.spec.run.replicas, case.spec.run.max_replicas)
    done: tuple[Verdict, ...] = ()
    trace: Trace | None = None
    for replicas, part in zip(looks, look_levels(level, len(looks)), strict=True):
        spec = case.spec.sized(replicas)
        digest = run_digest(spec, case.observables, device, chosen)
        known = store.load(digest) if store is not None and not fresh else None
        with within_memory(f"{replicas} replicas of {spec.node_count} nodes", fewer):
            trace = known or simulate(
                spec, case.observables, device, progress, shorter=trace, engine=chosen
            )
        if known is None and store is not None:
            store.save(digest, trace)
        shown = _with_contrasts(trace, case.predictions)
        done = _judged(case, shown, part, done)
        if shown.diverged or all(verdict.outcome != "inconclusive" for verdict in done):
            break
    return Result(
        spec=case.spec,
        trace=shown,
        predictions=case.predictions,
        verdicts=done,
        warnings=(*case.warnings, *_refuted(case, shown)),
        digest=digest,
        reused=known is not None,
        seconds=time.perf_counter() - began,
        device_memory=peak_device_memory(device),
    )


def _refuted(case: Case, trace: Trace) -> tuple[str, ...]:
    return refuted_minimum(trace, case.setting.problem.constants, case.spec.run.dtype)


def _with_contrasts(trace: Trace, predictions: Sequence[Prediction]) -> Trace:
    for prediction in predictions:
        trace = contrasted(trace, prediction)
    return trace


def _judged(
    case: Case, trace: Trace, level: float, before: Sequence[Verdict]
) -> tuple[Verdict, ...]:
    """The verdicts of one look; those that an earlier look decided stay."""
    pairs = list(zip(case.checks, case.predictions, strict=True))
    if not before:
        return tuple(verdict_of(trace, *pair, level) for pair in pairs)
    return tuple(
        known if known.outcome != "inconclusive" else verdict_of(trace, *pair, level)
        for known, pair in zip(before, pairs, strict=True)
    )


def verdict_of(trace: Trace, check: CheckTable, prediction: Prediction, level: float) -> Verdict:
    """Judge one check."""
    return judge(
        trace,
        prediction,
        level=level,
        tolerance=check.tolerance,
        observables=check.observables or None,
        steps=check.steps or None,
        expected=check.expect,
        expectation_reason=check.reason,
    )


def run(
    spec: Spec | Mapping[str, Any] | str | Path,
    *,
    alpha: float = ALPHA,
    out: str | Path | None = None,
    device: str = "cpu",
    engine: Asked = "auto",
) -> Result:
    """Run one spec and judge it.

    Arguments:
        spec: a Spec, a mapping of its tables, or the path of a TOML file.
        alpha: probability that any of its checks rejects by chance.
        out: folder of the store; None stores nothing.
        device: cpu, cuda, or auto (CUDA where torch sees it).
        engine: torch, fused, or auto (fused kernels where they can take the run and win).

    Raises:
        SpecError: the spec's mistakes, and kernels asked for that cannot take it.
        UserMistakeError: no such device or engine here.
    """
    if isinstance(spec, (str, Path)):
        spec = Spec.load(spec)
    elif not isinstance(spec, Spec):
        spec = Spec.parse(spec)
    device = checked_device(device)
    case = prepare(spec)
    refuse_engine([case], checked_engine(engine), device)
    refuse_sizes([case], device, engine)
    compile_missing([case], engine, device, _tell)
    store = None if out is None else Store(Path(out) / "runs")
    level = alpha / max(1, case.statistical)
    return execute_case(case, level, store, device, engine=engine)


def _tell(text: str, done: float) -> None:
    """What takes long, for callers who see no progress bar."""
    del done
    print(f"hzbench: {text}", file=sys.stderr)
