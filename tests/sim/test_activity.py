"""Toggled bits by hand; tests/differential counts them register by register."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accel.arch.spec import ArraySpec, Dataflow
from accel.result import Activity
from accel.sim.activity import OperandWidths, tile_activity
from accel.sim.array import Sums


def count(dataflow: Dataflow, size: tuple[int, int], x: list[list[int]], w: list[list[int]], **fields: Any) -> Activity:
    """Activity of (m, k) x (k, n) integers of 4 bits with sums of 8."""
    spec = ArraySpec(rows=size[0], columns=size[1], dataflow=(dataflow,), **{"overlap": "double_buffered", **fields})
    activations, weights = np.array(x, np.int8).T, np.array(w, np.int8)
    return tile_activity(spec, dataflow, Sums(8, 8, "wrap"), OperandWidths(4, 4), activations, weights)


def test_one_pe() -> None:
    """Activations 3, 5 (0011, 0101) meet weight 1; every register starts from 0."""
    seen = count("weight_stationary", (1, 1), [[3], [5]], [[1]])
    # activation register: 0000 -> 0011 -> 0101: 2 + 2; weight on its way and in its place: 1 + 1.
    assert (seen.operand_bits, seen.operand_bits_possible) == (4 + 2, 2 * 4 + 2 * 4)
    assert (seen.product_bits, seen.product_bits_possible) == (4, 2 * 8)
    assert (seen.sum_bits, seen.sum_bits_possible) == (4, 2 * 8)


def test_negative_numbers_are_as_wide_as_their_register() -> None:
    """-1 is 1111 in an operand register of 4 bits and 11111111 in a product and a sum of 8."""
    seen = count("weight_stationary", (1, 1), [[-1]], [[1]])
    assert (seen.operand_bits, seen.product_bits, seen.sum_bits) == (4 + 1 + 1, 8, 8)


def test_unused_rows_pass_sums_on_and_unused_columns_pass_operands_on() -> None:
    """One product 1 x 1 on 3 rows and 2 columns: 3 sum registers and 1 behind (column 0 waits for column 1)."""
    seen = count("weight_stationary", (3, 2), [[1]], [[1]])
    assert (seen.sum_bits, seen.sum_bits_possible) == (3 + 1, (3 + 1) * 8)
    # The activation in both columns; the weight in the way down of three rows, and where it is kept.
    assert (seen.operand_bits, seen.operand_bits_possible) == (2 + 4, 2 * 4 + 4 * 4)
    assert (seen.product_bits, seen.product_bits_possible) == (1, 8)


def test_the_next_load_pushes_a_single_operand_out() -> None:
    """Weights 1 and 3 of two rows; 3 enters first. Both registers of the column: 3 (2 bits), then 1 (1 bit)."""
    seen = count("weight_stationary", (2, 1), [[0, 0]], [[1], [3]], overlap="none")
    assert (seen.operand_bits, seen.operand_bits_possible) == (2 * (2 + 1), 2 * 2 * 4 + (1 + 2) * 4)


def test_results_shift_out() -> None:
    """Outputs 1 and 3 of two rows. Sums: 1 and 2 bits; row 0's in its shadow register and in the hop behind: 1 and 1.

    Row 1's shadow register takes its own 3 (2 bits), then 1 (1 bit).
    """
    seen = count("output_stationary", (2, 1), [[1], [3]], [[1]])
    assert (seen.sum_bits, seen.sum_bits_possible) == (3 + 2 + 3, (2 + 2 + 2) * 8)


def test_results_pass_a_hop_and_a_shadow_register_in_each_row() -> None:
    """One output 1 at the top of three rows, V = 2, in column 0 of two: its sum, then 1 + 3 + 3, then H = 3 to wait."""
    hops = {"vertical_hop_latency_cycles": 2, "horizontal_hop_latency_cycles": 3}
    seen = count("output_stationary", (3, 2), [[1]], [[1]], **hops)
    assert (seen.sum_bits, seen.sum_bits_possible) == (1 + 7 + 3, 11 * 8)
    # To the right: its sum, its shadow register, a hop of 3 and a shadow register, and 2 rows to wait for.
    seen = count("output_stationary", (3, 2), [[1]], [[1]], shift_out="right", **hops)
    assert (seen.sum_bits, seen.sum_bits_possible) == (1 + 1 + 4 + 4, 10 * 8)


def test_without_overlap_sums_leave_through_their_own_registers() -> None:
    """The same: after 3 has left by the edge (2 bits), 1 moves down onto 3 (1 bit) and leaves (1 bit)."""
    seen = count("output_stationary", (2, 1), [[1], [3]], [[1]], overlap="none")
    assert (seen.sum_bits, seen.sum_bits_possible) == (3 + 2 + 1 + 1, (2 + 1 + 2) * 8)


def test_results_on_a_bus_do_not_shift() -> None:
    """But behind the wave row 0's waits for row 1's."""
    seen = count("output_stationary", (2, 1), [[1], [3]], [[1]], shift_out="none", overlap="none")
    assert (seen.sum_bits, seen.sum_bits_possible) == (3, 2 * 8)
    seen = count("output_stationary", (2, 1), [[1], [3]], [[1]], shift_out="none")
    assert (seen.sum_bits, seen.sum_bits_possible) == (3 + 1, (2 + 1) * 8)


def test_registers_of_latencies_see_what_the_others_see() -> None:
    """Two activations 3, 5 (2 bits each) and a weight 1 on one PE; sums 3, then 8 (1011 flips: 3 bits)."""
    latencies = {"input_latency_cycles": 2, "output_latency_cycles": 3, "accumulate_latency_cycles": 4}
    seen = count("output_stationary", (1, 1), [[3, 5]], [[1], [1]], shift_out="none", **latencies)
    assert (seen.operand_bits, seen.operand_bits_possible) == (3 * (4 + 1), 3 * 2 * 2 * 4)
    # The sum and 4 behind the adder see both sums; the 3 behind the array the result, 1 bit.
    assert (seen.sum_bits, seen.sum_bits_possible) == (5 * (2 + 3) + 3 * 1, (5 * 2 + 3) * 8)


def test_shifting_in_place_uses_the_last_register_of_the_sums() -> None:
    """Outputs 1 and 3 with one register behind the adder: 1 moves onto 3 there, and the sum of 3 itself stays.

    The next fold's outputs 1 and 3 again: the sums do not change, the register behind does where 1 had moved.
    """
    rows = [[1], [3], [1], [3]]
    seen = count("output_stationary", (2, 1), rows, [[1]], overlap="none", accumulate_latency_cycles=1)
    first, second = 2 * (1 + 2) + (2 + 1) + 1, 1 + (1 + 1) + 1
    assert (seen.sum_bits, seen.sum_bits_possible) == (first + second, 2 * (2 * 2 + 1 + 2) * 8)


@pytest.mark.parametrize("overlap", ["none", "double_buffered"])
def test_input_stationary_is_weight_stationary_with_the_roles_exchanged(overlap: str) -> None:
    rng = np.random.default_rng(5)
    x, w = rng.integers(-8, 8, (7, 9)), rng.integers(-8, 8, (9, 5))
    one = count("weight_stationary", (4, 3), x.tolist(), w.tolist(), overlap=overlap)
    other = count("input_stationary", (4, 3), w.T.tolist(), x.T.tolist(), overlap=overlap)
    assert one == other


def test_still_data_toggles_nothing_twice() -> None:
    """A constant stream flips every bit it has once, however long it is."""
    short = count("weight_stationary", (2, 2), [[5, 5]], [[3, 3], [3, 3]])
    long = count("weight_stationary", (2, 2), [[5, 5]] * 50, [[3, 3], [3, 3]])
    assert (short.operand_bits, short.product_bits, short.sum_bits) == (
        long.operand_bits,
        long.product_bits,
        long.sum_bits,
    )
    assert long.product_bits_possible == 50 * short.product_bits_possible
