"""Groups of a convolution side by side in the array: the same integers, fewer folds, and every register counted."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import Step
from accel.compile import fit_to_machine
from accel.flow.lower import lower
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, Block, layer_step, most_groups_at_once
from accel.mapping.program import Compute
from accel.numerics.qtype import QType
from accel.sim.activity import OperandWidths, tile_activity
from accel.sim.array import Sums
from accel.sim.side_by_side import apart, block_diagonal, side_by_side
from accel.sim.simulate import Simulator
from tests.machines import machine
from tests.networks import Builder
from tests.sim.test_layer import both


def grouped(groups: int, c: int, n: int, seed: int = 0, **fields) -> Builder:
    net = Builder(seed, **fields)
    net.conv(net.input(2, groups * c, 5, 4), groups * n, (2, 2), (1, 2), groups=groups)
    return net


@settings(max_examples=40, deadline=None)
@given(
    groups=st.integers(1, 7),
    c=st.integers(1, 2),
    n=st.integers(1, 2),
    at_once=st.integers(1, 7),
    per_tile=st.integers(1, 7),
    overflow=st.sampled_from(["wrap", "saturate"]),
    fields=st.sampled_from([{}, {"pe": {"products": 3}}, {"weight": "int4", "pe": {"split_operands": True}}]),
    seed=st.integers(0, 99),
)
def test_the_integers_are_the_references(groups, c, n, at_once, per_tile, overflow, fields, seed) -> None:
    """Sums of 18 bits overflow now and then, in the order in which the array adds."""
    net = grouped(groups, c, n, seed)
    bits = {"accumulator_bits": 18, "overflow": overflow}
    arch = machine(28, 9, buffers=(4096, 4096, 4096), **bits, **fields)
    graph = fit_to_machine(net.graph(), arch)
    flow = lower(graph)
    (op,) = flow.ops
    step = layer_step(op, flow.tensors, arch)
    at_once = min(at_once, most_groups_at_once(op, arch, step))
    mapping = ArrayMapping("weight_stationary", min(per_tile, groups), 2, 3, 2, n, 4 * c, "pixels", at_once)
    both(graph, emit(flow, arch, [mapping]), arch, net.data())


def test_folds_of_a_depthwise_layer() -> None:
    """9 weights a channel: 32 rows and columns take 3 channels at once, 10 channels in 4 folds."""
    net = Builder()
    net.conv(net.input(1, 10, 6, 6), 10, groups=10)
    flow = lower(net.graph())
    (op,) = flow.ops
    arch = machine(32, 32, buffers=(4096, 4096, 4096))
    assert most_groups_at_once(op, arch, layer_step(op, flow.tensors, arch)) == 3
    mapping = ArrayMapping("weight_stationary", 10, 1, 6, 6, 1, 9, "pixels", 3)
    (compute,) = (i for i in emit(flow, arch, [mapping]).instructions if isinstance(i, Compute))
    assert (compute.folds, compute.stream) == (4, 36)
    assert str(mapping).endswith("3 groups at once")


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [(31, 31, 3), (36, 3, 3), (8, 31, 1), (200, 5, 5), (200, 200, 6)],
)
def test_as_many_groups_as_rows_columns_and_the_layer_have(rows, columns, expected) -> None:
    net = Builder()
    net.conv(net.input(1, 6, 6, 6), 6, groups=6)
    flow = lower(net.graph())
    arch = machine(rows, columns, buffers=(1 << 17, 4096, 4096))
    assert most_groups_at_once(flow.ops[0], arch, layer_step(flow.ops[0], flow.tensors, arch)) == expected


def test_weights_without_a_zero_cannot_keep_groups_apart() -> None:
    net = grouped(4, 1, 1, weight_qtype=QType(1, signed=True, bipolar=True))
    flow = lower(net.graph())
    assert most_groups_at_once(flow.ops[0], machine(32, 32, buffers=(4096, 4096, 4096)), Step(2, 8)) == 1


@settings(max_examples=30, deadline=None)
@given(
    groups=st.integers(1, 7),
    at_once=st.integers(1, 4),
    overlap=st.sampled_from(["none", "double_buffered"]),
    latencies=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_register_bits_are_those_of_the_block_diagonal_product(groups, at_once, overlap, latencies) -> None:
    """Zeros travel to their PEs as weights do; products with them never toggle and are not counted."""
    names = ("input_latency_cycles", "output_latency_cycles", "multiplier_latency_cycles", "accumulate_latency_cycles")
    fields = dict(zip(names, latencies, strict=True))
    arch = machine(9, 9, overlap=overlap, weight="int5", activation="int6", array=fields, pe={"partial_sum_bits": 20})
    tile = Block(groups, pixels=5, channels=2, depth=2)
    counts = array_actions(arch, "weight_stationary", tile, True, OperandBits(5, 6), Step(5, 6), at_once)
    operands = products = sums = 0
    for low in range(0, groups, at_once):
        beside = min(at_once, groups - low)
        weights = block_diagonal(np.ones((beside, 2, 2), np.int8), channels=1)
        activations = np.ones((2 * beside, 5), np.int8)
        widths = OperandWidths(activation=6, weight=5)
        seen = tile_activity(arch.array, "weight_stationary", Sums(20, 32, "wrap"), widths, activations, weights)
        operands += seen.operand_bits_possible
        products += seen.product_bits_possible // beside
        sums += seen.sum_bits_possible
    assert counts["operand_register_bits"] == operands
    assert counts["product_register_bits"] == latencies[2] * products
    assert counts["sum_register_bits"] == sums
    assert counts["macs"] == groups * 5 * 2 * 2
    # Groups that are left over are counted, and rounded up to whole bytes, for themselves.
    for name, bits in (("weight", groups * 4 * 5), ("activation", groups * 2 * 5 * 6)):
        assert 0 <= counts[f"{name}_buffer_read_bytes"] - ceil(bits / 8) <= 1


def test_what_toggles_is_within_what_was_counted() -> None:
    net = grouped(5, 1, 1)
    arch = machine(12, 8, buffers=(4096, 4096, 4096), array={"multiplier_latency_cycles": 1})
    flow = lower(net.graph())
    mapping = ArrayMapping("weight_stationary", 5, 2, 3, 2, 1, 4, "pixels", 3)
    program = emit(flow, arch, [mapping])
    (seen,) = Simulator(program, arch).run({"x": net.data()}, activity=True).activity.values()
    (layer,) = program.layers
    assert seen.operand_bits_possible == layer.actions.operand_register_bits
    assert seen.product_bits_possible == layer.actions.product_register_bits == layer.op.macs * 16
    assert seen.sum_bits_possible == layer.actions.sum_register_bits
    assert 0 < seen.product_bits < seen.product_bits_possible


@given(groups=st.integers(1, 7), at_once=st.integers(1, 4))
def test_apart_undoes_side_by_side(groups, at_once) -> None:
    sums = np.arange(groups * 6).reshape(groups, 2, 3)
    wide = side_by_side(sums, at_once)
    assert wide.shape == (ceil(groups / at_once), 2, 3 * at_once)
    np.testing.assert_array_equal(apart(wide, at_once, groups), sums)
