"""Eight float64 lanes as one value of compiled code.

An operation on lanes is one vector instruction where the machine has one and several narrower ones
elsewhere; either way every lane is rounded on its own and sums run in the order written here. So
code on lanes is fast and strict: neither a compiler flag nor the width of vectors changes a bit.
A line whose length is no multiple of eight ends in lanes that are masked instead of a scalar loop.
`lanes` are 16 problems side by side, of either type, never masked. Import inside functions.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

WIDTH = 8

_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, WIDTH)
_MASK = ir.VectorType(ir.IntType(1), WIDTH)
_INTEGERS = ir.VectorType(ir.IntType(64), WIDTH)
_ALIGNMENT = ir.IntType(32)(8)


class _Lanes(types.Type):
    """Eight float64."""


class _Words(types.Type):
    """Eight uint64."""


LANES, WORDS = _Lanes(name="Lanes"), _Words(name="Words")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


@register_model(_Words)
class _WordsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _INTEGERS)


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


def _constant(values: Any, kind: Any = _INTEGERS) -> Any:
    return ir.Constant(kind, list(values))


def _numbers(values: Any) -> Any:
    """Which lanes a shuffle takes."""
    found = list(values)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(found)), found)


def _join(builder: Any, a: Any, b: Any) -> Any:
    """The lanes of a, then those of b."""
    return builder.shuffle_vector(a, b, _numbers(range(2 * WIDTH)))


def _call(builder: Any, name: str, result: Any, arguments: Any) -> Any:
    """A call of one of LLVM's own functions."""
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _splat(builder: Any, value: Any, kind: Any = _VECTOR) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def _below(context: Any, builder: Any, count: Any, kind: Any) -> Any:
    """Mask of the lanes below `count`; a constant where it is one."""
    number = context.cast(builder, count, kind, types.int64)
    return builder.icmp_signed("<", _constant(range(WIDTH)), _splat(builder, number, _INTEGERS))


def _pointer(
    context: Any, builder: Any, signature: Any, array: Any, index: Any, *, lanes: Any = _VECTOR
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


@intrinsic
def load(typing_context, array, index, count):
    """Lanes 0 ... count − 1 from array[index] on; 0 in the others, which are not read."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments[:2])
        mask = _below(context, builder, arguments[2], signature.args[2])
        zero = _constant([0.0] * WIDTH, _VECTOR)
        return _call(
            builder, "llvm.masked.load.v8f64.p0", _VECTOR, [pointer, _ALIGNMENT, mask, zero]
        )

    return LANES(array, index, count), generate


@intrinsic
def store(typing_context, array, index, count, values):
    """Lanes 0 ... count − 1 to array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments[:2])
        mask = _below(context, builder, arguments[2], signature.args[2])
        parts = [arguments[3], pointer, _ALIGNMENT, mask]
        _call(builder, "llvm.masked.store.v8f64.p0", ir.VoidType(), parts)
        return context.get_dummy_value()

    return types.void(array, index, count, values), generate


@intrinsic
def splat(typing_context, value):
    """One number in every lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.float64)
        return _splat(builder, number)

    return LANES(value), generate


@intrinsic
def fma(typing_context, a, b, c):
    """Return a b + c of every lane, rounded once."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        return _call(builder, "llvm.fma.v8f64", _VECTOR, arguments)

    return LANES(a, b, c), generate


@intrinsic
def pack(typing_context, a, b, c, d, e, f, g, h):
    """Eight numbers, one a lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        found = ir.Constant(_VECTOR, ir.Undefined)
        for k, (each, given) in enumerate(zip(arguments, signature.args, strict=True)):
            number = context.cast(builder, each, given, types.float64)
            found = builder.insert_element(found, number, ir.IntType(32)(k))
        return found

    return LANES(a, b, c, d, e, f, g, h), generate


@intrinsic
def lane(typing_context, values, index):
    """One of the eight numbers."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[1], signature.args[1], types.int32)
        return builder.extract_element(arguments[0], number)

    return types.float64(values, index), generate


@intrinsic
def where_less(typing_context, a, b, x, y):
    """Return x in lanes where a < b, y in the others and where a or b is nan."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        return builder.select(builder.fcmp_ordered("<", *arguments[:2]), *arguments[2:])

    return LANES(a, b, x, y), generate


@intrinsic
def any_less(typing_context, a, b):
    """Whether a < b in some lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        octet = builder.bitcast(builder.fcmp_ordered("<", *arguments), ir.IntType(8))
        return builder.icmp_unsigned("!=", octet, ir.IntType(8)(0))

    return types.boolean(a, b), generate


@intrinsic
def total(typing_context, values):
    """((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        (found,) = arguments
        for half in (4, 2, 1):
            masks = [_numbers(range(k, k + half)) for k in (0, half)]
            found = builder.fadd(*(builder.shuffle_vector(found, found, mask) for mask in masks))
        return builder.extract_element(found, ir.IntType(32)(0))

    return types.float64(values), generate


@intrinsic
def totals(typing_context, a, b, c, d, e, f, g, h):
    """`total` of each of eight, one a lane, with the same additions."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        found = [arguments[k] for k in (0, 4, 2, 6, 1, 5, 3, 7)]
        for half in (4, 2, 1):  # two become one, whose sums stand side by side
            lower = [k for k in range(2 * WIDTH) if k % (2 * half) < half]
            masks = [_numbers(k + shift for k in lower) for shift in (0, half)]
            pairs = zip(found[:half], found[half:], strict=True)
            found = [builder.fadd(*(builder.shuffle_vector(*p, m) for m in masks)) for p in pairs]
        return found[0]

    return LANES(a, b, c, d, e, f, g, h), generate


@intrinsic
def signs(typing_context, bits):
    """+1 where one of the eight lowest bits is set, −1 elsewhere."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        octet = builder.trunc(arguments[0], ir.IntType(8))
        one, other = (_constant([value] * 8, _VECTOR) for value in (1.0, -1.0))
        return builder.select(builder.bitcast(octet, _MASK), one, other)

    return LANES(bits), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the line of the cache that holds array[index]."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments)
        codes = [ir.IntType(32)(code) for code in (0, 3, 1)]  # to be read, to keep, data
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *codes])
        return context.get_dummy_value()

    return types.void(array, index), generate


@intrinsic
def same_word(typing_context, word):
    """One integer in every lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.uint64)
        return _splat(builder, number, _INTEGERS)

    return WORDS(word), generate


@intrinsic
def next_words(typing_context, first):
    """first, first + 1, ..., first + 7."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.uint64)
        return builder.add(_splat(builder, number, _INTEGERS), _constant(range(WIDTH)))

    return WORDS(first), generate


@intrinsic
def load_words(typing_context, array, index):
    """Eight integers of 64 bits from array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments, lanes=_INTEGERS)
        return builder.load(pointer, align=8)

    return WORDS(array, index), generate


@intrinsic
def store_words(typing_context, array, index, words):
    """Eight integers to array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments[:2], lanes=_INTEGERS)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, index, words), generate


@intrinsic
def store_interleaved(typing_context, array, index, w0, w1, w2, w3):
    """The lanes 0 of four, then their lanes 1, and so on: 32 integers from array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments[:2], lanes=_INTEGERS)
        lower, upper = (_join(builder, *arguments[k : k + 2]) for k in (2, 4))
        order = [8 * (k % 4) + k // 4 for k in range(4 * WIDTH)]
        mixed = builder.shuffle_vector(lower, upper, _numbers(order))
        builder.store(mixed, builder.bitcast(pointer, mixed.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, index, w0, w1, w2, w3), generate


def _of_one(result: Any, emit: Any, title: str) -> Any:
    """A function of eight lanes, of one instruction."""

    def typed(typing_context, values):
        del typing_context

        def generate(context, builder, signature, arguments):
            del context, signature
            return emit(builder, arguments[0])

        return result(values), generate

    typed.__doc__ = title
    return intrinsic(typed)


bits_of = _of_one(WORDS, lambda b, x: b.bitcast(x, _INTEGERS), "The bits of eight numbers.")
from_bits = _of_one(LANES, lambda b, x: b.bitcast(x, _VECTOR), "The numbers with these bits.")
to_lanes = _of_one(LANES, lambda b, x: b.sitofp(x, _VECTOR), "Eight signed integers as numbers.")
root = _of_one(LANES, lambda b, x: _call(b, "llvm.sqrt.v8f64", _VECTOR, [x]), "Square roots.")
absolute = _of_one(LANES, lambda b, x: _call(b, "llvm.fabs.v8f64", _VECTOR, [x]), "Without signs.")


@intrinsic
def store_negative(typing_context, array, index, words, values):
    """The words of negative values, next to each other, to array[index] on; returns how many."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, *arguments[:2], lanes=_INTEGERS)
        mask = builder.fcmp_ordered("<", arguments[3], _constant([0.0] * WIDTH, _VECTOR))
        parts = [arguments[2], mask, arguments[2]]
        found = _call(builder, "llvm.experimental.vector.compress.v8i64", _INTEGERS, parts)
        builder.store(found, pointer, align=8)
        octet = builder.bitcast(mask, ir.IntType(8))
        return builder.zext(builder.ctpop(octet), ir.IntType(64))

    return types.int64(array, index, words, values), generate
