"""Registers of a PE and around the array, counted by hand."""

from __future__ import annotations

import pytest

from accel.arch.load import load_arch
from accel.arch.registers import Words, edge_registers, pe_registers, result_lanes
from accel.arch.spec import ArraySpec, Dataflow
from accel.numerics.qtype import QType

EDGE = load_arch("edge-32x32")


def array(dataflow: Dataflow, rows: int = 3, columns: int = 4, **fields: object) -> ArraySpec:
    return EDGE.array.model_copy(update={"rows": rows, "columns": columns, "dataflow": (dataflow,)} | fields)


@pytest.mark.parametrize(
    ("dataflow", "fields", "words"),
    [
        ("weight_stationary", {"overlap": "none"}, Words(1, 1, 0, 1)),
        ("weight_stationary", {}, Words(3, 1, 0, 1)),  # two banks and the way down
        ("input_stationary", {}, Words(1, 3, 0, 1)),
        ("weight_stationary", {"vertical_hop_latency_cycles": 2}, Words(4, 1, 0, 2)),
        ("weight_stationary", {"accumulate_latency_cycles": 1}, Words(4, 1, 0, 2)),  # behind the adder is on the way
        ("weight_stationary", {"horizontal_hop_latency_cycles": 3}, Words(3, 3, 0, 1)),
        ("weight_stationary", {"multiplier_latency_cycles": 2}, Words(3, 1, 2, 1)),
        ("output_stationary", {"overlap": "none"}, Words(1, 1, 0, 1)),  # sums shift out from where they are
        ("output_stationary", {}, Words(1, 1, 0, 3)),  # sum, shadow, hop
        ("output_stationary", {"shift_out": "none"}, Words(1, 1, 0, 1)),
        ("output_stationary", {"shift_out": "right", "horizontal_hop_latency_cycles": 2}, Words(1, 2, 0, 4)),
        ("output_stationary", {"accumulate_latency_cycles": 2}, Words(1, 1, 0, 5)),
        ("output_stationary", {"accumulator_preload": True}, Words(1, 1, 0, 6)),
        ("output_stationary", {"accumulator_preload": True, "overlap": "none"}, Words(1, 1, 0, 2)),
    ],
)
def test_a_pe(dataflow: Dataflow, fields: dict[str, object], words: Words) -> None:
    assert pe_registers(array(dataflow, **fields), dataflow) == words


@pytest.mark.parametrize(
    ("dataflow", "fields", "words"),
    [
        # Rows wait for 0 + 1 + 2 cycles, columns for 0 + 1 + 2 + 3.
        ("weight_stationary", {}, Words(6, 3, 0, 6)),
        ("input_stationary", {}, Words(3, 6, 0, 6)),
        ("weight_stationary", {"overlap": "none"}, Words(0, 3, 0, 6)),
        ("weight_stationary", {"vertical_hop_latency_cycles": 2}, Words(6, 6, 0, 6)),
        ("weight_stationary", {"horizontal_hop_latency_cycles": 2}, Words(12, 3, 0, 12)),
        ("weight_stationary", {"input_latency_cycles": 2, "output_latency_cycles": 1}, Words(14, 9, 0, 10)),
        ("output_stationary", {}, Words(6, 3, 0, 6)),
        ("output_stationary", {"shift_out": "right"}, Words(6, 3, 0, 3)),
        ("output_stationary", {"shift_out": "none"}, Words(6, 3, 0, 4 * 3 + 3 * 6)),
        ("output_stationary", {"overlap": "none"}, Words(6, 3, 0, 4)),
        ("output_stationary", {"overlap": "none", "shift_out": "right"}, Words(6, 3, 0, 3)),
        ("output_stationary", {"overlap": "none", "shift_out": "none"}, Words(6, 3, 0, 0)),
        ("output_stationary", {"accumulator_preload": True, "input_latency_cycles": 1}, Words(10, 6, 0, 6 + 4 + 6)),
    ],
)
def test_around_the_pes(dataflow: Dataflow, fields: dict[str, object], words: Words) -> None:
    assert edge_registers(array(dataflow, **fields), dataflow) == words


def test_lanes() -> None:
    assert result_lanes(array("weight_stationary"), "weight_stationary") == 4
    lanes = {
        way: result_lanes(array("output_stationary", shift_out=way), "output_stationary")
        for way in ("down", "right", "none")
    }
    assert lanes == {"down": 4, "right": 3, "none": 12}


def test_bits_are_of_the_machines_types() -> None:
    pe = EDGE.pe.model_copy(update={"weight": QType(4, signed=True), "activation": QType(8, signed=True)})
    assert Words(1, 1, 1, 1).bits(pe) == 4 + 8 + 12 + 32
    assert Words(1, 2, 0, 3).or_more(Words(2, 1, 1, 0)) == Words(2, 2, 1, 3)
