"""The golden model: whole tensors, one node after another, in exact integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from accel.graph.ir import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dequantize,
    Graph,
    Linear,
    MaxPool,
    Node,
    Quantize,
    Requantize,
    Reshape,
    Tensor,
)
from accel.numerics import elementwise, pool
from accel.numerics.arithmetic import ONNXRUNTIME, Arithmetic
from accel.numerics.encoding import IntArray
from accel.numerics.mac import Accumulator, Folds, Int64Array, accumulate, bits_for, fold_zero_point, safe_bits
from accel.numerics.requantize import multiplier
from accel.result import AccumulatorUse

Array = npt.NDArray[Any]
"""Integers, or float32 at a network's edges."""
Accumulation = Callable[[Node], tuple[Accumulator, Folds | None]]
"""How a machine adds up one node's products: its widths, and the order along K."""


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """Every tensor of a run, by name, and how wide each convolution's and linear layer's sums were, by node."""

    tensors: dict[str, Array]
    accumulators: dict[str, AccumulatorUse]


def execute(
    graph: Graph,
    inputs: Mapping[str, npt.ArrayLike],
    accumulation: Accumulation | None = None,
    arithmetic: Arithmetic = ONNXRUNTIME,
) -> Execution:
    """Run the network.

    Parameters
    ----------
    graph
        As ``load_network`` returns it.
    inputs
        Each of ``graph.inputs``: float32, or integers where the network begins with integers.
    accumulation
        The machine's accumulator and order for each node; None: wide enough for anything.
    arithmetic
        The machine's vector unit.

    Examples
    --------
    >>> execute(graph, {"image": pixels}).tensors[graph.outputs[0]]  # doctest: +SKIP
    """
    tensors: dict[str, Array] = {
        name: np.ascontiguousarray(inputs[name], graph.tensors[name].dtype) for name in graph.inputs
    }
    accumulators: dict[str, AccumulatorUse] = {}
    for node in graph.nodes:
        sources = [tensors[name] for name in node.inputs]
        tensors[node.output], use = execute_node(graph, node, sources, accumulation, arithmetic)
        if use is not None:
            accumulators[node.name] = use
    return Execution(tensors, accumulators)


def execute_node(
    graph: Graph,
    node: Node,
    inputs: Sequence[Array],
    accumulation: Accumulation | None = None,
    arithmetic: Arithmetic = ONNXRUNTIME,
) -> tuple[Array, AccumulatorUse | None]:
    """Run one node on the given inputs; what it writes, and its accumulator's use if it has one."""
    op, out = node.op, graph.tensors[node.output]
    sources = [graph.tensors[name] for name in node.inputs]
    if isinstance(op, Conv | Linear):
        sums, overflows = layer_sums(graph, node, inputs[0], accumulation)
        return layer_output(graph, node, sums, arithmetic), _accumulator_use(graph, node, sums, overflows)
    return vector_operation(op, inputs, sources, out, arithmetic), None


def vector_operation(
    op: Add | MaxPool | AveragePool | Concat | Requantize | Quantize | Dequantize | Reshape,
    inputs: Sequence[Array],
    sources: Sequence[Tensor],
    out: Tensor,
    arithmetic: Arithmetic,
) -> Array:
    """What a node without products makes of its inputs, or of the same part of each: the simulator asks for tiles."""
    match op:
        case Add():
            a, b = (source.encoding for source in sources)
            return elementwise.add(inputs[0], inputs[1], a, b, out.encoding, op.clamp, op.sum, arithmetic.integer_adder)
        case MaxPool():
            return pool.max_pool(inputs[0], op.kernel, op.strides, op.dilations, op.pads)
        case AveragePool() if out.qtype is None:
            window = (op.kernel, op.strides, op.pads, op.count_include_pad)
            return pool.average_reals(inputs[0], sources[0].encoding, *window)
        case AveragePool():
            return pool.average_pool(
                inputs[0],
                sources[0].encoding,
                out.encoding,
                op.kernel,
                op.strides,
                op.pads,
                op.count_include_pad,
                op.clamp,
                op.mean,
                arithmetic.rescaler,
            )
        case Concat():
            encodings = [source.encoding for source in sources]
            return elementwise.concat(inputs, encodings, out.encoding, op.axis, arithmetic.rescaler)
        case Requantize():
            return elementwise.requantize(inputs[0], sources[0].encoding, out.encoding, op.clamp, arithmetic.rescaler)
        case Quantize():
            return elementwise.quantize(inputs[0], out.encoding)
        case Dequantize():
            return elementwise.dequantize(inputs[0], sources[0].encoding)
        case Reshape():
            return inputs[0].reshape(out.shape)
        case _:
            assert_never(op)


def layer_sums(
    graph: Graph, node: Node, x: IntArray, accumulation: Accumulation | None = None
) -> tuple[Int64Array, int]:
    """Final sums of a convolution or linear layer, bias included, and how many additions did not fit.

    Returns
    -------
    tuple
        Sums of shape (batch * height * width, out channels), or (rows, out features); additions that wrapped or
        saturated.
    """
    op, source = node.op, graph.tensors[node.inputs[0]]
    assert isinstance(op, Conv | Linear)
    accumulator, folds = (None, None) if accumulation is None else accumulation(node)
    bias = fold_zero_point(op.weight.values, op.bias, source.zero_point)
    if isinstance(op, Conv):
        return _convolve(x, op, bias, source.zero_point, accumulator, folds)
    return accumulate(x.reshape(-1, x.shape[-1]), op.weight.values.T, bias, accumulator, folds)


def layer_output(graph: Graph, node: Node, sums: IntArray, arithmetic: Arithmetic = ONNXRUNTIME) -> Array:
    """What a convolution or linear layer makes of its final sums, as ``layer_sums`` has them."""
    op, source, out = node.op, graph.tensors[node.inputs[0]], graph.tensors[node.output]
    assert isinstance(op, Conv | Linear)
    y: Array
    if out.qtype is not None and op.thresholds is not None:
        y = op.thresholds.apply(sums, out.qtype)
    elif out.qtype is not None and out.qtype.bipolar:
        y = bipolar_output(op, sums)
    elif out.qtype is None:
        y = sums.astype(np.float32) * (np.float32(source.scale) * op.weight.scale)
    else:
        scale = multiplier(source.scale, op.weight.scale, out.scale)
        unit = arithmetic.unit
        y = unit.apply(sums, unit.encode(scale), out.zero_point, out.qtype, op.clamp)
    if isinstance(op, Conv):
        batch, channels, height, width = out.shape
        return np.ascontiguousarray(y.reshape(batch, height, width, channels).transpose(0, 3, 1, 2))
    return y.reshape(out.shape)


def bipolar_output(op: Conv | Linear, sums: IntArray) -> Array:
    """The signs of final sums, clamped: scales are positive, so nothing has to be scaled."""
    signs = elementwise.sign(sums)
    return signs if op.clamp is None else np.clip(signs, *op.clamp)


def _accumulator_use(graph: Graph, node: Node, sums: Int64Array, overflows: int) -> AccumulatorUse:
    op, source = node.op, graph.tensors[node.inputs[0]]
    assert isinstance(op, Conv | Linear)
    domain = source.encoding.qtype
    bias = fold_zero_point(op.weight.values, op.bias, source.zero_point)
    return AccumulatorUse(
        bits_used=bits_for(int(sums.min(initial=0)), int(sums.max(initial=0))),
        bits_safe=safe_bits(op.weight.values, bias, domain.min, domain.max),
        overflows=overflows,
    )


def _convolve(
    x: IntArray, op: Conv, bias: Int64Array, zero_point: int, accumulator: Accumulator | None, folds: Folds | None
) -> tuple[Int64Array, int]:
    """Sums of shape (batch * height * width, out channels)."""
    windows = patches(x, op, zero_point)
    weight = op.weight.values
    channels, depth = len(weight) // op.groups, weight.shape[1]
    pixels = windows.shape[0] * windows.shape[1] * windows.shape[2]
    sums = np.empty((pixels, len(weight)), np.int64)
    overflows = 0
    for group in range(op.groups):
        out = slice(group * channels, (group + 1) * channels)
        rows = windows[..., group * depth : (group + 1) * depth].reshape(pixels, -1)
        columns = weight[out].transpose(2, 3, 1, 0).reshape(-1, channels)
        sums[:, out], count = accumulate(rows, columns, bias[out], accumulator, folds)
        overflows += count
    return sums, overflows


def patches(x: IntArray, op: Conv, zero_point: int) -> IntArray:
    """What each output pixel reads: a view (batch, out height, out width, kernel height, kernel width, channels).

    The last three axes, flattened, are the products' order along K: channels innermost.
    """
    top, left, bottom, right = op.pads
    images = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero_point)
    (kernel_height, kernel_width), (row_step, column_step) = op.weight.values.shape[2:], op.dilations
    extent = ((kernel_height - 1) * row_step + 1, (kernel_width - 1) * column_step + 1)
    windows = np.lib.stride_tricks.sliding_window_view(images, extent, axis=(1, 2))
    strided = windows[:, :: op.strides[0], :: op.strides[1], :, ::row_step, ::column_step]
    return strided.transpose(0, 1, 2, 4, 5, 3)
