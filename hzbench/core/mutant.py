"""Mutant: a planted bug, as wrappers around what a run is built from.

A mutant never touches a product code path: it replaces the spec, an estimator, the method or the
plan by a wrong one of the same shape. Theory does not see it, so a check that can fail must.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hzbench.core.errors import SpecError

if TYPE_CHECKING:
    from hzbench.core.estimator import Estimator
    from hzbench.core.method import Method
    from hzbench.core.plan import Plan
    from hzbench.core.server import ServerPlan
    from hzbench.core.spec import Spec


class Mutant:
    """Changes nothing; registered mutants override one hook."""

    def spec(self, spec: Spec) -> Spec:
        """The spec that the product sees."""
        return spec

    def estimator(self, estimator: Estimator) -> Estimator:
        """The estimator that the nodes use."""
        return estimator

    def method(self, method: Method) -> Method:
        """The method that runs."""
        return method

    def plan(self, plan: Plan) -> Plan:
        """The plan that is executed."""
        return plan

    def server_plan(self, plan: ServerPlan) -> ServerPlan:
        """The plan of a server's run that is executed."""
        return plan


def needs(holds: bool, spec: Spec, what: str) -> Spec:
    """The spec, if the mutant means something there.

    Raises:
        SpecError: it would change nothing.
    """
    if not holds:
        raise SpecError(
            [
                f"mutant: got {spec.mutant!r} where it means nothing; expected {what}; plant it in "
                "another run"
            ]
        )
    return spec
