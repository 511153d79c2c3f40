"""Area: components of a PE, an array, buffers and lanes, counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from accel.arch.load import load_arch
from accel.arch.spec import Machine
from accel.arch.technology import load_technology
from accel.cost.area import area_of, pe_register_bits, pe_um2
from accel.cost.requantizer import requantizer_parts
from accel.numerics.qtype import QType
from tests.arch.strategies import machines

EDGE = load_arch("edge-32x32")
TECHNOLOGY = load_technology("45nm")


def with_part(part: str, **changes: object) -> Machine:
    return EDGE.model_copy(update={part: getattr(EDGE, part).model_copy(update=changes)})


def with_types(weight_bits: int, activation_bits: int, sum_bits: int, **array: object) -> Machine:
    machine = with_part("array", **array)
    pe = EDGE.pe.model_copy(
        update={
            "weight": QType(weight_bits, signed=True),
            "activation": QType(activation_bits, signed=True),
            "partial_sum_bits": sum_bits,
        }
    )
    return machine.model_copy(update={"pe": pe})


def test_a_machine_of_several_dataflows_has_of_each_register_what_the_hungriest_needs() -> None:
    """Weights of 4 bits stay (three registers), sums of 32 stay (three as well), activations of 8 move in either."""
    both = with_types(4, 8, 32, dataflow=("weight_stationary", "output_stationary"))
    assert pe_register_bits(both) == 3 * 4 + 8 + 3 * 32
    # Skew of 32 rows and columns: both operands' triangles, and the sums' on their way out.
    lanes_um2 = 32 * TECHNOLOGY.adder_um2(32)
    edges_um2 = TECHNOLOGY.register_um2(496 * (4 + 8 + 32))
    array_um2 = area_of(both, TECHNOLOGY).array_mm2 * 1e6
    assert array_um2 == pytest.approx(1024 * pe_um2(both, TECHNOLOGY) + edges_um2 + lanes_um2)


def test_edge_machine_by_hand() -> None:
    assert pe_um2(EDGE, TECHNOLOGY) == pytest.approx(282 + 137 + 64 * 5.98)
    area = area_of(EDGE, TECHNOLOGY)
    triangle = 32 * 31 // 2  # registers that skew 8-bit operands in on both sides, and align 32-bit sums
    array_um2 = 1024 * (282 + 137 + 64 * 5.98) + 5.98 * triangle * (8 + 8 + 32) + 32 * 137
    assert area.array_mm2 == pytest.approx(array_um2 / 1e6)
    assert area.weight_buffer_mm2 == pytest.approx(0.45 * 8 * 128 * 1024 / 1e6)
    assert area.activation_buffer_mm2 == area.accumulator_buffer_mm2 == pytest.approx(0.45 * 8 * 256 * 1024 / 1e6)
    assert area.vector_mm2 == pytest.approx(32 * (requantizer_parts(EDGE).um2(TECHNOLOGY) + 137) / 1e6)
    buffers_mm2 = area.weight_buffer_mm2 + area.activation_buffer_mm2 + area.accumulator_buffer_mm2
    assert area.total_mm2 == pytest.approx(area.array_mm2 + buffers_mm2 + area.vector_mm2)


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "sum_bits", "synthesized_um2"),
    [
        (8, 8, 32, 926),  # yosys 0.23, NanGate 45 nm, weight stationary
        (8, 8, 24, 832),
        (4, 8, 24, 527),
        (4, 4, 16, 314),
        (8, 8, 32, 511),  # Bit Fusion, results/systolic_array_synth.csv, 4 x 4 PEs
        (16, 16, 48, 1679),
    ],
)
def test_pes_are_within_half_of_what_others_synthesized(
    weight_bits: int, activation_bits: int, sum_bits: int, synthesized_um2: float
) -> None:
    machine = with_types(weight_bits, activation_bits, sum_bits, overlap="none")
    assert pe_um2(machine, TECHNOLOGY) == pytest.approx(synthesized_um2, rel=0.5)


def test_adders_that_saturate_choose() -> None:
    """A multiplexer of 7/16 of an adder, in every PE and in front of the accumulators."""
    wraps, saturates = (with_part("pe", overflow=overflow) for overflow in ("wrap", "saturate"))
    assert pe_um2(saturates, TECHNOLOGY) - pe_um2(wraps, TECHNOLOGY) == pytest.approx(137 * 7 / 16)
    more_mm2 = area_of(saturates, TECHNOLOGY).array_mm2 - area_of(wraps, TECHNOLOGY).array_mm2
    assert more_mm2 == pytest.approx((1024 + 32) * 137 * 7 / 16 / 1e6)


@settings(max_examples=40, deadline=None)
@given(machines())
def test_any_machine_has_an_area_and_wider_ones_a_larger_one(machine: Machine) -> None:
    area = area_of(machine, TECHNOLOGY)
    assert min(area.array_mm2, area.weight_buffer_mm2, area.vector_mm2) > 0
    wider = machine.model_copy(
        update={"pe": machine.pe.model_copy(update={"partial_sum_bits": machine.pe.partial_sum_bits + 1})}
    )
    assert area_of(wider, TECHNOLOGY).array_mm2 > area.array_mm2
    taller = machine.model_copy(update={"array": machine.array.model_copy(update={"rows": machine.array.rows + 1})})
    assert area_of(taller, TECHNOLOGY).array_mm2 > area.array_mm2
