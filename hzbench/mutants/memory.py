"""Mutants of what a method remembers or drops: trackers, delays, coins, masks, public copies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from hzbench.core.method import Local, Method, Verb
from hzbench.core.mutant import Mutant, needs
from hzbench.core.plan import Plan
from hzbench.core.registry import register
from hzbench.core.spec import Spec
from hzbench.mutants.steps import Wrapped, wrap

if TYPE_CHECKING:
    from torch import Tensor


def _rule(spec: Spec, rule: str) -> bool:
    method: Any = spec.component("method", spec.method)
    return bool(method.update_facts().rule == rule)


class _Uncorrected(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        forgotten = {**local, "gradient": local["tracker"]}
        advanced: Local = self.inner.advance(forgotten, gradient, mix, step_size)
        return advanced


@register("mutant", "uncorrected_tracker")
class UncorrectedTracker(Mutant):
    """The tracker forgets what it tracked: it is the averaged estimate of this round alone.

    Formula: Y+ = W G instead of W (Y + G − G_before).

    Source: gradient averaging taken for gradient tracking; plain where nodes are heterogeneous.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse methods without a tracker, and the order in which Y stays."""
        method: Any = spec.component("method", spec.method)
        fits = _rule(spec, "tracking") and method.order == "adapt-combine"
        return needs(fits, spec, "method gradient_tracking, adapt-combine")

    def method(self, method: Method) -> Method:
        """Subtract the tracker from itself."""
        return wrap(_Uncorrected, method)


@register("mutant", "delay_one_less")
class DelayOneLess(Mutant):
    """Gradients are one round younger than declared.

    Formula: τ → τ − 1.

    Source: an off-by-one.
    """

    def spec(self, spec: Spec) -> Spec:
        """Shorten the delay."""
        method: Any = spec.component("method", spec.method)
        delay = method.update_facts().delay
        needs(delay > 0, spec, "method delayed_sgd with a delay")
        return spec.replace(method={**spec.method, "delay": delay - 1})


@register("mutant", "ignored_coin")
class IgnoredCoin(Mutant):
    """Every round exchanges, whatever the coin says.

    Formula: p → 1 in the exchange, not in the formulas that use p.

    Source: a key of the spec that has no effect.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse where every round exchanges anyway."""
        method: Any = spec.component("method", spec.method)
        fits = spec.network.exchange_probability < 1 or getattr(method, "probability", 1) < 1
        return needs(fits, spec, "an exchange probability below 1")

    def plan(self, plan: Plan) -> Plan:
        """Drop the coins."""
        return replace(plan, exchanges=None)


class _Without(Wrapped):
    array: str

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        empty = {**local, self.array: torch.zeros_like(local[self.array])}
        advanced: Local = self.inner.advance(empty, gradient, mix, step_size)
        return advanced


class _Unvaried(_Without):
    array: str = "control"


@register("mutant", "no_control_variate")
class NoControlVariate(Mutant):
    """Local steps are not corrected by control variates.

    Formula: C → 0: local SGD, which drifts where nodes are heterogeneous.

    Source: mutation study.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other methods."""
        return needs(_rule(spec, "control-variate"), spec, "method scaffnew")

    def method(self, method: Method) -> Method:
        """Set them to 0."""
        return wrap(_Unvaried, method)


class _Unscaled(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        share = self.mask_size / local["x"].shape[1]
        advanced: Local = self.inner.advance(local, gradient, mix, share * step_size)
        return advanced


@register("mutant", "unscaled_mask")
class UnscaledMask(Mutant):
    """What a mask keeps is not scaled by d/k.

    Formula: Q = M∘(η D) instead of (d/k) M∘(η D): E Q is k/d of the step.

    Source: a biased compressor taken for an unbiased one.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse methods whose masks need no scale."""
        method: Any = spec.component("method", spec.method)
        facts = method.update_facts()
        return needs(facts.rule == "sparsified" and not facts.memory, spec, "rand_k_sgd, no memory")

    def method(self, method: Method) -> Method:
        """Shorten what is applied."""
        return wrap(_Unscaled, method)


class _Forgetful(_Without):
    array: str = "error"


@register("mutant", "forgotten_error")
class ForgottenError(Mutant):
    """What a mask drops is lost, though the method has a memory.

    Formula: E → 0.

    Source: mutation study of error feedback.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse methods without a memory."""
        method: Any = spec.component("method", spec.method)
        return needs(method.update_facts().memory, spec, "method rand_k_sgd with memory = true")

    def method(self, method: Method) -> Method:
        """Empty the memory."""
        return wrap(_Forgetful, method)


class _Unpublished(_Without):
    array: str = "public"


@register("mutant", "no_public_copies")
class NoPublicCopies(Mutant):
    """Nodes exchange masked iterates, not masked changes of public copies.

    Formula: P+ = M∘H instead of P + M∘(H − P).

    Source: compression coded without error feedback; Koloskova et al. 2019 show that it fails.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other methods."""
        return needs(_rule(spec, "compressed-exchange"), spec, "method choco_sgd")

    def method(self, method: Method) -> Method:
        """Forget the copies."""
        return wrap(_Unpublished, method)


class _NoDual(_Without):
    array: str = "dual"


class _NoCorrection(_Without):
    array: str = "correction"


@register("mutant", "no_correction")
class NoCorrection(Mutant):
    """EXTRA or exact diffusion without the memory that corrects them.

    Formula: S → 0 or C → 0: decentralized SGD, biased where nodes are heterogeneous (C9).

    Source: mutation study.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other methods."""
        fits = _rule(spec, "extra") or _rule(spec, "exact-diffusion")
        return needs(fits, spec, "method extra or exact_diffusion")

    def method(self, method: Method) -> Method:
        """Empty the memory."""
        return wrap(_NoDual if "dual" in method.arrays() else _NoCorrection, method)


class _NoShift(_Without):
    array: str = "shift"


@register("mutant", "forgotten_exchange")
class ForgottenExchange(Mutant):
    """Second-order gossip that does not remember its last exchange.

    Formula: S → 0: X+ = (γ W + (1 − γ) I) Y, over-relaxed gossip.

    Source: mutation study.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other methods."""
        return needs(_rule(spec, "second-order"), spec, "method second_order")

    def method(self, method: Method) -> Method:
        """Empty the memory."""
        return wrap(_NoShift, method)


class _Undivided(Wrapped):
    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        direction, kept = self.direction(local, gradient(local["x"]))
        moved = mix(local["x"] - step_size * direction)
        return {"x": moved, "weight": local["weight"], **kept}


@register("mutant", "undivided_push")
class UndividedPush(Mutant):
    """Push-sum without its weights: nodes use what they receive as it is.

    Formula: w → 1: X+ = W (X − D G), whose nodes hold unequal shares on an irregular digraph.

    Source: Assran et al. 2019 name this bias.
    """

    def spec(self, spec: Spec) -> Spec:
        """Refuse other methods."""
        return needs(_rule(spec, "push-sum"), spec, "method push_sum")

    def method(self, method: Method) -> Method:
        """Divide by nothing."""
        return wrap(_Undivided, method)


@register("mutant", "local_step_fewer")
class LocalStepFewer(Mutant):
    """Nodes exchange one local step earlier than declared.

    Formula: K → K − 1.

    Source: an off-by-one.
    """

    def spec(self, spec: Spec) -> Spec:
        """Shorten the pause."""
        method: Any = spec.component("method", spec.method)
        steps = getattr(method, "local_steps", 1)
        needs(steps > 1, spec, "method local_sgd with local_steps > 1")
        return spec.replace(method={**spec.method, "local_steps": steps - 1})
