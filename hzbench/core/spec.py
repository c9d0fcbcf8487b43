"""Spec: what is run, as a frozen record read from TOML; every mistake in one message.

A spec says *what*, never *where*: device, workers and folders are options of a run. Tables that
name a component ([problem], estimators, graph, weights, [method]) are validated by the component's
own fields and kept in normal form (defaults left out), so that equal specs have equal
digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hzbench.core import registry
from hzbench.core.component import Component
from hzbench.core.errors import SpecError
from hzbench.core.explain import explain
from hzbench.core.normal_form import component_of, named, normalise, validated
from hzbench.core.problem import Kind
from hzbench.core.setting import MatchingLaw
from hzbench.core.structure import BatchSize
from hzbench.core.verdict import Outcome

Named = Annotated[dict[str, Any], BeforeValidator(named)]


class Table(BaseModel):
    """Base of a spec's tables: frozen, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeGroup(Table):
    """`count` nodes that share an estimator."""

    count: int = Field(gt=0)
    estimator: Named = {"name": "gradient"}
    step_size: float | None = Field(None, ge=0, allow_inf_nan=False)
    batch_size: Annotated[int, Field(gt=0, lt=2**31)] | Literal["full"] = 1
    work: float = Field(1.0, gt=0, allow_inf_nan=False)


class NetworkTable(Table):
    """Who can talk to whom, and how they average."""

    graph: Named = {"name": "complete"}
    gossip: Literal["pair", "matching", "matrix", "server"] = "pair"
    weights: Named = {"name": "metropolis"}
    edges: tuple[tuple[int, int], ...] = ()
    edge_law: Literal["uniform", "node-neighbour", "explicit"] = "uniform"
    edge_probabilities: tuple[float, ...] = ()
    matrix: tuple[tuple[float, ...], ...] | None = None
    idle_steps: bool = False
    pair_weight: float = Field(0.5, gt=0, lt=1)
    matching_law: MatchingLaw = "uniform"
    link_failure: float = Field(0.0, ge=0, lt=1)
    silent_rounds: int = Field(0, ge=0)
    exchange_probability: float = Field(1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _rectangular(self) -> NetworkTable:
        if self.matrix is not None and len({len(row) for row in self.matrix}) != 1:
            raise ValueError("got a matrix whose rows differ in length; expected n×n; complete it")
        return self

    @model_validator(mode="after")
    def _law_used(self) -> NetworkTable:
        if self.edge_probabilities and self.edge_law != "explicit":
            raise ValueError(
                f"got edge_probabilities with edge_law = {self.edge_law!r}, which ignores them; "
                'expected edge_law = "explicit"; add it or drop the numbers'
            )
        return self


class Every(Table):
    """Record points at equal distances."""

    every: int = Field(gt=0)


class RunTable(Table):
    """How long, how often, and what is observed."""

    steps: int = Field(100, gt=0, lt=2**31)
    replicas: int = Field(4096, gt=0)
    max_replicas: int | None = Field(None, gt=0)
    seed: int = Field(0, ge=0)
    record: int | tuple[int, ...] | Every = 12
    observables: tuple[str, ...] = ()
    dtype: Literal["float64", "float32"] = "float64"

    @field_validator("record")
    @classmethod
    def _some(cls, record: int | tuple[int, ...] | Every) -> int | tuple[int, ...] | Every:
        if isinstance(record, int) and record < 1:
            raise ValueError(f"got {record} record points; expected at least 1; raise it")
        if isinstance(record, tuple) and max(record, default=0) < 1:
            raise ValueError(
                f"got record points {list(record)}; expected at least one step from 1 on, since "
                "the start holds nothing to judge; add one"
            )
        return record

    @model_validator(mode="after")
    def _capped(self) -> RunTable:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"got max_replicas = {self.max_replicas} below replicas = {self.replicas}; "
                "expected at least that; raise it, or leave it out"
            )
        return self

    @property
    def record_steps(self) -> tuple[int, ...]:
        """The record points: 0, T and those that `record` asks for (a count: on a log grid)."""
        if isinstance(self.record, tuple):
            return tuple(sorted({0, *self.record}))
        if isinstance(self.record, Every):
            return tuple(sorted({*range(0, self.steps, self.record.every), self.steps}))
        grid = np.geomspace(1, self.steps, max(2, self.record)).round().astype(int)
        return tuple(sorted({0, *grid.tolist(), self.steps}))


class CheckTable(Table):
    """One check: one theorem against this run, with the outcome that the suite expects."""

    theorem: str
    observables: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    tolerance: float = Field(0.05, gt=0)
    expect: Outcome = "consistent"
    reason: str = ""
    mutants: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _reasoned(self) -> CheckTable:
        if self.expect != "consistent" and not self.reason:
            raise ValueError(
                f"got expect = {self.expect!r} without a reason; expected one; write the evidence "
                "in `reason`"
            )
        return self


class Versus(Table):
    """The reference population of a paired comparison (same seeds, same everything else).

    With `steps` its run has another length, and its record points lie at the same fractions of it.
    """

    label: str = "reference"
    nodes: tuple[NodeGroup, ...] = Field(min_length=1)
    steps: int | None = Field(None, gt=0, lt=2**31)


class Spec(Table):
    """One run and the checks on it.

    Build one with `Spec.parse(mapping)` or `Spec.load(path)`, which validate components too.
    """

    name: str = "run"
    title: str = ""
    problem: Named
    nodes: tuple[NodeGroup, ...] = Field(min_length=1)
    network: NetworkTable = NetworkTable()
    clock: Named | None = None
    method: Named = {"name": "hdo"}
    run: RunTable = RunTable()
    checks: tuple[CheckTable, ...] = ()
    versus: Versus | None = None
    mutant: str | None = None

    @property
    def node_count(self) -> int:
        """Number of nodes n."""
        return sum(group.count for group in self.nodes)

    @property
    def record_steps(self) -> tuple[int, ...]:
        """The record points, those that checks ask for included, increasing."""
        asked = {step for check in self.checks for step in check.steps}
        return tuple(sorted(asked.union(self.run.record_steps)))

    @property
    def digest(self) -> str:
        """Hex digest of what is simulated (checks, name and title do not count)."""
        kept = self.model_dump(mode="json", exclude={"name", "title", "checks"})
        kept["run"]["record"] = self.record_steps
        del kept["run"]["max_replicas"]  # a rule of when to stop; the runs are those of any R
        text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def group_of_node(self) -> list[NodeGroup]:
        """The group of every node, length n."""
        return [group for group in self.nodes for _ in range(group.count)]

    def component(self, kind: str, table: Mapping[str, Any]) -> Component:
        """The validated component that a table names."""
        return component_of(kind, table)

    def kinds(self) -> tuple[Kind, ...]:
        """Per node, "first" or "zeroth"."""
        targets = [registry.find("estimator", g.estimator["name"]).target for g in self.nodes]
        pairs = zip(self.nodes, targets, strict=True)
        return tuple(target.kind for group, target in pairs for _ in range(group.count))

    def batch_sizes(self) -> tuple[BatchSize, ...]:
        """Per node."""
        return tuple(group.batch_size for group in self.group_of_node())

    def replace(self, **changes: Any) -> Spec:
        """A copy with top-level tables replaced, validated again."""
        return Spec.parse({**self.model_dump(mode="json"), **changes})

    def sized(self, replicas: int) -> Spec:
        """The same run with exactly that many replicas."""
        update = {"replicas": replicas, "max_replicas": None}
        return self.model_copy(update={"run": self.run.model_copy(update=update)})

    @classmethod
    def load(cls, path: Path | str) -> Spec:
        """Read a spec file that holds exactly one run (no grid of several cells).

        Raises:
            SpecError: every mistake in it.
        """
        from hzbench.core.grid import expand, read_toml

        found = expand(read_toml(Path(path)), where=str(path))
        if len(found) != 1:
            raise SpecError([f"got a grid of {len(found)} runs; expected one; use hzbench run"])
        return found[0]

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str = "the spec") -> Spec:
        """Validate one table, components included.

        Raises:
            SpecError: every mistake in it.
        """
        mistakes: list[str] = []
        normal = normalise(dict(table), mistakes)
        try:
            spec = validated(cls, normal)
        except ValidationError as error:
            raise SpecError([*explain(error), *mistakes], where) from None
        if mistakes:
            raise SpecError(mistakes, where)
        return spec
