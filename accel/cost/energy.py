"""Energy: counted actions times energy per action, by component."""

from __future__ import annotations

from accel.arch.spec import BufferSpec, Machine
from accel.arch.technology import Technology
from accel.cost.adder import adder_parts
from accel.cost.area import area_of
from accel.cost.dram import dram_pj
from accel.cost.multiplier import operation_pj, product_add_pj
from accel.cost.requantizer import requantizer_parts
from accel.result import Actions, Activity, Energy

_TYPICAL_TOGGLE_RATE = 0.5
"""Published energies are for random data: half of the bits toggle."""


def energy_of(actions: Actions, cycles_total: int, machine: Machine, technology: Technology) -> Energy:
    """Energy of one layer (or of a whole run) at average activity.

    A MAC is a multiplication of the PE's operand types (or what a bit-serial or composable multiplier makes of it) and
    an addition as wide as its partial sums; fold sums that join the accumulator buffer are additions of its width and
    count with the MACs. A buffer's port
    moves ``width_bytes_per_cycle`` in one access, so bytes become accesses by that width. Leakage flows for
    ``cycles_total`` cycles when the technology says any, and so does the standby of a DRAM device that is described.

    Returns
    -------
    Energy
        Picojoules by component; the total is their sum.
    """
    buffers = machine.buffers
    return Energy(
        mac_pj=sum(_mac_pj(actions, machine, technology)),
        registers_pj=technology.register_pj(
            actions.operand_register_bits + actions.product_register_bits + actions.sum_register_bits
        ),
        weight_buffer_pj=_buffer_pj(
            buffers.weight, actions.weight_buffer_read_bytes, actions.weight_buffer_write_bytes, technology
        ),
        activation_buffer_pj=_buffer_pj(
            buffers.activation, actions.activation_buffer_read_bytes, actions.activation_buffer_write_bytes, technology
        ),
        accumulator_buffer_pj=_buffer_pj(
            buffers.accumulator,
            actions.accumulator_buffer_read_bytes,
            actions.accumulator_buffer_write_bytes,
            technology,
        ),
        dram_pj=dram_pj(actions, cycles_total, machine, technology),
        vector_pj=_vector_pj(actions, machine, technology),
        leakage_pj=leakage_mw(machine, technology) * cycles_total / machine.clock_hz * 1e9,
    )


def activity_energy(
    activity: Activity, actions: Actions, machine: Machine, technology: Technology, cycles_total: int = 0
) -> Energy:
    """Energy of one layer with the array's components scaled by the bits that really toggled.

    A published energy is the average over random data, where half of the bits toggle from one cycle to the next; a
    component whose data toggled a fraction f of its bits takes f / 0.5 of it. Products scale the multiplier and the
    registers behind it, sums the adder and the sums' registers, operands the operands' registers. That is a
    first-order model: a register's clock takes its part of the energy whether data toggle or not, so figures far below
    the average are too low. Buffers, DRAM and the vector unit stay at their average, as no bits were counted there.
    """
    average = energy_of(actions, cycles_total, machine, technology)
    operands = _relative(activity.operand_bits, activity.operand_bits_possible)
    products = _relative(activity.product_bits, activity.product_bits_possible)
    sums = _relative(activity.sum_bits, activity.sum_bits_possible)
    multiplying_pj, adding_pj, accumulating_pj = _mac_pj(actions, machine, technology)
    return Energy(
        mac_pj=multiplying_pj * products + adding_pj * sums + accumulating_pj,
        registers_pj=(
            technology.register_pj(actions.operand_register_bits) * operands
            + technology.register_pj(actions.product_register_bits) * products
            + technology.register_pj(actions.sum_register_bits) * sums
        ),
        weight_buffer_pj=average.weight_buffer_pj,
        activation_buffer_pj=average.activation_buffer_pj,
        accumulator_buffer_pj=average.accumulator_buffer_pj,
        dram_pj=average.dram_pj,
        vector_pj=average.vector_pj,
        leakage_pj=average.leakage_pj,
    )


def leakage_mw(machine: Machine, technology: Technology) -> float:
    """Static power of the whole machine; 0 when the technology does not model it."""
    if technology.leakage is None:
        return 0.0
    area = area_of(machine, technology)
    logic_mm2 = area.array_mm2 + area.vector_mm2
    sram_mm2 = area.total_mm2 - logic_mm2
    figures = technology.leakage
    return logic_mm2 * figures.logic_mw_per_mm2.value + sram_mm2 * figures.sram_mw_per_mm2.value


def _mac_pj(actions: Actions, machine: Machine, technology: Technology) -> tuple[float, float, float]:
    """Energy of products (those that are added together included), of the PEs' sums, and of the accumulators' sums."""
    pe = machine.pe
    products_pj = actions.multiplier_operations * operation_pj(pe, technology)
    products_pj += actions.product_adds * product_add_pj(pe, technology)
    return (
        products_pj,
        actions.sum_adds * _sum_pj(machine, technology, pe.partial_sum_bits),
        actions.accumulator_adds * _sum_pj(machine, technology, pe.accumulator_bits),
    )


def _sum_pj(machine: Machine, technology: Technology, bits: int) -> float:
    """One addition to a sum; where sums saturate, also the choice between it and the bound."""
    saturation_pj = technology.multiplex_pj(bits) if machine.pe.overflow == "saturate" else 0.0
    return technology.add_pj(bits) + saturation_pj


def _buffer_pj(buffer: BufferSpec, read_bytes: int, write_bytes: int, technology: Technology) -> float:
    width_bytes = buffer.width_bytes_per_cycle
    read_pj = technology.sram_read_pj(buffer.capacity_bytes, 8 * width_bytes)
    write_pj = technology.sram_write_pj(buffer.capacity_bytes, 8 * width_bytes)
    return (read_bytes * read_pj + write_bytes * write_pj) / width_bytes


def _vector_pj(actions: Actions, machine: Machine, technology: Technology) -> float:
    """Adders and comparators (an addition each) of the vector unit are as wide as the accumulators."""
    add_pj = technology.add_pj(machine.pe.accumulator_bits)
    requantize_pj = requantizer_parts(machine).pj(technology)
    adder = adder_parts(machine)
    scaled_add_pj = 2 * requantize_pj + add_pj if adder is None else adder.pj(technology)
    return (
        actions.vector_requantize * requantize_pj
        + actions.vector_scaled_add * scaled_add_pj
        + (actions.vector_add + actions.vector_compare) * add_pj
    )


def _relative(toggled: int, possible: int) -> float:
    """Activity relative to the average that published energies assume; that average where nothing was counted."""
    return toggled / (_TYPICAL_TOGGLE_RATE * possible) if possible else 1.0
