"""What the converters share: the graph under construction, constants, encodings, weights and biases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from accel.graph.ir import Graph, Node, Op, Tensor, Weight
from accel.graph.onnx.source import Array, Source, SourceNode, Unsupported
from accel.graph.onnx.types import plain, qtype_of
from accel.numerics.encoding import Encoding, FloatArray
from accel.numerics.qtype import QType

_SYMMETRIC_WEIGHTS = 'quantize with weight_type=QuantType.QInt8, extra_options={"WeightSymmetric": True}'
_PREPROCESS = (
    "run python -m onnxruntime.quantization.preprocess on the float network before quantizing it, "
    "which merges constants into the layers before them"
)
_LARGEST_BIAS = 2.0**31
_WIDEST_WEIGHT_BITS = 16
_MOVERS = ("Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Unsqueeze")
_STATES_SCALES = ("DequantizeLinear", "QLinear", "QGemm")
"""What reads integers, each followed by its scale and zero point."""
SAME_SCALE = 1e-5
"""Two computations of one float32 product agree to far less than this; different scales do not."""


@dataclass(frozen=True, slots=True, eq=False)
class ScaledConstant:
    """A constant that DequantizeLinear reads: ``scale * (values - zero_point)``, along ``axis`` where they vary."""

    values: Array
    """In numpy's own integers, whatever ``qtype`` is."""
    qtype: QType
    scale: FloatArray
    zero_point: Array
    axis: int

    def real(self) -> FloatArray:
        """The float32 values."""
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        zero = self.zero_point.reshape(shape) if self.zero_point.size > 1 else self.zero_point.reshape(())
        steps = (self.values.astype(np.int64) - zero).astype(np.float32)
        with np.errstate(over="ignore"):
            return np.asarray(steps * self.scale.reshape(shape), np.float32)


@dataclass(slots=True)
class Builder:
    """The graph so far. Float tensors inside it belong to islands that the passes fuse later."""

    source: Source
    constants: dict[str, Array]
    scaled: dict[str, ScaledConstant] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    real_scales: dict[str, float] = field(default_factory=dict)
    """The scale of the integers that a float32 tensor stands for."""
    narrowed: dict[str, QType] = field(default_factory=dict)
    """The types of integers that a Clip has narrowed, by name."""
    notes: list[str] = field(default_factory=list)

    def graph(self) -> Graph:
        """What has been built."""
        return Graph(
            name=self.source.name,
            path=self.source.path,
            nodes=tuple(self.nodes),
            tensors=dict(self.tensors),
            inputs=tuple(value.name for value in self.source.inputs),
            outputs=self.source.outputs,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def emit(self, node: SourceNode, op: Op, inputs: Sequence[str], out: Tensor, suffix: str = "") -> None:
        """Add one operation and what it writes."""
        self.tensors[out.name] = out
        self.nodes.append(Node(node.name + suffix, op, tuple(inputs), out.name, (node.name,)))

    def tensor(self, name: str) -> Tensor:
        """An activation."""
        if name in self.tensors:
            return self.tensors[name]
        if name in self.scaled or name in self.constants:
            raise self.constant_operand(name)
        return self._integer_input(name)

    def _integer_input(self, name: str) -> Tensor:
        """An integer input of the network, encoded as the first to compute with it says, pools and reshapes passed."""
        given = next((value for value in self.source.inputs if value.name == name), None)
        if given is None:
            raise Unsupported(f"its input {name!r} is an integer tensor whose scale nothing states")
        moved = [name]
        for tensor in moved:
            for reader in self.source.readers(tensor):
                if reader.op_type in _MOVERS:
                    moved += filter(None, reader.outputs[:1])
                elif reader.op_type.startswith(_STATES_SCALES):
                    scale = reader.inputs.index(tensor) + 1
                    stored = qtype_of(given.dtype, name)
                    encoding = self.encoding(reader.input(scale), reader.input(scale + 1), stored)
                    return self.integers(name, encoding)
        raise Unsupported(f"no node behind the integer input {name!r} states its scale")

    @staticmethod
    def constant_operand(name: str) -> Unsupported:
        """What to raise where a constant stands in an activation's place."""
        return Unsupported(f"it computes with the constant {name!r} where an activation is expected", _PREPROCESS)

    def real(self, name: str) -> Tensor:
        """A float32 activation."""
        tensor = self.tensor(name)
        if tensor.qtype is not None:
            raise Unsupported(f"it computes on the integers {name!r} without a scale")
        return tensor

    def real_scale(self, name: str) -> float:
        """The scale of the integers behind a float32 activation."""
        self.real(name)
        if name not in self.real_scales:
            raise Unsupported(f"its input {name!r} is float32 and not dequantized integers")
        return self.real_scales[name]

    def integers(self, name: str, encoding: Encoding) -> Tensor:
        """An integer activation that its reader says is encoded so."""
        given = next((value for value in self.source.inputs if value.name == name), None)
        if name not in self.tensors and given is not None:
            if qtype_of(given.dtype, name) != encoding.qtype:
                raise Unsupported(f"it reads {name!r}, which is {given.dtype}, as {encoding.qtype}")
            self.tensors[name] = Tensor(name, given.shape, encoding.qtype, encoding.scale, encoding.zero_point)
        tensor = self.tensor(name)
        if tensor.qtype is None:
            raise Unsupported(f"its input {name!r} is float32 where integers are expected")
        if tensor.encoding != encoding:
            raise Unsupported(
                f"it reads {name!r} with scale {encoding.scale:.9g} and zero point {encoding.zero_point}, "
                f"but that was written with scale {tensor.scale:.9g} and zero point {tensor.zero_point}"
            )
        return tensor

    def constant(self, name: str, what: str) -> Array:
        """A constant operand, ``what`` naming its part in the node."""
        if not name:
            raise Unsupported(f"it has no {what}")
        if name not in self.constants:
            raise Unsupported(f"its {what} {name!r} must be constant")
        return self.constants[name]

    def scales(self, name: str) -> FloatArray:
        """One or more scales, one-dimensional."""
        scales = self.constant(name, "scale")
        if scales.size != prod(scales.shape[-1:]):
            raise Unsupported(f"its scale {name!r} has shape {list(scales.shape)}, and one axis is supported")
        return self.positive(scales, name)

    @staticmethod
    def positive(scales: Array, name: str) -> FloatArray:
        """Scales as a vector, each positive, finite and of full float32 precision."""
        if scales.dtype != np.float32:
            raise Unsupported(f"its scale {name!r} is {scales.dtype}, and float32 is supported")
        bad = scales[~(np.isfinite(scales) & (scales > 0))]
        if bad.size:
            raise Unsupported(f"its scale {name!r} is {bad.flat[0]:g}, and scales are positive and finite")
        least = np.finfo(np.float32).tiny
        if scales.min(initial=np.inf) < least:
            raise Unsupported(f"its scale {name!r} is {scales.min():g}, and the smallest normal float32 is {least:g}")
        return scales.reshape(-1)

    def encoding(self, scale: str, zero_point: str, default: QType | None = None) -> Encoding:
        """The encoding of an activation, per tensor; ``default`` is the type where no zero point is given."""
        scales = self.scales(scale)
        if default is not None and not zero_point:
            qtype, zero = default, np.zeros(1, default.dtype)
        else:
            stored = self.constant(zero_point, "zero point")
            qtype, zero = qtype_of(stored.dtype, zero_point), plain(stored)
        if scales.size != 1 or zero.size != 1:
            raise Unsupported(f"its scale {scale!r} has {scales.size} values, and activations take one")
        return Encoding(qtype, float(scales[0]), int(zero.reshape(-1)[0]))

    def stored_weight(self, values: str, scale: str, zero_point: str, transposed: bool = False) -> Weight:
        """Weights that an integer operation names; ``transposed`` where output channels come last."""
        stored = self.constant(values, "weights")
        if stored.ndim < 2:
            raise Unsupported(f"its weights {values!r} have {stored.ndim} axes")
        integers = plain(stored).T if transposed else plain(stored)
        zero = plain(self.constant(zero_point, "weight zero point"))
        return self.weight(integers, qtype_of(stored.dtype, values), self.scales(scale), zero, values)

    def weight(self, values: Array, qtype: QType, scale: FloatArray, zero_point: Array, name: str) -> Weight:
        """Weights with output channels first; ``scale`` has one value or one for each of them."""
        if np.any(zero_point):
            worst = int(zero_point.reshape(-1)[np.flatnonzero(zero_point)[0]])
            raise Unsupported(f"its weights {name!r} have zero point {worst}, and 0 is supported", _SYMMETRIC_WEIGHTS)
        if values.ndim < 2:
            raise Unsupported(f"its weights {name!r} have {values.ndim} axes")
        if qtype.bits > _WIDEST_WEIGHT_BITS:
            raise Unsupported(f"its weights {name!r} are {qtype}, and up to {_WIDEST_WEIGHT_BITS} bits are supported")
        if scale.size not in (1, len(values)):
            raise Unsupported(f"its weights {name!r} have {scale.size} scales for {len(values)} output channels")
        return Weight(np.ascontiguousarray(values, qtype.dtype), qtype, scale)

    def scaled_weight(self, name: str) -> ScaledConstant:
        """Weights behind a DequantizeLinear."""
        if name in self.scaled:
            return self.scaled[name]
        if name in self.constants:
            raise Unsupported(f"its weights {name!r} are {self.constants[name].dtype}, not quantized")
        raise Unsupported(f"its weights {name!r} must be constant")

    def accumulator_bias(
        self, name: str, x_scale: float, weight: Weight, node: SourceNode, axes: int
    ) -> npt.NDArray[np.int64] | None:
        """A bias in units of input scale x weight scale, one for each output channel, rounded where it has to be.

        It may have as many ``axes``: those of what it is added to, or 1 where it has to be a vector.
        """
        if not name:
            return None
        channels = len(weight.values)
        with np.errstate(over="ignore", under="ignore"):
            units = np.broadcast_to(np.float32(x_scale) * weight.scale, channels)
        if name in self.scaled:
            stored = self.scaled[name]
            if stored.scale.size not in (1, channels):
                raise Unsupported(f"its bias {name!r} has {stored.scale.size} scales for {channels} output channels")
            if np.allclose(stored.scale, units, rtol=SAME_SCALE, atol=0) and not np.any(stored.zero_point):
                return per_channel(stored.values, channels, axes)
            self.notes.append(f"{node.name}: the bias has another scale than input x weight and was rounded to it")
            real = stored.real()
        else:
            real = self.constant(name, "bias").astype(np.float32)
            self.notes.append(f"{node.name}: the bias is float32 and was rounded to input scale x weight scale")
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            steps = np.rint(per_channel(real, channels, axes) / units)
        if not np.all(np.abs(steps) <= _LARGEST_BIAS):
            raise Unsupported(f"its bias {name!r} reaches {steps[np.argmax(np.abs(steps))]:g} steps of its scale")
        return steps.astype(np.int64)

    def integer_bias(self, name: str, channels: int, axes: int) -> npt.NDArray[np.int64] | None:
        """The int32 bias of an operation on integers; ``axes`` as for ``accumulator_bias``."""
        if not name:
            return None
        values = self.constant(name, "bias")
        if values.dtype != np.int32:
            raise Unsupported(f"its bias {name!r} is {values.dtype}, and int32 is supported")
        return per_channel(values, channels, axes)


Converter = Callable[[Builder, SourceNode], None]
"""Adds one ONNX node to the graph; raises Unsupported where it cannot."""


def per_channel(values: Array, channels: int, axes: int) -> Array:
    """A bias as one value for each output channel; integers as int64."""
    if values.size not in (1, channels):
        raise Unsupported(f"its bias has {values.size} values for {channels} output channels")
    if values.ndim > axes or values.size != prod(values.shape[-1:]):
        raise Unsupported(f"its bias has shape {list(values.shape)}, and a vector of {channels} is supported")
    flat = np.broadcast_to(values.reshape(-1), channels)
    return flat if values.dtype.kind == "f" else flat.astype(np.int64)
