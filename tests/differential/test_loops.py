"""The same networks as loops, as whole tensors and on a machine: three ways to the same integers."""

from __future__ import annotations

import numpy as np
import pytest

from accel.flow.execute import multiply_accumulate, window_values
from accel.flow.ir import FlowOp
from accel.flow.lower import lower
from accel.graph.execute import execute
from accel.graph.ir import Conv, Graph, Linear, MaxPool
from accel.numerics.mac import fold_zero_point
from accel.numerics.requantize import float32_rne, multiplier
from tests.networks import INT8, UINT8, residual_network


def from_loops(graph: Graph, op: FlowOp, x: np.ndarray) -> np.ndarray | None:
    """What the nest's own node makes, from nothing but its loops and the requantizer; None where it only rescales."""
    source, made, body = graph.tensors[op.node.inputs[0]], graph.tensors[op.node.output], op.body
    if isinstance(body, MaxPool):
        return window_values(op, x, -(2**31)).max(axis=-1).reshape(made.shape)
    if not isinstance(body, Conv | Linear):
        return None
    sums = multiply_accumulate(op, x, source.zero_point)
    bias = fold_zero_point(body.weight.values, body.bias, source.zero_point)
    channels_last = np.moveaxis(sums, 1, -1) + bias
    scale = multiplier(source.scale, body.weight.scale, made.scale)
    values = float32_rne(channels_last, scale, made.zero_point, made.qtype, body.clamp)
    return np.moveaxis(values, -1, 1).reshape(made.shape)


@pytest.mark.parametrize("qtype", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_loops_equal_the_golden_model(seed: int, qtype) -> None:
    net = residual_network(seed, batch=2, size=8 + seed, qtype=qtype)
    graph = net.graph(net.last)
    tensors = {"x": net.data()}
    tensors |= execute(graph, tensors).tensors
    compared = 0
    for op in lower(graph).ops:
        expected = from_loops(graph, op, tensors[op.reads[0].tensor])
        if expected is not None:
            np.testing.assert_array_equal(tensors[op.node.output], expected, err_msg=op.name)
            compared += 1
    assert compared == 8  # six convolutions, one pool, one linear layer
