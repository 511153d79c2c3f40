"""Silicon area: components times area per component."""

from __future__ import annotations

import functools

from accel.arch.registers import Words, edge_registers, pe_registers, result_lanes
from accel.arch.spec import Machine
from accel.arch.technology import Technology
from accel.cost.adder import adder_parts
from accel.cost.multiplier import multipliers_um2
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
    """One processing element: multipliers, adder, registers."""
    pe = machine.pe
    return (
        multipliers_um2(pe, technology)
        + sum_adder_um2(machine, technology, pe.partial_sum_bits)
        + technology.register_um2(pe_register_bits(machine))
    )


def pe_register_bits(machine: Machine) -> int:
    """Register bits in one PE; a machine with several dataflows has of each register what the hungriest one needs."""
    words = [pe_registers(machine.array, dataflow) for dataflow in machine.array.dataflow]
    return functools.reduce(Words.or_more, words).bits(machine.pe)


def sum_adder_um2(machine: Machine, technology: Technology, bits: int) -> float:
    """An adder of sums; one that saturates also chooses between its sum and the bound."""
    saturation = technology.multiplexer_um2(bits) if machine.pe.overflow == "saturate" else 0.0
    return technology.adder_um2(bits) + saturation


def requantizer_um2(machine: Machine, technology: Technology) -> float:
    """One lane of the requantizer, with its comparators; one costs as much as an adder."""
    comparators = machine.vector.threshold_steps * technology.adder_um2(machine.pe.accumulator_bits)
    return requantizer_parts(machine).um2(technology) + comparators


def _array_um2(machine: Machine, technology: Technology) -> float:
    """The PEs, the registers around them, and the adders that add results to the accumulators."""
    array = machine.array
    edges = functools.reduce(Words.or_more, [edge_registers(array, dataflow) for dataflow in array.dataflow])
    lanes = max(result_lanes(array, dataflow) for dataflow in array.dataflow)
    return (
        array.rows * array.columns * pe_um2(machine, technology)
        + technology.register_um2(edges.bits(machine.pe))
        + lanes * sum_adder_um2(machine, technology, machine.pe.accumulator_bits)
    )


def _lane_um2(machine: Machine, technology: Technology) -> float:
    """One lane of the vector unit: its requantizer, its adder of activations, and one as wide as the accumulators."""
    adder = adder_parts(machine)
    scaling_um2 = requantizer_um2(machine, technology) + (0.0 if adder is None else adder.um2(technology))
    return scaling_um2 + technology.adder_um2(machine.pe.accumulator_bits)
