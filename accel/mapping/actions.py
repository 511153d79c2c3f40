"""What a tile makes the hardware do, counted before any data is seen.

A register is written when a value arrives; bubbles cost nothing. Operands travel through all columns of their row or
all rows of their column, and partial sums through all rows, used or not. The triangles of skew and de-skew registers
and the registers of the machine's latencies count like the rest. They are the registers that ``accel.sim.activity``
lists and finds toggling, in closed form.

The formulas work on whole numbers and, element by element, on arrays of them: the sizes of many tiles at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from accel.arch.multiplier import Step
from accel.arch.spec import ArraySpec, Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.mapping.mapping import Size, TileSizes, blocks, parts


@dataclass(frozen=True, slots=True)
class OperandBits:
    """Bits of one element in the buffers; the array's registers have the machine's width, which may be larger."""

    weight: int
    activation: int


def array_actions(
    machine: Machine,
    dataflow: Dataflow,
    tile: TileSizes,
    first: bool,
    stored: OperandBits,
    step: Step,
    groups_at_once: int = 1,
) -> Counter[str]:
    """Actions of one Compute instruction, by the field names of ``accel.result.Actions``.

    Zeros that keep groups apart that are in the array at once lie in no buffer, but travel to their PEs like weights;
    what is multiplied by them counts no more than what passes PEs that no weight is for.

    Operands that go through in passes are read again in each, a digit at a time, and all passes but the first add to
    what the accumulators hold.
    """
    if step.passes:
        digits = OperandBits(min(stored.weight, step.weight_bits), min(stored.activation, step.activation_bits))
        whole = replace(step, passes=())
        counts = array_actions(machine, dataflow, tile, first, digits, whole, groups_at_once)
        again = array_actions(machine, dataflow, tile, False, digits, whole, groups_at_once)
        for _ in step.passes[1:]:
            counts.update(again)
        counts["macs"] //= step.turns
        return counts
    if dataflow == "output_stationary":
        counts = _results_stay(machine, tile, stored, step)
    else:
        counts = Counter()
        for block in blocks(tile, groups_at_once):
            counts.update(_operand_stays(machine, dataflow, block, stored, step))
        if groups_at_once > 1:
            weights, activations = (tile.groups * tile.depth * across for across in (tile.channels, tile.pixels))
            counts["weight_buffer_read_bytes"] = _size_bytes(weights, stored.weight)
            counts["activation_buffer_read_bytes"] = _size_bytes(activations, stored.activation)
    sums = tile.groups * tile.pixels * tile.channels
    along_k = 1 if dataflow == "output_stationary" else parts(tile.depth, machine.array.rows * step.products)
    adds = sums * along_k
    counts["macs"] = sums * tile.depth
    counts["multiplier_operations"] = counts["macs"] * step.operations
    counts["sum_adds"] = sums * _steps_along_k(machine, dataflow, tile.depth, step)
    counts["product_adds"] = counts["macs"] - counts["sum_adds"]
    product_bits = step.weight_bits + step.activation_bits
    counts["product_register_bits"] = counts["macs"] * machine.array.multiplier_latency_cycles * product_bits
    counts["accumulator_adds"] = adds - (sums if first else 0)
    counts["accumulator_buffer_write_bytes"] = _size_bytes(adds, machine.pe.accumulator_bits)
    counts["accumulator_buffer_read_bytes"] = _size_bytes(counts["accumulator_adds"], machine.pe.accumulator_bits)
    return counts


def _steps_along_k(machine: Machine, dataflow: Dataflow, depth: Size, step: Step) -> Size:
    """Additions to a PE's sum for one result: a PE takes ``step.products`` neighbours, the last one of a fold fewer."""
    if dataflow == "output_stationary":
        return parts(depth, step.products)
    return _over_folds(depth, machine.array.rows * step.products, lambda used: parts(used, step.products))


def _operand_stays(
    machine: Machine, dataflow: Dataflow, tile: TileSizes, stored: OperandBits, step: Step
) -> Counter[str]:
    array, timing = machine.array, ArrayTiming.of(machine.array, dataflow)
    rows, columns = timing.rows, timing.columns
    down, right = timing.row_step_cycles, timing.column_step_cycles
    weights_stay = dataflow == "weight_stationary"
    held_bits, moving_bits = step.weight_bits, step.activation_bits
    across, stream = tile.channels, tile.pixels
    if not weights_stay:
        held_bits, moving_bits = moving_bits, held_bits
        across, stream = stream, across
    row_places = rows * step.products
    row_folds, column_folds = parts(tile.depth, row_places), parts(across, columns)
    moved = (
        stream
        * column_folds
        * _over_folds(tile.depth, row_places, lambda used: _enter(array, used, right * columns, down, step.products))
    )
    # Behind the wave, operands enter skewed, keep its pace, and are copied where they stay.
    way, skew, kept = (down * rows, right, 1) if timing.overlapped else (rows, 0, 0)
    held = tile.depth * _over_folds(across, columns, lambda wide: _enter(array, wide, way + kept, skew))
    sums = (
        stream
        * row_folds
        * _over_folds(
            across,
            columns,
            lambda wide: wide * (down * rows + array.output_latency_cycles) + right * _waiting(wide, columns),
        )
    )
    held_reads = across * tile.depth
    moving_reads = column_folds * stream * tile.depth
    weight_reads, activation_reads = (held_reads, moving_reads) if weights_stay else (moving_reads, held_reads)
    return Counter(
        operand_register_bits=tile.groups * (held * held_bits + moved * moving_bits),
        sum_register_bits=tile.groups * sums * machine.pe.partial_sum_bits,
        weight_buffer_read_bytes=_size_bytes(tile.groups * weight_reads, stored.weight),
        activation_buffer_read_bytes=_size_bytes(tile.groups * activation_reads, stored.activation),
    )


def _results_stay(machine: Machine, tile: TileSizes, stored: OperandBits, step: Step) -> Counter[str]:
    array, timing = machine.array, ArrayTiming.of(machine.array, "output_stationary")
    down, right = timing.row_step_cycles, timing.column_step_cycles
    rows, columns = timing.rows, timing.columns
    row_folds, column_folds = parts(tile.pixels, rows), parts(tile.channels, columns)
    activations = _over_folds(tile.pixels, rows, lambda used: _enter(array, used, right * columns, down))
    weights = _over_folds(tile.channels, columns, lambda used: _enter(array, used, down * rows, right))
    operand_bits = tile.depth * (
        activations * column_folds * step.activation_bits + weights * row_folds * step.weight_bits
    )
    sums = tile.pixels * tile.channels * parts(tile.depth, step.products) * (1 + array.accumulate_latency_cycles)
    sums += tile.pixels * tile.channels * array.output_latency_cycles
    sums += _over_folds(
        tile.pixels,
        rows,
        lambda height: _over_folds(tile.channels, columns, lambda width: _leaving(timing, height, width)),
    )
    return Counter(
        operand_register_bits=tile.groups * operand_bits,
        sum_register_bits=tile.groups * sums * machine.pe.partial_sum_bits,
        weight_buffer_read_bytes=_size_bytes(tile.groups * tile.depth * tile.channels * row_folds, stored.weight),
        activation_buffer_read_bytes=_size_bytes(
            tile.groups * tile.depth * tile.pixels * column_folds, stored.activation
        ),
    )


def _enter(array: ArraySpec, lanes: Size, way: int, skew: int, side_by_side: int = 1) -> Size:
    """Registers that an operand in each of ``lanes`` passes: those in front of the array, and a ``way`` through it.

    ``side_by_side`` lanes belong to one row (or column), and are skewed alike.
    """
    rows, rest = lanes // side_by_side, lanes % side_by_side
    return lanes * (array.input_latency_cycles + way) + skew * (side_by_side * _triangle(rows) + rest * rows)


def _leaving(timing: ArrayTiming, height: Size, width: Size) -> Size:
    """Registers that ``height`` x ``width`` results of a fold pass from where they were summed up to where all are out.

    Behind the wave they are captured in shadow registers, leave through those of the PEs on their way and the hops
    between them, skewed, and wait for one another at the edge. Otherwise they leave through the registers in which
    they were summed up, and one at the edge.
    """
    rows, columns, down, right = timing.rows, timing.columns, timing.row_step_cycles, timing.column_step_cycles
    rows_wait, columns_wait = width * _waiting(height, rows), height * _waiting(width, columns)
    match timing.shift_out, timing.overlapped:
        case "down", True:
            return height * width + (1 + down) * rows_wait + right * columns_wait
        case "right", True:
            return height * width + (1 + right) * columns_wait + down * rows_wait
        case "none", True:
            return down * rows_wait + right * columns_wait
        case "none", False:
            return 0
    return height * width + (rows_wait if timing.shift_out == "down" else columns_wait)


def _waiting(used: Size, places: int) -> Size:
    """How many places lie behind each of the first ``used`` of them, all together."""
    return used * (places - 1) - _triangle(used)


def _over_folds(size: Size, step: int, count: Callable[[Size], Size]) -> Size:
    """The sum of ``count`` over the stretches of ``step`` that ``size`` is cut into, the last one perhaps shorter."""
    rest = size % step
    return size // step * count(step) + (rest > 0) * count(rest)


def _triangle(count: Size) -> Size:
    """0 + 1 + ... + (count - 1)."""
    return count * (count - 1) // 2


def _size_bytes(elements: Size, bits: int) -> Size:
    return -(-elements * bits // 8)
