"""Converters of float operations: islands between DequantizeLinear and QuantizeLinear, fused later by the passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accel.graph.ir import Add, Concat, Linear, Op, Requantize, Reshape, Tensor
from accel.graph.onnx.builder import Builder, Converter, ScaledConstant
from accel.graph.onnx.clip import clip_integers
from accel.graph.onnx.products import (
    average_pooling,
    axis_within,
    convolution,
    global_window,
    joined_shape,
    max_pooling,
    reshaped,
)
from accel.graph.onnx.source import SourceNode, Unsupported
from accel.numerics.pool import Mean

_INFINITY = float("inf")


def _conv(builder: Builder, node: SourceNode) -> None:
    stored = builder.scaled_weight(node.input(1))
    scale = builder.real_scale(node.input(0))
    _check_axis(stored, 0, node.input(1))
    weight = builder.weight(stored.values, stored.qtype, stored.scale, stored.zero_point, node.input(1))
    bias = builder.accumulator_bias(node.input(2), scale, weight, node, axes=1)
    op, shape = convolution(node, builder.tensors[node.input(0)].shape, weight, bias)
    builder.emit(node, op, [node.input(0)], Tensor(node.outputs[0], shape, None))


def _matmul(builder: Builder, node: SourceNode) -> None:
    _linear(builder, node, transposed=False)


def _gemm(builder: Builder, node: SourceNode) -> None:
    if node.real("alpha", 1.0) != 1.0 or node.real("beta", 1.0) != 1.0 or node.integer("transA", 0):
        raise Unsupported("its alpha or beta is not 1, or its transA not 0")
    _linear(builder, node, transposed=bool(node.integer("transB", 0)))


def _linear(builder: Builder, node: SourceNode, transposed: bool) -> None:
    x_name, w_name = node.input(0), node.input(1)
    if w_name in builder.tensors and x_name in builder.tensors:
        raise Unsupported("it multiplies two activations, and one operand must be constant weights")
    stored = builder.scaled_weight(w_name)
    scale = builder.real_scale(x_name)
    shape = builder.tensors[x_name].shape
    if stored.values.ndim != 2:
        raise Unsupported(f"its weights {w_name!r} have {stored.values.ndim} axes, and 2 are supported")
    _check_axis(stored, 0 if transposed else 1, w_name)
    rows = stored.values if transposed else stored.values.T
    if not shape or shape[-1] != rows.shape[1]:
        raise Unsupported(f"it multiplies {list(shape)} by {list(rows.T.shape)}")
    weight = builder.weight(rows, stored.qtype, stored.scale, stored.zero_point, w_name)
    bias = builder.accumulator_bias(node.input(2), scale, weight, node, axes=2)
    out = Tensor(node.outputs[0], (*shape[:-1], len(rows)), None)
    builder.emit(node, Linear(weight, bias), [x_name], out)


def _check_axis(stored: ScaledConstant, axis: int, name: str) -> None:
    if stored.scale.size > 1 and stored.axis != axis:
        raise Unsupported(f"its weights {name!r} have scales along axis {stored.axis}, not along the output channels")


def _add(builder: Builder, node: SourceNode) -> None:
    for bias, other in ((node.input(0), node.input(1)), (node.input(1), node.input(0))):
        if bias in builder.constants or bias in builder.scaled:
            _add_bias(builder, node, bias, other)
            return
    a, b = builder.real(node.input(0)), builder.real(node.input(1))
    if a.shape != b.shape:
        raise Unsupported(f"it broadcasts {list(a.shape)} and {list(b.shape)}")
    builder.emit(node, Add(), [a.name, b.name], Tensor(node.outputs[0], a.shape, None))


def _add_bias(builder: Builder, node: SourceNode, bias: str, product: str) -> None:
    """MatMul, then Add of a constant: one linear layer with a bias."""
    maker = next((made for made in builder.nodes if made.output == product), None)
    sole = len(builder.source.readers(product)) == 1 and product not in builder.source.outputs
    if maker is None or not isinstance(maker.op, Linear) or maker.op.bias is not None or not sole:
        raise builder.constant_operand(bias)
    shape = builder.scaled[bias].values.shape if bias in builder.scaled else builder.constants[bias].shape
    axes = len(builder.tensors[product].shape)
    if any(size > 1 for size in shape[:-1]) or len(shape) > axes:
        raise Unsupported(f"it adds the constant {bias!r}, which is not one value for each output feature")
    scale = builder.real_scale(maker.inputs[0])
    values = builder.accumulator_bias(bias, scale, maker.op.weight, node, axes)
    fused = replace(maker, op=replace(maker.op, bias=values), output=node.outputs[0], origin=(*maker.origin, node.name))
    builder.nodes[builder.nodes.index(maker)] = fused
    builder.tensors[node.outputs[0]] = replace(builder.tensors.pop(product), name=node.outputs[0])


def _relu(builder: Builder, node: SourceNode) -> None:
    _clamp(builder, node, 0.0, _INFINITY)


def _clip(builder: Builder, node: SourceNode) -> None:
    stored = builder.tensors.get(node.input(0))
    if node.input(0) in builder.constants or (stored is not None and stored.qtype is not None):
        clip_integers(builder, node)
        return
    low, high = (
        _bound(builder, node, index, name, default)
        for index, name, default in ((1, "min", -_INFINITY), (2, "max", _INFINITY))
    )
    if low > high:
        raise Unsupported(f"its minimum {low:g} is above its maximum {high:g}")
    _clamp(builder, node, low, high)


def _bound(builder: Builder, node: SourceNode, index: int, attribute: str, default: float) -> float:
    name = node.input(index)
    if not name:
        return float(np.float32(node.real(attribute, default)))
    value = builder.scaled[name].real() if name in builder.scaled else builder.constant(name, attribute)
    if value.size != 1 or value.dtype.kind not in "fiu" or np.isnan(value).any():
        raise Unsupported(f"its {attribute} {name!r} is not one number")
    return float(np.float32(value.reshape(-1)[0]))


def _clamp(builder: Builder, node: SourceNode, low: float, high: float) -> None:
    x = builder.real(node.input(0))
    builder.emit(node, Requantize(clamp=(low, high)), [x.name], Tensor(node.outputs[0], x.shape, None))


def _max_pool(builder: Builder, node: SourceNode) -> None:
    x = builder.tensor(node.input(0))
    op, shape = max_pooling(node, x.shape)
    _move(builder, node, op, x, shape)


def _average_pool(builder: Builder, node: SourceNode) -> None:
    x = builder.real(node.input(0))
    op, shape = average_pooling(node, x.shape, _mean(builder, node, Mean.OF_REALS))
    builder.emit(node, op, [x.name], Tensor(node.outputs[0], shape, None))


def _global_average_pool(builder: Builder, node: SourceNode) -> None:
    x = builder.real(node.input(0))
    op, shape = global_window(x.shape, _mean(builder, node, Mean.SCALED))
    builder.emit(node, op, [x.name], Tensor(node.outputs[0], shape, None))


def _mean(builder: Builder, node: SourceNode, fused: Mean) -> Mean:
    """The formula: ``fused`` where onnxruntime turns the pool into its integer operation, else the float mean's."""
    maker = builder.source.maker(node.input(0))
    readers = builder.source.readers(node.outputs[0])
    between = maker is not None and [maker.op_type, *(reader.op_type for reader in readers)]
    return fused if between == ["DequantizeLinear", "QuantizeLinear"] else Mean.UNROUNDED


def _reduce_mean(builder: Builder, node: SourceNode) -> None:
    x = builder.real(node.input(0))
    axes = _axes(builder, node)
    if len(x.shape) != 4 or sorted(axis_within(axis, 4) for axis in axes) != [2, 3]:
        raise Unsupported(f"it reduces axes {list(axes)} of {list(x.shape)}, and height and width (2, 3) are supported")
    op, shape = global_window(x.shape, Mean.UNROUNDED)
    if node.integer("keepdims", 1):
        builder.emit(node, op, [x.name], Tensor(node.outputs[0], shape, None))
        return
    kept = f"{node.outputs[0]}/keepdims"
    builder.emit(node, op, [x.name], Tensor(kept, shape, None))
    builder.emit(node, Reshape(), [kept], Tensor(node.outputs[0], shape[:2], None), suffix="/squeeze")


def _concat(builder: Builder, node: SourceNode) -> None:
    parts = [builder.real(name) for name in node.inputs]
    axis, shape = joined_shape(node, [part.shape for part in parts])
    builder.emit(node, Concat(axis), [part.name for part in parts], Tensor(node.outputs[0], shape, None))


def _identity(builder: Builder, node: SourceNode) -> None:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Unsupported("its mask output is used")
    if node.input(2) and builder.constant(node.input(2), "training_mode").any():
        raise Unsupported("it is in training mode")
    _reshape_to(builder, node, builder.tensor(node.input(0)).shape)


def _flatten(builder: Builder, node: SourceNode) -> None:
    shape = builder.tensor(node.input(0)).shape
    axis = node.integer("axis", 1)
    axis = axis if axis == len(shape) else axis_within(axis, len(shape))
    head = int(np.prod(shape[:axis], dtype=np.int64))
    _reshape_to(builder, node, reshaped(shape, [head, -1], zero_copies=False))


def _reshape(builder: Builder, node: SourceNode) -> None:
    wanted = builder.constant(node.input(1), "shape").reshape(-1).tolist()
    zero_copies = not node.integer("allowzero", 0)
    _reshape_to(builder, node, reshaped(builder.tensor(node.input(0)).shape, wanted, zero_copies))


def _squeeze(builder: Builder, node: SourceNode) -> None:
    shape = builder.tensor(node.input(0)).shape
    axes = _axes(builder, node)
    dropped = (
        {axis_within(axis, len(shape)) for axis in axes} if axes else {i for i, size in enumerate(shape) if size == 1}
    )
    _reshape_to(builder, node, tuple(size for axis, size in enumerate(shape) if axis not in dropped))


def _unsqueeze(builder: Builder, node: SourceNode) -> None:
    shape = builder.tensor(node.input(0)).shape
    axes = _axes(builder, node)
    rank = len(shape) + len(axes)
    added, rest = {axis_within(axis, rank) for axis in axes}, iter(shape)
    if len(added) != len(axes):
        raise Unsupported(f"its axes {list(axes)} name one twice")
    _reshape_to(builder, node, tuple(1 if axis in added else next(rest) for axis in range(rank)))


def _transpose(builder: Builder, node: SourceNode) -> None:
    """Weights only: exporters write a linear layer as a transposed constant."""
    stored = builder.scaled.get(node.input(0))
    if stored is None:
        raise Unsupported("it transposes an activation, and only weights can be transposed")
    order = node.integers("perm", range(stored.values.ndim)[::-1])
    if sorted(order) != list(range(stored.values.ndim)):
        raise Unsupported(f"its perm {list(order)} does not order {stored.values.ndim} axes")
    builder.scaled[node.outputs[0]] = replace(
        stored, values=stored.values.transpose(order), axis=order.index(stored.axis)
    )


def _axes(builder: Builder, node: SourceNode) -> Sequence[int]:
    if not node.input(1):
        return node.integers("axes", ())
    return [int(axis) for axis in builder.constant(node.input(1), "axes").reshape(-1)]


def _reshape_to(builder: Builder, node: SourceNode, shape: tuple[int, ...]) -> None:
    x = builder.tensor(node.input(0))
    reshaped(x.shape, shape, zero_copies=False)
    _move(builder, node, Reshape(), x, shape)


def _move(builder: Builder, node: SourceNode, op: Op, x: Tensor, shape: tuple[int, ...]) -> None:
    """Emit what only moves or selects values: what they mean stays."""
    out = replace(x, name=node.outputs[0], shape=shape)
    if x.name in builder.real_scales:
        builder.real_scales[out.name] = builder.real_scales[x.name]
    builder.emit(node, op, [x.name], out)


CONVERTERS: dict[tuple[str, str], Converter] = {
    ("", "Add"): _add,
    ("", "AveragePool"): _average_pool,
    ("", "Clip"): _clip,
    ("", "Concat"): _concat,
    ("", "Conv"): _conv,
    ("", "Dropout"): _identity,
    ("", "Flatten"): _flatten,
    ("", "Gemm"): _gemm,
    ("", "GlobalAveragePool"): _global_average_pool,
    ("", "Identity"): _identity,
    ("", "MatMul"): _matmul,
    ("", "MaxPool"): _max_pool,
    ("", "ReduceMean"): _reduce_mean,
    ("", "Relu"): _relu,
    ("", "Reshape"): _reshape,
    ("", "Squeeze"): _squeeze,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _unsqueeze,
}
"""By domain and operator."""
