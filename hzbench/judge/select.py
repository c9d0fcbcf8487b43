"""Which numbers a check tests: chosen before the run, from names, shapes and record points only.

- Record points: the positive ones of the prediction that the trace holds (step 0 only when nothing
  else is predicted); at most 4, at the ends of the quarters of the list, so the last always.
- Observables: all scalar ones that theory predicts and the trace holds, in the order of
  `core.observable.OBSERVABLES` (unknown names after them, alphabetically); vectors when asked for,
  when no scalar is predicted, or when they are certain.
- At most 8 statistics that vary: fewer record points first, then an evenly spaced subset of the
  components of vectors, then the first observables. Certain values cost no false alarms, so all of
  their components are compared.

A value is certain, hence compared at rounding instead of tested, when theory says that its spread
is 0; when it cannot be negative and theory says that its mean is 0; or when two or more replicas
agree to rounding and theory predicts no spread. A single replica shows no spread, so it counts as
certain only if it hits the prediction. What rounding is depends on the run's number format.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.core.observable import OBSERVABLES
from hzbench.core.prediction import Prediction
from hzbench.core.trace import Trace
from hzbench.judge.rounding import FLOAT64, Rounding, rounding_of

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_POINTS, MOST_STATISTICS = 4, 8
SPREAD = 1e-6
"""Predicted spread relative to the value above which theory calls the value random."""
NONNEGATIVE = frozenset(
    {
        "objective_gap",
        "consensus_potential",
        "node_distance",
        "mean_distance",
        "mean_distance_square",
        "mean_shift",
        "gradient_norm",
        "path_gradient_norm",
        "path_objective_gap",
        "path_weighted_gap",
        "estimate_square",
        "estimate_power",
        "slem",
        "adjacency_slem",
        "pair_disagreement",
        "mass_residual",
        "idle_change",
        "gradient_calls",
        "function_calls",
        "derivative_calls",
        "floats_sent",
    }
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """q numbers to compare.

    Attributes:
        observables: names, with the component in brackets for vectors, length q.
        steps: record points, length q.
        values: shape [q, R].
        predicted: shape [q].
        spread: predicted standard deviation, nan where unknown, shape [q].
        unit: what the tolerance is a fraction of, if it is more than |predicted|; nan: the standard
            deviation, shape [q].
        certain: compared at rounding instead of tested, shape [q].
        rounding: of the run's number format.
    """

    observables: tuple[str, ...]
    steps: tuple[int, ...]
    values: Array
    predicted: Array
    spread: Array
    unit: Array
    certain: Flags
    rounding: Rounding = FLOAT64

    @property
    def size(self) -> int:
        """Number q of statistics."""
        return len(self.steps)

    def where(self, mask: Flags) -> "Selection":
        """Return the statistics of a mask, shape [q]."""
        kept = np.flatnonzero(mask)
        return Selection(
            observables=tuple(self.observables[i] for i in kept),
            steps=tuple(self.steps[i] for i in kept),
            values=self.values[kept],
            predicted=self.predicted[kept],
            spread=self.spread[kept],
            unit=self.unit[kept],
            certain=self.certain[kept],
            rounding=self.rounding,
        )


def evenly(count: int, wanted: int) -> list[int]:
    """Return `wanted` indices below `count`, at the ends of equal parts, so the last always."""
    wanted = min(wanted, count)
    return [(part + 1) * count // wanted - 1 for part in range(wanted)]


def select(
    trace: Trace,
    prediction: Prediction,
    observables: Sequence[str] | None = None,
    steps: Sequence[int] | None = None,
) -> Selection:
    """Choose the statistics of a check.

    Raises:
        UserMistakeError: something asked for is not in the trace or the prediction, the shapes
            differ, or nothing is common to both.
    """
    names = _names(trace, prediction, observables)
    points = _points(trace, prediction, steps)
    blocks = [_block(trace, prediction, name, points) for name in names]
    if observables is None and any(_scalar(trace, name) for name in names):
        pairs = zip(names, blocks, strict=True)
        blocks = [block for name, block in pairs if _scalar(trace, name) or block.certain.all()]
    fixed = [block for block in blocks if block.certain.all()]
    varying = [block for block in blocks if not block.certain.all()]
    return _join([*fixed, *_limit(varying, len(points))])


def _names(trace: Trace, prediction: Prediction, wanted: Sequence[str] | None) -> list[str]:
    """Return the observables to look at, in priority order."""
    common = set(prediction.values) & set(trace.columns)
    missing = sorted(set(wanted or ()) - common)
    if missing or not common:
        raise UserMistakeError(
            f"got observables {missing or sorted(prediction.values)} to compare; expected some of "
            f"those that {prediction.theorem} predicts {sorted(prediction.values)} and the trace "
            f"holds {sorted(trace.columns)}; record them or ask for others"
        )
    order = [*OBSERVABLES, *sorted(common - set(OBSERVABLES))]
    chosen = common if wanted is None else set(wanted)
    return [name for name in order if name in chosen]


def _points(trace: Trace, prediction: Prediction, wanted: Sequence[int] | None) -> list[int]:
    """Return at most 4 record points, increasing."""
    common = sorted(set(prediction.steps) & set(trace.steps.tolist()))
    if wanted is not None:
        if not 0 < len(set(wanted)) <= MOST_POINTS or not set(wanted) <= set(common):
            raise UserMistakeError(
                f"got record points {list(wanted)}; expected one to {MOST_POINTS} of {common}"
            )
        return sorted(set(wanted))
    candidates = [step for step in common if step > 0] or common
    if not candidates:
        raise UserMistakeError(
            f"got a trace at steps {trace.steps.tolist()}; expected some of the steps "
            f"{list(prediction.steps)} that {prediction.theorem} predicts; record them"
        )
    return [candidates[i] for i in evenly(len(candidates), MOST_POINTS)]


def _scalar(trace: Trace, name: str) -> bool:
    return trace.columns[name].ndim == 2


def _block(trace: Trace, prediction: Prediction, name: str, points: list[int]) -> Selection:
    """Return all components of one observable, point by point: q = T k."""
    rows = [prediction.steps.index(point) for point in points]
    values = np.stack([trace.at(name, point).T for point in points])
    values = values[:, None, :] if values.ndim == 2 else values
    shape, rounding = values.shape[:2], rounding_of(trace)
    predicted = _rows(prediction, prediction.values[name], name, shape[1])[rows]
    spread = np.full(shape, np.nan)
    if name in prediction.spread:
        spread = _rows(prediction, prediction.spread[name], name, shape[1])[rows]
    if prediction.kind == "exact" and name not in prediction.contrasts:
        predicted, values = _without_residue(
            predicted, values, rounding.residue * _scale(prediction)
        )
    certain = _certain(
        values.reshape(-1, values.shape[2]),
        predicted.ravel(),
        spread.ravel(),
        rounding,
        nonnegative=name in NONNEGATIVE and prediction.kind in ("exact", "upper"),
    )
    unit = np.full(shape, 1.0 if name in prediction.contrasts else np.nan)  # a contrast's scale
    labels = [name] if _scalar(trace, name) else [f"{name}[{i}]" for i in range(shape[1])]
    return Selection(
        observables=tuple(labels * len(points)),
        steps=tuple(np.repeat(points, shape[1]).tolist()),
        values=values.reshape(-1, values.shape[2]),
        predicted=predicted.ravel(),
        spread=spread.ravel(),
        unit=unit.ravel(),
        certain=certain,
        rounding=rounding,
    )


def _scale(prediction: Prediction) -> float:
    """Return the largest finite number that theory predicts of anything at any record point."""
    sizes = [
        np.abs(table[np.isfinite(table)]) for table in map(np.asarray, prediction.values.values())
    ]
    return max((float(size.max(initial=0.0)) for size in sizes), default=0.0)


def _without_residue(predicted: Array, values: Array, floor: float) -> tuple[Array, Array]:
    """Return predictions and values with 0 where both, in all replicas, are rounding residue.

    A disagreement that W = J/n wipes out is 0 in theory, 1e-17 in its floating point and 1e-33 in
    that of the run; neither number means anything beside quantities whose rounding is `floor`.
    """
    residue = (np.abs(predicted) <= floor) & (np.abs(values).max(axis=2) <= floor)
    return np.where(residue, 0.0, predicted), np.where(residue[:, :, None], 0.0, values)


def _rows(prediction: Prediction, table: Array, name: str, size: int) -> Array:
    """Return predicted numbers as [T', k]."""
    shape = (len(prediction.steps), size)
    if np.shape(table) not in {shape, shape[:1]} or np.size(table) != shape[0] * size:
        raise UserMistakeError(
            f"got predictions of {name} of shape {np.shape(table)}; expected {shape}: a row a step "
            f"of {prediction.theorem}, a column a component of the trace"
        )
    return np.asarray(table, dtype=np.float64).reshape(shape)


def _certain(
    values: Array, predicted: Array, spread: Array, rounding: Rounding, *, nonnegative: bool
) -> Flags:
    """Return which rows are compared at rounding, shape [q] (values [q, R])."""
    if not np.isfinite(values).all():
        return np.zeros(predicted.shape, dtype=np.bool_)
    size = np.abs(values).max(axis=1)
    equal = np.ptp(values, axis=1) <= rounding.relative * size
    equal |= (predicted == 0.0) & (size <= rounding.zero)
    hit = np.abs(values[:, 0] - predicted) <= rounding.slack(values[:, 0], predicted)
    random = spread > SPREAD * np.maximum(size, np.abs(predicted))
    seen = equal & ~random & (hit if values.shape[1] == 1 else True)
    return np.asarray((spread == 0.0) | seen | (nonnegative & (predicted == 0.0)))


def _limit(blocks: list[Selection], points: int) -> list[Selection]:
    """Cut varying blocks to 8 statistics: record points, then components, then observables."""
    sizes = [block.size // points for block in blocks]
    if sum(sizes) * points <= MOST_STATISTICS:
        return blocks
    kept = max(1, MOST_STATISTICS // sum(sizes))
    vectors = sum(size > 1 for size in sizes)
    room = max(1, (MOST_STATISTICS - (len(sizes) - vectors)) // max(1, vectors))
    limits = [size if sum(sizes) <= MOST_STATISTICS else min(size, room) for size in sizes]
    cut: list[Selection] = []
    for block, size, limit in zip(blocks, sizes, limits, strict=True):
        mask = np.zeros((points, size), dtype=np.bool_)
        mask[np.ix_(evenly(points, kept), evenly(size, limit))] = True
        if sum(part.size for part in cut) + int(mask.sum()) <= MOST_STATISTICS:
            cut.append(block.where(mask.ravel()))
    return cut


def _join(blocks: list[Selection]) -> Selection:
    """Concatenate blocks."""
    return Selection(
        observables=tuple(name for block in blocks for name in block.observables),
        steps=tuple(step for block in blocks for step in block.steps),
        values=np.concatenate([block.values for block in blocks]),
        predicted=np.concatenate([block.predicted for block in blocks]),
        spread=np.concatenate([block.spread for block in blocks]),
        unit=np.concatenate([block.unit for block in blocks]),
        certain=np.concatenate([block.certain for block in blocks]),
        rounding=blocks[0].rounding,
    )
