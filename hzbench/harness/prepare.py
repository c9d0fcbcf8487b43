"""Prepare: a spec made ready, with what theory says of it, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hzbench.core import registry
from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.lines import DENSE_NODES
from hzbench.core.machine import memory, on_cuda
from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import Entry
from hzbench.core.setting import Setting
from hzbench.core.spec import CheckTable, Spec
from hzbench.harness.build import Components, build, build_problem
from hzbench.harness.by_theory import with_parameters
from hzbench.harness.combinations import LEAST
from hzbench.harness.engines import (
    Asked,
    Engine,
    pays,
    why_not_fused,
)
from hzbench.harness.recorded import recorded_observables, too_long
from hzbench.harness.recorder import INVARIANTS
from hzbench.harness.setting import method_of, reference_spec, setting_of
from hzbench.harness.simulate import HELD, bytes_drawn
from hzbench.harness.waits import refuse_waits

FEWER = "nodes, dimensions or replicas"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One spec made ready: what theory says of it, before anything runs.

    Attributes:
        spec: without a mutant theory and product agree on it.
        setting: declared facts.
        checks: one table a check, in order.
        predictions: one a check.
        observables: what will be recorded.
        warnings: sentences for the user.
        obstacle: why the run needs the torch executor; None: the fused kernels can take it.
        pays: whether they win on it.
    """

    spec: Spec
    setting: Setting
    checks: tuple[CheckTable, ...]
    predictions: tuple[Prediction, ...]
    observables: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    obstacle: str | None = None
    pays: bool = False

    def engine(self, asked: Asked, device: str = "cpu") -> Engine:
        """Who executes it on that device."""
        able = self.obstacle is None and device == "cpu"
        return (
            "fused" if able and (asked == "fused" or (asked == "auto" and self.pays)) else "torch"
        )

    @property
    def statistical(self) -> int:
        """Number of checks that may reject by chance: what α is divided by."""
        return len(self.checks)


def prepare(spec: Spec) -> Case:
    """Validate a spec whole and ask theory about it; runs nothing.

    Raises:
        SpecError: every mistake that building shows.
    """
    spec = with_parameters(spec)
    clean = spec.model_copy(update={"mutant": None})
    with within_memory(f"{clean.node_count} nodes", FEWER):
        parts = build(clean)
    _refuse_draws(parts)
    run_parts = parts if spec.mutant is None else build(spec)
    reference = build_problem(reference_spec(clean)) if clean.versus else None
    others = (build(reference_spec(clean)),) if clean.versus else ()
    setting = setting_of(clean, parts.problem, reference)
    refuse_waits(clean, setting)
    kernels = all(why_not_fused(each, ()) is None for each in (parts, *others))
    checks = spec.checks or _default_checks(setting, each_step=not kernels)
    predictions = tuple(predict(check.theorem, setting) for check in checks)
    mistakes = _check_mistakes(checks, predictions)
    if mistakes:
        raise SpecError(mistakes, f"spec {spec.name!r}")
    observables = recorded_observables(spec, parts.problem, setting, checks, predictions)
    reasons = [why_not_fused(each, observables) for each in (run_parts, *others)]
    obstacle = next(filter(None, reasons), None)
    return Case(
        spec=spec,
        setting=setting,
        checks=checks,
        predictions=predictions,
        observables=observables,
        warnings=_warnings(setting, getattr(method_of(spec), "target", None)),
        obstacle=obstacle,
        pays=obstacle is None and pays(parts),
    )


def _refuse_draws(parts: Components) -> None:
    """Raise if what a replica draws before it runs exceeds the memory; replicas run in parts.

    With one array of its iterates: how many more there are, an engine says (`refuse_sizes`).
    """
    spec, links = parts.spec, len(parts.network.edges)
    needed = bytes_drawn(parts) + 8 * spec.node_count * parts.problem.dimension
    if needed > memory():
        raise SpecError(
            [
                f"run.steps: got {spec.run.steps} steps of {spec.node_count} nodes with {links} "
                f"links; what one replica holds and draws would take {needed / 2**30:.3g} GiB; "
                f"expected less than the {memory() / 2**30:.3g} GiB of this machine; take fewer"
            ],
            f"spec {spec.name!r}",
        )


def refuse_engine(cases: Sequence[Case], engine: Asked, device: str) -> None:
    """Raise before anything runs when the engine asked for cannot take a case.

    Raises:
        SpecError: every case that it cannot take, and why.
    """
    if engine != "fused":
        return
    reasons = {
        case.spec.name: case.obstacle or ("kernels run on the CPU alone" if device != "cpu" else "")
        for case in cases
    }
    found = [
        f"{name}: got engine 'fused' for a run that it cannot take: {reason}; expected a problem, "
        "estimators, a method and observables that it knows; take --engine auto or torch"
        for name, reason in reasons.items()
        if reason
    ]
    if found:
        raise SpecError(found, "the engine")


def refuse_sizes(cases: Sequence[Case], device: str, engine: Asked = "torch") -> None:
    """Raise before anything runs when arrays of one replica alone exceed the memory.

    Raises:
        SpecError: every such case.
    """
    there, cuda = memory(device), on_cuda(device)
    whose = "of the CUDA device" if cuda else "of this machine"
    found = []
    for case in cases:
        spec, d = case.spec, case.setting.problem.dimension
        points = 1 if case.setting.protocol == "server" else spec.node_count
        taken = case.engine(engine, device)
        held = LEAST if cuda else HELD[taken]
        needed = held * points * d * {"float64": 8, "float32": 4}[spec.run.dtype]
        if needed > there:
            found.append(
                f"{spec.name}: got {points} points of d = {d}; {held} arrays of one replica take "
                f"{needed / 2**30:.3g} GiB; expected less than the {there / 2**30:.3g} GiB "
                f"{whose}; take fewer nodes or dimensions{_other_way(case, taken, device)}"
            )
    if found:
        raise SpecError(found, "the sizes")


def _other_way(case: Case, engine: Engine, device: str) -> str:
    """Where else a run that does not fit may be tried."""
    if on_cuda(device):
        return ", or --device cpu"
    return ", or --engine fused" if engine == "torch" and case.obstacle is None else ""


def predict(theorem: str, setting: Setting) -> Prediction:
    """What one theorem says of a setting; none speaks of a protocol that it does not name.

    Raises:
        UserMistakeError: it takes more memory than there is.
    """
    entry = registry.find("theorem", theorem)
    if setting.protocol == "server" and "server" not in entry.facts.get("protocols", ()):
        return _silent(entry, "nodes exchange with each other", "protocol = server")
    if setting.nodes > DENSE_NODES:
        return _silent(entry, "matrices of n × n numbers fit memory", f"n = {setting.nodes}")
    size = f"n = {setting.nodes}, d = {setting.problem.dimension}"
    with (
        np.errstate(all="ignore"),  # an unstable setting predicts infinities
        within_memory(f"theorem {theorem} at {size}", "nodes or dimensions, or name other checks"),
    ):
        prediction: Prediction = entry.target(setting)
    return prediction


def _default_checks(setting: Setting, *, each_step: bool) -> tuple[CheckTable, ...]:
    """Every theorem that applies and reads what a run records anyway, if the spec names none.

    Fits repeat what exact means say, and probe ticks need their own R: both are asked for. So are
    invariants of single steps, which kernels do not show, unless torch has to take the run anyway.
    """
    found = {name: predict(name, setting) for name in registry.entries("theorem")}
    return tuple(
        CheckTable(theorem=name)
        for name, prediction in found.items()
        if prediction.applies
        and prediction.kind != "rate"
        and not prediction.contrasts
        and (each_step or INVARIANTS.isdisjoint(prediction.values))
        and not all(too_long(name, setting) for name in prediction.values)
    )


def _check_mistakes(checks: Sequence[CheckTable], predictions: Sequence[Prediction]) -> list[str]:
    """Observables that a check names and its theorem does not predict here."""
    found = []
    for index, (check, prediction) in enumerate(zip(checks, predictions, strict=True)):
        bad = [name for name in check.observables if name not in prediction.values]
        if bad and prediction.applies:
            found.append(
                f"checks.{index}.observables: got {', '.join(bad)}; expected some of "
                f"{', '.join(prediction.values)}, which {check.theorem} predicts; correct it"
            )
        if check.steps and max(check.steps) < 1 and max(prediction.steps, default=0) > 0:
            found.append(
                f"checks.{index}.steps: got {list(check.steps)}; expected a step from 1 on, since "
                "the start is given and cannot refute anything; add one"
            )
    return found


def _silent(entry: Entry, needed: str, got: str) -> Prediction:
    """The answer of a theorem to a run that it cannot speak of: inapplicable, and why."""
    told = Assumption(text=needed, holds=False, detail=got)
    return Prediction(
        theorem=entry.name,
        statement=entry.summary,
        source=Source(locator="not asked"),
        kind="exact",
        steps=(),
        values={},
        assumptions=(told,),
    )


@contextmanager
def within_memory(what: str, fewer: str) -> Iterator[None]:
    """Turn a MemoryError into a mistake with its size and a way out."""
    try:
        yield
    except MemoryError as error:
        told = str(error) or "out of memory"
        if not told.startswith("CUDA"):
            told = told[:1].lower() + told[1:]
        raise UserMistakeError(
            f"got {what}: {told}; expected what fits this machine; take fewer {fewer}"
        ) from None


def _warnings(setting: Setting, target: float | None) -> tuple[str, ...]:
    """What is worth a sentence before the run: divergence, bias, means that R cannot settle."""
    resting = not setting.moves or not setting.step_sizes.any()
    if resting or setting.nodes > DENSE_NODES:
        return ()
    if setting.server is not None:
        return (*_unstable(setting), *_biased(setting, target))
    return _unstable(setting) or _too_few(setting)


def _biased(setting: Setting, target: float | None) -> tuple[str, ...]:
    sentence = registry.find("limit", "bias").target(setting, target)[1]
    return (sentence,) if sentence else ()


def _too_few(setting: Setting) -> tuple[str, ...]:
    needed, sentence = registry.find("limit", "replicas").target(setting)
    return (sentence,) if needed > setting.replicas else ()


def _unstable(setting: Setting) -> tuple[str, ...]:
    """Beyond the limit: surely where the recursion is known, else by the bound 2/L alone."""
    radius = registry.find("limit", "spectral_radius").target(setting)[0]
    if radius < 1:
        return ()
    limit, sentence = registry.find("limit", "step_size").target(setting)
    largest = float(setting.step_sizes.max())
    if not limit < 1:
        return ()
    if limit == 0:
        return (f"no step size is stable: {sentence}; the moments grow without bound",)
    sure = np.isfinite(radius)
    if sure:
        told, end = "is", "the moments grow without bound"
    else:
        told, end = "may be", "L bounds the curvature from above, so the run may diverge"
    return (
        f"the step size {largest:g} {told} beyond the stability limit: {sentence}; {end} unless "
        f"every step size is multiplied by less than {limit:.3g} (at most {largest * limit:.4g} "
        "here)",
    )
