"""The loops against plain formulas: what a nest says it touches is what it needs."""

from __future__ import annotations

import numpy as np
import pytest

from accel.errors import AccelError
from accel.flow.execute import multiply_accumulate, window_values
from accel.flow.ir import Affine, elements
from accel.flow.lower import lower
from accel.graph.ir import Concat, MaxPool
from tests.networks import Builder, residual_network


def test_span_of_a_strided_window() -> None:
    # rows 2*oh + kh - 1 for oh in 3..5 and kh in 0..2 reach from 2*3 - 1 = 5 to 2*5 + 2 - 1 = 11
    rows = Affine((("oh", 2), ("kh", 1)), -1)
    assert rows.span({"oh": (3, 6), "kh": (0, 3)}) == (5, 12)


def test_region_includes_the_halo_and_leaves_padding_out() -> None:
    net = Builder()
    net.conv(net.input(1, 4, 10, 10), 2)
    op = lower(net.graph()).ops[0]
    top = op.reads[0].region(op.whole | {"oh": (0, 2)})
    middle = op.reads[0].region(op.whole | {"oh": (4, 6)})
    assert top == ((0, 1), (0, 4), (0, 3), (0, 10))  # rows -1..2, of which -1 is padding
    assert middle == ((0, 1), (0, 4), (3, 7), (0, 10))
    assert elements(middle) == 4 * 4 * 10


def test_groups_touch_their_own_channels() -> None:
    net = Builder()
    net.conv(net.input(1, 6, 4, 4), 9, groups=3)
    op = lower(net.graph()).ops[0]
    ranges = op.whole | {"g": (1, 2)}
    assert op.reads[0].region(ranges)[1] == (2, 4)
    assert op.write.region(ranges)[1] == (3, 6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
@pytest.mark.parametrize("dilations", [(1, 1), (1, 2)])
def test_convolution_loops_equal_a_sliding_window(groups, strides, dilations) -> None:
    net = Builder(seed=3)
    net.conv(net.input(2, 4, 7, 6), 8, (3, 2), strides, (1, 0, 2, 1), dilations, groups)
    op = lower(net.graph()).ops[0]
    x, padding = net.data(), 7
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (1, 2), (0, 1)), constant_values=padding)
    weights = op.body.weight.values.astype(np.int64)
    expected = np.zeros(op.write.shape, np.int64)
    for b, n, oh, ow in np.ndindex(expected.shape):
        g = n // (8 // groups)
        channels = padded[b, g * (4 // groups) : (g + 1) * (4 // groups)]
        rows, columns = oh * strides[0], ow * strides[1]
        window = channels[
            :, rows : rows + 2 * dilations[0] + 1 : dilations[0], columns : columns + dilations[1] + 1 : dilations[1]
        ]
        expected[b, n, oh, ow] = (window * weights[n]).sum()
    np.testing.assert_array_equal(multiply_accumulate(op, x, padding), expected)


def test_linear_over_leading_axes() -> None:
    net = Builder(seed=4)
    net.linear(net.input(2, 3, 5), 7)
    op = lower(net.graph()).ops[0]
    x = net.data()
    expected = x.reshape(6, 5).astype(np.int64) @ op.body.weight.values.astype(np.int64).T
    np.testing.assert_array_equal(multiply_accumulate(op, x, 0).reshape(6, 7), expected)


def test_window_values_of_a_pool() -> None:
    net = Builder(seed=5)
    net.max_pool(net.input(1, 2, 5, 5), (3, 3), (2, 2), (1, 1, 1, 1))
    op = lower(net.graph()).ops[0]
    x = net.data()
    values = window_values(op, x, -128)
    assert values.shape == (1, 2, 3, 3, 9)
    assert values[0, 1, 0, 0].max() == max(x[0, 1, :2, :2].max(), -128)


def test_concat_writes_side_by_side() -> None:
    net = residual_network()
    parts = [op for op in lower(net.graph(net.last)).ops if op.kind == "concat"]
    assert [op.name for op in parts] == ["concat9[0]", "concat9[1]"]
    assert [op.write.region(op.whole)[1] for op in parts] == [(0, 8), (8, 12)]


def test_a_requantization_rides_along_with_the_layer_it_follows() -> None:
    net = residual_network()
    flow = lower(net.graph(net.last))
    assert "requantize" not in [op.kind for op in flow.ops]
    host = next(op for op in flow.ops if op.epilogue)
    assert (host.name, host.write.tensor) == ("conv2", "relu3_out")


def test_a_result_that_two_layers_read_keeps_its_own_requantization() -> None:
    net = Builder()
    x = net.conv(net.input(1, 2, 4, 4), 2)
    net.add(x, net.relu(x))
    assert [op.kind for op in lower(net.graph()).ops] == ["conv", "requantize", "add"]


def test_every_nest_prints_as_loops() -> None:
    net = Builder()
    net.conv(net.input(1, 64, 56, 56), 64)
    assert str(lower(net.graph()).ops[0]) == (
        "conv0: conv  b:1 g:1 n:64 oh:56 ow:56 +kh:3 +kw:3 +c:64\n"
        "  conv0_out[b, 64*g + n, oh, ow] += "
        "x[b, 64*g + c, oh + kh - 1, ow + kw - 1] * weight[64*g + n, c, kh, kw]"
    )


def test_a_window_in_the_padding_touches_nothing() -> None:
    net = Builder()
    net.conv(net.input(1, 4, 10, 10), 2, (1, 1), pads=(3, 0, 3, 0))
    op = lower(net.graph()).ops[0]
    for rows, side in (((0, 3), (0, 0)), ((13, 16), (10, 10)), ((2, 4), (0, 1)), ((12, 14), (9, 10))):
        region = op.reads[0].region(op.whole | {"oh": rows})
        assert region[2] == side
        assert elements(region) == 40 * (side[1] - side[0])


def test_a_result_that_leaves_the_network_keeps_its_own_requantization() -> None:
    net = Builder()
    x = net.conv(net.input(1, 2, 4, 4), 2)
    y = net.relu(x)
    assert [op.kind for op in lower(net.graph(x, y)).ops] == ["conv", "requantize"]
    (host,) = lower(net.graph(y)).ops
    assert (host.kind, host.write.tensor, [node.output for node in host.epilogue]) == ("conv", y, [y])


def test_a_concatenation_is_requantized_when_it_is_whole() -> None:
    net = Builder()
    x = net.input(1, 2, 4, 4)
    net.relu(net.concat(x, x))
    assert [op.kind for op in lower(net.graph()).ops] == ["concat", "concat", "requantize"]


def test_requantizations_in_a_row_ride_along_in_order() -> None:
    net = Builder()
    y = net.relu(net.relu(net.max_pool(net.input(1, 2, 4, 4), (2, 2), (2, 2))))
    (host,) = lower(net.graph(y)).ops
    assert [node.name for node in host.epilogue] == ["relu1", "relu2"]
    assert host.write.tensor == y


def test_a_dilated_pool_reads_every_other_value() -> None:
    net = Builder(seed=6)
    x = net.input(1, 1, 7, 9)
    net._node("maxpool", MaxPool((2, 3), (1, 2), (2, 3), (0, 1, 0, 1)), (x,), (1, 1, 5, 3))
    op = lower(net.graph()).ops[0]
    values = net.data()
    read = window_values(op, values, -128).reshape(5, 3, 2, 3)
    padded = np.pad(values[0, 0], ((0, 0), (1, 1)), constant_values=-128)
    for row, column in np.ndindex(5, 3):
        window = padded[row : row + 3 : 2, 2 * column : 2 * column + 7 : 3]
        np.testing.assert_array_equal(read[row, column], window)


def test_rectangular_pads_and_strides_of_a_pool() -> None:
    net = Builder()
    net.average_pool(net.input(1, 2, 9, 12), (2, 3), (1, 2), (1, 2, 0, 1))
    rows, columns = lower(net.graph()).ops[0].reads[0].index[2:]
    assert (str(rows), str(columns)) == ("h + kh - 1", "2*w + kw - 2")


@pytest.mark.parametrize(("shape", "axis", "sides"), [((2, 3), -1, 1), ((2, 5, 3), 2, 1), ((1, 2, 3, 4), -2, 2)])
def test_concatenations_of_any_rank(shape, axis, sides) -> None:
    net = Builder()
    x = net.input(*shape)
    joined = list(shape)
    joined[axis] *= 2
    net._node("concat", Concat(axis), (x, x), tuple(joined))
    first, second = lower(net.graph()).ops
    size = shape[axis]
    assert first.write.region(first.whole)[sides] == (0, size)
    assert second.write.region(second.whole)[sides] == (size, 2 * size)
    other = [side for side in range(4) if side != sides]
    assert all(first.write.region(first.whole)[i] == second.write.region(second.whole)[i] for i in other)


def test_a_concatenation_that_four_axes_do_not_keep_apart() -> None:
    net = Builder()
    x = net.input(2, 5, 3)
    net._node("concat", Concat(1), (x, x), (2, 10, 3))
    with pytest.raises(AccelError) as error:
        lower(net.graph())
    assert str(error.value) == (
        "test.onnx:concat0: Concat joins a tensor of 3 axes along axis 1; "
        "join images along any axis, and other tensors along their last one"
    )
