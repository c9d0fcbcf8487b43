"""What a figure shows, as arrays: one Panel for each observable of a run.

A panel holds the measured mean with its standard error, the band of the replicas, every prediction
of that observable, and which points were tested. Scalars and vectors are stored alike, [T', k] with
k = 1 for scalars, and a missing number is nan. `figures` only draws what it finds here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.interval import interval_errors
from hzbench.core.observable import OBSERVABLES

Array = NDArray[np.float64]
Shape = Literal["trajectory", "static", "pair", "race"]

# Without a prediction these are drawn, as far as they were recorded.
TELLING = ("objective_gap", "objective", "consensus_potential", "node_distance", "gradient_norm")
VALIDATION = (  # drawn wherever it was recorded
    "validation_accuracy",
    "validation_loss",
    "validation_accuracy_spread",
    "validation_loss_spread",
)
DIFFERENCE = "objective_gap_difference"
LINES_AT_MOST = 8
STATIC = ("laplacian_spectrum", "slem", "adjacency_slem")  # of the network: the same at every step
NEGLIGIBLE = 1e-9  # a deviation from a predicted 0 that counts as rounding
PANELS_AT_MOST = 8
POINTS_AT_MOST = 160
LOG_FROM = 4.0  # a positive quantity that varies by more than this factor is drawn on a log axis
DEEPEST = 1e-16  # relative to the top: rounding below
ROUNDING = 1e-11  # a smaller relative standard error is rounding, not randomness


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """One prediction of one observable.

    Attributes:
        theorem: registered name.
        kind: exact | upper | lower | rate | order.
        rows: indices of the panel's record points that are predicted.
        values: predicted means there, [len(rows), k].
        tested: (row, component) pairs that the judge tested.
    """

    theorem: str
    kind: str
    rows: NDArray[np.intp]
    values: Array
    tested: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A measured trajectory.

    Attributes:
        mean, error: mean over replicas and its standard error, [T', k].
        low, high: 5 % and 95 % quantiles over replicas, [T'] (scalars only).
        name: whose it is, for panels with several.
        replicas: that were averaged.
    """

    mean: Array
    error: Array
    low: Array | None = None
    high: Array | None = None
    name: str = ""
    replicas: int = 0

    @property
    def half(self) -> Array:
        """Half the width of its 95 % intervals, [T', k]; nan for a run alone."""
        return interval_errors(self.replicas) * self.error

    def band(self, logarithmic: bool = False) -> tuple[Array, Array]:
        """Ends of its 95 % intervals, [T', k]; of the logarithm where the axis shows that.

        The error of log m is that of m over m (delta method), so such a band stays positive.
        """
        if not logarithmic:
            return self.mean - self.half, self.mean + self.half
        with np.errstate(all="ignore"):
            factor = np.exp(self.half / self.mean)
            return self.mean / factor, self.mean * factor


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing.

    Attributes:
        observable, meaning, unit: from the shared vocabulary (the name alone if it is not there).
        shape: trajectory | static (one record point) | pair (with a reference) | race (several).
        steps: record points, [T'].
        curves: measured; the first one is the run's own.
        overlays: predictions of it.
        critical: standard errors at which one two-sided test of level α/K rejects.
        marks: (curve, step, value) of numbers printed elsewhere.
    """

    observable: str
    meaning: str = ""
    unit: str = ""
    shape: Shape
    steps: Array
    curves: tuple[Curve, ...]
    overlays: tuple[Overlay, ...] = ()
    critical: float | None = None
    marks: tuple[tuple[int, float, float], ...] = ()

    @property
    def logarithmic(self) -> bool:
        """Whether the means of a race are positive and span enough for a logarithmic axis.

        A curve that starts at 0, as a spread of equal nodes does, is judged by what follows.
        """
        means = [each.mean for each in self.curves]
        after = [mean[1:] if len(mean) > 1 and mean[0, 0] == 0 else mean for mean in means]
        shown = [*after, *(overlay.values for overlay in self.overlays)]
        printed = [value for _, _, value in self.marks]
        values = np.concatenate([*(each.ravel() for each in shown), printed])
        values = values[np.isfinite(values)]
        if not len(values):
            return False
        bottom, top = values.min(), values.max()
        return bool(bottom > DEEPEST * top and top >= LOG_FROM * bottom)

    @property
    def crossing(self) -> float | None:
        """The step after which the difference of a pair keeps its sign (nan-free, interpolated)."""
        return last_sign_change(self.steps, self.difference.mean[:, 0])

    @property
    def difference(self) -> Curve:
        """Of a pair: own minus reference, paired; the last curve."""
        return self.curves[-1]


def panels(run: Mapping[str, Any], critical: float | None = None) -> tuple[Panel, ...]:
    """Everything worth drawing of one run, at most PANELS_AT_MOST panels."""
    recorded = run.get("observables") or {}
    paired = _pair(run, critical)
    names = [name for name in _predicted(run) if name in recorded]
    if paired is not None:
        names = [name for name in names if name != DIFFERENCE]
    elif not names:
        names = [name for name in TELLING if name in recorded][:3]
    names += [name for name in VALIDATION if name in recorded and name not in names]
    told = _predicted(run)
    names = [name for name in names if name in told or not _nothing(recorded[name])]
    drawn = [_panel(run, name, critical) for name in names]
    found = [panel for panel in (paired, *drawn) if panel is not None]
    return tuple(found[:PANELS_AT_MOST])


def race(
    runs: Sequence[tuple[str, Mapping[str, Any]]],
    observable: str = "objective_gap",
    marks: Sequence[tuple[str, float, float]] = (),
) -> Panel | None:
    """One observable of several runs over common steps (those of the first), or None.

    Args:
        runs: (name, run of results.json).
        observable: what is drawn.
        marks: (name of a run, step, value) of numbers printed elsewhere.
    """
    curves = []
    steps = array(runs[0][1].get("steps") or [])[:, 0] if runs else np.zeros(0)
    for name, run in runs:
        own = array(run.get("steps") or [])[:, 0]
        measured = curve((run.get("observables") or {}).get(observable), averaged(run), name)
        if measured is not None and own.shape == steps.shape and (own == steps).all():
            curves.append(measured)
    if len(curves) < 2 or len(steps) < 2:
        return None
    place = {each.name: index for index, each in enumerate(curves)}
    marked = tuple((place[name], step, value) for name, step, value in marks if name in place)
    drawn = _named(observable, shape="race", steps=steps, curves=tuple(curves), marks=marked)
    return thin(drawn)


def array(values: Any) -> Array:
    """JSON numbers with nulls to a float array [T', k]; ragged input is an empty array."""
    if values is None:
        return np.zeros((0, 1))
    try:
        table = np.array(values, dtype=float)
    except (TypeError, ValueError):
        return np.zeros((0, 1))
    if not table.size:
        return np.zeros((0, 1))
    return table.reshape(len(table), -1) if table.ndim else table.reshape(1, 1)


def averaged(run: Mapping[str, Any]) -> int:
    """How many replicas its means are over: those that did not diverge."""
    return int(run.get("replicas") or 0) - int(run.get("diverged") or 0)


def curve(entry: Mapping[str, Any] | None, replicas: int, name: str = "") -> Curve | None:
    """A recorded observable as a Curve; None if nothing finite was recorded."""
    mean = array((entry or {}).get("mean"))
    if entry is None or not np.isfinite(mean).any():
        return None
    error = array(entry.get("standard_error"))
    error = error if error.shape == mean.shape else np.full(mean.shape, np.nan)
    quantiles = entry.get("quantiles") or {}
    low, high = array(quantiles.get("0.05")), array(quantiles.get("0.95"))
    scalar = mean.shape[1] == 1 and low.shape == mean.shape == high.shape
    band = {"low": low[:, 0], "high": high[:, 0]} if scalar else {}
    return Curve(mean=mean, error=error, name=name, replicas=replicas, **band)


def residual(panel: Panel, overlay: Overlay) -> tuple[Array, bool]:
    """(measured − predicted) of a prediction, [rows, k], and whether it is in standard errors.

    Where no standard error is positive (a deterministic quantity) the residual is relative to the
    largest predicted value instead. Points without any error, such as a common start, are nan.
    """
    own = panel.difference if panel.shape == "pair" else panel.curves[0]
    gap = own.mean[overlay.rows] - overlay.values
    error = own.error[overlay.rows]
    random = error > ROUNDING * np.abs(own.mean[overlay.rows])
    rounding = not overlay.values.any() and bool(np.all(np.abs(gap) < NEGLIGIBLE))
    if random.any() and not rounding:
        return np.where(random, gap / np.where(random, error, 1.0), np.nan), True
    scale = np.nanmax(np.abs(overlay.values), initial=0.0)
    return gap / (scale if scale > 0 else 1.0), False


def last_sign_change(steps: Array, values: Array) -> float | None:
    """Where a sampled function last changes sign, by linear interpolation; None if it never does.

    >>> last_sign_change(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, -1.0]))
    1.5
    """
    good = np.isfinite(values) & (values != 0)
    x, y = steps[good], values[good]
    changes = np.flatnonzero(np.sign(y[1:]) != np.sign(y[:-1]))
    if not len(changes):
        return None
    i = changes[-1]
    return float(x[i] + (x[i + 1] - x[i]) * y[i] / (y[i] - y[i + 1]))


def thin(panel: Panel) -> Panel:
    """At most about POINTS_AT_MOST record points, the tested ones among them."""
    size = len(panel.steps)
    if size <= POINTS_AT_MOST:
        return panel
    tested = {row for overlay in panel.overlays for row, _ in overlay.tested}
    even = np.linspace(0, size - 1, POINTS_AT_MOST).round().astype(int)
    keep = np.array(sorted(tested.union(even.tolist())))
    return replace(
        panel,
        steps=panel.steps[keep],
        curves=tuple(_thin_curve(item, keep) for item in panel.curves),
        overlays=tuple(_thin_overlay(item, keep) for item in panel.overlays),
    )


def distinct(overlays: Iterable[Overlay]) -> tuple[Overlay, ...]:
    """Without repetition: two checks of one theorem predict the same curve."""
    kept: list[Overlay] = []
    for item in overlays:
        if not any(_same(item, other) for other in kept):
            kept.append(item)
    return tuple(kept)


def _same(one: Overlay, two: Overlay) -> bool:
    return (
        (one.theorem, one.kind) == (two.theorem, two.kind)
        and np.array_equal(one.rows, two.rows)
        and np.array_equal(one.values, two.values, equal_nan=True)
    )


def _thin_curve(item: Curve, keep: NDArray[np.intp]) -> Curve:
    low = None if item.low is None else item.low[keep]
    high = None if item.high is None else item.high[keep]
    return replace(item, mean=item.mean[keep], error=item.error[keep], low=low, high=high)


def _thin_overlay(item: Overlay, keep: NDArray[np.intp]) -> Overlay:
    new_row = {int(row): index for index, row in enumerate(keep)}
    chosen = np.isin(item.rows, keep)
    rows = np.array([new_row[int(row)] for row in item.rows[chosen]], dtype=np.intp)
    tested = tuple((new_row[row], component) for row, component in item.tested)
    return replace(item, rows=rows, values=item.values[chosen], tested=tested)


def _nothing(entry: Mapping[str, Any]) -> bool:
    """Whether a recorded observable is 0 throughout, as every spread of one node is."""
    values = array(entry.get("mean"))
    return bool(len(values)) and not values.any()


def _predicted(run: Mapping[str, Any]) -> list[str]:
    """The predicted observables: the tested ones first, then as the theorems list them."""
    names: dict[str, None] = {}
    for prediction in run.get("predictions") or []:
        if prediction.get("applies", True):
            names.update(dict.fromkeys(prediction.get("values") or {}))
    tested = {
        split_component(str(statistic.get("observable", "")))[0]
        for verdict in run.get("verdicts") or []
        for statistic in verdict.get("statistics") or []
    }
    return sorted(names, key=lambda name: name not in tested)


def _panel(run: Mapping[str, Any], name: str, critical: float | None) -> Panel | None:
    steps = array(run.get("steps") or [])[:, 0]
    measured = curve(run["observables"][name], averaged(run))
    if measured is None or len(measured.mean) != len(steps):
        return None
    overlays = distinct(_overlays(run, name, steps, measured.mean.shape[1]))
    shape: Shape = "trajectory"
    if len(steps) == 1 or name in STATIC or measured.mean.shape[1] > LINES_AT_MOST:
        shape = "static"
    panel = _named(
        name, shape=shape, steps=steps, curves=(measured,), overlays=overlays, critical=critical
    )
    return thin(panel)


def _pair(run: Mapping[str, Any], critical: float | None) -> Panel | None:
    recorded = run.get("observables") or {}
    count = averaged(run)
    reference = curve((run.get("reference") or {}).get("objective_gap"), count, "reference")
    own = curve(recorded.get("objective_gap"), count, "this population")
    difference = curve(recorded.get(DIFFERENCE), count, "difference")
    steps = array(run.get("steps") or [])[:, 0]
    if reference is None or own is None or difference is None:
        return None
    if not len(steps) == len(own.mean) == len(reference.mean) == len(difference.mean) > 1:
        return None
    overlays = distinct(_overlays(run, DIFFERENCE, steps, 1))
    curves = (own, reference, difference)
    named = _named(
        DIFFERENCE, shape="pair", steps=steps, curves=curves, overlays=overlays, critical=critical
    )
    return thin(named)


def _named(name: str, **fields: Any) -> Panel:
    known = OBSERVABLES.get(name)
    meaning, unit = (known.meaning, known.unit) if known else ("", "")
    return Panel(observable=name, meaning=meaning, unit=unit, **fields)


def _overlays(run: Mapping[str, Any], name: str, steps: Array, size: int) -> Iterable[Overlay]:
    row_of = {int(step): row for row, step in enumerate(steps) if np.isfinite(step)}
    for prediction in run.get("predictions") or []:
        values = array((prediction.get("values") or {}).get(name))
        times = prediction.get("steps") or []
        if not prediction.get("applies", True) or values.shape != (len(times), size):
            continue
        known = [index for index, step in enumerate(times) if int(step) in row_of]
        theorem = str(prediction.get("theorem", ""))
        yield Overlay(
            theorem=theorem,
            kind=str(prediction.get("kind", "exact")),
            rows=np.array([row_of[int(times[index])] for index in known], dtype=np.intp),
            values=values[known],
            tested=tuple(_tested(run, theorem, name, row_of, size)),
        )


def _tested(
    run: Mapping[str, Any], theorem: str, name: str, row_of: Mapping[int, int], size: int
) -> Iterable[tuple[int, int]]:
    for verdict in run.get("verdicts") or []:
        if verdict.get("theorem") != theorem:
            continue
        for statistic in verdict.get("statistics") or []:
            observable, component = split_component(str(statistic.get("observable", "")))
            row = row_of.get(int(statistic.get("step") or 0))
            if observable == name and row is not None and component < size:
                yield row, component


def split_component(text: str) -> tuple[str, int]:
    """Split "mean_iterate[2]" into name and component (0 without brackets)."""
    found = re.fullmatch(r"(.*)\[(\d+)\]", text)
    return (found.group(1), int(found.group(2))) if found else (text, 0)
