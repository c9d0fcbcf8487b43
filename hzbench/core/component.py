"""Component: a frozen, validated record of a component's parameters, as a spec words them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """Base of everything registered with parameters; its fields are the keys of the spec.

    The first paragraph of the docstring, its `Formula:` and `Source:` lines and the field
    descriptions are what `hzbench show NAME` prints.

    Attributes:
        examples: parameters with which the conformance suite builds the component, one table each;
            needed where a parameter has no default.
        example_nodes: number of nodes n of these examples.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    example_nodes: ClassVar[int] = 8

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, arbitrary_types_allowed=True
    )

    def parts(self) -> tuple["Component", ...]:
        """The components that its parameters name: their source decides results as its own does."""
        return ()

    def fingerprint(self) -> str:
        """What decides results besides the parameters and the suite's own source ("": nothing)."""
        return ""
