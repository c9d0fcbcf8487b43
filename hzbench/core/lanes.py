"""Vectors of 16 lanes for compiled code: each operation is one on all lanes, whatever a compiler.

A kernel written with them computes 16 independent problems side by side. Nothing is reassociated,
so the width of the machine's registers cannot change a bit. They are of either floating-point type
and always full; `masked_lanes` are eight float64 along one line, which may end within them. One
type for both would need a width and a mask everywhere. Import inside functions.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
_BITS = ir.VectorType(ir.IntType(16), LANES)
_SHIFT = {"float32": (32, 23), "float64": (64, 52)}


class Lanes(types.Type):
    """16 numbers of one floating-point type."""

    def __init__(self, element):
        self.element = element
        super().__init__(name=f"lanes({element})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _vector(kind.element))


def _vector(element):
    return ir.VectorType(ir.FloatType() if element == types.float32 else ir.DoubleType(), LANES)


def _pointer(context, builder, kind, vector, array, index):
    """Where 16 entries of a flat array begin."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _spread(builder, value, vector):
    """One value in all lanes."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    zero = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zero)


@intrinsic
def load(typing, array, index):
    """Entries index ... index + 15 of a flat array."""
    del typing, index
    kind, vector = Lanes(array.dtype), _vector(array.dtype)

    def generate(context, builder, signature, values):
        at = _pointer(context, builder, signature.args[0], vector, *values)
        return builder.load(at, align=array.dtype.bitwidth // 8)

    return kind(array, types.intp), generate


@intrinsic
def store(typing, array, index, lanes):
    """Write entries index ... index + 15 of a flat array."""
    del typing, index
    vector = _vector(array.dtype)

    def generate(context, builder, signature, values):
        at = _pointer(context, builder, signature.args[0], vector, *values[:2])
        builder.store(values[2], at, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def spread(typing, value):
    """The same number in all lanes."""
    del typing
    kind = Lanes(value)

    def generate(context, builder, signature, values):
        del context, signature
        return _spread(builder, values[0], _vector(value))

    return kind(value), generate


def _operator(symbol, instruction):
    """An operation lane by lane."""

    @infer_global(symbol)
    class _Typed(AbstractTemplate):
        def generic(self, arguments, _):
            alike = len(set(arguments)) == 1 and isinstance(arguments[0], Lanes)
            return signature(arguments[0], *arguments) if alike else None

    @lower_builtin(symbol, Lanes, Lanes)
    def _lowered(context, builder, signature, values):
        del context, signature
        return getattr(builder, instruction)(*values)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


def _declared(name, arguments):
    """A function of LLVM on vectors."""

    def generate(context, builder, signature, values):
        del context
        element = signature.return_type.element
        vector = _vector(element)
        kind = ir.FunctionType(vector, [vector] * arguments)
        title = f"llvm.{name}.v{LANES}f{element.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, title), values)

    return generate


@intrinsic
def fma(typing, a, b, c):
    """Return a b + c, rounded once."""
    del typing
    return a(a, b, c), _declared("fma", 3)


@intrinsic
def root(typing, a):
    """Square roots."""
    del typing
    return a(a), _declared("sqrt", 1)


@intrinsic
def larger(typing, a, b):
    """The larger of two; b where either is nan."""
    del typing

    def generate(context, builder, signature, values):
        del context, signature
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return a(a, b), generate


@intrinsic
def where_positive(typing, test, a):
    """Return a where the test is above 0 or nan, else 0."""
    del typing

    def generate(context, builder, signature, values):
        del context, signature
        zero = ir.Constant(_vector(a.element), None)
        return builder.select(builder.fcmp_ordered("<=", values[0], zero), zero, values[1])

    return a(test, a), generate


@intrinsic
def where_bit(typing, octets, index, bit, a):
    """Return a in lanes whose 16-bit word, from words[index] on, has the bit set, else 0."""
    del typing, index, bit

    def generate(context, builder, signature, values):
        at = _pointer(context, builder, signature.args[0], _BITS, *values[:2])
        words, short = builder.load(at, align=2), ir.IntType(16)
        one = builder.shl(short(1), builder.trunc(values[2], short))
        hit = builder.and_(words, _spread(builder, one, _BITS))
        zero = ir.Constant(_vector(a.element), None)
        none = ir.Constant(_BITS, None)
        return builder.select(builder.icmp_unsigned("!=", hit, none), values[3], zero)

    return a(octets, types.intp, types.intp, a), generate


@intrinsic
def times_power(typing, a, shifted):
    """Return a 2^n, n the integer in the low mantissa bits of `shifted` (see `exp`)."""
    del typing
    width, mantissa = _SHIFT[str(a.element)]

    def generate(context, builder, signature, values):
        del context, signature
        whole = ir.VectorType(ir.IntType(width), LANES)
        shift = ir.Constant(whole, [mantissa] * LANES)
        power = builder.shl(builder.bitcast(values[1], whole), shift)
        moved = builder.add(builder.bitcast(values[0], whole), power)
        return builder.bitcast(moved, _vector(a.element))

    return a(a, shifted), generate


@intrinsic
def total(typing, a):
    """The sum of all lanes, by halves."""
    del typing

    def generate(context, builder, signature, values):
        del context, signature
        found, width = values[0], LANES
        while width > 1:
            width //= 2
            low, high = (
                ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(s, s + width)))
                for s in (0, width)
            )
            found = builder.fadd(
                builder.shuffle_vector(found, found, low),
                builder.shuffle_vector(found, found, high),
            )
        return builder.extract_element(found, ir.IntType(32)(0))

    return a.element(a), generate


@intrinsic
def below(typing, a, b, c, d, chance):
    """Bit 4 i + k: whether the k-th 16 bits of the i-th of four uint64 are below `chance` < 2¹⁶."""
    del typing

    def generate(context, builder, signature, values):
        del context, signature
        four = ir.Constant(ir.VectorType(ir.IntType(64), 4), ir.Undefined)
        for place, value in enumerate(values[:4]):
            four = builder.insert_element(four, value, ir.IntType(32)(place))
        limit = _spread(builder, builder.trunc(values[4], ir.IntType(16)), _BITS)
        hit = builder.icmp_unsigned("<", builder.bitcast(four, _BITS), limit)
        return builder.zext(builder.bitcast(hit, ir.IntType(16)), ir.IntType(64))

    return types.uint64(a, b, c, d, chance), generate


@intrinsic
def product(typing, a, b):
    """The upper and the lower 64 bits of the product of two uint64."""
    del typing
    pair = types.UniTuple(types.uint64, 2)

    def generate(context, builder, signature, values):
        del signature
        double, single = ir.IntType(128), ir.IntType(64)
        found = builder.mul(*(builder.zext(value, double) for value in values))
        parts = (builder.lshr(found, double(64)), found)
        return context.make_tuple(builder, pair, [builder.trunc(each, single) for each in parts])

    return pair(a, b), generate
