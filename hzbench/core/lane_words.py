"""Eight integers of 64 bits as one value of compiled code, see `masked_lanes`."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hzbench.core.lane_building import (
    INTEGERS,
    LANES,
    VECTOR,
    WIDTH,
    WORDS,
    call,
    constant,
    join,
    of_one,
    pointer_to,
    positions,
    spread,
)


@intrinsic
def same_word(typing_context, word):
    """One integer in every lane."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.uint64)
        return spread(builder, number, INTEGERS)

    return WORDS(word), generate


@intrinsic
def next_words(typing_context, first):
    """first, first + 1, ..., first + 7."""
    del typing_context

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.uint64)
        return builder.add(spread(builder, number, INTEGERS), constant(range(WIDTH)))

    return WORDS(first), generate


@intrinsic
def load_words(typing_context, array, index):
    """Eight integers of 64 bits from array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments, lanes=INTEGERS)
        return builder.load(pointer, align=8)

    return WORDS(array, index), generate


@intrinsic
def store_words(typing_context, array, index, words):
    """Eight integers to array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments[:2], lanes=INTEGERS)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, index, words), generate


@intrinsic
def store_interleaved(typing_context, array, index, w0, w1, w2, w3):
    """The lanes 0 of four, then their lanes 1, and so on: 32 integers from array[index] on."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments[:2], lanes=INTEGERS)
        lower, upper = (join(builder, *arguments[k : k + 2]) for k in (2, 4))
        order = [8 * (k % 4) + k // 4 for k in range(4 * WIDTH)]
        mixed = builder.shuffle_vector(lower, upper, positions(order))
        builder.store(mixed, builder.bitcast(pointer, mixed.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, index, w0, w1, w2, w3), generate


@intrinsic
def store_negative(typing_context, array, index, words, values):
    """The words of negative values, next to each other, to array[index] on; returns how many."""
    del typing_context

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(context, builder, signature, *arguments[:2], lanes=INTEGERS)
        mask = builder.fcmp_ordered("<", arguments[3], constant([0.0] * WIDTH, VECTOR))
        parts = [arguments[2], mask, arguments[2]]
        found = call(builder, "llvm.experimental.vector.compress.v8i64", INTEGERS, parts)
        builder.store(found, pointer, align=8)
        octet = builder.bitcast(mask, ir.IntType(8))
        return builder.zext(builder.ctpop(octet), ir.IntType(64))

    return types.int64(array, index, words, values), generate


bits_of = of_one(WORDS, lambda b, x: b.bitcast(x, INTEGERS), "The bits of eight numbers.")
from_bits = of_one(LANES, lambda b, x: b.bitcast(x, VECTOR), "The numbers with these bits.")
to_lanes = of_one(LANES, lambda b, x: b.sitofp(x, VECTOR), "Eight signed integers as numbers.")
