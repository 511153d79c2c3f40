"""Silicon area: components times area per component."""

from __future__ import annotations

from accel.arch.spec import Machine
from accel.arch.technology import Technology
from accel.cost.requantizer import requantizer_parts
from accel.result import Area

_UM2_PER_MM2 = 1e6


def area_of(machine: Machine, technology: Technology) -> Area:
    """Area of the array, the buffers and the vector unit, before placement (no routing, no idle silicon)."""
    buffers = machine.buffers
    return Area(
        array_mm2=_array_um2(machine, technology) / _UM2_PER_MM2,
        weight_buffer_mm2=technology.sram_um2(buffers.weight.capacity_bytes) / _UM2_PER_MM2,
        activation_buffer_mm2=technology.sram_um2(buffers.activation.capacity_bytes) / _UM2_PER_MM2,
        accumulator_buffer_mm2=technology.sram_um2(buffers.accumulator.capacity_bytes) / _UM2_PER_MM2,
        vector_mm2=machine.vector.lanes * _lane_um2(machine, technology) / _UM2_PER_MM2,
    )


def pe_um2(machine: Machine, technology: Technology) -> float:
    """One processing element: multiplier, adder, registers."""
    pe = machine.pe
    arithmetic = technology.multiplier_um2(pe.weight.bits, pe.activation.bits) + technology.adder_um2(
        pe.partial_sum_bits
    )
    return arithmetic + technology.register_um2(pe_register_bits(machine))


def pe_register_bits(machine: Machine) -> int:
    """Register bits in one PE; a machine with several dataflows has for each operand what the hungriest one needs.

    A moving operand has one register for each cycle of its hop. A stationary operand has one, and two more when
    double buffered: the shadow, and the pipeline register of its own way down. Moving sums have one for each cycle of
    their hop; sums that stay have one, and another to shift out behind the next ones when double buffered. Latencies
    of multiplier and adder are registers of the product and the sum.
    """
    array, pe = machine.array, machine.pe
    doubled = array.overlap == "double_buffered"
    held, down, right = (3 if doubled else 1), array.vertical_hop_latency_cycles, array.horizontal_hop_latency_cycles
    words = {
        "weight_stationary": (held, right, down),
        "input_stationary": (right, held, down),
        "output_stationary": (down, right, 2 if doubled else 1),
    }
    weights, activations, sums = (max(words[dataflow][part] for dataflow in array.dataflow) for part in range(3))
    product_bits = pe.weight.bits + pe.activation.bits
    return (
        weights * pe.weight.bits
        + activations * pe.activation.bits
        + array.multiplier_latency_cycles * product_bits
        + (sums + array.accumulate_latency_cycles) * pe.partial_sum_bits
    )


def _array_um2(machine: Machine, technology: Technology) -> float:
    """The PEs, and the triangles of registers that skew operands in front of the array and align sums behind it."""
    rows, columns = machine.array.rows, machine.array.columns
    skew_bits = rows * (rows - 1) // 2 * machine.pe.activation.bits
    align_bits = columns * (columns - 1) // 2 * machine.pe.partial_sum_bits
    return rows * columns * pe_um2(machine, technology) + technology.register_um2(skew_bits + align_bits)


def _lane_um2(machine: Machine, technology: Technology) -> float:
    """One lane of the vector unit: its requantizer, and an adder as wide as the accumulators."""
    return requantizer_parts(machine).um2(technology) + technology.adder_um2(machine.pe.accumulator_bits)
