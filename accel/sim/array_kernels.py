"""The array's registers, clock by clock, compiled.

A clock of one row of PEs is one vector operation over ``LANES`` neighbouring columns, a strip: each lane multiplies
what its operand registers hold and adds the product to the sum that it was given. numba's own vectorizer guards every
such row against overlapping slices, at several times the cost of the row itself, so the row operation is written as
vector instructions, here, and everything around it is plain code.

Three facts keep the registers' contents exact without moving every bit of them:

- An operand that moves right a column every H clocks leaves the last operands that entered row r in that row's
  registers: a slice of a delay line. ``LineLayout`` stores the lines reversed, so that lanes read upwards.
- A strip sees its neighbours only through those lines, so strips are stepped apart from each other, each on a clock
  of its own that starts when the first operand reaches its first column.
- Rows ahead of the first wave and behind the last hold nothing but bubbles, and are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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


class Folds(NamedTuple):
    """How folds and waves follow one another."""

    rows: int
    """Of the array; fold f takes rows f * rows and on."""
    period: int
    """Clocks from a fold to the next."""
    row_step: int
    """V: clocks from a row to the next."""
    column_step: int
    """H: clocks from a column to the next."""


class Fit(NamedTuple):
    """What the registers of sums keep."""

    overflow: int
    """EXACT, WRAP or SATURATE."""
    partial_sum_bits: int
    accumulator_bits: int


def _row_operation(overflow: int) -> Callable[..., None]:
    """``sums[to + i] = fit(sums[at + i] + a[ai + i] * b[bi + i])`` for every lane i, as vector instructions.

    Indices count elements from the beginning of the arrays' memory and are not checked. ``fit`` keeps ``bits`` bits;
    ``events[i]`` counts the additions that did not fit.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, to, at, a, ai, b, bi, bits, events = range(9)
        lane = context.get_value_type(signature.args[sums].dtype)
        vector = ir.VectorType(lane, LANES)

        def lanes_of(array: int, index: Any) -> tuple[Any, int]:
            """Pointer to LANES elements, and the alignment of one."""
            dtype = signature.args[array].dtype
            data = context.make_array(signature.args[array])(context, builder, values[array]).data
            pointer = ir.VectorType(context.get_value_type(dtype), LANES).as_pointer()
            return builder.bitcast(builder.gep(data, [index]), pointer), dtype.bitwidth // 8

        def load(array: int, index: Any) -> Any:
            pointer, align = lanes_of(array, index)
            value = builder.load(pointer, align=align)
            if value.type == vector:
                return value
            return (builder.sext if signature.args[array].dtype.signed else builder.zext)(value, vector)

        def splat(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            zeros = ir.Constant(ir.VectorType(cgutils.int32_t, LANES), [0] * LANES)
            return builder.shuffle_vector(
                builder.insert_element(undefined, value, cgutils.int32_t(0)), undefined, zeros
            )

        total = builder.add(load(sums, values[at]), builder.mul(load(a, values[ai]), load(b, values[bi])))
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
            zero = ir.Constant(values[bits].type, 0)
            pointer, align = lanes_of(events, zero)
            counts = builder.load(pointer, align=align)
            lost = builder.zext(builder.icmp_signed("!=", total, kept), counts.type)
            builder.store(builder.add(counts, lost), pointer, align=align)
        pointer, align = lanes_of(sums, values[to])
        builder.store(kept, pointer, align=align)
        return context.get_dummy_value()

    @intrinsic
    def row_operation(  # type: ignore[no-untyped-def]
        typingctx, sums, to, at, a, ai, b, bi, bits, events
    ) -> Any:
        i = types.int64
        return types.void(sums, i, i, a, i, b, i, i, events), generate

    return row_operation


_add_exact = _row_operation(EXACT)
_add_wrapping = _row_operation(WRAP)
_add_saturating = _row_operation(SATURATE)


@compiled
def _step_row(
    sums: IntArray,
    to: int,
    at: int,
    a: IntArray,
    ai: int,
    b: IntArray,
    bi: int,
    overflow: int,
    bits: int,
    events: IntArray,
) -> None:  # pragma: no cover
    if overflow == EXACT:
        _add_exact(sums, to, at, a, ai, b, bi, bits, events)
    elif overflow == WRAP:
        _add_wrapping(sums, to, at, a, ai, b, bi, bits, events)
    else:
        _add_saturating(sums, to, at, a, ai, b, bi, bits, events)


@compiled
def _fit(total: np.int64, overflow: int, bits: int) -> np.int64:  # pragma: no cover
    """What a register of ``bits`` bits keeps of ``total``."""
    unused = np.int64(64 - bits)
    if overflow == WRAP:
        return (total << unused) >> unused
    if overflow == SATURATE:
        highest = np.int64(0x7FFFFFFFFFFFFFFF) >> unused
        return max(min(total, highest), ~highest)
    return total


@compiled
def step_operand_stays(
    lines: IntArray,
    held: IntArray,
    out: IntArray,
    strips: IntArray,
    stream: int,
    stream_stride: int,
    column_stride: int,
    steps: Folds,
    fit: Fit,
    first: bool,
    sums: IntArray,
) -> tuple[int, int]:  # pragma: no cover
    """Strips of an array whose PEs hold an operand: sums move down, a row every V clocks.

    All k folds of a strip follow one another in one run of the clock, ``steps.period`` clocks apart, each new operand
    taking its register as the wave passes.

    Parameters
    ----------
    lines
        (used rows, H, length): the operand that moves right, laid out by ``LineLayout``.
    held
        (K, columns): the operand that stays; fold f holds row k in row k - f * rows of the array.
    out
        The accumulator buffer, flat; result s of column n lives at s * stream_stride + n * column_stride.
    strips
        (strips, 2): first column and number of columns.
    stream
        Operands, and so results, of each fold.
    first
        The accumulators start from 0 instead of from ``out``.
    sums
        Empty; its type is that of the sums' lanes.

    Returns
    -------
    tuple
        Clocks stepped, and additions that did not fit.
    """
    rows, period, row_step, column_step = steps
    overflow = fit.overflow
    used_rows, _, length = lines.shape
    depth = held.shape[0]
    folds = (depth + rows - 1) // rows
    reach = column_step * (LANES - 1)
    busy = folds * period + reach  # clocks from a row's first operand until its last lane is through
    clocks = busy + row_step * used_rows
    bottom = used_rows * row_step
    newest = length - LANES
    slots = (used_rows + 1) * row_step * LANES
    partial = np.zeros(slots, sums.dtype)
    accumulator = np.zeros(period * LANES, sums.dtype)
    current = np.zeros(used_rows * LANES, held.dtype)
    ones = np.ones(LANES, held.dtype)
    events = np.zeros(LANES, np.int64)
    line_stride = lines.shape[1] * length

    for strip in range(strips.shape[0]):
        column, width = strips[strip, 0], strips[strip, 1]
        partial[:] = 0
        current[:] = 0
        # Column i of result s leaves H*i clocks after column 0: at (s + H*i) % period a clock's results are one row.
        accumulator[:] = 0
        if not first:
            for s in range(stream):
                for i in range(width):
                    at = ((s + column_step * i) % period) * LANES + i
                    accumulator[at] = out[s * stream_stride + (column + i) * column_stride]
        row_of_clock = 0
        oldest = 0  # the oldest fold whose operands are still on their way into place
        for clock in range(clocks):
            while clock - oldest * period > row_step * (used_rows - 1) + reach:
                oldest += 1
            for fold in range(oldest, min(folds - 1, clock // period) + 1):
                age = clock - fold * period
                for r in range(
                    max(0, (age - reach + row_step - 1) // row_step), min(used_rows - 1, age // row_step) + 1
                ):
                    i = (age - r * row_step) // column_step
                    if i * column_step == age - r * row_step:
                        k = fold * rows + r
                        current[r * LANES + i] = held[k, column + i] if k < depth and i < width else 0
            slot = clock % row_step * LANES
            if clock >= bottom:
                at = row_of_clock * LANES
                _step_row(
                    accumulator, at, at, partial, bottom * LANES + slot, ones, 0, overflow, fit.accumulator_bits, events
                )
                row_of_clock += 1
                if row_of_clock == period:
                    row_of_clock = 0
            for r in range(min(used_rows - 1, clock // row_step), max(0, (clock - busy) // row_step + 1) - 1, -1):
                wave = clock - r * row_step
                at = r * line_stride + newest
                if column_step == 1:
                    at -= wave
                else:
                    at += wave % column_step * length - wave // column_step
                here = r * row_step * LANES + slot
                _step_row(
                    partial,
                    here + row_step * LANES,
                    here,
                    lines,
                    at,
                    current,
                    r * LANES,
                    overflow,
                    fit.partial_sum_bits,
                    events,
                )
        for s in range(stream):
            for i in range(width):
                at = ((s + column_step * i) % period) * LANES + i
                out[s * stream_stride + (column + i) * column_stride] = accumulator[at]
    return clocks * strips.shape[0], events.sum()


@compiled
def step_result_stays(
    lines: IntArray,
    moving: IntArray,
    out: IntArray,
    strips: IntArray,
    results: int,
    steps: Folds,
    fit: Fit,
    first: bool,
    sums: IntArray,
) -> tuple[int, int]:  # pragma: no cover
    """Strips of an array whose PEs hold a result: one operand moves right, the other down, and sums stay.

    The folds of a strip take ``steps.rows`` results each; as the last wave of a fold
    passes a PE, its sum goes to the accumulator buffer and the next fold's begins from 0.

    Parameters
    ----------
    lines
        (used rows, H, length): the operand that moves right, laid out by ``LineLayout``.
    moving
        (K, N): the operand that moves down, again for each fold.
    out
        The accumulator buffer (results, N), flat.
    results
        Rows of the accumulator buffer, ``steps.rows`` to a fold.
    strips, first, sums
        As for ``step_operand_stays``.

    Returns
    -------
    tuple
        Clocks stepped, and additions that did not fit.
    """
    rows, period, row_step, column_step = steps
    overflow = fit.overflow
    used_rows, _, length = lines.shape
    depth, columns = moving.shape
    folds = (results + rows - 1) // rows
    reach = column_step * (LANES - 1)
    busy = folds * period + reach
    clocks = busy + row_step * (used_rows - 1) + 1
    newest = length - LANES
    line_stride = lines.shape[1] * length
    held = np.zeros(used_rows * LANES, sums.dtype)
    skewed = np.zeros(period * LANES, moving.dtype)
    events = np.zeros(LANES, np.int64)
    lost = 0

    for strip in range(strips.shape[0]):
        column, width = strips[strip, 0], strips[strip, 1]
        held[:] = 0
        # What a row's lanes are given from above repeats with the folds; beyond their ends the lines hold zeros.
        skewed[:] = 0
        for k in range(depth):
            for i in range(width):
                skewed[((k + column_step * i) % period) * LANES + i] = moving[k, column + i]
        oldest = 0
        for clock in range(clocks):
            while clock - oldest * period > row_step * (used_rows - 1) + reach:
                oldest += 1
            for fold in range(oldest, min(folds, clock // period) + 1):
                age = clock - fold * period
                for r in range(
                    max(0, (age - reach + row_step - 1) // row_step), min(used_rows - 1, age // row_step) + 1
                ):
                    i = (age - r * row_step) // column_step
                    if i * column_step != age - r * row_step:
                        continue
                    result = (fold - 1) * rows + r
                    if fold > 0 and result < results and i < width:
                        at = result * columns + column + i
                        total = np.int64(held[r * LANES + i])
                        if not first:
                            total += out[at]
                        kept = _fit(total, overflow, fit.accumulator_bits)
                        lost += kept != total
                        out[at] = kept
                    held[r * LANES + i] = 0
            bottom = min(used_rows - 1, clock // row_step)
            step = (clock - bottom * row_step) % period
            for r in range(bottom, max(0, (clock - busy) // row_step + 1) - 1, -1):
                wave = clock - r * row_step
                at = r * line_stride + newest
                if column_step == 1:
                    at -= wave
                else:
                    at += wave % column_step * length - wave // column_step
                here = r * LANES
                _step_row(held, here, here, lines, at, skewed, step * LANES, overflow, fit.partial_sum_bits, events)
                step += row_step
                if step >= period:
                    step %= period
    return clocks * strips.shape[0], events.sum() + lost
