"""Eight float64 lanes as one value of compiled code.

An operation on lanes is one vector instruction where the machine has one and several narrower ones
elsewhere; either way every lane is rounded on its own and sums run in the order written here. So
code on lanes is fast and strict: neither a compiler flag nor the width of vectors changes a bit.
A line whose length is no multiple of eight ends in lanes that are masked instead of a scalar loop.
`lanes` are 16 problems side by side, of either type, never masked. Import inside functions.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hzbench.core.lane_building import (
    ALIGNMENT,
    LANES,
    MASK,
    VECTOR,
    WIDTH,
    below,
    call,
    constant,
    of_one,
    pointer_to,
    positions,
    spread,
)


@intrinsic
def load(typing_context, array, index, count):
    """Lanes 0 ... count − 1 from array[index] on; 0 in the others, which are not read."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments[:2])
        mask = below(context, builder, arguments[2], signature.args[2])
        zero = constant([0.0] * WIDTH, VECTOR)
        return call(builder, "llvm.masked.load.v8f64.p0", VECTOR, [pointer, ALIGNMENT, mask, zero])

    return LANES(array, index, count), generate


@intrinsic
def store(typing_context, array, index, count, values):
    """Lanes 0 ... count − 1 to array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments[:2])
        mask = below(context, builder, arguments[2], signature.args[2])
        parts = [arguments[3], pointer, ALIGNMENT, mask]
        call(builder, "llvm.masked.store.v8f64.p0", ir.VoidType(), parts)
        return context.get_dummy_value()

    return types.void(array, index, count, values), generate


@intrinsic
def splat(typing_context, value):
    """One number in every lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.float64)
        return spread(builder, number)

    return LANES(value), generate


@intrinsic
def fma(typing_context, a, b, c):
    """Return a b + c of every lane, rounded once."""
    del typing_context

    def generate(context, builder, signature, arguments):
        del context, signature
        return call(builder, "llvm.fma.v8f64", VECTOR, arguments)

    return LANES(a, b, c), generate


@intrinsic
def pack(typing_context, a, b, c, d, e, f, g, h):
    """Eight numbers, one a lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        found = ir.Constant(VECTOR, ir.Undefined)
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
            masks = [positions(range(k, k + half)) for k in (0, half)]
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
            masks = [positions(k + shift for k in lower) for shift in (0, half)]
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
        one, other = (constant([value] * 8, VECTOR) for value in (1.0, -1.0))
        return builder.select(builder.bitcast(octet, MASK), one, other)

    return LANES(bits), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the line of the cache that holds array[index], as far as the second level."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments)
        codes = [ir.IntType(32)(code) for code in (0, 2, 1)]  # to be read, level two, data
        call(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *codes])
        return context.get_dummy_value()

    return types.void(array, index), generate


root = of_one(LANES, lambda b, x: call(b, "llvm.sqrt.v8f64", VECTOR, [x]), "Square roots.")
absolute = of_one(LANES, lambda b, x: call(b, "llvm.fabs.v8f64", VECTOR, [x]), "Without signs.")
