"""Mutants of clocks, and of servers that follow delays: wrong paces, links, factors and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hzbench.core.mutant import Mutant, needs
from hzbench.core.registry import register
from hzbench.core.server import Job, Receive, Server, known
from hzbench.core.spec import Spec
from hzbench.methods.asgd import AsynchronousSGD, Ringmaster

if TYPE_CHECKING:
    from hzbench.core.method import Method


@register("mutant", "links_ignored")
class LinksIgnored(Mutant):
    """Points reach their workers at once.

    Formula: a job takes c_i + upload_i instead of download_i + c_i + upload_i.

    Source: clocks that time estimates and forget the way there.
    """

    def spec(self, spec: Spec) -> Spec:
        """Drop the key, where there is one."""
        clock = dict(spec.clock or {})
        needs(bool(clock.pop("download", 0)), spec, "a clock with a download that takes time")
        return spec.replace(clock=clock)


@register("mutant", "wrong_pace")
class WrongPace(Mutant):
    """The paces of a law are a little off.

    Formula: τ_i = unit i^0.55 instead of unit √i; of two speeds the slow one is 5 % slower.

    Source: an exponent typed by hand.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where the pace is one of the two."""
        clock, n = dict(spec.clock or {}), spec.node_count
        pace = clock.get("pace")
        needs(pace in ("sqrt", "two-speed"), spec, "a clock of pace sqrt or two-speed")
        if pace == "two-speed":
            return spec.replace(clock={**clock, "slow_factor": 1.05 * _slow_factor(spec)})
        unit = clock.pop("unit", 1.0)
        del clock["pace"]
        return spec.replace(clock={**clock, "seconds": [unit * i**0.55 for i in range(1, n + 1)]})


def _slow_factor(spec: Spec) -> float:
    clock: Any = spec.component("clock", spec.clock or {})
    return float(clock.slow_factor)


class _Lagging(AsynchronousSGD):
    def scale(self, delay: int, workers: int) -> float:
        """That of a delay one longer."""
        return super().scale(delay + 1, workers)


@register("mutant", "wrong_adaptive")
class WrongAdaptive(Mutant):
    """Step sizes that follow the delay count the update that is being made.

    Formula: c(δ + 1) instead of c(δ).

    Source: a delay taken after the server's counter has moved.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where step sizes follow delays."""
        method: Any = spec.component("method", spec.method)
        follows = isinstance(method, AsynchronousSGD) and method.adaptive != "none"
        return needs(follows, spec, "method asgd with adaptive ratio or capped")

    def method(self, method: Method) -> Method:
        """The same, one later."""
        return _Lagging(**method.model_dump())


class _Patient(Ringmaster):
    def begin_schedule(self, server: Server) -> Receive:
        inner = Ringmaster.begin_schedule(self.model_copy(update={"stops": False}), server)
        later = self.model_copy(update={"delay_threshold": known(self.delay_threshold) + 1})

        def receive(job: Job) -> None:
            before = server.version
            inner(job)
            if server.version > before:
                later.restart_stale(server)

        return receive


@register("mutant", "stops_one_late")
class StopsOneLate(Mutant):
    """Ringmaster stops jobs only when they are one version older than the threshold.

    Formula: jobs with k − v > R are restarted, instead of k − v >= R; estimates of delay R are
    still discarded.

    Source: the published code and text differ by one in places.
    """

    def spec(self, spec: Spec) -> Spec:
        """Only where jobs are stopped."""
        method: Any = spec.component("method", spec.method)
        stops = isinstance(method, Ringmaster) and method.stops
        return needs(stops, spec, "method ringmaster with stops")

    def method(self, method: Method) -> Method:
        """The same, later."""
        return _Patient(**method.model_dump())
