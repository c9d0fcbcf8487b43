"""What a run records: the spec's own list, what its checks need, and what every run shows."""

from __future__ import annotations

from collections.abc import Sequence

from hzbench.core.errors import SpecError
from hzbench.core.observable import OBSERVABLES
from hzbench.core.prediction import Prediction
from hzbench.core.problem import Problem
from hzbench.core.server import ServerMethod
from hzbench.core.setting import Setting
from hzbench.core.spec import CheckTable, Spec
from hzbench.harness.gossip_seconds import SECONDS
from hzbench.harness.measurable import always, lacking
from hzbench.harness.recorder import INVARIANTS
from hzbench.harness.server import SCHEDULED, SHOWN
from hzbench.harness.setting import method_of
from hzbench.harness.simulate import DIFFERENCES
from hzbench.harness.used_points import POINT

VECTOR_LIMIT = 16  # a vector observable is recorded unasked up to this many components
_OF_NETWORKS = ("probe_sums", "laplacian_spectrum", "slem", "adjacency_slem", *INVARIANTS)


def recorded_observables(
    spec: Spec,
    problem: Problem,
    setting: Setting,
    checks: Sequence[CheckTable],
    predictions: Sequence[Prediction],
) -> tuple[str, ...]:
    """What to record: the spec's own list, what checks name, and what theory predicts.

    Raises:
        SpecError: names that are unknown, or that this run does not have.
    """
    names = [*spec.run.observables]
    names += _unasked(spec, problem, setting)
    for check, prediction in zip(checks, predictions, strict=True):
        names += [name for name in check.observables if name not in prediction.contrasts]
        names += [name for name in prediction.recorded if not too_long(name, setting)]
    unknown = [name for name in dict.fromkeys(names) if name not in OBSERVABLES]
    if unknown:
        raise SpecError(
            [
                f"got observable {name!r}; expected one of {', '.join(OBSERVABLES)}; correct it"
                for name in unknown
            ]
        )
    missing = _unmeasurable(spec, problem, names)
    if missing:
        raise SpecError(missing)
    return tuple(dict.fromkeys(names))


def _unasked(spec: Spec, problem: Problem, setting: Setting) -> tuple[str, ...]:
    """What is recorded whatever the spec says."""
    names = always(problem) if setting.moves else ()
    if setting.server is None:
        return names if spec.clock is None else (*names, SECONDS)
    return (*(name for name in names if name != "consensus_potential"), *SHOWN)


def _unmeasurable(spec: Spec, problem: Problem, names: Sequence[str]) -> list[str]:
    """Observables that this run does not have."""
    needs = lacking(problem)
    if spec.versus is None:
        needs |= dict.fromkeys(DIFFERENCES, "a reference population; add [versus]")
    needs |= dict.fromkeys(
        ("martingale_mean", "martingale_consensus"), "a check of lemma2_martingale; add it"
    )
    if isinstance(method_of(spec), ServerMethod):
        needs |= dict.fromkeys(_OF_NETWORKS, "nodes that exchange with each other; drop it")
    else:
        needs |= dict.fromkeys(
            (*SCHEDULED, POINT), "a server and its workers; take a method such as asgd"
        )
        if spec.clock is not None:
            del needs[SECONDS]
    if "estimate" not in method_of(spec).arrays():
        probes = (name for name in OBSERVABLES if name.startswith("estimate"))
        needs |= dict.fromkeys(probes, 'a probe; take method = "probe"')
    elif spec.node_count < 2:
        needs["estimate_bias_square"] = "at least two nodes; add one"
    return [
        f"got observable {n!r}; expected {needs[n]}" for n in dict.fromkeys(names) if n in needs
    ]


def too_long(name: str, setting: Setting) -> bool:
    """Whether a vector has more components than are recorded unasked."""
    size = OBSERVABLES[name].size if name in OBSERVABLES else "scalar"
    return size == "d" and setting.problem.dimension > VECTOR_LIMIT
