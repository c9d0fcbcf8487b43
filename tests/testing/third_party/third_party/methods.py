"""Methods; each but the first does something else than it declares."""

from typing import ClassVar

from hzbench.core.method import Method
from hzbench.core.registry import register
from hzbench.methods.dsgd import DecentralizedSGD
from hzbench.methods.push_sum import PushSum


class Pairs(Method):
    """A method of partners.

    Formula: x+ = mix(x − η G).

    Source: a test.
    """

    protocols: ClassVar = ("pair", "matching")

    def advance(self, local, gradient, mix, step_size):
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": mix(local["x"] - step_size * direction), **kept}


@register("method", "third_right")
class Right(Pairs):
    """Adapts, then combines, as it declares."""


@register("method", "third_uphill")
class Uphill(Pairs):
    """Goes up the gradient."""

    def advance(self, local, gradient, mix, step_size):
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": mix(local["x"] + step_size * direction), **kept}


@register("method", "third_shrinks")
class Shrinks(Pairs):
    """Shrinks the average and doubles the step; a quadratic with its optimum at 0 hides it."""

    protocols: ClassVar = ("pair",)

    def advance(self, local, gradient, mix, step_size):
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": 0.3 * mix(local["x"]) - 2 * step_size * direction, **kept}


@register("method", "third_silent")
class Silent(Pairs):
    """Never averages."""

    protocols: ClassVar = ("matrix", "pair")

    def advance(self, local, gradient, mix, step_size):
        del mix
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": local["x"] - step_size * direction, **kept}


@register("method", "third_late")
class Late(Pairs):
    """Combines before it adapts, and declares the opposite."""

    def advance(self, local, gradient, mix, step_size):
        mixed = mix(local["x"])
        direction, kept = self.direction(local, gradient(mixed))
        return {"x": mixed - step_size * direction, **kept}


@register("method", "third_memoryless")
class Memoryless(Pairs):
    """Takes the key `momentum` and ignores it."""

    def advance(self, local, gradient, mix, step_size):
        kept = {name: local[name] for name in self.arrays()}
        return {"x": mix(local["x"] - step_size * gradient(local["x"])), **kept}


@register("method", "third_hasty")
class Hasty(Pairs):
    """Steps 2 % too far."""

    def advance(self, local, gradient, mix, step_size):
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": mix(local["x"] - 1.02 * step_size * direction), **kept}


@register("method", "third_restless")
class Restless(Pairs):
    """Declares that it does not move, and moves."""

    moves: ClassVar = False


@register("method", "third_undivided")
class Undivided(PushSum):
    """Push-sum that never divides by its weights; where rows of W sum to 1 they stay 1."""

    def advance(self, local, gradient, mix, step_size):
        direction, kept = self.direction(local, gradient(local["x"]))
        moved = mix(local["x"] - step_size * direction)
        return {"x": moved, "weight": mix(local["weight"]), **kept}


@register("method", "third_choosy")
class Choosy(DecentralizedSGD):
    """Declares its default order whatever it is asked for, and follows the other two too."""

    @property
    def update_order(self):
        return "adapt-combine"
