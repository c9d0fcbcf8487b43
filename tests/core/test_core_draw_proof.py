"""The proof on first use, of kernels that are the host's draws in all but one respect."""

import numpy as np
import pytest
import torch

from hzbench.core import streams
from hzbench.core.device_draws import Draw, mistake
from hzbench.core.streams import Rows

HOST = torch.device("cpu")
COUNTER = dict.fromkeys(Draw, 4) | {Draw.SIGNS: 128}
"""Values that a counter gives."""
TILE = dict.fromkeys(Draw, 512) | {Draw.SIGNS: 2048}
"""Values that a tile has at most."""


def right(what, rows, purpose, count, offset, high):
    """A kernel that is right."""
    if what == Draw.SIGNS:
        return streams.signs(rows, purpose, count)
    if what == Draw.INTEGERS:
        return streams.integers(rows, purpose, high, count, offset)
    of = {Draw.WORDS: streams.words, Draw.NORMALS: streams.normals}[what]
    return of(rows, purpose, count, offset)


def reading(**changed):
    """A kernel that reads a part of its rows otherwise."""

    def draw(what, rows, *rest):
        parts = {name: change(vars(rows)[name]) for name, change in changed.items()}
        return right(what, Rows(**{**vars(rows), **parts}), *rest)

    return draw


def the_last(*_):
    return -1, -1


def writing(change, at=the_last):
    """A kernel that changes the values that it writes to some places, if any."""

    def draw(what, rows, purpose, count, *rest):
        values = right(what, rows, purpose, count, *rest).clone()
        if (places := at(what, count)) is not None:
            values[places] = change(values[places])
        return values

    return draw


def one_more(values):
    return values + 1


def of_the_first_row(part):
    return part[:1].expand_as(part)


def units(number):
    """What is so many units in the last place away."""
    return lambda value: value + number * np.spacing(abs(value.item()))


def one_counter_a_row(what, count):
    return ... if count <= COUNTER[what] else None


def counters_of_rows_side_by_side(what, count):
    return ... if COUNTER[what] < count <= TILE[what] / 2 else None


def beyond_a_tile(what, count):
    return slice(None), slice(TILE[what], None)


WRONG = {
    "steps of 31 bits": reading(step=lambda step: step % 2**31),
    "steps that saturate": reading(step=lambda step: step.clamp(max=2**31 - 1)),
    "one step": reading(step=of_the_first_row),
    "one node": reading(node=of_the_first_row),
    "one key": reading(keys=of_the_first_row),
    "one counter a row": writing(one_more, one_counter_a_row),
    "counters of rows side by side": writing(one_more, counters_of_rows_side_by_side),
    "beyond a tile": writing(one_more, beyond_a_tile),
    "one value": writing(one_more),
}


def said(what, wrong):
    """What the proof says of a kernel that is wrong in one kind of draw."""

    def draw(kind, *rest):
        return (wrong if kind == what else right)(kind, *rest)

    return mistake(draw, HOST)


@pytest.mark.parametrize("what", Draw)
@pytest.mark.parametrize("name", WRONG)
def test_a_kernel_that_is_wrong_in_one_case_is_refused(name, what):
    assert said(what, WRONG[name]) == f"wrong {what.name.lower()}"


def test_normals_may_be_rounded_otherwise():
    assert said(Draw.NORMALS, writing(units(8))) == ""


@pytest.mark.parametrize(
    ("what", "number"), [(Draw.NORMALS, -10), (Draw.NORMALS, np.nan), (Draw.SIGNS, 1)]
)
def test_nothing_else_may(what, number):
    assert said(what, writing(units(number))) == f"wrong {what.name.lower()}"
