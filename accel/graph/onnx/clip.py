"""Clip between QuantizeLinear and DequantizeLinear: how QCDQ files say that integers are narrower than a byte.

QuantizeLinear to int8 -> Clip(-8, 7) -> DequantizeLinear     is     QuantizeLinear to int4 -> DequantizeLinear
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accel.graph.ir import Node, Quantize, Requantize, Tensor
from accel.graph.onnx.builder import Builder
from accel.graph.onnx.source import Array, SourceNode, Unsupported
from accel.graph.onnx.types import is_integer, narrowed, plain, qtype_of
from accel.numerics.elementwise import dequantize
from accel.numerics.qtype import QType


def clip_integers(builder: Builder, node: SourceNode) -> None:
    """Clip integer weights, or integer activations; bounds that are a narrower type's make them that type."""
    name, out = node.input(0), node.outputs[0]
    if name in builder.constants:
        values = builder.constants[name]
        if not is_integer(values):
            raise Unsupported(f"it clips the constant {name!r}, which is {values.dtype}, and integers are supported")
        stored = builder.narrowed.get(name) or qtype_of(values.dtype, name)
        low, high = _bounds(builder, node, stored)
        builder.constants[out] = np.clip(plain(values), low, high).astype(values.dtype)
        builder.narrowed[out] = narrowed(stored, low, high)[0]
        return
    source = builder.tensors[name]
    assert source.qtype is not None
    low, high = _bounds(builder, node, source.qtype)
    qtype, whole = narrowed(source.qtype, low, high)
    if not qtype.min <= source.zero_point <= qtype.max:
        raise Unsupported(f"its bounds {low} and {high} leave out the zero point {source.zero_point}")
    builder.narrowed[out] = qtype
    clipped = replace(source, name=out, qtype=qtype)
    bounds = None if whole else _reals(source, low, high)
    made = next((made for made in builder.nodes if made.output == name), None)
    if made is None or not isinstance(made.op, Quantize) or len(builder.source.readers(name)) > 1:
        builder.emit(node, Requantize(_reals(source, low, high)), [name], clipped)
        return
    builder.nodes.remove(made)
    del builder.tensors[name]
    quantize_to(builder, replace(made, output=out, origin=(*made.origin, node.name)), clipped, bounds)


def quantize_to(builder: Builder, quantize: Node, out: Tensor, bounds: tuple[float, float] | None) -> None:
    """Add a Quantize that writes ``out``, behind a clamp to real ``bounds`` where its type's are too wide."""
    source = quantize.inputs[0]
    if bounds is not None:
        clamped = replace(builder.tensors[source], name=f"{out.name}/clamped")
        builder.tensors[clamped.name] = clamped
        clamp = Node(f"{quantize.name}/clamp", Requantize(bounds), (source,), clamped.name, quantize.origin)
        builder.nodes.append(clamp)
        source = clamped.name
    builder.tensors[out.name] = out
    builder.nodes.append(replace(quantize, inputs=(source,), output=out.name))


def _reals(tensor: Tensor, low: int, high: int) -> tuple[float, float]:
    """What two integers of a tensor mean."""
    bounds = dequantize(np.array([low, high]), tensor.encoding)
    return float(bounds[0]), float(bounds[1])


def _bounds(builder: Builder, node: SourceNode, qtype: QType) -> tuple[int, int]:
    """The integers that a Clip keeps, none beyond the type's."""
    low, high = (_bound(builder, node.input(index), what) for index, what in ((1, "min"), (2, "max")))
    low, high = qtype.min if low is None else max(low, qtype.min), qtype.max if high is None else min(high, qtype.max)
    if low > high:
        raise Unsupported(f"its minimum {low} is above its maximum {high}")
    return low, high


def _bound(builder: Builder, name: str, what: str) -> int | None:
    if not name:
        return None
    value: Array = plain(builder.constant(name, what))
    if value.size != 1 or value.dtype.kind not in "iu":
        raise Unsupported(f"its {what} {name!r} is not one integer")
    return int(value.reshape(-1)[0])
