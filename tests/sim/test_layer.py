"""Corners of a layer's work: sums at the edge of their width, float results, tiles that share their data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.arch.spec import Machine
from accel.compile import compile_graph
from accel.flow.lower import lower
from accel.graph.execute import Execution
from accel.graph.ir import Graph, Linear, Node, Reshape, Tensor, Weight
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping
from accel.mapping.program import Program
from accel.numerics.qtype import QType
from accel.sim.simulate import Simulated, Simulator
from accel.witnessing import reference_of
from tests.machines import DATAFLOWS, machine
from tests.networks import INT8, Builder, residual_network

INT4, INT16 = QType(4, signed=True), QType(16, signed=True)


def both(graph: Graph, program: Program, arch: Machine, x: np.ndarray) -> tuple[Simulated, Execution]:
    """The simulator and the golden model; every stored tensor is equal, and what the sums needed."""
    stored = [layer.op.write.tensor for layer in program.layers]
    simulated = Simulator(program, arch).run({"x": x}, keep=stored)
    reference = reference_of(graph, program, arch, {"x": x})
    for name in stored:
        np.testing.assert_array_equal(simulated.tensors[name], reference.tensors[name], err_msg=name)
    for position, use in simulated.accumulators.items():
        assert use == reference.accumulators[program.layers[position].op.node.name]
    return simulated, reference


def linear(weights: list[list[int]], bias: list[int], qtype: QType = INT8, rows: int = 1) -> Graph:
    """y = x W^T + b with scales of 1 and zero points of 0: the outputs are the clamped sums."""
    values = np.array(weights, qtype.dtype)
    tensors = {
        "x": Tensor("x", (rows, values.shape[1]), qtype),
        "y": Tensor("y", (rows, len(weights)), qtype),
    }
    op = Linear(Weight(values, qtype, np.ones(len(weights), np.float32)), np.array(bias, np.int64))
    return Graph("test", "test.onnx", (Node("linear", op, ("x",), "y", ("linear",)),), tensors, ("x",), ("y",))


@pytest.mark.parametrize(
    ("x", "bias", "bits"),
    [
        (127, 0, 8),
        (127, 1, 9),
        (-128, 0, 8),
        (-128, -1, 9),
        (0, 0, 1),
        (0, 1, 2),
        (0, -1, 1),
        (1, 254, 9),
        (1, 255, 10),
    ],
)
def test_the_bits_that_sums_used(x, bias, bits) -> None:
    """Of x * 1 + bias in two's complement: 127 takes 8 bits and 128 takes 9, -128 takes 8 and -129 takes 9."""
    graph, arch = linear([[1]], [bias]), machine()
    simulated, _ = both(graph, compile_graph(graph, arch), arch, np.array([[x]], np.int8))
    (use,) = simulated.accumulators.values()
    assert use.bits_used == bits
    assert use.overflows == 0


@settings(max_examples=150, deadline=None)
@given(
    dataflow=st.sampled_from(DATAFLOWS),
    overflow=st.sampled_from(["wrap", "saturate"]),
    weights=st.lists(st.lists(st.sampled_from([-8, -7, -1, 0, 7]), min_size=7, max_size=7), min_size=1, max_size=3),
    bias=st.integers(-300, 300),
    rows=st.integers(1, 4),
    sums=st.tuples(st.integers(8, 12), st.integers(8, 12)),
    x=st.lists(st.sampled_from([-8, -1, 7]), min_size=7, max_size=7),
    k=st.integers(1, 7),
)
def test_sums_at_the_edge_of_their_width(dataflow, overflow, weights, bias, rows, sums, x, k) -> None:
    """4-bit operands, their extremes above all: up to 7 x 64 = 448 and a bias, in 8 to 12 bits."""
    graph = linear(weights, [bias] * len(weights), INT4)
    arch = machine(
        rows,
        2,
        dataflow,
        weight="int4",
        activation="int4",
        accumulator_bits=max(sums),
        overflow=overflow,
        pe={"partial_sum_bits": min(sums)},
    )
    program = emit(lower(graph), arch, [ArrayMapping(dataflow, 1, 1, 1, 1, len(weights), k, "pixels")])
    both(graph, program, arch, np.array([x], np.int8))


def test_an_addition_that_overflows_only_with_its_bias_is_counted() -> None:
    """7 * 7 + 100 = 149 in 8 bits: 127 saturated, 149 - 256 = -107 wrapped; once."""
    graph = linear([[7]], [100], replace(INT4, bits=4))
    for overflow, sum_ in (("saturate", 127), ("wrap", -107)):
        arch = machine(weight="int4", activation="int4", accumulator_bits=8, overflow=overflow)
        simulated, _ = both(graph, compile_graph(graph, arch), arch, np.array([[7]], np.int8))
        (use,) = simulated.accumulators.values()
        assert use.overflows == 1
        assert simulated.tensors["y"] == max(min(sum_, 7), -8)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_sums_of_more_than_32_bits(dataflow) -> None:
    """40 products of 2^15 * 2^15 are 40 * 2^30, 37 bits; with a scale of 2^-30 the output is 40."""
    net = linear([[-(2**15)] * 40, [2**15 - 1] * 40], [0, 5], INT16)
    op = net.nodes[0].op
    assert isinstance(op, Linear)
    small = replace(op, weight=replace(op.weight, scale=np.full(2, 2.0**-30, np.float32)))
    graph = replace(net, nodes=(replace(net.nodes[0], op=small),))
    fields = {"weight": "int16", "activation": "int16", "accumulator_bits": 40, "buffers": (4096, 4096, 4096)}
    arch = machine(4, 5, dataflow, **fields)
    simulated, _ = both(graph, compile_graph(graph, arch), arch, np.full((1, 40), -(2**15), np.int16))
    assert simulated.tensors["y"].tolist() == [[40, -40]]
    (use,) = simulated.accumulators.values()
    assert use.bits_used == 37


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_float_results_carry_both_scales(dataflow) -> None:
    """(3 * 2 + 1) * 0.5 * 0.25 = 0.875."""
    net = linear([[2]], [1])
    op = net.nodes[0].op
    assert isinstance(op, Linear)
    scaled = replace(op, weight=replace(op.weight, scale=np.array([0.25], np.float32)))
    tensors = {"x": replace(net.tensors["x"], scale=0.5), "y": Tensor("y", (1, 1), None)}
    graph = replace(net, nodes=(replace(net.nodes[0], op=scaled),), tensors=tensors)
    arch = machine(dataflow=dataflow)
    simulated, _ = both(graph, compile_graph(graph, arch), arch, np.array([[3]], np.int8))
    assert simulated.tensors["y"] == np.float32(0.875)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("tall", [True, False])
def test_tiles_that_hold_the_same_pixels_see_them_through_their_own_windows(dataflow, tall) -> None:
    """One pixel in two of padding on either side, three outputs, one a tile: each meets another weight."""
    net = Builder(seed=2)
    kernel, pads = ((3, 1), (2, 0, 2, 0)) if tall else ((1, 3), (0, 2, 0, 2))
    net.conv(net.input(1, 3, 1, 1), 4, kernel, pads=pads)
    graph, arch = net.graph("conv0_out"), machine(dataflow=dataflow)
    program = emit(lower(graph), arch, [ArrayMapping(dataflow, 1, 1, 1, 1, 4, 9, "pixels")])
    both(graph, program, arch, net.data())


def test_groups_find_their_channels_in_every_tile() -> None:
    net = Builder(seed=3)
    net.conv(net.input(1, 6, 5, 5), 9, groups=3)
    graph, arch = net.graph("conv0_out"), machine(buffers=(4096, 4096, 4096))
    for g in (1, 2, 3):
        program = emit(lower(graph), arch, [ArrayMapping("weight_stationary", g, 1, 5, 5, 3, 18, "pixels")])
        both(graph, program, arch, net.data())


def test_every_tensor_is_handed_out_once_when_it_is_whole() -> None:
    """In order, those that never leave the vector unit and both parts of a Concat included; views are none."""
    net = residual_network()
    graph, arch = net.graph(net.last), machine()
    program = compile_graph(graph, arch)
    x = net.data()
    expected = reference_of(graph, program, arch, {"x": x}).tensors
    seen: list[str] = []

    def compare(name: str, values: np.ndarray) -> None:
        seen.append(name)
        np.testing.assert_array_equal(values, expected[name], err_msg=name)

    Simulator(program, arch).run({"x": x}, on_tensor=compare)
    assert seen == [node.output for node in graph.nodes if not isinstance(node.op, Reshape)]


def test_a_view_of_a_view_shows_the_first_ones_memory() -> None:
    net = Builder()
    x = net.conv(net.input(1, 4, 2, 2), 6)
    for shape in ((1, 24), (1, 6, 4), (1, 24)):
        name = f"view{len(net.nodes)}"
        net.tensors[name] = replace(net.tensors[x], name=name, shape=shape)
        net.nodes.append(Node(name, Reshape(), (x,), name, (name,)))
        x = name
    y = net.linear(x, 5)
    graph, arch = net.graph(x, y), machine()
    program = compile_graph(graph, arch)
    data = net.data()
    simulated, reference = both(graph, program, arch, data)
    np.testing.assert_array_equal(simulated.tensors[x], reference.tensors[x])


def test_requantizations_in_a_row_go_from_each_scale_to_the_next() -> None:
    net = Builder(seed=5)
    x = net.input(1, 2, 4, 4)
    y = net.relu(net.relu(net.conv(x, 3)))
    z = net.relu(net.relu(net.max_pool(x, (2, 2), (2, 2))))
    graph, arch = net.graph(y, z), machine()
    program = compile_graph(graph, arch)
    assert [len(layer.op.epilogue) for layer in program.layers] == [2, 2]
    both(graph, program, arch, net.data())
