"""What a tile makes the hardware do, counted before any data is seen.

A register is written when a live value arrives; bubbles cost nothing. Operands that a fold streams travel through all
columns of their row (weights of an output-stationary fold through all rows of their column); partial sums travel
through all rows, used or not. The triangular skew registers in front of the array and the de-skew registers behind it
count like the rest. The registers are those that ``accel.sim.activity`` finds toggling, in closed form.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from accel.arch.spec import Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.mapping.mapping import ArrayTile, cut


@dataclass(frozen=True, slots=True)
class OperandBits:
    """Bits of one element in the buffers; the array's registers have the machine's width, which may be larger."""

    weight: int
    activation: int


def array_actions(
    machine: Machine, dataflow: Dataflow, tile: ArrayTile, first: bool, stored: OperandBits
) -> Counter[str]:
    """Actions of one Compute instruction, by the field names of ``accel.result.Actions``."""
    if dataflow == "output_stationary":
        counts = _results_stay(machine, tile, stored)
    else:
        counts = _operand_stays(machine, dataflow, tile, stored)
    sums = tile.groups * tile.pixels * tile.channels
    adds = sums * (len(cut(tile.depth, machine.array.rows)) if dataflow != "output_stationary" else 1)
    counts["macs"] = sums * tile.depth
    counts["accumulator_adds"] = adds - (sums if first else 0)
    counts["accumulator_buffer_write_bytes"] = _size_bytes(adds, machine.pe.accumulator_bits)
    counts["accumulator_buffer_read_bytes"] = _size_bytes(counts["accumulator_adds"], machine.pe.accumulator_bits)
    return counts


def _operand_stays(machine: Machine, dataflow: Dataflow, tile: ArrayTile, stored: OperandBits) -> Counter[str]:
    timing = ArrayTiming.of(machine.array, dataflow)
    rows, columns = timing.rows, timing.columns
    down, right = timing.row_step_cycles, timing.column_step_cycles
    weights_stay = dataflow == "weight_stationary"
    held_bits, moving_bits = machine.pe.weight.bits, machine.pe.activation.bits
    across, stream = tile.channels, tile.pixels
    if not weights_stay:
        held_bits, moving_bits = moving_bits, held_bits
        across, stream = stream, across
    row_folds, column_folds = _lengths(tile.depth, rows), _lengths(across, columns)
    held = moved = sums = 0
    for used in row_folds:
        moved += len(column_folds) * stream * (used * right * columns + down * _triangle(used))
        for wide in column_folds:
            hops = wide * _triangle(used + 1)
            # Behind the wave, operands enter skewed, keep its pace, and are copied where they stay.
            held += down * hops + right * _triangle(wide) * used + wide * used if timing.overlapped else hops
    for wide in column_folds:
        deskew = right * (wide * (columns - 1) - _triangle(wide))
        sums += len(row_folds) * stream * (wide * down * rows + deskew)
    held_reads = across * tile.depth
    moving_reads = len(column_folds) * stream * tile.depth
    weight_reads, activation_reads = (held_reads, moving_reads) if weights_stay else (moving_reads, held_reads)
    return Counter(
        operand_register_bits=tile.groups * (held * held_bits + moved * moving_bits),
        sum_register_bits=tile.groups * sums * machine.pe.partial_sum_bits,
        weight_buffer_read_bytes=_size_bytes(tile.groups * weight_reads, stored.weight),
        activation_buffer_read_bytes=_size_bytes(tile.groups * activation_reads, stored.activation),
    )


def _results_stay(machine: Machine, tile: ArrayTile, stored: OperandBits) -> Counter[str]:
    timing = ArrayTiming.of(machine.array, "output_stationary")
    down, right = timing.row_step_cycles, timing.column_step_cycles
    row_folds, column_folds = _lengths(tile.pixels, timing.rows), _lengths(tile.channels, timing.columns)
    activations = sum(used * right * timing.columns + down * _triangle(used) for used in row_folds)
    weights = sum(used * down * timing.rows + right * _triangle(used) for used in column_folds)
    operand_bits = tile.depth * (
        activations * len(column_folds) * machine.pe.activation.bits + weights * len(row_folds) * machine.pe.weight.bits
    )
    sums = tile.pixels * tile.channels * tile.depth
    sums += sum(_leaving(timing, height, width) for height in row_folds for width in column_folds)
    return Counter(
        operand_register_bits=tile.groups * operand_bits,
        sum_register_bits=tile.groups * sums * machine.pe.partial_sum_bits,
        weight_buffer_read_bytes=_size_bytes(tile.groups * tile.depth * tile.channels * len(row_folds), stored.weight),
        activation_buffer_read_bytes=_size_bytes(
            tile.groups * tile.depth * tile.pixels * len(column_folds), stored.activation
        ),
    )


def _leaving(timing: ArrayTiming, height: int, width: int) -> int:
    """Registers that ``height`` x ``width`` results of a fold pass on their way out of the array, the edge included.

    Behind the wave they leave through registers of their own, skewed, and are de-skewed at the edge; otherwise through
    the registers in which they were summed up.
    """
    if timing.shift_out == "none":
        return 0
    lanes, used, places, others = width, height, timing.rows, timing.columns
    step, other_step = timing.row_step_cycles, timing.column_step_cycles
    if timing.shift_out == "right":
        lanes, used, places, others = height, width, timing.columns, timing.rows
        step, other_step = other_step, step
    passed = _triangle(used) + used * (places - used)
    if not timing.overlapped:
        return lanes * (passed + used)
    deskew = other_step * used * (lanes * (others - 1) - _triangle(lanes))
    return lanes * (used + step * passed + used) + deskew


def _lengths(size: int, step: int) -> list[int]:
    return [high - low for low, high in cut(size, step)]


def _triangle(count: int) -> int:
    """0 + 1 + ... + (count - 1)."""
    return count * (count - 1) // 2


def _size_bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)
