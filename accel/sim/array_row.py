"""One row of PEs in one clock: a vector operation over ``LANES`` neighbouring columns, compiled.

Each lane multiplies what its operand registers hold and adds the product to the sum that it was given. numba's own
vectorizer guards every such row against overlapping slices, at several times the cost of the row itself, so the row
is written as vector instructions, and everything around it is plain code.

numba looks for changes in the file of the function that it cached only: who edits this file clears the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accel.sim.jit import compiled

LANES = 16
"""Columns of a strip: one AVX-512 register of 32-bit sums, two of AVX2."""

EXACT, WRAP, SATURATE = 0, 1, 2
"""What an addition does: it cannot overflow, or what happens if it does."""

IntArray = npt.NDArray[Any]


def _row_operation(overflow: int, several: bool) -> Callable[..., int]:
    """``sums[to + i] = fit(sums[at + i] + a[ai + i] * b[bi + i])`` for every lane i, as vector instructions.

    Indices count elements from the beginning of the arrays' memory and are not checked. ``fit`` keeps ``bits`` bits;
    the result is the number of lanes whose sum did not fit. With several ``products``, those of ``a`` lie ``pitch``
    apart and those of ``b`` LANES, and their sum is added.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, to, at, a, ai, b, bi, bits, products, pitch = range(10)
        lane = context.get_value_type(signature.args[sums].dtype)
        vector = ir.VectorType(lane, LANES)

        def lanes_of(array: int, index: Any) -> Any:
            """Pointer to the LANES elements at an index."""
            kind = signature.args[array]
            data = context.make_array(kind)(context, builder, values[array]).data
            pointer = ir.VectorType(context.get_value_type(kind.dtype), LANES).as_pointer()
            return builder.bitcast(builder.gep(data, [index]), pointer)

        def load(array: int, index: Any) -> Any:
            dtype = signature.args[array].dtype
            value = builder.load(lanes_of(array, index), align=dtype.bitwidth // 8)
            if value.type == vector:
                return value
            return (builder.sext if dtype.signed else builder.zext)(value, vector)

        def splat(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            zeros = ir.Constant(ir.VectorType(cgutils.int32_t, LANES), [0] * LANES)
            return builder.shuffle_vector(
                builder.insert_element(undefined, value, cgutils.int32_t(0)), undefined, zeros
            )

        total = builder.add(load(sums, values[at]), builder.mul(load(a, values[ai]), load(b, values[bi])))
        if several:
            place = cgutils.alloca_once_value(builder, total)  # type: ignore[no-untyped-call]
            one = ir.Constant(values[products].type, 1)
            with cgutils.for_range(builder, values[products], start=one) as loop:
                ai_of = builder.add(values[ai], builder.mul(loop.index, values[pitch]))
                bi_of = builder.add(values[bi], builder.mul(loop.index, ir.Constant(loop.index.type, LANES)))
                product = builder.mul(load(a, ai_of), load(b, bi_of))
                builder.store(builder.add(builder.load(place), product), place)
            total = builder.load(place)
        kept = total
        if overflow != EXACT:
            width = builder.trunc(values[bits], lane) if lane.width < 64 else values[bits]
            unused = builder.sub(ir.Constant(lane, lane.width), width)
            if overflow == WRAP:
                shift = splat(unused)
                kept = builder.ashr(builder.shl(total, shift), shift)
            else:
                highest = builder.ashr(ir.Constant(lane, (1 << (lane.width - 1)) - 1), unused)
                high, low = splat(highest), splat(builder.not_(highest))
                capped = builder.select(builder.icmp_signed("<", total, high), total, high)
                kept = builder.select(builder.icmp_signed(">", capped, low), capped, low)
        builder.store(kept, lanes_of(sums, values[to]), align=lane.width // 8)
        differ = builder.bitcast(builder.icmp_signed("!=", total, kept), ir.IntType(LANES))
        return builder.zext(builder.ctpop(differ), values[bits].type)

    @intrinsic
    def row_operation(  # type: ignore[no-untyped-def]
        typingctx, sums, to, at, a, ai, b, bi, bits, products, pitch
    ) -> Any:
        i = types.int64
        return types.int64(sums, i, i, a, i, b, i, i, i, i), generate

    return row_operation


_add_exact = _row_operation(EXACT, several=False)
_add_wrapping = _row_operation(WRAP, several=False)
_add_saturating = _row_operation(SATURATE, several=False)
_add_several_exact = _row_operation(EXACT, several=True)
_add_several_wrapping = _row_operation(WRAP, several=True)
_add_several_saturating = _row_operation(SATURATE, several=True)


@compiled
def step_row(
    sums: IntArray, to: int, at: int, a: IntArray, ai: int, b: IntArray, bi: int, overflow: int, bits: int
) -> int:  # pragma: no cover
    """One row of a strip in one clock; how many of its sums did not fit."""
    if overflow == EXACT:
        return _add_exact(sums, to, at, a, ai, b, bi, bits, 1, 0)
    if overflow == WRAP:
        return _add_wrapping(sums, to, at, a, ai, b, bi, bits, 1, 0)
    return _add_saturating(sums, to, at, a, ai, b, bi, bits, 1, 0)


@compiled
def step_row_of_several(
    sums: IntArray,
    to: int,
    at: int,
    a: IntArray,
    ai: int,
    b: IntArray,
    bi: int,
    overflow: int,
    bits: int,
    products: int,
    pitch: int,
) -> int:  # pragma: no cover
    """The same with ``products`` of each lane, the operands of ``a`` lying ``pitch`` apart, those of ``b`` LANES."""
    if overflow == EXACT:
        return _add_several_exact(sums, to, at, a, ai, b, bi, bits, products, pitch)
    if overflow == WRAP:
        return _add_several_wrapping(sums, to, at, a, ai, b, bi, bits, products, pitch)
    return _add_several_saturating(sums, to, at, a, ai, b, bi, bits, products, pitch)


@compiled
def keep(total: np.int64, overflow: int, bits: int) -> np.int64:  # pragma: no cover
    """What a register of ``bits`` bits keeps of ``total``."""
    unused = np.int64(64 - bits)
    if overflow == WRAP:
        return (total << unused) >> unused
    if overflow == SATURATE:
        highest = np.int64(0x7FFFFFFFFFFFFFFF) >> unused
        return max(min(total, highest), ~highest)
    return total
