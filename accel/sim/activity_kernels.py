"""Toggles of each kind of register, compiled; ``activity`` says which registers there are.

Every function walks the folds in the array's order, column by column of its width and within it along its rows, and
returns (bits toggled, bits clocked). One count of a sequence serves all registers that see it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accel.sim.array_row import keep
from accel.sim.jit import compiled

BUS, DOWN, RIGHT = 0, 1, 2
"""How results leave that stayed in the array."""

IntArray = npt.NDArray[Any]
Integer = Any
"""A 64-bit integer: numpy's outside of compiled code, the machine's inside."""
Bits = tuple[int, int]


class Registers(NamedTuple):
    """How many registers lie where."""

    rows: int
    columns: int
    row_step: int
    """V"""
    column_step: int
    """H"""
    behind_wave: bool
    """Double buffered: loads and results travel behind the running wave."""
    leave: int
    """BUS, DOWN or RIGHT."""
    enter_latency: int
    """I"""
    exit_latency: int
    """O"""
    settle_latency: int
    """A; where sums move, it is part of V."""


@compiled
def _flips(old: Integer, new: Integer, mask: Integer) -> Integer:  # pragma: no cover
    """Bits in which two register contents differ."""
    x = np.uint64((old ^ new) & mask)
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def _mask(bits: int) -> Integer:  # pragma: no cover
    return np.int64(-1) if bits == 64 else np.int64((1 << bits) - 1)


@compiled
def move_right(matrix: IntArray, across: int, bits: int, array: Registers) -> Bits:  # pragma: no cover
    """Operands (array rows over all folds, stream), once for each width of the array in ``across`` columns."""
    mask = _mask(bits)
    toggled = clocked = 0
    passes = (across + array.columns - 1) // array.columns
    for r in range(min(array.rows, matrix.shape[0])):
        registers = array.enter_latency + array.row_step * r + array.column_step * array.columns
        content = np.int64(0)
        for _ in range(passes):
            for line in range(r, matrix.shape[0], array.rows):
                for e in range(matrix.shape[1]):
                    value = np.int64(matrix[line, e])
                    toggled += registers * _flips(content, value, mask)
                    content = value
                clocked += registers * matrix.shape[1] * bits
    return toggled, clocked


@compiled
def move_down(matrix: IntArray, down: int, bits: int, array: Registers) -> Bits:  # pragma: no cover
    """Operands (array columns over all folds, stream), each once for each height of the array in ``down`` rows."""
    mask = _mask(bits)
    toggled = clocked = 0
    passes = (down + array.rows - 1) // array.rows
    for c in range(min(array.columns, matrix.shape[0])):
        registers = array.enter_latency + array.column_step * c + array.row_step * array.rows
        content = np.int64(0)
        for line in range(c, matrix.shape[0], array.columns):
            for _ in range(passes):
                for e in range(matrix.shape[1]):
                    value = np.int64(matrix[line, e])
                    toggled += registers * _flips(content, value, mask)
                    content = value
                clocked += registers * matrix.shape[1] * bits
    return toggled, clocked


@compiled
def load(held: IntArray, bits: int, array: Registers) -> Bits:  # pragma: no cover
    """Operands that stay (k, columns), on their way down: the last row of a fold enters first."""
    mask = _mask(bits)
    toggled = clocked = 0
    for c in range(min(array.columns, held.shape[1])):
        registers = array.enter_latency + array.rows
        if array.behind_wave:
            registers = array.enter_latency + array.column_step * c + array.row_step * array.rows
        content = np.int64(0)
        kept = np.zeros((2, array.rows), np.int64)
        turn = 0
        for column in range(0, held.shape[1], array.columns):
            for k in range(0, held.shape[0], array.rows):
                used = min(array.rows, held.shape[0] - k) if column + c < held.shape[1] else 0
                for r in range(used - 1, -1, -1):
                    value = np.int64(held[k + r, column + c])
                    toggled += registers * _flips(content, value, mask)
                    content = value
                    if array.behind_wave:
                        toggled += _flips(kept[turn, r], value, mask)
                        kept[turn, r] = value
                clocked += (registers + (1 if array.behind_wave else 0)) * used * bits
                turn = 1 - turn
    return toggled, clocked


@compiled
def move_sums(
    moving: IntArray, held: IntArray, product_bits: int, sum_bits: int, overflow: int, array: Registers
) -> tuple[Bits, Bits]:  # pragma: no cover
    """Products and sums of operands (stream, k) that move past operands (k, columns) that stay."""
    product_mask, sum_mask = _mask(product_bits), _mask(sum_bits)
    stream, depth = moving.shape
    products = np.zeros((array.rows, array.columns), np.int64)
    sums = np.zeros((array.rows, array.columns), np.int64)
    total = np.zeros(array.columns, np.int64)
    product_flips = sum_flips = clocked = 0
    for column in range(0, held.shape[1], array.columns):
        width = min(array.columns, held.shape[1] - column)
        for k in range(0, depth, array.rows):
            for s in range(stream):
                total[:] = 0
                for r in range(array.rows):
                    if k + r < depth:
                        operand = np.int64(moving[s, k + r])
                        for c in range(width):
                            product = operand * np.int64(held[k + r, column + c])
                            product_flips += _flips(products[r, c], product, product_mask)
                            products[r, c] = product
                            total[c] = keep(total[c] + product, overflow, sum_bits)
                    bottom = r == array.rows - 1
                    for c in range(width):
                        registers = array.row_step
                        if bottom:
                            registers += array.column_step * (array.columns - 1 - c) + array.exit_latency
                        sum_flips += registers * _flips(sums[r, c], total[c], sum_mask)
                        sums[r, c] = total[c]
            for c in range(width):
                registers = array.row_step * array.rows + array.column_step * (array.columns - 1 - c)
                registers += array.exit_latency
                clocked += registers * stream * sum_bits
    macs = stream * depth * held.shape[1]
    return (product_flips, macs * product_bits), (sum_flips, clocked)


@compiled
def keep_sums(
    rows: IntArray, columns: IntArray, product_bits: int, sum_bits: int, overflow: int, array: Registers
) -> tuple[Bits, Bits]:  # pragma: no cover
    """Products and sums that stay, of operands (m, k) from the left and (k, n) from above."""
    product_mask, sum_mask = _mask(product_bits), _mask(sum_bits)
    results, depth = rows.shape
    products = np.zeros((array.rows, array.columns), np.int64)
    sums = np.zeros((array.rows, array.columns), np.int64)
    # What the last register of a PE's sums holds: the same, until results shift through it.
    last = np.zeros((array.rows, array.columns), np.int64)
    way = np.zeros((array.rows, array.columns), np.int64)
    product_flips = 0
    toggled = clocked = 0
    for column in range(0, columns.shape[1], array.columns):
        width = min(array.columns, columns.shape[1] - column)
        for row in range(0, results, array.rows):
            height = min(array.rows, results - row)
            for k in range(depth):
                for r in range(height):
                    operand = np.int64(rows[row + r, k])
                    for c in range(width):
                        product = operand * np.int64(columns[k, column + c])
                        product_flips += _flips(products[r, c], product, product_mask)
                        products[r, c] = product
                        before = sums[r, c] if k > 0 else np.int64(0)
                        total = keep(before + product, overflow, sum_bits)
                        toggled += array.settle_latency * _flips(sums[r, c], total, sum_mask)
                        toggled += _flips(last[r, c], total, sum_mask)
                        sums[r, c] = last[r, c] = total
            clocked += (1 + array.settle_latency) * height * width * depth
            if array.leave == BUS:
                more = _leave_over_bus(sums, way, height, width, sum_mask, array)
            elif array.behind_wave:
                more = _leave_behind_wave(sums, way, height, width, sum_mask, array)
            else:
                more = _leave_in_place(last, way, height, width, sum_mask, array)
            toggled += more[0]
            clocked += more[1]
    macs = results * depth * columns.shape[1]
    return (product_flips, macs * product_bits), (toggled, clocked * sum_bits)


@compiled
def _leave_over_bus(
    sums: IntArray, way: IntArray, height: int, width: int, mask: Integer, array: Registers
) -> Bits:  # pragma: no cover
    """Results of one fold on their way out, each through registers of its own: (bits toggled, registers clocked)."""
    toggled = clocked = 0
    for r in range(height):
        for c in range(width):
            registers = array.exit_latency
            if array.behind_wave:
                registers += array.row_step * (array.rows - 1 - r) + array.column_step * (array.columns - 1 - c)
            toggled += registers * _flips(way[r, c], sums[r, c], mask)
            clocked += registers
            way[r, c] = sums[r, c]
    return toggled, clocked


@compiled
def _leave_behind_wave(
    sums: IntArray, way: IntArray, height: int, width: int, mask: Integer, array: Registers
) -> Bits:  # pragma: no cover
    """The same through shadow registers, whose contents are in ``way``, and the hops between them."""
    toggled = clocked = 0
    down = array.leave == DOWN
    lanes, used, places = (width, height, array.rows) if down else (height, width, array.columns)
    hop, skew, others = array.row_step, array.column_step, array.columns
    if not down:
        hop, skew, others = skew, hop, array.rows
    for lane in range(lanes):
        results = sums[:, lane] if down else sums[lane, :]
        shadows = way[:, lane] if down else way[lane, :]
        behind = np.int64(0)  # flips from each result to the next that passes the place
        for place in range(places):
            nearest = min(place, used - 1)
            if 0 < place < used:
                behind += _flips(results[place], results[place - 1], mask)
            # The shadow register, and the hops behind it or the way from the edge: the same results pass them all.
            registers = 1 + hop
            if place == places - 1:
                registers = 1 + skew * (others - 1 - lane) + array.exit_latency
            toggled += registers * (_flips(shadows[place], results[nearest], mask) + behind)
            clocked += registers * (nearest + 1)
            shadows[place] = results[0]
    return toggled, clocked


@compiled
def _leave_in_place(
    sums: IntArray, way: IntArray, height: int, width: int, mask: Integer, array: Registers
) -> Bits:  # pragma: no cover
    """The same through the registers of the sums and those behind the edge, whose contents are in ``way``."""
    toggled = clocked = 0
    down = array.leave == DOWN
    lanes, used, places = (width, height, array.rows) if down else (height, width, array.columns)
    registers = 1 + array.exit_latency
    for lane in range(lanes):
        line = sums[:, lane] if down else sums[lane, :]
        edge = way[places - 1, lane] if down else way[lane, places - 1]
        results = line[:used].copy()
        behind = np.int64(0)  # flips from each result to the next that passes the place
        for place in range(1, places):
            nearest = min(place, used) - 1
            if 0 < nearest == place - 1:
                behind += _flips(results[nearest], results[nearest - 1], mask)
            toggled += _flips(line[place], results[nearest], mask) + behind
            clocked += nearest + 1
            line[place] = results[0]
        if used == places and used > 1:
            behind += _flips(results[used - 1], results[used - 2], mask)
        toggled += registers * (_flips(edge, results[used - 1], mask) + behind)
        clocked += registers * used
        if down:
            way[places - 1, lane] = results[0]
        else:
            way[lane, places - 1] = results[0]
    return toggled, clocked
