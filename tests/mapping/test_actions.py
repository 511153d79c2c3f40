"""What a tile makes the hardware do: the closed forms against counts of registers, one by one."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import Step
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.mapping import ArrayTile
from accel.sim.activity import OperandWidths, tile_activity
from accel.sim.array import Sums
from tests.machines import DATAFLOWS, machine

WIDTHS = OperandWidths(activation=6, weight=5)
PE = {"partial_sum_bits": 20}


def tile_of(groups: int, pixels: int, channels: int, depth: int) -> ArrayTile:
    return ArrayTile((0, groups), (0, 1), (0, 1), (0, pixels), (0, channels), (0, depth))


@settings(max_examples=80, deadline=None)
@given(
    dataflow=st.sampled_from(DATAFLOWS),
    overlap=st.sampled_from(["none", "double_buffered"]),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    vertical=st.integers(1, 2),
    horizontal=st.integers(1, 2),
    latencies=st.tuples(*[st.integers(0, 2)] * 4),
    shift_out=st.sampled_from(["down", "right", "none"]),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
)
def test_register_bits_are_those_of_the_registers_that_the_data_would_write(
    dataflow, overlap, rows, columns, vertical, horizontal, latencies, shift_out, sizes
) -> None:
    names = ("input_latency_cycles", "output_latency_cycles", "multiplier_latency_cycles", "accumulate_latency_cycles")
    fields = {
        "vertical_hop_latency_cycles": vertical,
        "horizontal_hop_latency_cycles": horizontal,
        "shift_out": shift_out,
    } | dict(zip(names, latencies, strict=True))
    arch = machine(rows, columns, dataflow, overlap, weight="int5", activation="int6", array=fields, pe=PE)
    pixels, channels, depth = sizes
    seen = tile_activity(
        arch.array,
        dataflow,
        Sums(20, 32, "wrap"),
        WIDTHS,
        np.ones((depth, pixels), np.int8),
        np.ones((depth, channels), np.int8),
    )
    counts = array_actions(arch, dataflow, tile_of(3, *sizes), True, OperandBits(5, 6), Step(5, 6))
    assert counts["operand_register_bits"] == 3 * seen.operand_bits_possible
    assert counts["product_register_bits"] == 3 * fields["multiplier_latency_cycles"] * seen.product_bits_possible
    assert counts["sum_register_bits"] == 3 * seen.sum_bits_possible


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("dataflow", "weight_reads", "activation_reads", "rounds"),
    [
        # 4 x 5 array; 9 pixels, 7 channels, k = 10: 3 folds along k, 3 or 2 across 4 or 5.
        ("weight_stationary", 7 * 10, 2 * 9 * 10, 3),
        ("input_stationary", 2 * 7 * 10, 9 * 10, 3),
        ("output_stationary", 3 * 7 * 10, 2 * 9 * 10, 1),
    ],
)
def test_buffer_traffic_by_hand(dataflow, weight_reads, activation_reads, rounds, first) -> None:
    """What stays is read once, what moves once for each width (or height) of the array that it has to pass.

    The accumulator buffer takes each of the 63 sums once for each fold along k (once where outputs stay), and gives
    back what is added to: all but the first of a first tile.
    """
    arch = machine(4, 5, dataflow, weight="int4", accumulator_bits=20, pe={"partial_sum_bits": 18})
    counts = array_actions(arch, dataflow, tile_of(2, 9, 7, 10), first, OperandBits(weight=3, activation=7), Step(4, 8))
    assert counts["macs"] == 2 * 9 * 7 * 10
    assert counts["weight_buffer_read_bytes"] == ceil(2 * weight_reads * 3 / 8)
    assert counts["activation_buffer_read_bytes"] == ceil(2 * activation_reads * 7 / 8)
    adds = 2 * 63 * (rounds - first)
    assert counts["accumulator_adds"] == adds
    assert counts["accumulator_buffer_write_bytes"] == ceil(2 * 63 * rounds * 20 / 8)
    assert counts["accumulator_buffer_read_bytes"] == ceil(adds * 20 / 8)
