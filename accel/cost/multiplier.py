"""Multipliers: what the products that a PE makes at a time cost, their sum included.

Everything is counted in cells of the published multiplier and adder (``accel.arch.technology``):

- parallel: a multiplier for each product, adders for their sum;
- bit serial: for each product a row of AND gates; an adder and a register of the product's width behind the sum of
  the rows, which adds the bits' partial products up, shifted by one place a cycle. That is written every cycle;
- composable: bricks that multiply 2 x 2 bits of either sign, 3 x 3 with it, and a tree that adds them in pairs, each
  pair with a choice of the shift between the two, up to the width of the whole product;
- XNOR: a gate for each product, and a full adder for each that is counted with the others.
"""

from __future__ import annotations

from accel.arch.multiplier import BRICK_BITS
from accel.arch.spec import PeSpec
from accel.arch.technology import AND_GATE_ADDERS, XNOR_GATE_ADDERS, Technology

_SIGNED_BRICK_BITS = BRICK_BITS + 1


def operation_pj(pe: PeSpec, technology: Technology) -> float:
    """Energy of one of ``Actions.multiplier_operations``: a product, a cycle or a brick with its share of the rest."""
    if pe.multiplier == "xnor":
        return technology.add_pj(1) * XNOR_GATE_ADDERS
    if pe.multiplier == "parallel":
        return technology.multiply_pj(pe.weight.bits, pe.activation.bits)
    if pe.multiplier == "composable":
        tree_bits, bricks = _tree(pe)
        choice_pj = technology.add_pj(tree_bits) + technology.multiplex_pj(tree_bits)
        return technology.multiply_pj(_SIGNED_BRICK_BITS, _SIGNED_BRICK_BITS) + choice_pj / bricks
    gates, row_bits = _row(pe)
    serial_bits = _product_bits(pe)
    rows_pj = technology.add_pj((pe.products - 1) * row_bits)
    shared_pj = rows_pj + technology.add_pj(serial_bits) + technology.register_pj(serial_bits)
    return technology.add_pj(1) * gates * AND_GATE_ADDERS + shared_pj / pe.products


def product_add_pj(pe: PeSpec, technology: Technology) -> float:
    """Energy of adding one more product to the others of a PE before they join its sum; in a serial one, by rows."""
    if pe.multiplier == "xnor":
        return technology.add_pj(1)
    return technology.add_pj(_product_bits(pe)) if pe.multiplier in ("parallel", "composable") else 0.0


def multipliers_um2(pe: PeSpec, technology: Technology) -> float:
    """Area of what makes the products of one PE, and their sum."""
    more = pe.products - 1
    if pe.multiplier == "xnor":
        return technology.adder_um2(1) * (pe.products * XNOR_GATE_ADDERS + more)
    if pe.multiplier == "parallel":
        one = technology.multiplier_um2(pe.weight.bits, pe.activation.bits)
        return pe.products * one + more * technology.adder_um2(_product_bits(pe))
    if pe.multiplier == "composable":
        tree_bits, bricks = _tree(pe)
        brick = technology.multiplier_um2(_SIGNED_BRICK_BITS, _SIGNED_BRICK_BITS)
        tree = technology.adder_um2(tree_bits) + technology.multiplexer_um2(tree_bits)
        return pe.products * (bricks * brick + tree) + more * technology.adder_um2(_product_bits(pe))
    gates, row_bits = _row(pe)
    rows = pe.products * technology.adder_um2(1) * gates * AND_GATE_ADDERS + technology.adder_um2(more * row_bits)
    return rows + technology.adder_um2(_product_bits(pe)) + technology.register_um2(_product_bits(pe))


def _product_bits(pe: PeSpec) -> int:
    """Of the sum of a PE's products."""
    return pe.weight.bits + pe.activation.bits + (pe.products - 1).bit_length()


def _row(pe: PeSpec) -> tuple[int, int]:
    """AND gates of one product in a cycle, and the width of a sum of such rows."""
    gates = pe.weight.bits if pe.multiplier == "bit_serial" else 1
    return gates, gates + (pe.products - 1).bit_length()


def _tree(pe: PeSpec) -> tuple[int, int]:
    """Bits of all adders that make one product of the PE's widths from bricks, and the number of bricks.

    Two products side by side make one that is wider by what they are apart: of 8 x 8 bits eight additions of 6 bits,
    four of 8, two of 12 and one of 16.
    """
    width, height = BRICK_BITS, BRICK_BITS
    weight_bits, activation_bits = pe.weight.bits, pe.activation.bits
    bricks = weight_bits * activation_bits // BRICK_BITS**2
    left, total = bricks, 0
    while left > 1:
        left //= 2
        if width < weight_bits and (width <= height or height == activation_bits):
            width *= 2
        else:
            height *= 2
        total += left * (width + height)
    return total, bricks
