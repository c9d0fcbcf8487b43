"""What keeps a network from its data or from this machine."""

from __future__ import annotations

from hzbench.core.machine import memory
from hzbench.core.problem import Placement
from hzbench.problems.arrays import when
from hzbench.problems.examples import Examples


def width_mistakes(key: str, widths: tuple[int, ...], otherwise: str = "") -> list[str]:
    """Widths below 1, or none where one is needed."""
    if not widths:
        return [f"got {key} = []; expected at least one width; add one ({otherwise})"]
    return when(
        min(widths) < 1,
        f"got {key} = {list(widths)}; expected widths of 1 or more; raise {min(widths)}",
    )


def number_mistakes(label: str, examples: Examples) -> list[str]:
    """Tokens where numbers are read."""
    return when(
        bool(examples.vocabulary),
        f"got data of tokens; expected numbers, which problem {label} reads; take problem "
        "transformer, or data digits",
    )


def image_mistakes(label: str, examples: Examples) -> list[str]:
    """Anything but images."""
    shape = "×".join(map(str, examples.shape))
    return number_mistakes(label, examples) or when(
        len(examples.shape) != 3,
        f"got data of shape {shape}; expected images, channels × height × width; take problem mlp, "
        "or data digits",
    )


def size_mistakes(dimension: int, placement: Placement) -> list[str]:
    """A start of all nodes that does not fit into memory."""
    needed = 8 * dimension * placement.nodes
    return when(
        needed > memory(),
        f"got d = {dimension} parameters at {placement.nodes} nodes, which take "
        f"{needed / 2**30:.3g} GiB; expected less than the {memory() / 2**30:.3g} GiB of this "
        "machine; take narrower layers or fewer nodes",
    )
