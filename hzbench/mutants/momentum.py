"""Mutants of the momentum buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hzbench.core.method import Local, Method, Verb
from hzbench.core.mutant import Mutant, needs
from hzbench.core.registry import register
from hzbench.core.spec import Spec
from hzbench.mutants.steps import Wrapped, wrap

if TYPE_CHECKING:
    from torch import Tensor


def _with_momentum(spec: Spec) -> Spec:
    method: Any = spec.component("method", spec.method)
    return needs(method.momentum > 0, spec, "a method with momentum")


class _Undamped(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        def larger(x: Tensor) -> Tensor:
            return gradient(x) / (1 - self.momentum)

        advanced: Local = self.inner.advance(local, larger, mix, step_size)
        return advanced


@register("mutant", "undamped_momentum")
class UndampedMomentum(Mutant):
    """The gradient enters the momentum buffer whole.

    Formula: v+ = m v + G instead of m v + (1 − m) G: steps are 1/(1 − m) times as long.

    Source: the convention of another library.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse runs without momentum."""
        return _with_momentum(spec)

    def method(self, method: Method) -> Method:
        """Undo the damping."""
        return wrap(_Undamped, method)


class _Averaged(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        advanced: Local = self.inner.advance(local, gradient, mix, step_size)
        return {**advanced, "momentum": mix(advanced["momentum"])}


@register("mutant", "averaged_momentum")
class AveragedMomentum(Mutant):
    """Momentum buffers are averaged like the iterates.

    Formula: v_i+ → mix(v_i+) instead of staying with its node.

    Source: states of an optimizer sent along with the parameters.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse runs without momentum."""
        return _with_momentum(spec)

    def method(self, method: Method) -> Method:
        """Send the buffer along."""
        return wrap(_Averaged, method)
