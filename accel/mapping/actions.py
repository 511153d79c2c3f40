"""What a tile makes the hardware do, counted before any data is seen.

Operands that a fold streams travel through all columns of their row (weights of an output-stationary fold through
all rows of their column); partial sums travel through all rows, used or not. The triangular skew registers in front
of the array and the de-skew registers behind it count like the rest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from accel.arch.spec import Machine
from accel.mapping.mapping import ArrayTile, cut


@dataclass(frozen=True, slots=True)
class OperandBits:
    """Bits of one element in the buffers; the array's registers have the machine's width, which may be larger."""

    weight: int
    activation: int


def array_actions(machine: Machine, dataflow: str, tile: ArrayTile, first: bool, stored: OperandBits) -> Counter[str]:
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


def _operand_stays(machine: Machine, dataflow: str, tile: ArrayTile, stored: OperandBits) -> Counter[str]:
    rows, columns = machine.array.rows, machine.array.columns
    weights_stay = dataflow == "weight_stationary"
    held_bits, moving_bits = machine.pe.weight.bits, machine.pe.activation.bits
    across, stream = tile.channels, tile.pixels
    if not weights_stay:
        held_bits, moving_bits = moving_bits, held_bits
        across, stream = stream, across
    registers_per_held = 2 if machine.array.overlap == "double_buffered" else 1
    column_folds = cut(across, columns)
    operand_bits = sum_bits = 0
    for low, high in cut(tile.depth, rows):
        used = high - low
        hops_in = used * (used + 1) // 2
        held = across * (hops_in + (registers_per_held - 1) * used)
        skew = used * (used - 1) // 2
        moved = len(column_folds) * stream * (used * columns + skew)
        operand_bits += held * held_bits + moved * moving_bits
    for low, high in column_folds:
        used = high - low
        deskew = used * (columns - 1) - used * (used - 1) // 2
        k_folds = len(cut(tile.depth, rows))
        sum_bits += k_folds * stream * (used * rows + deskew) * machine.pe.partial_sum_bits
    held_reads = across * tile.depth
    moving_reads = len(column_folds) * stream * tile.depth
    weight_reads, activation_reads = (held_reads, moving_reads) if weights_stay else (moving_reads, held_reads)
    return Counter(
        operand_register_bits=tile.groups * operand_bits,
        sum_register_bits=tile.groups * sum_bits,
        weight_buffer_read_bytes=_size_bytes(tile.groups * weight_reads, stored.weight),
        activation_buffer_read_bytes=_size_bytes(tile.groups * activation_reads, stored.activation),
    )


def _results_stay(machine: Machine, tile: ArrayTile, stored: OperandBits) -> Counter[str]:
    rows, columns = machine.array.rows, machine.array.columns
    row_folds, column_folds = cut(tile.pixels, rows), cut(tile.channels, columns)
    activations = weights = 0
    for low, high in row_folds:
        used = high - low
        activations += used * columns + used * (used - 1) // 2
    for low, high in column_folds:
        used = high - low
        weights += used * rows + used * (used - 1) // 2
    operand_bits = tile.depth * (
        activations * len(column_folds) * machine.pe.activation.bits + weights * len(row_folds) * machine.pe.weight.bits
    )
    sums = tile.pixels * tile.channels
    hops = {"down": rows, "right": columns, "none": 0}[machine.array.shift_out]
    sum_bits = sums * (tile.depth + hops) * machine.pe.partial_sum_bits
    return Counter(
        operand_register_bits=tile.groups * operand_bits,
        sum_register_bits=tile.groups * sum_bits,
        weight_buffer_read_bytes=_size_bytes(tile.groups * tile.depth * tile.channels * len(row_folds), stored.weight),
        activation_buffer_read_bytes=_size_bytes(
            tile.groups * tile.depth * tile.pixels * len(column_folds), stored.activation
        ),
    )


def _size_bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)
