"""Converters of QONNX: Quant, BipolarQuant and Trunc, as Brevitas and the qonnx package write them.

A Quant stays in float32: it rounds to a grid of integers and scales back. Of constants it makes scaled integers; of an
activation, integers between a Quantize and a Dequantize, whose islands the passes fuse like those of QDQ files.
The formulas are those of qonnx/custom_op/general (intquant.py, bipolar_quant.py, trunc.py) in version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accel.graph.ir import Dequantize, Node, Quantize, Tensor
from accel.graph.onnx.builder import Builder, Converter, ScaledConstant
from accel.graph.onnx.clip import quantize_to
from accel.graph.onnx.source import Array, SourceNode, Unsupported
from accel.numerics.elementwise import dequantize, sign
from accel.numerics.encoding import Encoding, FloatArray
from accel.numerics.qtype import BIPOLAR, QType

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
_WIDEST_BITS = 32
_WIDEST_ACTIVATION_BITS = 16
_TRUNC_INPUTS = 6
_HALF_EVEN = ("ROUND", "HALF_EVEN")

ROUNDINGS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}
"""How a real number of steps becomes a whole one, by QONNX's names: UP is away from zero, HALF_UP rounds ties so."""


def _quant(builder: Builder, node: SourceNode) -> None:
    qtype, bounds = _range(node, _bit_width(builder, node.input(3)))
    rounding = _rounding(node, "ROUND")
    zero = _whole(builder, node.input(2), "zero point")
    if node.input(0) in builder.constants:
        _quantize_constant(builder, node, qtype, zero, ROUNDINGS[rounding], bounds)
        return
    if zero.size != 1:
        raise Unsupported(f"its zero point {node.input(2)!r} has {zero.size} values, and activations take one")
    if not qtype.bipolar:
        _refuse_other_roundings(rounding)
    if int(zero.reshape(-1)[0]) % 2:
        builder.notes.append(
            f"{node.name}: the zero point is odd, and added behind rounding here, before it in QONNX: exact ties differ"
        )
    _quantize_activation(builder, node, node.input(1), qtype, int(zero.reshape(-1)[0]), bounds)


def _trunc(builder: Builder, node: SourceNode) -> None:
    """Integers of a fine scale become such of a coarse one: a mean whose sum is exact, as Brevitas writes it."""
    if len(node.inputs) != _TRUNC_INPUTS:
        raise Unsupported(
            f"it has {len(node.inputs)} inputs, and the {_TRUNC_INPUTS} of QONNX's version 2 are supported",
            "export it with a newer Brevitas, whose Trunc states the scale of its result",
        )
    qtype, bounds = _range(node, _bit_width(builder, node.input(5)))
    _refuse_other_roundings(_rounding(node, "FLOOR"))
    if _whole(builder, node.input(2), "zero point").any():
        raise Unsupported(f"its zero point {node.input(2)!r} is not 0")
    fine, coarse = (builder.scales(node.input(index)) for index in (1, 4))
    if fine.size != 1 or coarse.size != 1 or np.rint(np.log2(coarse / fine)) < 0:
        raise Unsupported("its scales are not one fine and one coarser one")
    _quantize_activation(builder, node, node.input(4), qtype, 0, bounds)


def _range(node: SourceNode, bits: int) -> tuple[QType, tuple[int, int]]:
    """The integers' type, and the bounds that its attributes leave of it."""
    signed, narrow = bool(node.integer("signed", 1)), bool(node.integer("narrow", 0))
    qtype = BIPOLAR if signed and bits == 1 else QType(bits, signed)
    low = qtype.min + (1 if narrow and signed and not qtype.bipolar else 0)
    high = qtype.max - (1 if narrow and not signed else 0)
    if low >= high:
        raise Unsupported(f"its narrow range of {qtype} has one value")
    return qtype, (low, high)


def _rounding(node: SourceNode, default: str) -> str:
    rounding = node.text("rounding_mode", default).upper()
    if rounding not in ROUNDINGS:
        raise Unsupported(f"its rounding_mode is {rounding!r}, and {', '.join(ROUNDINGS)} are QONNX's")
    return rounding


def _refuse_other_roundings(rounding: str) -> None:
    if rounding not in _HALF_EVEN:
        raise Unsupported(
            f"it rounds activations by {rounding}, and what rounds results is the machine's requantizer",
            "export it with rounding_mode ROUND",
        )


def _bipolar_quant(builder: Builder, node: SourceNode) -> None:
    if node.input(0) in builder.constants:
        _quantize_constant(builder, node, BIPOLAR, np.zeros(1, np.int64), np.rint, (-1, 1))
    else:
        _quantize_activation(builder, node, node.input(1), BIPOLAR, 0, (-1, 1))


def _quantize_activation(
    builder: Builder, node: SourceNode, scale: str, qtype: QType, zero: int, bounds: tuple[int, int]
) -> None:
    x, out = builder.real(node.input(0)), node.outputs[0]
    scales = builder.scales(scale)
    if scales.size != 1:
        raise Unsupported(f"its scale {scale!r} has {scales.size} values, and activations take one")
    if qtype.bits > _WIDEST_ACTIVATION_BITS:
        raise Unsupported(f"it makes {qtype} activations, and up to {_WIDEST_ACTIVATION_BITS} bits are supported")
    if not qtype.min <= zero <= qtype.max:
        raise Unsupported(f"its zero point is {zero}, which {qtype} does not hold")
    encoding = Encoding(qtype, float(scales[0]), zero)
    integers = Tensor(f"{out}_quantized", x.shape, qtype, encoding.scale, zero)
    whole = bounds == (qtype.min, qtype.max)
    reals = None if whole else tuple(dequantize(np.array(bounds), encoding).tolist())
    quantize_to(builder, Node(node.name, Quantize(), (x.name,), integers.name, (node.name,)), integers, reals)
    builder.real_scales[out] = encoding.scale
    builder.emit(node, Dequantize(), [integers.name], Tensor(out, x.shape, None), suffix="/dequantize")


def _quantize_constant(
    builder: Builder,
    node: SourceNode,
    qtype: QType,
    zero: Array,
    rounding: Callable[[FloatArray], FloatArray],
    bounds: tuple[int, int],
) -> None:
    real = builder.constants[node.input(0)].astype(np.float32)
    scale, axis = _along_axis(builder, node, real)
    shape = [1] * real.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    zeros = zero.reshape(shape if zero.size > 1 else [1] * real.ndim)
    steps = real / scale.reshape(shape) + zeros.astype(np.float32)
    values = sign(steps) if qtype.bipolar else rounding(np.clip(steps, np.float32(bounds[0]), np.float32(bounds[1])))
    builder.scaled[node.outputs[0]] = ScaledConstant(values.astype(qtype.dtype), qtype, scale, zero.reshape(-1), axis)


def _along_axis(builder: Builder, node: SourceNode, real: FloatArray) -> tuple[FloatArray, int]:
    """The scales, and the axis of a constant along which they vary: QONNX gives them the constant's number of axes."""
    name = node.input(1)
    stored = builder.constant(name, "scale")
    axes = [axis for axis, size in enumerate(stored.shape, start=real.ndim - stored.ndim) if size > 1]
    if len(axes) > 1 or stored.ndim > real.ndim or (axes and stored.size != real.shape[axes[0]]):
        raise Unsupported(
            f"its scale {name!r} has shape {list(stored.shape)} for {list(real.shape)}, and one axis is supported"
        )
    return builder.positive(stored, name), axes[0] if axes else 0


def _bit_width(builder: Builder, name: str) -> int:
    bits = builder.constant(name, "bit width")
    if bits.size != 1 or not 1 <= bits.reshape(-1)[0] <= _WIDEST_BITS or float(bits.reshape(-1)[0]) % 1:
        found = f"{bits.reshape(-1)[0]:g}" if bits.size == 1 else f"{bits.size} values"
        raise Unsupported(f"its bit width is {found}, and whole numbers from 1 to {_WIDEST_BITS} are supported")
    return int(bits.reshape(-1)[0])


def _whole(builder: Builder, name: str, what: str) -> Array:
    values = builder.constant(name, what)
    whole = np.rint(values)
    if not np.array_equal(whole, values):
        raise Unsupported(f"its {what} {name!r} is {values.flat[np.argmax(whole != values)]:g}, which is not whole")
    return whole.astype(np.int64)


ATTRIBUTES = {
    "Quant": frozenset({"signed", "narrow", "rounding_mode"}),
    "IntQuant": frozenset({"signed", "narrow", "rounding_mode"}),
    "BipolarQuant": frozenset[str](),
    "Trunc": frozenset({"signed", "narrow", "rounding_mode"}),
}
"""What each of them knows."""
_BY_NAME: dict[str, Converter] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar_quant,
    "Trunc": _trunc,
}
CONVERTERS: dict[tuple[str, str], Converter] = {
    (domain, name): converter for domain in DOMAINS for name, converter in _BY_NAME.items()
}
"""By domain and operator."""
