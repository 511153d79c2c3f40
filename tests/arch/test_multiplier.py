"""Steps of a stream by multiplier and widths, against the speed laws of the hardware that each is taken from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.arch.multiplier import register_bits, step_of, widest_operands
from accel.numerics.qtype import BIPOLAR, QType

INT8 = QType(8, signed=True)
bits = st.integers(1, 8)


def operands(weight_bits: int, activation_bits: int) -> tuple[QType, QType]:
    return QType(weight_bits, signed=True), QType(activation_bits, signed=False)


@given(bits, bits, st.integers(1, 64))
def test_speed_laws(weight_bits: int, activation_bits: int, products: int) -> None:
    """Cycles for a product: Stripes the activation's bits; BISMO both operands' bits; a parallel PE one, always."""
    given = operands(weight_bits, activation_bits)
    for multiplier, cycles in (
        ("parallel", 1),
        ("bit_serial", activation_bits),
        ("bit_serial_both", weight_bits * activation_bits),
    ):
        step = step_of(multiplier, products, (INT8, INT8), given)
        assert (step.cycles, step.products) == (cycles, products)
        assert step.busy_cycles(1000) == pytest.approx(1000 * cycles / products)


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "products"),
    [(8, 8, 1), (8, 4, 2), (4, 4, 4), (2, 2, 16), (8, 2, 4), (1, 1, 16), (3, 5, 2), (5, 3, 2), (6, 6, 1)],
)
def test_composed_products(weight_bits: int, activation_bits: int, products: int) -> None:
    """Bit Fusion's (8 / b_w)(8 / b_a), b_w and b_a rounded up to 2, 4 or 8."""
    step = step_of("composable", 1, (INT8, INT8), operands(weight_bits, activation_bits))
    assert (step.cycles, step.products) == (1, products)
    assert step.operations * step.products == 16  # all bricks are at work


def test_a_composable_pe_takes_more_bits_than_a_parallel_one() -> None:
    assert widest_operands("composable", 1, (INT8, INT8)) == (32, 32)
    assert widest_operands("parallel", 1, (INT8, INT8)) == (8, 8)
    assert widest_operands("composable", 2, (INT8, INT8)) == (64, 64)


@given(st.sampled_from([2, 4, 8, 16]), st.sampled_from([2, 4, 8, 16]), st.integers(1, 16), st.integers(1, 16))
def test_no_operands_take_more_than_the_widest(w: int, a: int, weight_bits: int, activation_bits: int) -> None:
    widths = QType(w, signed=True), QType(a, signed=True)
    step = step_of("composable", 1, widths, operands(min(w, weight_bits), min(a, activation_bits)))
    widest = widest_operands("composable", 1, widths)
    assert step.products * step.weight_bits <= widest[0]
    assert step.products * step.activation_bits <= widest[1]


def test_registers_of_what_enters_bit_by_bit() -> None:
    assert register_bits("parallel", 3, (INT8, INT8)) == (24, 24)
    assert register_bits("bit_serial", 3, (INT8, INT8)) == (24, 3)
    assert register_bits("bit_serial_both", 3, (INT8, INT8)) == (3, 3)


def test_operands_of_minus_one_and_one() -> None:
    """Two bits to a multiplier that adds bits up or puts bricks together; one where it knows them."""
    given = BIPOLAR, BIPOLAR
    assert step_of("bit_serial", 1, (INT8, INT8), given).cycles == 2
    assert step_of("bit_serial_both", 1, (INT8, INT8), given).cycles == 4
    assert step_of("composable", 1, (INT8, INT8), given).products == 16
    binary = step_of("xnor", 64, given, given)
    assert (binary.cycles, binary.products, binary.weight_bits) == (1, 64, 1)
