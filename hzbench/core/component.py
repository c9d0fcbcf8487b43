"""Component: a frozen, validated record of a component's parameters, as a spec words them."""

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """Base of everything registered with parameters; its fields are the keys of the spec.

    The first paragraph of the docstring, its `Formula:` and `Source:` lines and the field
    descriptions are what `hzbench show NAME` prints.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, arbitrary_types_allowed=True
    )
