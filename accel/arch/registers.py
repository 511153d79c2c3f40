"""The registers of an array, counted in words from its description."""

from __future__ import annotations

from dataclasses import dataclass

from accel.arch.multiplier import register_bits, stored_bits
from accel.arch.spec import ArraySpec, Dataflow, PeSpec
from accel.arch.timing import ArrayTiming


@dataclass(frozen=True, slots=True)
class Words:
    """Registers by what they hold."""

    weights: int = 0
    activations: int = 0
    products: int = 0
    sums: int = 0

    def bits(self, pe: PeSpec) -> int:
        """As many bits as the machine's types have."""
        weight_bits, activation_bits = register_bits(pe.multiplier, pe.products, (pe.weight, pe.activation))
        return (
            self.weights * weight_bits
            + self.activations * activation_bits
            + self.products * pe.products * sum(stored_bits(pe.multiplier, (pe.weight, pe.activation)))
            + self.sums * pe.partial_sum_bits
        )

    def or_more(self, other: Words) -> Words:
        """Enough for either."""
        return Words(
            max(self.weights, other.weights),
            max(self.activations, other.activations),
            max(self.products, other.products),
            max(self.sums, other.sums),
        )


def pe_registers(array: ArraySpec, dataflow: Dataflow) -> Words:
    """Registers of one PE.

    A moving operand has one for each cycle of its hop, and so have moving sums. An operand that stays has one; double
    buffered two, of which one is loaded while the other is in use, and those of its own way down. A sum that stays has
    one, and double buffered, if results leave through their neighbours, a shadow register behind it and one for each
    cycle of a result's hop from shadow to shadow. Sums that are loaded first are held like an operand. Latencies of
    multiplier and adder are registers of the product and the sum.
    """
    timing = ArrayTiming.of(array, dataflow)
    down, right = timing.row_step_cycles, timing.column_step_cycles
    held = 2 + down if timing.overlapped else 1
    products = array.multiplier_latency_cycles
    match dataflow:
        case "weight_stationary":
            return Words(weights=held, activations=right, products=products, sums=down)
        case "input_stationary":
            return Words(weights=right, activations=held, products=products, sums=down)
        case "output_stationary":
            hop = {"none": None, "down": down, "right": right}[array.shift_out]
            shadows = 1 + hop if timing.overlapped and hop is not None else 0
            preloaded = held if array.accumulator_preload else 0
            sums = 1 + array.accumulate_latency_cycles + shadows + preloaded
            return Words(weights=down, activations=right, products=products, sums=sums)


def edge_registers(array: ArraySpec, dataflow: Dataflow) -> Words:
    """Registers around the PEs: the triangles that skew operands and align sums, and latencies in front and behind.

    Without overlap nothing is loaded behind the wave, so that loads need no skew, and results that shift out wait for
    the last PE and leave in step, through one register at the edge.
    """
    timing = ArrayTiming.of(array, dataflow)
    rows, columns = array.rows, array.columns
    early_rows, early_columns = timing.row_step_cycles * _triangle(rows), timing.column_step_cycles * _triangle(columns)
    entry, leave = array.input_latency_cycles, array.output_latency_cycles
    moving = early_rows + entry * rows
    if dataflow == "output_stationary":
        loaded = (early_columns if timing.overlapped else 0) + entry * columns if array.accumulator_preload else 0
        if timing.overlapped:
            aligned = {
                "none": columns * early_rows + rows * early_columns,
                "down": early_columns,
                "right": early_rows,
            }[array.shift_out]
        else:
            aligned = 0 if array.shift_out == "none" else result_lanes(array, dataflow)
        sums = loaded + aligned + leave * result_lanes(array, dataflow)
        return Words(weights=early_columns + entry * columns, activations=moving, sums=sums)
    held = (early_columns if timing.overlapped else 0) + entry * columns
    sums = early_columns + leave * columns
    if dataflow == "weight_stationary":
        return Words(weights=held, activations=moving, sums=sums)
    return Words(weights=moving, activations=held, sums=sums)


def result_lanes(array: ArraySpec, dataflow: Dataflow) -> int:
    """Results that leave the array in one cycle, each with an adder that adds it to its accumulator."""
    if dataflow != "output_stationary":
        return array.columns
    return {"none": array.rows * array.columns, "down": array.columns, "right": array.rows}[array.shift_out]


def _triangle(count: int) -> int:
    return count * (count - 1) // 2
