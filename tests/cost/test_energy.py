"""Energy: sums of counted actions, each figure derived by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.load import load_arch
from accel.arch.spec import DramDevice, DramSpec, Machine
from accel.arch.technology import LeakageFigures, Sourced, load_technology
from accel.cost.area import area_of
from accel.cost.energy import activity_energy, energy_of, leakage_mw
from accel.cost.requantizer import requantizer_parts
from accel.numerics.qtype import QType
from accel.result import Actions, Activity, Energy

EDGE = load_arch("edge-32x32")
TECHNOLOGY = load_technology("45nm")
ARRAY_PARTS = ("mac_pj", "registers_pj")

counts = st.integers(0, 10**12)
actions = st.builds(Actions, **{field.name: counts for field in dataclasses.fields(Actions)})


def with_pe(**changes: object) -> Machine:
    return EDGE.model_copy(update={"pe": EDGE.pe.model_copy(update=changes)})


def products(count: int) -> dict[str, int]:
    """Made and added one by one."""
    return {"macs": count, "multiplier_operations": count, "sum_adds": count}


def part(name: str, **counted: int) -> float:
    return float(getattr(energy_of(Actions(**counted), 0, EDGE, TECHNOLOGY), name))


def test_a_mac_is_a_multiplication_and_an_addition() -> None:
    assert part("mac_pj", **products(1000)) == pytest.approx(1000 * (0.2 + 0.1))
    assert part("mac_pj", accumulator_adds=1000) == pytest.approx(1000 * 0.1)
    narrow = with_pe(weight=QType(4, signed=True), partial_sum_bits=16)
    assert energy_of(Actions(**products(1)), 0, narrow, TECHNOLOGY).mac_pj == pytest.approx(
        0.2 * 29 / 65 + 0.1 * 16 / 32
    )


def test_sums_that_saturate_take_a_choice_more() -> None:
    saturating = energy_of(Actions(**products(1), accumulator_adds=1), 0, with_pe(overflow="saturate"), TECHNOLOGY)
    assert saturating.mac_pj == pytest.approx(0.2 + 2 * 0.1 * (1 + 7 / 16))
    counted = Actions(**products(100), accumulator_adds=10)
    average = energy_of(counted, 0, with_pe(overflow="saturate"), TECHNOLOGY)
    seen = activity_energy(activity(0.5, 0.5, 0.5), counted, with_pe(overflow="saturate"), TECHNOLOGY)
    assert seen.mac_pj == pytest.approx(average.mac_pj)


def test_registers_and_dram_by_the_bit() -> None:
    bits = {"operand_register_bits": 100, "product_register_bits": 200, "sum_register_bits": 700}
    assert part("registers_pj", **bits) == pytest.approx(1000 * 0.009)
    assert part("dram_pj", dram_read_bytes=64, dram_write_bytes=64) == pytest.approx(128 * 8 * 8)


def test_buffers_by_the_access() -> None:
    """A 32-byte port takes two accesses for 64 bytes; 256 bits read cost 2.00 times 64 bits, written 2.56 times."""
    exponent = math.log(5) / math.log(32)  # 20 pJ at 32 KiB, 100 pJ at 1 MiB
    weight_pj, activation_pj = (20 * (size / 32) ** exponent for size in (128, 256))
    read, write = 51.8 / 25.9, 66.2 / 25.9
    assert part("weight_buffer_pj", weight_buffer_read_bytes=64) == pytest.approx(2 * weight_pj * read)
    assert part("weight_buffer_pj", weight_buffer_write_bytes=64) == pytest.approx(2 * weight_pj * write)
    assert part("activation_buffer_pj", activation_buffer_read_bytes=320) == pytest.approx(10 * activation_pj * read)
    # 128 bytes are four banks of 256 bits, each with a quarter of 256 KiB.
    bank_pj = 20 * (64 / 32) ** exponent
    assert part("accumulator_buffer_pj", accumulator_buffer_write_bytes=128) == pytest.approx(4 * bank_pj * write)
    assert part("accumulator_buffer_pj", accumulator_buffer_read_bytes=256) == pytest.approx(8 * bank_pj * read)


def test_vector_unit() -> None:
    requantization_pj = requantizer_parts(EDGE).pj(TECHNOLOGY)
    assert part("vector_pj", vector_requantize=10) == pytest.approx(10 * requantization_pj)
    assert part("vector_pj", vector_add=10, vector_compare=5) == pytest.approx(1.5)


@given(actions, st.integers(0, 10**9))
def test_the_total_is_the_sum_of_its_parts(counted: Actions, cycles: int) -> None:
    energy = energy_of(counted, cycles, EDGE, TECHNOLOGY)
    parts = dataclasses.asdict(energy)
    assert all(value >= 0 for value in parts.values())
    assert energy.total_pj == pytest.approx(math.fsum(parts.values()))


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Actions) if field.name not in ("macs", "dram_row_hits")]
)
def test_no_action_is_free_and_each_belongs_to_one_part(field: str) -> None:
    """A MAC is its multiplication and its additions, which are counted by themselves; a hit opens no row."""
    machine = EDGE.model_copy(update={"dram": DramSpec(device=DramDevice.named("lpddr4-3200")).at_clock(1e9)})
    energy = dataclasses.asdict(energy_of(Actions(**{field: 1000}), 0, machine, TECHNOLOGY))
    assert sum(value > 0 for value in energy.values()) == 1


@given(actions, actions)
def test_energy_adds_up_over_layers(first: Actions, second: Actions) -> None:
    both = Actions(*(a + b for a, b in zip(dataclasses.astuple(first), dataclasses.astuple(second), strict=True)))
    apart = energy_of(first, 0, EDGE, TECHNOLOGY).total_pj + energy_of(second, 0, EDGE, TECHNOLOGY).total_pj
    assert energy_of(both, 0, EDGE, TECHNOLOGY).total_pj == pytest.approx(apart)


@given(st.integers(1, 15), st.integers(1, 15), st.integers(32, 63))
def test_more_bits_never_cost_less(weight_bits: int, activation_bits: int, sum_bits: int) -> None:
    def mac_pj(weight: int, activation: int, sums: int) -> float:
        machine = with_pe(weight=QType(weight, True), activation=QType(activation, True), partial_sum_bits=sums)
        return energy_of(Actions(**products(1)), 0, machine, TECHNOLOGY).mac_pj

    here = mac_pj(weight_bits, activation_bits, sum_bits)
    assert here < mac_pj(weight_bits + 1, activation_bits, sum_bits)
    assert here < mac_pj(weight_bits, activation_bits + 1, sum_bits)
    assert here < mac_pj(weight_bits, activation_bits, sum_bits + 1)


def test_leakage_is_zero_unless_the_technology_says_some() -> None:
    assert energy_of(Actions(), 10**9, EDGE, TECHNOLOGY) == Energy()
    figures = LeakageFigures(
        logic_mw_per_mm2=Sourced(value=30.0, source="a test"), sram_mw_per_mm2=Sourced(value=2.0, source="a test")
    )
    leaky = TECHNOLOGY.model_copy(update={"leakage": figures})
    area = area_of(EDGE, TECHNOLOGY)
    buffers_mm2 = area.weight_buffer_mm2 + area.activation_buffer_mm2 + area.accumulator_buffer_mm2
    power_mw = 30 * (area.array_mm2 + area.vector_mm2) + 2 * buffers_mm2
    assert leakage_mw(EDGE, leaky) == pytest.approx(power_mw)
    # A millisecond at 1 GHz: 1 mW for 1 ms is 1 uJ, or 1e6 pJ.
    energy = energy_of(Actions(), 10**6, EDGE, leaky)
    assert energy.leakage_pj == energy.total_pj == pytest.approx(power_mw * 1e6)
    slow = EDGE.model_copy(update={"clock_hz": 0.5e9})
    assert energy_of(Actions(), 10**6, slow, leaky).leakage_pj == pytest.approx(2 * energy.leakage_pj)


def activity(operands: float, products: float, sums: float) -> Activity:
    """Toggle rates out of a thousand register bits each."""
    return Activity(
        operand_bits=round(1000 * operands),
        product_bits=round(1000 * products),
        sum_bits=round(1000 * sums),
        operand_bits_possible=1000,
        product_bits_possible=1000,
        sum_bits_possible=1000,
    )


COUNTED = Actions(
    **products(100),
    operand_register_bits=800,
    product_register_bits=1600,
    sum_register_bits=3200,
    dram_read_bytes=64,
    weight_buffer_read_bytes=64,
)


def test_half_of_the_bits_toggling_is_the_average() -> None:
    average = energy_of(COUNTED, 0, EDGE, TECHNOLOGY)
    seen = activity_energy(activity(0.5, 0.5, 0.5), COUNTED, EDGE, TECHNOLOGY)
    assert dataclasses.astuple(seen) == pytest.approx(dataclasses.astuple(average))


def test_each_kind_of_bit_scales_its_own_parts() -> None:
    """100 MACs: 20 pJ of multiplying, 10 of adding; registers 7.2 pJ for operands, 14.4 for products, 28.8 for sums."""

    def array(operands: float, products: float, sums: float) -> tuple[float, float]:
        energy = activity_energy(activity(operands, products, sums), COUNTED, EDGE, TECHNOLOGY)
        return energy.mac_pj, energy.registers_pj

    assert array(1.0, 0.5, 0.5) == pytest.approx((30, 14.4 + 14.4 + 28.8))
    assert array(0.5, 1.0, 0.5) == pytest.approx((50, 7.2 + 28.8 + 28.8))
    assert array(0.5, 0.5, 1.0) == pytest.approx((40, 7.2 + 14.4 + 57.6))
    assert array(0.0, 0.0, 0.0) == (0, 0)
    assert array(0.1, 0.2, 0.3) == pytest.approx((20 * 0.4 + 10 * 0.6, 7.2 * 0.2 + 14.4 * 0.4 + 28.8 * 0.6))


def test_activity_leaves_the_rest_at_its_average() -> None:
    average = dataclasses.asdict(energy_of(COUNTED, 0, EDGE, TECHNOLOGY))
    seen = dataclasses.asdict(activity_energy(activity(0, 0, 0), COUNTED, EDGE, TECHNOLOGY))
    assert {name for name in seen if seen[name] != average[name]} == set(ARRAY_PARTS)


def test_where_nothing_was_counted_the_average_stands() -> None:
    nothing = Activity(0, 0, 0, 0, 0, 0)
    seen, average = activity_energy(nothing, COUNTED, EDGE, TECHNOLOGY), energy_of(COUNTED, 0, EDGE, TECHNOLOGY)
    assert dataclasses.astuple(seen) == pytest.approx(dataclasses.astuple(average))


@settings(max_examples=30)
@given(st.floats(0, 1), st.floats(0, 1))
def test_more_toggling_never_takes_less(rate: float, other: float) -> None:
    less, more = sorted((rate, other))
    quiet = activity_energy(activity(less, less, less), COUNTED, EDGE, TECHNOLOGY)
    busy = activity_energy(activity(more, more, more), COUNTED, EDGE, TECHNOLOGY)
    assert quiet.total_pj <= busy.total_pj
