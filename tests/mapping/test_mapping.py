"""Tiles cover every loop once and fit the buffers; what does not fit says by how much."""

from __future__ import annotations

from collections import Counter
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.multiplier import Step
from accel.compile import compile_graph, fit_to_machine
from accel.errors import AccelError
from accel.flow.ir import elements
from accel.flow.lower import lower
from accel.graph.ir import Graph
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.mapping import ArrayMapping, ArrayTile, array_tiles, fold_shape, k_folds
from accel.mapping.program import Load, Store, Vector
from tests.machines import DATAFLOWS, machine
from tests.networks import UINT8, Builder, residual_network


def conv_graph(seed: int = 0, **fields) -> Graph:
    net = Builder(seed)
    net.conv(net.input(2, 6, 9, 8), 10, (3, 3), (2, 1), **fields)
    return net.graph()


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(1, limit) for limit in (2, 2, 5, 8, 10, 54))),
    outer=st.sampled_from(["pixels", "channels"]),
)
def test_tiles_visit_every_iteration_once(sizes, outer) -> None:
    op = lower(conv_graph()).ops[0]
    mapping = ArrayMapping("weight_stationary", *sizes, outer)
    visits = np.zeros((1, 2, 5, 8, 10, 6 * 3 * 3), np.int8)
    for tile, _, _ in array_tiles(op, mapping):
        visits[tuple(slice(*side) for side in tile.ranges)] += 1
    assert (visits == 1).all()


def test_k_tiles_of_one_output_are_neighbours_and_know_their_ends() -> None:
    op = lower(conv_graph()).ops[0]
    ends = [
        (first, last)
        for _, first, last in array_tiles(op, ArrayMapping("weight_stationary", 1, 1, 5, 8, 4, 20, "pixels"))
    ]
    assert ends[:3] == [(True, False), (False, False), (False, True)]  # 54 = 20 + 20 + 14


def test_folds_follow_the_array_rows_within_each_k_tile() -> None:
    op = lower(conv_graph()).ops[0]
    mapping = ArrayMapping("weight_stationary", 1, 1, 5, 8, 10, 20, "pixels")
    assert k_folds(op, mapping, 16) == [(0, 16), (16, 20), (20, 36), (36, 40), (40, 54)]
    stays = ArrayMapping("output_stationary", 1, 1, 5, 8, 10, 20, "pixels")
    assert k_folds(op, stays, 16) == [(0, 20), (20, 40), (40, 54)]


@pytest.mark.parametrize(
    ("dataflow", "expected"),
    [
        ("weight_stationary", (ceil(20 / 8) * ceil(10 / 4), 30)),  # holds k x n, streams pixels
        ("input_stationary", (ceil(20 / 8) * ceil(30 / 4), 10)),  # holds k x pixels, streams n
        ("output_stationary", (ceil(30 / 8) * ceil(10 / 4), 20)),  # holds pixels x n, streams k
    ],
)
def test_fold_shape(dataflow, expected) -> None:
    tile = ArrayTile((0, 1), (0, 1), (0, 5), (0, 6), (0, 10), (0, 20))
    assert fold_shape(dataflow, tile, machine(8, 4).array, Step(8, 8)) == expected


def test_actions_of_a_full_weight_stationary_fold_by_hand() -> None:
    """4x4 weights, 10 pixels, 8-bit operands, 32-bit sums, double buffered.

    Weights: each passes a register in each of 4 rows and is kept in one; they enter skewed, 4 through 0 + 1 + 2 + 3
    registers: (16 * 5 + 24) * 8 bits. Activations: 10 pixels * (4 rows * 4 columns + skew 0 + 1 + 2 + 3) * 8 bits.
    Sums: 10 * (4 columns * 4 rows + de-skew 3 + 2 + 1 + 0) * 32 bits.
    """
    tile = ArrayTile((0, 1), (0, 1), (0, 1), (0, 10), (0, 4), (0, 4))
    counts = array_actions(machine(4, 4), "weight_stationary", tile, True, OperandBits(8, 8), Step(8, 8))
    assert counts["macs"] == 160
    assert counts["operand_register_bits"] == (16 * 5 + 24) * 8 + 10 * (16 + 6) * 8
    assert counts["sum_register_bits"] == 10 * (16 + 6) * 32
    assert counts["weight_buffer_read_bytes"] == 16
    assert counts["activation_buffer_read_bytes"] == 40
    assert counts["accumulator_buffer_write_bytes"] == 40 * 4
    assert counts["accumulator_buffer_read_bytes"] == 0
    again = array_actions(machine(4, 4), "weight_stationary", tile, False, OperandBits(8, 8), Step(8, 8))
    assert again["accumulator_buffer_read_bytes"] == 40 * 4
    assert (counts["accumulator_adds"], again["accumulator_adds"]) == (0, 40)


def test_actions_of_a_full_output_stationary_fold_by_hand() -> None:
    """4x4 outputs, k = 10: each operand passes 4 PEs and its skew; each PE adds 10 times.

    Then the 16 results are captured, and row r passes a hop and a shadow register in each of the 3 - r rows below it
    (3 + 2 + 1 + 0 a column), and the de-skew of its column, 3 + 2 + 1 + 0 a row: 16 + 2 * 24 + 24.
    """
    tile = ArrayTile((0, 1), (0, 1), (0, 1), (0, 4), (0, 4), (0, 10))
    counts = array_actions(
        machine(4, 4, "output_stationary"), "output_stationary", tile, True, OperandBits(8, 8), Step(8, 8)
    )
    assert counts["operand_register_bits"] == 2 * 10 * (16 + 6) * 8
    assert counts["sum_register_bits"] == (16 * 10 + 16 + 2 * 24 + 24) * 32
    assert counts["weight_buffer_read_bytes"] == counts["activation_buffer_read_bytes"] == 40


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("buffers", [(512, 1024, 1024), (4096, 4096, 4096)])
def test_every_output_is_made_and_stored_once_or_stays(dataflow, buffers) -> None:
    net = residual_network(batch=2)
    program = compile_graph(net.graph(net.last), machine(dataflow=dataflow, buffers=buffers))
    made: Counter[tuple[str, int]] = Counter()
    for instruction in program.instructions:
        if isinstance(instruction, Store) or (isinstance(instruction, Vector) and instruction.stays):
            op = program.layers[instruction.layer].op
            assert (op.write.tensor in program.residency.kept) == isinstance(instruction, Vector)
            grid = np.arange(np.prod(op.write.shape)).reshape(op.write.shape)
            box = grid[tuple(slice(*side) for side in instruction.box)]
            made.update((op.write.tensor, int(place)) for place in box.ravel())
    assert set(made.values()) == {1}
    for layer in program.layers:
        if not layer.op.is_view and layer.op.part == 0:
            assert sum(name == layer.op.write.tensor for name, _ in made) == np.prod(layer.op.write.shape)


def test_traffic_and_work_of_a_layer_are_what_its_instructions_say() -> None:
    net = residual_network()
    arch = machine()
    program = compile_graph(net.graph(net.last), arch)
    for position, layer in enumerate(program.layers):
        mine = [i for i in program.instructions if i.layer == position]
        assert layer.actions.dram_read_bytes == sum(i.size_bytes for i in mine if isinstance(i, Load))
        assert layer.actions.dram_write_bytes == sum(i.size_bytes for i in mine if isinstance(i, Store))
        assert layer.actions.macs == layer.op.macs
        made = sum(elements(i.box) for i in mine if isinstance(i, Vector))
        assert made == (0 if layer.op.is_view else elements(layer.op.write.region(layer.op.whole)))


def test_weights_that_fit_are_loaded_once() -> None:
    net = Builder()
    net.conv(net.input(1, 4, 16, 16), 8)
    program = compile_graph(net.graph(), machine(buffers=(8192, 1024, 2048)))
    loads = [i for i in program.instructions if isinstance(i, Load) and i.buffer == "weight"]
    assert sum((g1 - g0) * (n1 - n0) * (k1 - k0) for (g0, g1), (n0, n1), (k0, k1) in (i.box for i in loads)) == 8 * 36


def test_what_does_not_fit_says_which_buffer_and_by_how_much() -> None:
    """One output pixel reads 3 x 3 x 64 activations; half of 1 KiB holds 512 of these 576 bytes."""
    net = Builder()
    net.conv(net.input(1, 64, 8, 8), 4)
    with pytest.raises(AccelError) as error:
        compile_graph(net.graph(), machine(buffers=(512, 1024, 1024)))
    assert str(error.value) == (
        "test.onnx:conv0: the smallest tile needs 576 bytes in the activation buffer, and a half of it holds 512 "
        "(64 too few) on machine test-4x5; enlarge the buffer, or turn its double buffering off"
    )


def test_layers_too_wide_for_the_pes_are_named_all_at_once() -> None:
    net = residual_network(qtype=UINT8)
    with pytest.raises(AccelError) as error:
        fit_to_machine(net.graph(net.last), machine(weight="int4"))
    assert str(error.value) == (
        "test.onnx: conv0, conv2, conv4 and 4 more have int8 weights, and the processing elements take int4; "
        "choose a machine with wider processing elements than test-4x5's"
    )


def test_programs_print_one_line_an_instruction() -> None:
    net = residual_network()
    program = compile_graph(net.graph(net.last), machine())
    lines = str(program).splitlines()
    headings = sum(layer.mapping is not None for layer in program.layers)
    places = len(program.places) + sum(name == kept.tensor for name, kept in program.residency.kept.items())
    assert len(lines) == 3 + places + headings + len(program.instructions)
    assert lines[4 + places].split()[:5] == ["0", "load", "weight[0]", "<-", "conv0.weight[0:1,"]


def test_programs_say_where_everything_lies() -> None:
    """Three layers of 4 -> 4: input, output, and 4 x 4 weights with 8 B of parameters for each of 4 channels, in bursts
    of 16 B; what is between them, 4 B each, lies at the end of the activation buffer's 1 KiB until it has been read.
    """
    net = Builder()
    net.linear(net.linear(net.linear(net.input(1, 4), 4), 4), 4)
    names, outputs = [node.name for node in net.nodes], [node.output for node in net.nodes]
    lines = str(compile_graph(net.graph(), machine(4, 4))).splitlines()
    assert lines[1:10] == [
        "  in DRAM: address, bytes, tensor or weights of a layer",
        "    0x00000000   4  x",
        f"    0x00000010   4  {outputs[2]}",
        f"    0x00000020  48  {names[0]}.weight",
        f"    0x00000050  48  {names[1]}.weight",
        f"    0x00000080  48  {names[2]}.weight",
        "  on chip between layers: offset in the activation buffer, bytes, layers from maker to last reader",
        f"    1020     4      1-2  {outputs[0]}",
        f"    1016     4      2-3  {outputs[1]}",
    ]
    headings = [line.split(" ws ")[0] for line in lines if " ws " in line]
    assert headings == [f"  layer {number} {name}:" for number, name in enumerate(names, 1)]
    nothing = str(compile_graph(linear_alone().graph(), machine(4, 4)))
    assert "  on chip between layers: nothing" in nothing.splitlines()


def linear_alone() -> Builder:
    net = Builder()
    net.linear(net.input(1, 4), 4)
    return net
