"""Converters of operations on integers: QuantizeLinear, DequantizeLinear, QLinear*, QGemm."""

from __future__ import annotations

import numpy as np

from accel.graph.ir import Add, Concat, Dequantize, Linear, Quantize, Tensor
from accel.graph.onnx.builder import Builder, Converter, ScaledConstant, Unsupported
from accel.graph.onnx.products import average_pooling, convolution, global_window, joined_shape
from accel.graph.onnx.source import Array, SourceNode
from accel.numerics.encoding import Encoding
from accel.numerics.pool import Mean

_MICROSOFT = "com.microsoft"


def _quantize_linear(builder: Builder, node: SourceNode) -> None:
    _refuse_blocks(node)
    name = node.input(0)
    if name in builder.constants:
        _quantize_constant(builder, node)
        return
    x = builder.real(name)
    encoding = builder.encoding(node.input(1), node.input(2), np.dtype(np.uint8))
    builder.emit(node, Quantize(), [name], _integers(node.outputs[0], x.shape, encoding))


def _dequantize_linear(builder: Builder, node: SourceNode) -> None:
    _refuse_blocks(node)
    name, out = node.input(0), node.outputs[0]
    if name in builder.constants:
        builder.scaled[out] = _scaled(builder, node, builder.constants[name])
        return
    if name in builder.tensors:
        stored = builder.tensors[name].qtype
        default = None if stored is None else stored.dtype
    else:
        default = next((value.dtype for value in builder.source.inputs if value.name == name), None)
    x = builder.integers(name, builder.encoding(node.input(1), node.input(2), default))
    builder.real_scales[out] = x.scale
    builder.emit(node, Dequantize(), [name], Tensor(out, x.shape, None))


def _qlinear_conv(builder: Builder, node: SourceNode) -> None:
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    values = builder.constant(node.input(3), "weights")
    zero = builder.constant(node.input(5), "weight zero point")
    weight = builder.weight(values, builder.scales(node.input(4)), zero, node.input(3))
    encoding = builder.encoding(node.input(6), node.input(7))
    bias = builder.integer_bias(node.input(8), len(values))
    op, shape = convolution(node, x.shape, weight, bias)
    builder.emit(node, op, [x.name], _integers(node.outputs[0], shape, encoding))


def _qlinear_matmul(builder: Builder, node: SourceNode) -> None:
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    values = builder.constant(node.input(3), "weights")
    if values.ndim != 2 or x.shape[-1] != len(values):
        raise Unsupported(f"it multiplies {list(x.shape)} by {list(values.shape)}")
    zero = builder.constant(node.input(5), "weight zero point")
    weight = builder.weight(values.T, builder.scales(node.input(4)), zero, node.input(3))
    encoding = builder.encoding(node.input(6), node.input(7))
    shape = (*x.shape[:-1], values.shape[1])
    builder.emit(node, Linear(weight, None), [x.name], _integers(node.outputs[0], shape, encoding))


def _qgemm(builder: Builder, node: SourceNode) -> None:
    if node.attributes.get("alpha", 1.0) != 1.0 or node.attributes.get("transA", 0):
        raise Unsupported("its alpha is not 1 or its transA not 0")
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    values = builder.constant(node.input(3), "weights")
    rows = values if node.attributes.get("transB", 0) else values.T
    if len(x.shape) != 2 or values.ndim != 2 or x.shape[1] != rows.shape[1]:
        raise Unsupported(f"it multiplies {list(x.shape)} by {list(rows.T.shape)}")
    zero = builder.constant(node.input(5), "weight zero point")
    weight = builder.weight(rows, builder.scales(node.input(4)), zero, node.input(3))
    op = Linear(weight, builder.integer_bias(node.input(6), len(rows)))
    shape = (x.shape[0], len(rows))
    out = Tensor(node.outputs[0], shape, None)
    if node.input(7):
        out = _integers(node.outputs[0], shape, builder.encoding(node.input(7), node.input(8), _dtype(x)))
    builder.emit(node, op, [x.name], out)


def _qlinear_add(builder: Builder, node: SourceNode) -> None:
    a = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    b = builder.integers(node.input(3), builder.encoding(node.input(4), node.input(5)))
    if a.shape != b.shape:
        raise Unsupported(f"it broadcasts {list(a.shape)} and {list(b.shape)}")
    encoding = builder.encoding(node.input(6), node.input(7), _dtype(a))
    builder.emit(node, Add(), [a.name, b.name], _integers(node.outputs[0], a.shape, encoding))


def _qlinear_concat(builder: Builder, node: SourceNode) -> None:
    encoding = builder.encoding(node.input(0), node.input(1))
    parts = [
        builder.integers(node.input(index), builder.encoding(node.input(index + 1), node.input(index + 2)))
        for index in range(2, len(node.inputs), 3)
    ]
    axis, shape = joined_shape(node, [part.shape for part in parts])
    out = _integers(node.outputs[0], shape, encoding)
    builder.emit(node, Concat(axis), [part.name for part in parts], out)


def _qlinear_global_average_pool(builder: Builder, node: SourceNode) -> None:
    _refuse_channels_last(node)
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    encoding = builder.encoding(node.input(3), node.input(4), _dtype(x))
    op, shape = global_window(x.shape, Mean.SCALED)
    builder.emit(node, op, [x.name], _integers(node.outputs[0], shape, encoding))


def _qlinear_average_pool(builder: Builder, node: SourceNode) -> None:
    _refuse_channels_last(node)
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    encoding = builder.encoding(node.input(3), node.input(4), _dtype(x))
    op, shape = average_pooling(node, x.shape, Mean.OF_REALS)
    builder.emit(node, op, [x.name], _integers(node.outputs[0], shape, encoding))


def _quantize_constant(builder: Builder, node: SourceNode) -> None:
    """Weights stored as float32 and quantized in the graph: the integers are what counts."""
    real = builder.constants[node.input(0)]
    scale, zero = builder.scales(node.input(1)), _zero_points(builder, node)
    shape = [1] * real.ndim
    if scale.size > 1:
        shape[node.attributes.get("axis", 1)] = scale.size
    limits = np.iinfo(zero.dtype)
    steps = np.rint(real.astype(np.float32) / scale.reshape(shape)) + zero.reshape(shape if scale.size > 1 else -1)
    builder.constants[node.outputs[0]] = np.clip(steps, limits.min, limits.max).astype(zero.dtype)


def _scaled(builder: Builder, node: SourceNode, values: Array) -> ScaledConstant:
    scale = builder.scales(node.input(1))
    zero = builder.constant(node.input(2), "zero point") if node.input(2) else np.zeros(1, values.dtype)
    axis = node.attributes.get("axis", 1) if scale.size > 1 else 0
    if scale.size > 1 and (not -values.ndim <= axis < values.ndim or values.shape[axis] != scale.size):
        raise Unsupported(f"it has {scale.size} scales for {list(values.shape)} along axis {axis}")
    return ScaledConstant(values, scale, zero, axis % values.ndim if values.ndim else 0)


def _zero_points(builder: Builder, node: SourceNode) -> Array:
    if not node.input(2):
        return np.zeros(1, np.uint8)
    zero = builder.constant(node.input(2), "zero point")
    if zero.dtype.kind not in "iu":
        raise Unsupported(f"its zero point {node.input(2)!r} is {zero.dtype}, and integers are supported")
    return zero


def _integers(name: str, shape: tuple[int, ...], encoding: Encoding) -> Tensor:
    return Tensor(name, shape, encoding.qtype, encoding.scale, encoding.zero_point)


def _dtype(tensor: Tensor) -> np.dtype[np.generic]:
    return tensor.encoding.qtype.dtype


def _refuse_blocks(node: SourceNode) -> None:
    if node.attributes.get("block_size", 0):
        raise Unsupported("it has a scale for each block, and one for a tensor or channel is supported")


def _refuse_channels_last(node: SourceNode) -> None:
    if node.attributes.get("channels_last", 0):
        raise Unsupported("its images are NHWC, and NCHW is supported")


CONVERTERS: dict[tuple[str, str], Converter] = {
    ("", "QuantizeLinear"): _quantize_linear,
    ("", "DequantizeLinear"): _dequantize_linear,
    ("", "QLinearConv"): _qlinear_conv,
    ("", "QLinearMatMul"): _qlinear_matmul,
    (_MICROSOFT, "QuantizeLinear"): _quantize_linear,
    (_MICROSOFT, "DequantizeLinear"): _dequantize_linear,
    (_MICROSOFT, "QGemm"): _qgemm,
    (_MICROSOFT, "QLinearAdd"): _qlinear_add,
    (_MICROSOFT, "QLinearConcat"): _qlinear_concat,
    (_MICROSOFT, "QLinearGlobalAveragePool"): _qlinear_global_average_pool,
    (_MICROSOFT, "QLinearAveragePool"): _qlinear_average_pool,
}
"""By domain and operator."""
