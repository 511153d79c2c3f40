"""Converters of what normalizes a product's result: BatchNormalization, and QONNX's MultiThreshold.

Neither becomes a node: the convolution or linear layer in front of it takes it along, and the passes make integers of
the whole (``accel.graph.normalize``).
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from accel.graph.ir import Conv, Dequantize, Linear, Node, Normalization, Quantize, Tensor
from accel.graph.onnx.builder import Builder, Converter
from accel.graph.onnx.qonnx import DOMAINS
from accel.graph.onnx.source import SourceNode, Unsupported
from accel.numerics.encoding import FloatArray
from accel.numerics.qtype import BIPOLAR, QType

_MERGED = (
    "run python -m onnxruntime.quantization.preprocess on the float network before quantizing it, "
    "which merges BatchNormalization and Pad into convolutions"
)
_DTYPE = re.compile(r"(U?INT)([0-9]+)|BINARY|BIPOLAR")
_MOST_STEPS = 255
_LAYOUTS = ("", "NC", "NCHW")


def _batch_normalization(builder: Builder, node: SourceNode) -> None:
    if node.integer("training_mode", 0) or any(node.outputs[1:]):
        raise Unsupported("it is in training mode")
    maker = _product(builder, node, _MERGED)
    assert isinstance(maker.op, Conv | Linear)
    channels = len(maker.op.weight.values)
    gamma, beta, mean, variance = (
        _vector(builder, node.input(index), what, channels)
        for index, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance"))
    )
    with np.errstate(all="ignore"):
        factor = gamma / np.sqrt(variance + np.float32(node.real("epsilon", 1e-5)))
        shift = beta - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        raise Unsupported("its scale / sqrt(variance + epsilon), or what that makes of its mean, is not finite")
    _take_along(builder, node, maker, Normalization(factor, shift))


def _multi_threshold(builder: Builder, node: SourceNode) -> None:
    layout = node.text("data_layout", "")
    if layout not in _LAYOUTS:
        raise Unsupported(f"its data_layout is {layout}, and NC and NCHW are supported")
    maker = _product(builder, node, "give it a convolution or matrix product of its own, or use a Quant")
    assert isinstance(maker.op, Conv | Linear)
    channels = len(maker.op.weight.values)
    thresholds = builder.constant(node.input(1), "thresholds")
    if thresholds.ndim != 2 or len(thresholds) not in (1, channels) or not 1 <= thresholds.shape[1] <= _MOST_STEPS:
        raise Unsupported(
            f"its thresholds {node.input(1)!r} have shape {list(thresholds.shape)}, and {channels} or 1 rows of up to "
            f"{_MOST_STEPS} are expected"
        )
    if np.isnan(thresholds).any():
        raise Unsupported(f"its thresholds {node.input(1)!r} are not all numbers")
    qtype, scale, lowest, stride = _meaning(node, thresholds.shape[1])
    known = maker.op.normalization or Normalization(np.ones(channels, np.float32), np.zeros(channels, np.float32))
    out = node.outputs[0]
    real = Tensor(f"{out}/real", builder.tensors[maker.output].shape, None)
    stepped = replace(known, thresholds=thresholds.astype(np.float32), lowest=lowest, stride=stride)
    _take_along(builder, node, maker, stepped, real.name)
    integers = Tensor(f"{out}_quantized", real.shape, qtype, scale, 0)
    builder.tensors[integers.name] = integers
    builder.nodes.append(Node(node.name, Quantize(), (real.name,), integers.name, (node.name,)))
    builder.real_scales[out] = scale
    builder.emit(node, Dequantize(), [integers.name], Tensor(out, real.shape, None), suffix="/dequantize")


def _meaning(node: SourceNode, steps: int) -> tuple[QType, float, int, int]:
    """Output type and scale, the integer that no threshold makes, and what each adds to it."""
    name = node.text("out_dtype", "")
    match = _DTYPE.fullmatch(name)
    if match is None:
        raise Unsupported(f"its out_dtype is {name!r}, and INT, UINT with a width, BINARY and BIPOLAR are supported")
    qtype = QType(int(match[2] or 1), match[1] == "INT")
    scale, bias = np.float32(node.real("out_scale", 1.0)), np.float32(node.real("out_bias", 0.0))
    stride = 1
    if name == "BIPOLAR":
        qtype, scale, stride = BIPOLAR, np.float32(scale / 2), 2
    if not (np.isfinite(scale) and scale > 0):
        raise Unsupported(f"its out_scale is {node.real('out_scale', 1.0):g}, and scales are positive and finite")
    lowest = float(bias / scale)
    if not lowest.is_integer():
        raise Unsupported(f"its out_bias {bias:g} is no multiple of its out_scale {scale:g}")
    if not qtype.min <= lowest <= lowest + stride * steps <= qtype.max:
        raise Unsupported(f"its {steps} thresholds make {lowest:g} to {lowest + stride * steps:g}, beyond its {name}")
    return qtype, float(scale), int(lowest), stride


def _product(builder: Builder, node: SourceNode, hint: str) -> Node:
    """The convolution or linear layer whose result only ``node`` reads, its channels along axis 1."""
    name = node.input(0)
    maker = next((made for made in builder.nodes if made.output == name), None)
    sole = len(builder.source.readers(name)) == 1 and name not in builder.source.outputs
    if maker is None or not isinstance(maker.op, Conv | Linear) or not sole:
        raise Unsupported(f"its input {name!r} is not a convolution's or matrix product's result for it alone", hint)
    if isinstance(maker.op, Linear) and len(builder.tensors[name].shape) != 2:
        raise Unsupported(f"its input {name!r} has {len(builder.tensors[name].shape)} axes, and 2 are supported", hint)
    if maker.op.normalization is not None and node.op_type == "BatchNormalization":
        raise Unsupported(f"its input {name!r} is normalized already", hint)
    return maker


def _take_along(
    builder: Builder, node: SourceNode, maker: Node, normalization: Normalization, output: str = ""
) -> None:
    """Let ``maker`` write what ``node`` does."""
    assert isinstance(maker.op, Conv | Linear)
    output = output or node.outputs[0]
    taken = replace(maker, op=replace(maker.op, normalization=normalization), output=output)
    builder.nodes[builder.nodes.index(maker)] = replace(taken, origin=(*maker.origin, node.name))
    builder.tensors[output] = replace(builder.tensors.pop(maker.output), name=output)


def _vector(builder: Builder, name: str, what: str, channels: int) -> FloatArray:
    values = builder.constant(name, what)
    if values.shape != (channels,):
        raise Unsupported(f"its {what} {name!r} has shape {list(values.shape)} for {channels} channels")
    return values.astype(np.float32)


ATTRIBUTES = {"MultiThreshold": frozenset({"out_dtype", "out_scale", "out_bias", "data_layout"})}
CONVERTERS: dict[tuple[str, str], Converter] = {
    ("", "BatchNormalization"): _batch_normalization,
    **{(domain, "MultiThreshold"): _multi_threshold for domain in DOMAINS},
}
"""By domain and operator."""
