"""Multipliers that are not parallel: their cells counted by hand, in full adders of the published adder."""

from __future__ import annotations

import pytest

from accel.arch.load import load_arch
from accel.arch.spec import PeSpec
from accel.arch.technology import load_technology
from accel.cost.energy import energy_of
from accel.cost.multiplier import multipliers_um2, operation_pj, product_add_pj
from accel.numerics.qtype import BIPOLAR, QType
from accel.result import Actions

EDGE = load_arch("edge-32x32")
TECHNOLOGY = load_technology("45nm")
ADDER_PJ, ADDER_UM2 = TECHNOLOGY.add_pj(1), TECHNOLOGY.adder_um2(1)
PRODUCT_PJ, PRODUCT_UM2 = TECHNOLOGY.multiply_pj(8, 8) / 65, TECHNOLOGY.multiplier_um2(8, 8) / 65
"""One full adder's worth of a multiplier: it has 65 at 8 x 8 bits."""
REGISTER_PJ, REGISTER_UM2 = TECHNOLOGY.register_pj(1), TECHNOLOGY.register_um2(1)


def pe(multiplier: str, weight_bits: int = 8, activation_bits: int = 8, products: int = 1) -> PeSpec:
    types = {"weight": QType(weight_bits, signed=True), "activation": QType(activation_bits, signed=True)}
    return EDGE.pe.model_copy(update={"multiplier": multiplier, "products": products, **types})


def test_parallel_products_are_added_by_as_wide_adders() -> None:
    """Four products of 8 x 8 bits: 16 bits each, 18 together, three additions."""
    four = pe("parallel", products=4)
    assert operation_pj(four, TECHNOLOGY) == pytest.approx(0.2)
    assert product_add_pj(four, TECHNOLOGY) == pytest.approx(18 * ADDER_PJ)
    assert multipliers_um2(four, TECHNOLOGY) == pytest.approx(4 * 65 * PRODUCT_UM2 + 3 * 18 * ADDER_UM2)


def test_a_bit_serial_product_by_hand() -> None:
    """8 AND gates (a quarter of an adder each), an adder and a register of 16 bits, in each cycle."""
    serial = pe("bit_serial")
    assert operation_pj(serial, TECHNOLOGY) == pytest.approx((8 / 4 + 16) * ADDER_PJ + 16 * REGISTER_PJ)
    assert multipliers_um2(serial, TECHNOLOGY) == pytest.approx((8 / 4 + 16) * ADDER_UM2 + 16 * REGISTER_UM2)
    assert product_add_pj(serial, TECHNOLOGY) == 0


def test_bit_serial_products_share_an_accumulator() -> None:
    """16 rows of 8 gates; 15 additions of 12 bits; an adder and a register of 8 + 8 + 4 bits for all of them."""
    serial = pe("bit_serial", products=16)
    cycle_pj = 16 * 8 / 4 * ADDER_PJ + 15 * 12 * ADDER_PJ + 20 * (ADDER_PJ + REGISTER_PJ)
    assert operation_pj(serial, TECHNOLOGY) == pytest.approx(cycle_pj / 16)
    um2 = 16 * 8 / 4 * ADDER_UM2 + 15 * 12 * ADDER_UM2 + 20 * (ADDER_UM2 + REGISTER_UM2)
    assert multipliers_um2(serial, TECHNOLOGY) == pytest.approx(um2)


def test_both_operands_bit_by_bit() -> None:
    """A gate for each of 64 products, a count of 63 additions of 7 bits, an accumulator of 2 + 2 + 6 bits."""
    serial = pe("bit_serial_both", 2, 2, products=64)
    cycle_pj = 64 / 4 * ADDER_PJ + 63 * 7 * ADDER_PJ + 10 * (ADDER_PJ + REGISTER_PJ)
    assert operation_pj(serial, TECHNOLOGY) == pytest.approx(cycle_pj / 64)


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "tree_bits"),
    [
        (2, 2, 0),
        (4, 2, 6),
        (4, 4, 2 * 6 + 8),  # two of 4 x 2, and one of 4 x 4
        (8, 8, 8 * 6 + 4 * 8 + 2 * 12 + 16),
        (8, 2, 2 * 6 + 10),  # 4 x 2 twice, then 8 x 2
    ],
)
def test_bricks_by_hand(weight_bits: int, activation_bits: int, tree_bits: int) -> None:
    """Bricks of 3 x 3 bits with sign: 9 / 4 + 2 * 2 adders; each addition of the tree with a choice of 7 / 16."""
    composed = pe("composable", weight_bits, activation_bits)
    bricks = weight_bits * activation_bits // 4
    brick, tree = 9 / 4 + 4, tree_bits * (1 + 7 / 16)
    assert multipliers_um2(composed, TECHNOLOGY) == pytest.approx(bricks * brick * PRODUCT_UM2 + tree * ADDER_UM2)
    assert operation_pj(composed, TECHNOLOGY) == pytest.approx(brick * PRODUCT_PJ + tree * ADDER_PJ / bricks)


def test_xnor_by_hand() -> None:
    """64 products: a gate of 3/8 adders each, and 63 adders that count."""
    binary = EDGE.pe.model_copy(update={"multiplier": "xnor", "products": 64, "weight": BIPOLAR, "activation": BIPOLAR})
    assert operation_pj(binary, TECHNOLOGY) == pytest.approx(3 / 8 * ADDER_PJ)
    assert product_add_pj(binary, TECHNOLOGY) == pytest.approx(ADDER_PJ)
    assert multipliers_um2(binary, TECHNOLOGY) == pytest.approx((64 * 3 / 8 + 63) * ADDER_UM2)


def test_narrow_operands_cost_less_where_the_multiplier_can_use_it() -> None:
    """100 MACs of 4 x 4 bits on 8 x 8: a parallel PE pays for 8 x 8; bricks are a quarter of it; cycles a half."""
    counted = {"macs": 100, "sum_adds": 100}

    def mac_pj(multiplier: str, operations: int) -> float:
        machine = EDGE.model_copy(update={"pe": pe(multiplier)})
        return energy_of(Actions(multiplier_operations=operations, **counted), 0, machine, TECHNOLOGY).mac_pj

    assert mac_pj("parallel", 100) == pytest.approx(100 * (0.2 + 0.1))
    assert mac_pj("composable", 400) - 10 == pytest.approx((mac_pj("composable", 1600) - 10) / 4)
    assert mac_pj("bit_serial", 400) - 10 == pytest.approx((mac_pj("bit_serial", 800) - 10) / 2)
