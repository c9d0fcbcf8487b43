"""Contest: methods tuned with one budget and compared by their time to a target; its file's tables.

A cell of a contest is a problem, a clock and a target; all methods run in every cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, model_validator

from hzbench.core.errors import SpecError, UserMistakeError
from hzbench.core.explain import explain
from hzbench.core.grid import read_toml
from hzbench.core.normal_form import validated
from hzbench.core.problem import Problem
from hzbench.core.server import ServerMethod
from hzbench.core.spec import Named, Spec, Table
from hzbench.harness.build import build
from hzbench.harness.setting import method_of
from hzbench.harness.suite import CONTEST, HOME, SuiteTable
from hzbench.harness.tuning import Axis

T = TypeVar("T", bound=Table)
TABLES = ("contest", "nodes", "problem", "clock", "method")


class StepTable(Table):
    """Where searches for step sizes begin: `count` points from ratio · first downwards.

    `first` is for estimates that are fresh (left out: 1/L of the problem); a method whose estimates
    are δ updates old on average begins at first/(1 + δ).
    """

    first: float | None = Field(None, gt=0)
    ratio: float = Field(4.0, gt=1)
    count: int = Field(4, gt=0)


class TunedTable(Table):
    """A whole parameter of a method that is tuned besides the step size (S, R)."""

    key: str
    first: float = Field(gt=0)
    ratio: float = Field(4.0, gt=1)
    least: float = Field(1, gt=0)


class TuningTable(Table):
    """On what the methods are tuned; the best few points run again with the judge's replicas."""

    seed: int = Field(1, ge=0)
    replicas: int = Field(16, gt=1)
    finalists: int = Field(3, gt=0)


class JudgingTable(Table):
    """On what they are compared."""

    seed: int = Field(2, ge=0)
    replicas: int = Field(64, ge=64)


class ContestTable(SuiteTable):
    """The [contest] table; `alpha` is the error rate over all comparisons."""

    alpha: float = Field(0.05, gt=0, lt=1)
    reference: str
    targets: tuple[float, ...] = Field(min_length=1)
    horizon: float = Field(gt=0)
    patience: float = Field(6.0, gt=1)
    budget: int = Field(16, gt=0)
    step_sizes: StepTable = StepTable()
    resolution: float = Field(0.02, gt=0, le=0.1)
    tuning: TuningTable = TuningTable()
    judging: JudgingTable = JudgingTable()

    @model_validator(mode="after")
    def _apart(self) -> ContestTable:
        if self.tuning.seed == self.judging.seed:
            raise ValueError(
                f"got seed {self.tuning.seed} for tuning and for judging; expected two, since a "
                "step size tuned on the same draws is favoured by them; change one"
            )
        return self


class ProblemTable(Table):
    """One [[problem]]; what it leaves out is that of [contest]."""

    label: str
    problem: Named
    clocks: tuple[str, ...] = ()
    targets: tuple[float, ...] = ()
    horizon: float | None = Field(None, gt=0)
    step_sizes: StepTable | None = None
    resolution: float | None = Field(None, gt=0, le=0.1)


class ClockTable(Table):
    """One [[clock]]."""

    label: str
    clock: Named


class MethodTable(Table):
    """One [[method]]."""

    label: str
    method: Named
    tuned: TunedTable | None = None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One problem, clock and target.

    Attributes:
        horizon: seconds after which a method is given up.
        step_sizes: where searches begin.
        resolution: relative distance of record times.
    """

    problem: ProblemTable
    clock: ClockTable
    target: float
    horizon: float
    step_sizes: StepTable
    resolution: float

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.problem.label} · {self.clock.label} · ε = {self.target:g}"


@dataclass(frozen=True, kw_only=True)
class Contest:
    """A contest whose words are checked."""

    table: ContestTable
    nodes: tuple[Mapping[str, Any], ...]
    problems: tuple[ProblemTable, ...]
    clocks: tuple[ClockTable, ...]
    methods: tuple[MethodTable, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, by problem, clock and target."""
        return tuple(
            Cell(
                problem=problem,
                clock=clock,
                target=target,
                horizon=problem.horizon or self.table.horizon,
                step_sizes=problem.step_sizes or self.table.step_sizes,
                resolution=problem.resolution or self.table.resolution,
            )
            for problem in self.problems
            for clock in self.clocks
            if not problem.clocks or clock.label in problem.clocks
            for target in problem.targets or self.table.targets
        )

    @property
    def reference(self) -> MethodTable:
        """The method that all others are compared with."""
        return next(each for each in self.methods if each.label == self.table.reference)

    def spec(
        self,
        problem: ProblemTable,
        clock: ClockTable,
        method: MethodTable,
        parameters: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> Spec:
        """The run of a method, with base step size 1 unless given.

        Raises:
            SpecError: the mistakes of its tables.
        """
        words = {"step_size": 1.0, **(parameters or {})}
        if method.tuned and parameters is None:
            words[method.tuned.key] = round(method.tuned.first)
        table = {
            "name": f"{problem.label} · {clock.label} · {method.label}",
            "problem": problem.problem,
            "nodes": self.nodes,
            "clock": clock.clock,
            "method": {**method.method, **words},
            "run": {"seed": seed},
        }
        return Spec.parse(table)


def axes_of(cell: Cell, method: MethodTable, first: float) -> tuple[Axis, ...]:
    """What is tuned: the step size, and one whole parameter if the method names one.

    Arguments:
        first: the step size where the search begins.
    """
    steps = Axis(key="step_size", first=first, ratio=cell.step_sizes.ratio)
    if method.tuned is None:
        return (steps,)
    return (steps, Axis(**method.tuned.model_dump(), whole=True))


def contest_names() -> list[str]:
    """Names of the contests that ship with the package."""
    home = Path(str(files(HOME)))
    return sorted(path.stem for path in home.glob(f"*{CONTEST}.toml"))


def contest_title(name: str) -> str:
    """The title of a contest that ships with the package; nothing is built."""
    return str(_shipped(name)["contest"]["title"])


def _shipped(name: str) -> Mapping[str, Any]:
    return read_toml(Path(str(files(HOME) / f"{name}.toml")))


def load_contest(name_or_path: str) -> Contest:
    """A contest by name, or by the path of its file.

    Raises:
        UserMistakeError: no such contest or file, or mistakes in it, all in one message.
    """
    if name_or_path in contest_names():
        return parse_contest(_shipped(name_or_path))
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise UserMistakeError(
            f"got {name_or_path!r}; expected a contest ({', '.join(contest_names())}) or the path "
            "of a TOML file; correct it"
        )
    return parse_contest(read_toml(path), name_or_path)


def parse_contest(table: Mapping[str, Any], where: str = "the contest") -> Contest:
    """A contest from the tables of a file.

    Raises:
        SpecError: every mistake in it.
    """
    mistakes = [
        f"{key}: got an unknown table; expected one of {', '.join(TABLES)}; remove it"
        for key in table
        if key not in TABLES
    ]
    head = _one(ContestTable, "contest", table.get("contest", {}), mistakes)
    problems = _many(ProblemTable, "problem", table, mistakes)
    clocks = _many(ClockTable, "clock", table, mistakes)
    methods = _many(MethodTable, "method", table, mistakes)
    nodes = table.get("nodes", [])
    if not isinstance(nodes, list) or not nodes:
        mistakes.append("nodes: got none; expected the workers; write [[nodes]]")
    if mistakes or head is None:
        raise SpecError(mistakes, where)
    contest = Contest(
        table=head, nodes=tuple(nodes), problems=problems, clocks=clocks, methods=methods
    )
    mistakes += [*_label_mistakes(contest), *_budget_mistakes(contest)]
    mistakes += _run_mistakes(contest) if not mistakes else []
    if mistakes:
        raise SpecError(mistakes, where)
    return contest


def _one(kind: type[T], place: str, words: Any, mistakes: list[str]) -> T | None:
    if not isinstance(words, Mapping):
        mistakes.append(f"{place}: got {words!r}; expected a table; write it as one")
        return None
    try:
        return validated(kind, words)
    except ValidationError as error:
        mistakes += explain(error, place)
    return None


def _many(kind: type[T], key: str, table: Mapping[str, Any], mistakes: list[str]) -> tuple[T, ...]:
    listed = table.get(key, [])
    if not isinstance(listed, list) or not listed:
        mistakes.append(f"{key}: got none; expected at least one [[{key}]]; add one")
        return ()
    found = [_one(kind, f"{key}.{i}", words, mistakes) for i, words in enumerate(listed)]
    return tuple(each for each in found if each is not None)


def _label_mistakes(contest: Contest) -> list[str]:
    """Labels that are not unique, and names of labels that do not exist."""
    found = []
    groups: dict[str, Sequence[Any]] = {
        "problem": contest.problems,
        "clock": contest.clocks,
        "method": contest.methods,
    }
    labels = {key: [each.label for each in group] for key, group in groups.items()}
    for key, names in labels.items():
        found += [
            f"{key}: got the label {name!r} more than once; expected unique labels; rename one"
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
    if contest.table.reference not in labels["method"]:
        found.append(
            f"contest.reference: got {contest.table.reference!r}; expected one of "
            f"{', '.join(labels['method'])}; correct it"
        )
    found += [
        f"problem.{index}.clocks: got {name!r}; expected one of {', '.join(labels['clock'])}; "
        "correct it"
        for index, problem in enumerate(contest.problems)
        for name in problem.clocks
        if name not in labels["clock"]
    ]
    return found


def _budget_mistakes(contest: Contest) -> list[str]:
    """First points that leave the budget nothing to bracket an optimum with."""
    found = []
    for problem in contest.problems:
        size = (problem.step_sizes or contest.table.step_sizes).count
        for method in contest.methods:
            more = 2 if method.tuned is None else 4
            if contest.table.budget < size + more:
                found.append(
                    f"contest.budget: got {contest.table.budget} runs with {size} first ones for "
                    f"{method.label!r}; expected at least {more} more, to bracket an optimum; "
                    "raise it"
                )
    return list(dict.fromkeys(found))


def _run_mistakes(contest: Contest) -> list[str]:
    """What building shows: every method with every clock, every problem once."""
    first_problem, first_clock, first = contest.problems[0], contest.clocks[0], contest.methods[0]
    pairs = [
        (first_problem, clock, method) for clock in contest.clocks for method in contest.methods
    ]
    pairs += [(problem, first_clock, first) for problem in contest.problems[1:]]
    found: list[str] = []
    for problem, clock, method in pairs:
        try:
            spec = contest.spec(problem, clock, method)
            if not isinstance(method_of(spec), ServerMethod):
                found.append(
                    f"method {method.label!r}: got {spec.method['name']!r}; expected a method with "
                    "a server, such as asgd; take one"
                )
                continue
            found += _start_mistakes(contest, problem, build(spec).problem)
        except SpecError as error:
            found += [
                f"{problem.label} · {clock.label} · {method.label}: {m}" for m in error.mistakes
            ]
    return list(dict.fromkeys(found))


def _start_mistakes(contest: Contest, problem: ProblemTable, built: Problem) -> list[str]:
    """No step size to begin with."""
    known = (problem.step_sizes or contest.table.step_sizes).first is not None
    if known or isfinite(built.constants.smoothness):
        return []
    return [
        f"problem {problem.label!r}: got no step_sizes.first, and its smoothness L is not known; "
        "expected a step size to begin with; give step_sizes = { first = ... }"
    ]
