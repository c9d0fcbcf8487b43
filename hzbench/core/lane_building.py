"""What functions of eight lanes are made of: their types, and pieces of LLVM code.

`masked_lanes` has the functions of numbers, `lane_words` of integers. Import inside functions.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

WIDTH = 8

DOUBLE = ir.DoubleType()
VECTOR = ir.VectorType(DOUBLE, WIDTH)
MASK = ir.VectorType(ir.IntType(1), WIDTH)
INTEGERS = ir.VectorType(ir.IntType(64), WIDTH)
ALIGNMENT = ir.IntType(32)(8)


class _Lanes(types.Type):
    """Eight float64."""


class _Words(types.Type):
    """Eight uint64."""


LANES, WORDS = _Lanes(name="Lanes"), _Words(name="Words")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


@register_model(_Words)
class _WordsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, INTEGERS)


def _operator(kind: Any, function: Any, method: str) -> None:
    """Let lanes be combined by an operator."""

    @type_callable(function)
    def typed(context: Any) -> Any:
        del context
        return lambda a, b: kind if a == kind and b == kind else None

    @lower_builtin(function, kind, kind)
    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return getattr(builder, method)(*arguments)


for _name, _float, _integer in (
    ("add", "fadd", "add"),
    ("sub", "fsub", "sub"),
    ("mul", "fmul", "mul"),
    ("truediv", "fdiv", ""),
    ("xor", "", "xor"),
    ("and_", "", "and_"),
    ("or_", "", "or_"),
    ("lshift", "", "shl"),
    ("rshift", "", "lshr"),
):
    for _kind, _method in ((LANES, _float), (WORDS, _integer)):
        if _method:
            _operator(_kind, getattr(operator, _name), _method)


def constant(values: Any, kind: Any = INTEGERS) -> Any:
    """Lanes that are known when code is compiled."""
    return ir.Constant(kind, list(values))


def positions(values: Any) -> Any:
    """Which lanes a shuffle takes."""
    found = list(values)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(found)), found)


def join(builder: Any, a: Any, b: Any) -> Any:
    """The lanes of a, then those of b."""
    return builder.shuffle_vector(a, b, positions(range(2 * WIDTH)))


def call(builder: Any, name: str, result: Any, arguments: Any) -> Any:
    """A call of one of LLVM's own functions."""
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def spread(builder: Any, value: Any, kind: Any = VECTOR) -> Any:
    """One value in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def below(context: Any, builder: Any, count: Any, kind: Any) -> Any:
    """Mask of the lanes below `count`; a constant where it is one."""
    number = context.cast(builder, count, kind, types.int64)
    return builder.icmp_signed("<", constant(range(WIDTH)), spread(builder, number, INTEGERS))


def pointer_to(
    context: Any, builder: Any, signature: Any, array: Any, index: Any, *, lanes: Any = VECTOR
) -> Any:
    """Where the lanes of an element start."""
    kind, indices = signature.args[0], cgutils.unpack_tuple(builder, index)
    places = [
        context.cast(builder, each, given, types.intp)
        for each, given in zip(indices, signature.args[1], strict=True)
    ]
    parts = context.make_array(kind)(context, builder, array)
    found = cgutils.get_item_pointer(context, builder, kind, parts, places, wraparound=False)
    return builder.bitcast(found, lanes.as_pointer())


def of_one(result: Any, emit: Any, title: str) -> Any:
    """A function of eight lanes, of one instruction."""

    def typed(typing_context, values):
        del typing_context

        def generate(context, builder, signature, arguments):
            del context, signature
            return emit(builder, arguments[0])

        return result(values), generate

    typed.__doc__ = title
    return intrinsic(typed)
