"""The golden model against plain loops, in exact and in narrow accumulators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.graph.check import check
from accel.graph.execute import execute, execute_node, patches
from accel.graph.ir import Conv, Graph, Linear, Node, Tensor, Weight
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.mac import Accumulator
from accel.numerics.qtype import QType
from accel.numerics.requantize import float32_rne, multiplier

INT8, UINT8 = QType(8, signed=True), QType(8, signed=False)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Graph, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = draw(st.integers(1, 3))
    depth, channels = draw(st.integers(1, 3)), draw(st.integers(1, 2)) * groups
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    strides = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    out = []
    for axis in range(2):
        padded = size[axis] + pads[axis] + pads[axis + 2]
        assume(padded > dilations[axis] * (kernel[axis] - 1))
        out.append((padded - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1)
    qtype = draw(st.sampled_from([INT8, UINT8]))
    zero_point = int(rng.integers(qtype.min, qtype.max + 1))
    weight = Weight(
        rng.integers(-128, 128, (channels, depth, *kernel)).astype(np.int8),
        INT8,
        rng.uniform(0.001, 0.01, channels).astype(np.float32),
    )
    bias = rng.integers(-2000, 2000, channels) if draw(st.booleans()) else None
    x = Tensor("x", (2, depth * groups, *size), qtype, 0.125, zero_point)
    y = Tensor("y", (2, channels, *out), INT8, 0.25, 7)
    node = Node("conv", Conv(weight, bias, strides, dilations, pads, groups), ("x",), "y")
    graph = Graph("net", "net.onnx", (node,), {"x": x, "y": y}, ("x",), ("y",))
    return graph, rng.integers(qtype.min, qtype.max + 1, x.shape).astype(qtype.dtype)


def window(x: np.ndarray, zero_point: int, op: Conv, place: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """(activation, weight) of each product of one output element, in the order (kernel row, column, channel)."""
    image, channel, row, column = place
    depth = op.weight.values.shape[1]
    first = channel // (len(op.weight.values) // op.groups) * depth
    pairs = []
    for i in range(op.weight.values.shape[2]):
        for j in range(op.weight.values.shape[3]):
            h = row * op.strides[0] + i * op.dilations[0] - op.pads[0]
            w = column * op.strides[1] + j * op.dilations[1] - op.pads[1]
            inside = 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
            for c in range(depth):
                value = int(x[image, first + c, h, w]) if inside else zero_point
                pairs.append((value, int(op.weight.values[channel, c, i, j])))
    return pairs


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_convolution_is_the_sum_over_its_window(drawn: tuple[Graph, np.ndarray]) -> None:
    graph, x = drawn
    check(graph)
    op, zero_point, out = graph.nodes[0].op, graph.tensors["x"].zero_point, graph.tensors["y"]
    scale = multiplier(0.125, op.weight.scale, 0.25)
    found = execute(graph, {"x": x})
    largest = 0
    for place in np.ndindex(out.shape):
        total = sum((value - zero_point) * weight for value, weight in window(x, zero_point, op, place))
        total += 0 if op.bias is None else int(op.bias[place[1]])
        largest = max(largest, total if total >= 0 else -total - 1)
        assert found.tensors["y"][place] == float32_rne(np.array(total), scale[place[1]], 7, INT8)
    use = found.accumulators["conv"]
    assert use.bits_used == largest.bit_length() + 1
    assert use.bits_used <= use.bits_safe
    assert use.overflows == 0


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(6, 20), st.integers(6, 20), st.sampled_from(["wrap", "saturate"]), st.data())
def test_narrow_accumulators_add_in_the_order_of_the_folds(
    drawn: tuple[Graph, np.ndarray], partial_bits: int, bits: int, overflow: str, data: st.DataObject
) -> None:
    graph, x = drawn
    op, zero_point, out = graph.nodes[0].op, graph.tensors["x"].zero_point, graph.tensors["y"]
    products = op.weight.values[0].size
    order = np.array(data.draw(st.permutations(range(products))))
    folds = np.array_split(order, data.draw(st.integers(1, products)))
    found = execute(graph, {"x": x}, lambda _: (Accumulator(partial_bits, bits, overflow), folds))
    overflows = 0

    def fit(value: int, width: int) -> int:
        nonlocal overflows
        low, high = -(1 << width - 1), (1 << width - 1) - 1
        overflows += not low <= value <= high
        return min(max(value, low), high) if overflow == "saturate" else (value - low) % (1 << width) + low

    scale = multiplier(0.125, op.weight.scale, 0.25)
    for place in np.ndindex(out.shape):
        pairs, total = window(x, zero_point, op, place), 0
        for fold in folds:
            partial = 0
            for k in fold:
                partial = fit(partial + pairs[k][0] * pairs[k][1], partial_bits)
            total = fit(total + partial, bits)
        bias = 0 if op.bias is None else int(op.bias[place[1]])
        total = fit(total + bias - zero_point * int(op.weight.values[place[1]].astype(int).sum()), bits)
        assert found.tensors["y"][place] == float32_rne(np.array(total), scale[place[1]], 7, INT8)
    assert found.accumulators["conv"].overflows == overflows


def linear_graph(out: Tensor, rows: tuple[int, ...] = (3,)) -> Graph:
    weight = Weight(np.array([[1, -2], [3, 4]], np.int8), INT8, np.array([0.5], np.float32))
    node = Node("fc", Linear(weight, np.array([10, -10])), ("x",), "y")
    x = Tensor("x", (*rows, 2), UINT8, 0.25, 1)
    return Graph("net", "net.onnx", (node,), {"x": x, "y": out}, ("x",), ("y",))


def test_a_linear_layer_by_hand() -> None:
    x = np.array([[1, 1], [5, 3], [255, 0]], np.uint8)
    # (x - 1) w^T + bias: [10, -10]; [4 - 4 + 10, 12 + 8 - 10]; [254 + 2 + 10, 762 - 4 - 10].
    sums = np.array([[10, -10], [10, 10], [266, 748]])
    graph = linear_graph(Tensor("y", (3, 2), INT8, 1.0, -3))
    # One step of the output is 8 of the accumulator: 1.25 to 1, 33.25 to 33, 93.5 to the even 94.
    expected = np.rint(sums * 0.125) - 3
    np.testing.assert_array_equal(execute(graph, {"x": x}).tensors["y"], expected)
    as_float = linear_graph(Tensor("y", (3, 2), None))
    reals = execute(as_float, {"x": x}).tensors["y"]
    assert reals.dtype == np.float32
    np.testing.assert_array_equal(reals, sums * 0.125)


def test_leading_axes_are_rows() -> None:
    x = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    stacked = execute(linear_graph(Tensor("y", (2, 3, 2), INT8, 1.0, 0), (2, 3)), {"x": x}).tensors["y"]
    flat = execute(linear_graph(Tensor("y", (6, 2), INT8, 1.0, 0), (6,)), {"x": x.reshape(6, 2)}).tensors["y"]
    np.testing.assert_array_equal(stacked, flat.reshape(2, 3, 2))


def test_a_clamp_bounds_the_output() -> None:
    graph = linear_graph(Tensor("y", (3, 2), INT8, 1.0, -3))
    node = replace(graph.nodes[0], op=replace(graph.nodes[0].op, clamp=(-3, 20)))
    x = np.array([[1, 1], [5, 3], [255, 0]], np.uint8)
    free = execute(graph, {"x": x}).tensors["y"]
    np.testing.assert_array_equal(execute(replace(graph, nodes=(node,)), {"x": x}).tensors["y"], np.clip(free, -3, 20))


def test_one_node_alone_is_that_node_in_the_network() -> None:
    graph = linear_graph(Tensor("y", (3, 2), INT8, 1.0, -3))
    x = np.array([[1, 1], [5, 3], [255, 0]], np.uint8)
    whole = execute(graph, {"x": x})
    alone, use = execute_node(graph, graph.nodes[0], [x])
    np.testing.assert_array_equal(alone, whole.tensors["y"])
    assert use == whole.accumulators["fc"]


def test_patches_have_channels_innermost() -> None:
    x = np.arange(2 * 3 * 3).reshape(1, 2, 3, 3).astype(np.int8)
    weight = Weight(np.zeros((1, 2, 2, 2), np.int8), INT8, np.ones(1, np.float32))
    seen = patches(x, Conv(weight, None, pads=(1, 0, 0, 0)), zero_point=-7)
    assert seen.shape == (1, 3, 2, 2, 2, 2)
    # Top row is padding; below it pixels (0, 0) and (0, 1), each with channel 0 and, 9 further, channel 1.
    assert seen[0, 0, 0].reshape(-1).tolist() == [-7, -7, -7, -7, 0, 9, 1, 10]


def test_an_unknown_requantizer_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        execute(linear_graph(Tensor("y", (3, 2), INT8, 1.0, 0)), {"x": np.zeros((3, 2))}, arithmetic=Arithmetic("none"))
