"""A planner's question from a pilot run: noise measured at the optimum, not declared."""

from __future__ import annotations

from typing import Any

import numpy as np

from hzbench.core.errors import UserMistakeError
from hzbench.core.spec import NodeGroup, Spec
from hzbench.core.structure import DifferenceLaw
from hzbench.harness.build import build_problem
from hzbench.harness.setting import estimator_of
from hzbench.harness.simulate import simulate
from hzbench.planner import Question

REPLICAS = 4096


def question_of(spec: Spec, **given: Any) -> Question:
    """Counts, laws and constants from a spec; noise of both kinds from three short probes.

    A probe draws estimates at one point and moves nothing: E|G|² − |E G|², averaged over the nodes,
    is the noise there. It is measured at the optimum, where it sets the floor.

    Args:
        spec: a run with one group of first-order and one of `zeroth_order` nodes.
        given: fields of the question that the user gives and the pilot must not overrule.

    Raises:
        UserMistakeError: the groups are not these, the optimum is unknown, or gradients are exact.
    """
    first, zeroth = _groups(spec)
    problem = build_problem(spec)
    optimum = np.asarray(problem.optimum, dtype=float)
    constants = problem.constants
    if not optimum.size or not constants.strong_convexity > 0:
        raise UserMistakeError(
            "got a pilot whose problem has no known optimum or no strong convexity; expected "
            "both; take another pilot, or give --noise and --ratio"
        )
    signal = _power(spec, first.model_copy(update={"batch_size": "full"}), optimum, 1)
    noise = _power(spec, first, optimum, REPLICAS) - signal
    if noise <= 1e-12 * max(signal, 1.0):
        raise UserMistakeError(
            "got a pilot with noise-free gradients; expected noise; add it, or a smaller batch_size"
        )
    law = estimator_of(zeroth.estimator).law(zeroth.batch_size)
    if not isinstance(law, DifferenceLaw) or law.sampling != "iid":
        raise UserMistakeError(
            "got a pilot with dependent random vectors; expected independent ones, whose noise "
            'falls as 1/m; take sampling = "iid"'
        )
    m, shared = law.samples, _shared(law, first)
    ratio = (_power(spec, zeroth, optimum, REPLICAS) - signal) / noise
    found = {
        "first": first.count,
        "zeroth": zeroth.count,
        "dimension": problem.dimension,
        "noise": noise,
        "ratio": max(shared, shared + m * (ratio - shared)),
        "shared": shared,
        "directions": law.directions,
        "difference": law.difference,
        "smoothness": constants.smoothness,
        "strong_convexity": constants.strong_convexity,
    }
    return Question(**(found | given))


def _groups(spec: Spec) -> tuple[NodeGroup, NodeGroup]:
    names = [group.estimator["name"] for group in spec.nodes]
    if sorted(names) != ["gradient", "zeroth_order"]:
        raise UserMistakeError(
            f"got a pilot with node groups {', '.join(names)}; expected one group of gradient and "
            "one of zeroth_order; split or merge the groups"
        )
    return spec.nodes[names.index("gradient")], spec.nodes[names.index("zeroth_order")]


def _shared(law: DifferenceLaw, first: NodeGroup) -> float:
    """Data noise of a zeroth-order estimate over s_1 that more random vectors leave."""
    if law.data == "fresh" or law.batch_size == "full" or first.batch_size == "full":
        return 0.0
    return first.batch_size / law.batch_size


def _power(spec: Spec, group: NodeGroup, point: Any, replicas: int) -> float:
    """(1/n) Σ E|G_i|² at a point, with the group's estimator on every node of the run."""
    problem = {k: v for k, v in spec.problem.items() if k != "initial_spread"}
    everyone = {**group.model_dump(mode="json"), "count": spec.node_count}
    probe = spec.replace(
        problem={**problem, "initial": [float(x) for x in point]},
        nodes=[everyone],
        network={"gossip": "matrix"},
        method={"name": "probe"},
        run={"steps": 1, "record": [1], "replicas": replicas, "seed": spec.run.seed},
        checks=[],
        versus=None,
        mutant=None,
    )
    trace = simulate(probe, ("estimate_power",))
    return float(trace.at("estimate_power", 1).mean())
