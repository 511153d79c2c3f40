"""The array's registers, clock by clock, compiled.

A strip of ``LANES`` columns is stepped row by row, each a vector operation (``array_row``). Three facts keep the
registers' contents exact without moving every bit of them:

- An operand that moves right a column every H clocks leaves the last operands that entered row r in that row's
  registers: a slice of a delay line. ``LineLayout`` stores the lines reversed, so that lanes read upwards.
- A strip sees its neighbours only through those lines, so strips are stepped apart from each other, each on a clock
  of its own that starts when the first operand reaches its first column.
- Rows ahead of the first wave and behind the last hold nothing but bubbles, and are skipped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accel.sim.array_row import LANES, keep, step_row, step_row_of_several
from accel.sim.jit import compiled

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
    products: int
    """That a PE makes at a time: rows of the operand which share a row of the array."""


class Fit(NamedTuple):
    """What the registers of sums keep."""

    overflow: int
    """EXACT, WRAP or SATURATE."""
    partial_sum_bits: int
    accumulator_bits: int
    shift: int
    """By which the array's sums are moved before they join the accumulators."""


@compiled
def _aligned(size: int, like: IntArray) -> IntArray:  # pragma: no cover
    """Zeros whose strips begin with cache lines."""
    room = np.zeros(size + 64, like.dtype)
    skip = -room.ctypes.data % 64 // like.itemsize
    return room[skip : skip + size]


@compiled
def _cyclic(index: int, period: int) -> int:  # pragma: no cover
    """``index % period``, fast where it changes nothing."""
    return index if index < period else index % period


@compiled
def lanes_of_wave(age: int, steps: Folds, used_rows: int) -> tuple[int, int]:  # pragma: no cover
    """First and last lane that a wave may be in which began ``age`` clocks ago."""
    last_row = steps.row_step * (used_rows - 1)
    first = 0 if age <= last_row else (age - last_row + steps.column_step - 1) // steps.column_step
    return first, min(LANES - 1, age // steps.column_step)


@compiled
def row_of_wave(age: int, i: int, steps: Folds) -> int:  # pragma: no cover
    """The row in which that wave meets lane i; -1 if it is between two rows."""
    down = age - steps.column_step * i
    if steps.row_step == 1:
        return down
    return down // steps.row_step if down % steps.row_step == 0 else -1


@compiled
def _switch_operands(
    current: IntArray, held: IntArray, first_k: int, age: int, steps: Folds, used_rows: int
) -> None:  # pragma: no cover
    """The first wave of a fold passes: PEs under it change to the fold's operands."""
    first, last = lanes_of_wave(age, steps, used_rows)
    for i in range(first, last + 1):
        r = row_of_wave(age, i, steps)
        if r >= 0:
            for d in range(r * steps.products, (r + 1) * steps.products):
                at = (first_k * steps.products + d) * LANES + i
                current[d * LANES + i] = held[at] if at < held.size else 0


@compiled
def _hand_over(
    held: IntArray,
    out: IntArray,
    first_result: int,
    results: int,
    column: int,
    width: int,
    columns: int,
    age: int,
    steps: Folds,
    used_rows: int,
    fit: Fit,
    first: bool,
) -> int:  # pragma: no cover
    """The first wave of a fold passes: PEs under it hand the sums of the fold before to the accumulators."""
    lost = 0
    first_lane, last_lane = lanes_of_wave(age, steps, used_rows)
    for i in range(first_lane, min(last_lane, width - 1) + 1):
        r = row_of_wave(age, i, steps)
        if r < 0:
            continue
        if 0 <= first_result + r < results:
            at = (first_result + r) * columns + column + i
            total = (np.int64(held[r * LANES + i]) << fit.shift) + (np.int64(0) if first else np.int64(out[at]))
            kept = keep(total, fit.overflow, fit.accumulator_bits)
            lost += kept != total
            out[at] = kept
        held[r * LANES + i] = 0
    return lost


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
    partial_type: IntArray,
    accumulator_type: IntArray,
) -> tuple[int, int]:  # pragma: no cover
    """Strips of an array whose PEs hold an operand: sums move down, a row every V clocks.

    All k folds of a strip follow one another in one run of the clock, ``steps.period`` clocks apart, each new operand
    taking its register as the wave passes.

    Parameters
    ----------
    lines
        (used rows, products, H, length): the operand that moves right, laid out by ``LineLayout``; without the second
        axis where PEs make one product at a time, so that the code for several is not there.
    held
        (strips, K * LANES): the operand that stays, zeros in lanes that no column has. A row of the array holds
        ``products`` of its rows, and a fold as many as the array's rows hold.
    out
        The accumulator buffer, flat; result s of column n lives at s * stream_stride + n * column_stride.
    strips
        (strips, 2): first column and number of columns.
    stream
        Operands, and so results, of each fold.
    first
        The accumulators start from 0 instead of from ``out``.
    partial_type, accumulator_type
        Any arrays of the types in which the array and the accumulators add.

    Returns
    -------
    tuple
        Clocks stepped, and additions that did not fit.
    """
    rows, period, row_step, column_step, products = steps
    used_rows, phases, length = lines.shape[0], lines.shape[-2], lines.shape[-1]
    at_a_time = rows * products
    folds = (held.shape[1] // LANES + at_a_time - 1) // at_a_time
    reach = column_step * (LANES - 1)
    busy = folds * period + reach  # clocks from a row's first operand until its last lane is through
    clocks = busy + row_step * used_rows
    line = phases * length
    crossing = row_step * (used_rows - 1) + reach  # clocks from a wave's first PE to its last
    pitch = row_step * LANES
    partial = _aligned((used_rows + 1) * pitch, partial_type)
    accumulator = _aligned(period * LANES, accumulator_type)
    current = _aligned(used_rows * products * LANES, held)
    moved = np.full(LANES, 1 << fit.shift, np.int32)
    lost = 0

    for strip in range(strips.shape[0]):
        column, width = strips[strip, 0], strips[strip, 1]
        current[:] = 0
        partial[:] = 0
        accumulator[:] = 0
        # Column i's result s leaves H*i clocks after column 0's: at (s + H*i) % period a clock's results are one row.
        if not first:
            for s in range(stream):
                for i in range(width):
                    at = _cyclic(s + column_step * i, period) * LANES + i
                    accumulator[at] = out[s * stream_stride + (column + i) * column_stride]
        oldest = 0  # the oldest fold whose operands are still on their way into place
        arrived = -1
        for clock in range(clocks):
            while clock - oldest * period > crossing:
                oldest += 1
            for fold in range(oldest, min(folds - 1, clock // period) + 1):
                _switch_operands(current, held[strip], fold * rows, clock - fold * period, steps, used_rows)
            slot = clock % row_step * LANES
            if clock >= row_step * used_rows:
                arrived = _cyclic(arrived + 1, period)
                at = arrived * LANES
                below = used_rows * pitch + slot
                lost += step_row(accumulator, at, at, partial, below, moved, 0, fit.overflow, fit.accumulator_bits)
            now = clock % column_step * length + length - LANES - clock // column_step
            lowest = min(used_rows - 1, clock // row_step)
            highest = max(0, (clock - busy) // row_step + 1)
            for r in range(lowest, highest - 1, -1):
                here = r * pitch + slot
                if lines.ndim == 3:
                    lost += step_row(
                        partial,
                        here + pitch,
                        here,
                        lines,
                        r * line + now,
                        current,
                        r * LANES,
                        fit.overflow,
                        fit.partial_sum_bits,
                    )
                else:
                    lost += step_row_of_several(
                        partial,
                        here + pitch,
                        here,
                        lines,
                        r * products * line + now,
                        current,
                        r * products * LANES,
                        fit.overflow,
                        fit.partial_sum_bits,
                        products,
                        line,
                    )
        for s in range(stream):
            for i in range(width):
                at = _cyclic(s + column_step * i, period) * LANES + i
                out[s * stream_stride + (column + i) * column_stride] = accumulator[at]
    return clocks * strips.shape[0], lost


@compiled
def step_result_stays(
    lines: IntArray,
    moving: IntArray,
    out: IntArray,
    strips: IntArray,
    columns: int,
    results: int,
    steps: Folds,
    fit: Fit,
    first: bool,
    partial_type: IntArray,
) -> tuple[int, int]:  # pragma: no cover
    """Strips of an array whose PEs hold a result: one operand moves right, the other down, and sums stay.

    The folds of a strip take ``steps.rows`` results each; as the last wave of a fold
    passes a PE, its sum goes to the accumulator buffer and the next fold's begins from 0.

    Parameters
    ----------
    lines
        (used rows, products, H, length): the operand that moves right, laid out by ``LineLayout``; without the second
        axis where PEs make one product at a time, so that the code for several is not there.
    moving
        (strips, K * LANES): the operand that moves down, again for each fold, ``products`` of its rows at a time.
    out
        The accumulator buffer (results, columns), flat; ``steps.rows`` results to a fold.
    strips, first, partial_type
        As for ``step_operand_stays``.

    Returns
    -------
    tuple
        Clocks stepped, and additions that did not fit.
    """
    rows, period, row_step, column_step, products = steps
    used_rows, phases, length = lines.shape[0], lines.shape[-2], lines.shape[-1]
    folds = (results + rows - 1) // rows
    reach = column_step * (LANES - 1)
    busy = folds * period + reach
    line = phases * length
    crossing = row_step * (used_rows - 1) + reach
    held = _aligned(used_rows * LANES, partial_type)
    lead = row_step * (used_rows - 1)  # the top row is that far ahead of the bottom row
    given_lanes = products * LANES
    skewed = _aligned((period + lead) * given_lanes, moving)
    lost = 0

    for strip in range(strips.shape[0]):
        column, width = strips[strip, 0], strips[strip, 1]
        held[:] = 0
        # What a row's lanes are given from above repeats with the folds; beyond their ends the lines hold zeros.
        skewed[:] = 0
        for k in range(moving.shape[1] // given_lanes):
            for lane in range(given_lanes):
                i = lane % LANES
                for step in range(_cyclic(k + column_step * i, period), period + lead, period):
                    skewed[step * given_lanes + lane] = moving[strip, k * given_lanes + lane]
        oldest = 0
        for clock in range(busy + row_step * (used_rows - 1) + 1):
            while clock - oldest * period > crossing:
                oldest += 1
            for fold in range(oldest, min(folds, clock // period) + 1):
                done = (fold - 1) * rows
                age = clock - fold * period
                lost += _hand_over(held, out, done, results, column, width, columns, age, steps, used_rows, fit, first)
            now = clock % column_step * length + length - LANES - clock // column_step
            lowest = min(used_rows - 1, clock // row_step)
            highest = max(0, (clock - busy) // row_step + 1)
            given = (clock - lowest * row_step) % period + lowest * row_step
            for r in range(lowest, highest - 1, -1):
                if lines.ndim == 3:
                    lost += step_row(
                        held,
                        r * LANES,
                        r * LANES,
                        lines,
                        r * line + now,
                        skewed,
                        (given - r * row_step) * LANES,
                        fit.overflow,
                        fit.partial_sum_bits,
                    )
                else:
                    lost += step_row_of_several(
                        held,
                        r * LANES,
                        r * LANES,
                        lines,
                        r * products * line + now,
                        skewed,
                        (given - r * row_step) * given_lanes,
                        fit.overflow,
                        fit.partial_sum_bits,
                        products,
                        line,
                    )
    return (crossing + 1 + folds * period) * strips.shape[0], lost
