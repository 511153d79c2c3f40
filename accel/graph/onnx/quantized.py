"""Converters of operations on integers: QuantizeLinear, DequantizeLinear, QLinear*, QGemm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from accel.graph.ir import Add, Concat, Dequantize, Linear, Quantize, Tensor
from accel.graph.onnx.builder import Builder, Converter, ScaledConstant
from accel.graph.onnx.products import average_pooling, axis_within, convolution, global_window, joined_shape
from accel.graph.onnx.source import Array, SourceNode, Unsupported
from accel.graph.onnx.types import INT32, QTYPES, SUPPORTED, element_qtype, is_integer, plain, qtype_of
from accel.numerics.encoding import Encoding
from accel.numerics.pool import Mean
from accel.numerics.qtype import QType

_MICROSOFT = "com.microsoft"
_UINT8 = QType(8, signed=False)
"""What QuantizeLinear makes where nothing says otherwise."""


def _quantize_linear(builder: Builder, node: SourceNode) -> None:
    _refuse_blocks(node)
    if node.integer("precision", 0) not in (0, onnx.TensorProto.FLOAT):
        raise Unsupported("its precision is not float32")
    name = node.input(0)
    if name in builder.constants:
        _quantize_constant(builder, node)
        return
    x = builder.real(name)
    encoding = builder.encoding(node.input(1), node.input(2), _stated_qtype(node))
    builder.emit(node, Quantize(), [name], _integers(node.outputs[0], x.shape, encoding))


def _dequantize_linear(builder: Builder, node: SourceNode) -> None:
    _refuse_blocks(node)
    if node.integer("output_dtype", 0) not in (0, onnx.TensorProto.FLOAT):
        raise Unsupported("its output_dtype is not float32")
    name, out = node.input(0), node.outputs[0]
    if name in builder.constants:
        builder.scaled[out] = _scaled(builder, node, builder.constants[name])
        return
    if name in builder.tensors:
        default = builder.tensors[name].qtype
    else:
        given = next((value.dtype for value in builder.source.inputs if value.name == name), None)
        default = None if given is None else qtype_of(given, name)
    encoding = builder.encoding(node.input(1), node.input(2), default)
    if name in builder.narrowed:  # its zero point has the type that they were clipped in
        encoding = replace(encoding, qtype=builder.narrowed[name])
    x = builder.integers(name, encoding)
    builder.real_scales[out] = x.scale
    builder.emit(node, Dequantize(), [name], Tensor(out, x.shape, None))


def _qlinear_conv(builder: Builder, node: SourceNode) -> None:
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    weight = builder.stored_weight(node.input(3), node.input(4), node.input(5))
    encoding = builder.encoding(node.input(6), node.input(7))
    bias = builder.integer_bias(node.input(8), len(weight.values), axes=1)
    op, shape = convolution(node, x.shape, weight, bias)
    builder.emit(node, op, [x.name], _integers(node.outputs[0], shape, encoding))


def _qlinear_matmul(builder: Builder, node: SourceNode) -> None:
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    values = builder.constant(node.input(3), "weights")
    if values.ndim != 2 or not x.shape or x.shape[-1] != len(values):
        raise Unsupported(f"it multiplies {list(x.shape)} by {list(values.shape)}")
    weight = builder.stored_weight(node.input(3), node.input(4), node.input(5), transposed=True)
    encoding = builder.encoding(node.input(6), node.input(7))
    shape = (*x.shape[:-1], values.shape[1])
    builder.emit(node, Linear(weight, None), [x.name], _integers(node.outputs[0], shape, encoding))


def _qgemm(builder: Builder, node: SourceNode) -> None:
    if node.real("alpha", 1.0) != 1.0 or node.integer("transA", 0):
        raise Unsupported("its alpha is not 1 or its transA not 0")
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    values = builder.constant(node.input(3), "weights")
    transposed = not node.integer("transB", 0)
    depth = values.shape[0 if transposed else -1] if values.ndim == 2 else None
    if len(x.shape) != 2 or x.shape[1] != depth:
        rows = values.shape if transposed else values.shape[::-1]
        raise Unsupported(f"it multiplies {list(x.shape)} by {list(rows)}")
    weight = builder.stored_weight(node.input(3), node.input(4), node.input(5), transposed)
    channels = len(weight.values)
    op = Linear(weight, builder.integer_bias(node.input(6), channels, axes=2))
    shape = (x.shape[0], channels)
    out = Tensor(node.outputs[0], shape, None)
    if node.input(7):
        out = _integers(node.outputs[0], shape, builder.encoding(node.input(7), node.input(8), x.qtype))
    builder.emit(node, op, [x.name], out)


def _qlinear_add(builder: Builder, node: SourceNode) -> None:
    a = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    b = builder.integers(node.input(3), builder.encoding(node.input(4), node.input(5)))
    if a.shape != b.shape:
        raise Unsupported(f"it broadcasts {list(a.shape)} and {list(b.shape)}")
    encoding = builder.encoding(node.input(6), node.input(7), a.qtype)
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
    encoding = builder.encoding(node.input(3), node.input(4), x.qtype)
    op, shape = global_window(x.shape, Mean.SCALED)
    builder.emit(node, op, [x.name], _integers(node.outputs[0], shape, encoding))


def _qlinear_average_pool(builder: Builder, node: SourceNode) -> None:
    _refuse_channels_last(node)
    x = builder.integers(node.input(0), builder.encoding(node.input(1), node.input(2)))
    encoding = builder.encoding(node.input(3), node.input(4), x.qtype)
    op, shape = average_pooling(node, x.shape, Mean.OF_REALS)
    builder.emit(node, op, [x.name], _integers(node.outputs[0], shape, encoding))


def _quantize_constant(builder: Builder, node: SourceNode) -> None:
    """Weights stored as float32 and quantized in the graph: the integers are what counts."""
    real = builder.constants[node.input(0)]
    scale, zero, qtype = builder.scales(node.input(1)), np.zeros(1, np.int64), _stated_qtype(node)
    dtype = qtype.dtype
    if node.input(2):
        stored = builder.constant(node.input(2), "zero point")
        if not is_integer(stored):
            raise Unsupported(f"its zero point {node.input(2)!r} is {stored.dtype}, and integers are supported")
        qtype, zero = QTYPES.get(stored.dtype, INT32), plain(stored)
        dtype = stored.dtype
    shape, _ = along_axis(node, real, scale, zero)
    steps = np.rint(real.astype(np.float32) / scale.reshape(shape)) + (zero.reshape(shape) if zero.size > 1 else zero)
    values = np.clip(steps, qtype.min, qtype.max).astype(qtype.dtype).astype(dtype)
    builder.constants[node.outputs[0]] = values.reshape(real.shape)


def _scaled(builder: Builder, node: SourceNode, values: Array) -> ScaledConstant:
    if not is_integer(values):
        raise Unsupported(f"it dequantizes {node.input(0)!r}, which is {values.dtype}")
    scale = builder.scales(node.input(1))
    zero = plain(builder.constant(node.input(2), "zero point")) if node.input(2) else np.zeros(1, np.int8)
    _, axis = along_axis(node, values, scale, zero)
    qtype = builder.narrowed.get(node.input(0), QTYPES.get(values.dtype, INT32))
    return ScaledConstant(plain(values), qtype, scale, zero.reshape(-1), axis)


def along_axis(node: SourceNode, values: Array, scale: Array, zero: Array) -> tuple[list[int], int]:
    """The shape in which the scales meet a constant's values, and the axis along which they vary."""
    if zero.size not in (1, scale.size):
        raise Unsupported(f"it has {scale.size} scales and {zero.size} zero points")
    shape = [1] * values.ndim
    if scale.size == 1:
        return shape, 0
    axis = axis_within(node.integer("axis", 1), values.ndim)
    if values.shape[axis] != scale.size:
        raise Unsupported(f"it has {scale.size} scales for {list(values.shape)} along axis {axis}")
    shape[axis] = scale.size
    return shape, axis


def _integers(name: str, shape: tuple[int, ...], encoding: Encoding) -> Tensor:
    return Tensor(name, shape, encoding.qtype, encoding.scale, encoding.zero_point)


def _refuse_blocks(node: SourceNode) -> None:
    if node.integer("block_size", 0):
        raise Unsupported("it has a scale for each block, and one for a tensor or channel is supported")


def _stated_qtype(node: SourceNode) -> QType:
    """What a QuantizeLinear without a zero point makes."""
    number = node.integer("output_dtype", 0)
    qtype = element_qtype(number) if number else _UINT8
    if qtype is None:
        names = {value: name.lower() for name, value in onnx.TensorProto.DataType.items()}
        raise Unsupported(f"its output_dtype is {names.get(number, number)}, and {SUPPORTED}")
    return qtype


def _refuse_channels_last(node: SourceNode) -> None:
    if node.integer("channels_last", 0):
        raise Unsupported("its images are NHWC, and NCHW is supported")


_WINDOW = frozenset({"auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"})
ATTRIBUTES = {
    "QuantizeLinear": frozenset({"axis"}),
    "DequantizeLinear": frozenset({"axis"}),
    "QLinearAdd": frozenset(),
    "QGemm": frozenset({"alpha", "transA", "transB"}),
    "QLinearConcat": frozenset({"axis"}),
    "QLinearGlobalAveragePool": frozenset({"channels_last"}),
    "QLinearAveragePool": _WINDOW | {"channels_last"},
}
"""What the com.microsoft operators know, by operator."""
REQUIRED = {"QLinearConcat": frozenset({"axis"}), "QLinearAveragePool": frozenset({"kernel_shape"})}
"""What has no default there."""

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
