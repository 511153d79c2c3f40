"""ONNX models written by hand: single quantized operations, and networks for onnxruntime's quantizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accel.graph.onnx.qonnx import DOMAINS

MICROSOFT = "com.microsoft"
INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)


@dataclass
class Model:
    """Collects nodes; tensor names are the caller's."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    opset: int = 17
    ir_version: int = 8

    def input(self, name: str, shape: tuple[int | str, ...], dtype: Any = np.float32) -> str:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: Any, dtype: Any = None, name: str = "") -> str:
        name = name or f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op_type: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        name = attributes.pop("name", f"{output}_node")
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, domain=domain, **attributes))
        return output

    def encoding(self, scale: float, zero_point: int, dtype: Any) -> list[str]:
        return [self.constant(scale, np.float32), self.constant(zero_point, dtype)]

    def random_encoding(self, dtype: Any, near: float = 1.0) -> list[str]:
        """A scale around ``near``, a power of two one time in four; any zero point."""
        scale = near * 2.0 ** self.rng.uniform(-1, 1)
        if self.rng.integers(4) == 0:
            scale = 2.0 ** np.round(np.log2(scale))
        limits = np.iinfo(dtype)
        return self.encoding(scale, int(self.rng.integers(limits.min, limits.max + 1)), dtype)

    def weights(self, shape: tuple[int, ...], per_channel: bool, axis: int = 0) -> list[str]:
        """int8 weights with scales near 1 / 64: name, scale, zero point."""
        values = self.rng.integers(-128, 128, shape).astype(np.int8)
        count = (shape[axis],) if per_channel else ()
        scale = self.rng.uniform(0.004, 0.02, count).astype(np.float32)
        return [self.constant(values), self.constant(scale), self.constant(np.zeros(count, np.int8))]

    def quantize(self, name: str, encoding: list[str]) -> str:
        return self.node("QuantizeLinear", [name, *encoding], f"{name}_q")

    def dequantize(self, name: str, encoding: list[str], **attributes: Any) -> str:
        return self.node("DequantizeLinear", [name, *encoding], f"{name}_dq", **attributes)

    def proto(self, *outputs: str) -> onnx.ModelProto:
        values = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, "test", self.inputs, values, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=self.ir_version)

    def save(self, path: Path, *outputs: str) -> Path:
        onnx.save(self.proto(*outputs), str(path))
        return path


class Qonnx(Model):
    """Adds QONNX's nodes."""

    def quant(
        self,
        x: str,
        out: str,
        scale: object,
        bits: float,
        zero: object = 0.0,
        domain: str = DOMAINS[0],
        **attributes: object,
    ) -> str:
        operands = [self.constant(scale, np.float32), self.constant(zero, np.float32), self.constant(bits, np.float32)]
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | attributes
        return self.node("Quant", [x, *operands], out, domain=domain, **attributes)

    def normalize(self, x: str, out: str, factor: object, shift: object) -> str:
        """BatchNormalization that is about ``x * factor + shift``: drawn means and variances, the rest to match."""
        factor, shift = np.asarray(factor, np.float64), np.asarray(shift, np.float64)
        mean, variance = self.rng.normal(0, 1, factor.size), self.rng.uniform(0.5, 2, factor.size)
        values = (factor * np.sqrt(variance), shift + mean * factor, mean, variance)
        return self.node("BatchNormalization", [x, *(self.constant(v, np.float32) for v in values)], out, epsilon=0.0)

    def bipolar(self, x: str, out: str, scale: object) -> str:
        return self.node("BipolarQuant", [x, self.constant(scale, np.float32)], out, domain=DOMAINS[0])

    def proto(self, *outputs: str) -> onnx.ModelProto:
        proto = super().proto(*outputs)
        proto.opset_import.extend(helper.make_opsetid(domain, 1) for domain in DOMAINS)
        for value in proto.graph.output:
            if not value.type.HasField("tensor_type"):
                value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
                value.type.tensor_type.shape.SetInParent()
        return proto


@dataclass
class FloatNet:
    """A float network, layer by layer; every method returns the tensor it made, named after its node."""

    batch: int = 1
    seed: int = 0
    model: Model = field(init=False)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = Model(np.random.default_rng(self.seed), opset=18)
        self.shapes["x"] = (self.batch, 3, 16, 16)
        self.model.input("x", self.shapes["x"])

    def conv(self, x: str, name: str, channels: int, kernel: int = 3, **attributes: Any) -> str:
        depth = self.shapes[x][1] // attributes.get("group", 1)
        spread = np.sqrt(2 / (depth * kernel * kernel))
        weight = self.model.rng.normal(0, spread, (channels, depth, kernel, kernel))
        bias = self.model.rng.normal(0, 0.1, channels)
        attributes.setdefault("pads", [kernel // 2] * 4)
        operands = {"w": weight, "b": bias}
        inputs = [x, *(self.model.constant(value, np.float32, f"{name}_{key}") for key, value in operands.items())]
        return self.layer("Conv", inputs, name, **attributes)

    def linear(self, x: str, name: str, features: int) -> str:
        width = self.shapes[x][-1]
        weight = self.model.constant(self.model.rng.normal(0, 0.3, (features, width)), np.float32, f"{name}_w")
        bias = self.model.constant(self.model.rng.normal(0, 0.1, features), np.float32, f"{name}_b")
        return self.layer("Gemm", [x, weight, bias], name, transB=1)

    def layer(self, op_type: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.model.node(op_type, inputs, name, name=name, **attributes)
        proto = onnx.shape_inference.infer_shapes(self.model.proto(name))
        dims = proto.graph.output[0].type.tensor_type.shape.dim
        self.shapes[name] = tuple(dim.dim_value for dim in dims)
        return name

    def proto(self, output: str) -> onnx.ModelProto:
        proto = self.model.proto(output)
        del proto.graph.output[:]
        proto.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, self.shapes[output]))
        onnx.checker.check_model(proto)
        return proto


def residual_net(tail: str, batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """Everything at once: residual branches of different scales, depthwise, concat, three pools.

    ``tail`` is ``pool`` (GlobalAveragePool, Flatten, as TorchScript's exporter writes it) or ``mean`` (ReduceMean,
    Reshape, as dynamo's does).
    """
    net = FloatNet(batch, seed)
    x = net.layer("Relu", [net.conv("x", "stem", 8)], "stem_relu")
    x = net.layer("MaxPool", [x], "max", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    y = net.layer("Relu", [net.conv(x, "block1", 8)], "block1_relu")
    y = net.layer("Add", [net.conv(y, "block2", 8), x], "sum1")
    x = net.layer("Relu", [y], "sum1_relu")
    y = net.conv(x, "down", 16, strides=[2, 2])
    shortcut = net.conv(x, "shortcut", 16, kernel=1, strides=[2, 2])
    x = net.layer("Relu", [net.layer("Add", [y, shortcut], "sum2")], "sum2_relu")
    y = net.conv(x, "depthwise", 16, group=16)
    bounds = [net.model.constant(value, np.float32, name) for name, value in (("low", 0), ("high", 6))]
    y = net.layer("Clip", [y, *bounds], "depthwise_relu6")
    x = net.layer("Concat", [y, x], "joined", axis=1)
    x = net.layer("AveragePool", [x], "average", kernel_shape=[2, 2], strides=[1, 1])
    if tail == "pool":
        x = net.layer("Flatten", [net.layer("GlobalAveragePool", [x], "global")], "flat")
    else:
        axes = net.model.constant([-1, -2], np.int64, "axes")
        x = net.layer("ReduceMean", [x, axes], "global", keepdims=1)
        x = net.layer("Reshape", [x, net.model.constant([batch, 32], np.int64, "shape")], "flat")
    return net.proto(net.linear(x, "logits", 10))


def quantize_with_onnxruntime(
    model: onnx.ModelProto, folder: Path, form: str, activations: str, per_channel: bool = True, **extra: Any
) -> Path:
    """Quantize as a user does: ``form`` QOperator or QDQ, ``activations`` QInt8 (symmetric) or QUInt8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            self.images = iter([{"x": rng.normal(size=shape).astype(np.float32)} for _ in range(4)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.images, None)

    source, target = folder / "float.onnx", folder / f"{form}_{activations}_{per_channel}.onnx"
    onnx.save(model, str(source))
    quantize_static(
        str(source),
        str(target),
        Images(),
        quant_format=QuantFormat[form],
        activation_type=QuantType[activations],
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        extra_options={"ActivationSymmetric": activations == "QInt8", "WeightSymmetric": True, **extra},
    )
    return target


def binary_network(path: Path) -> Path:
    """Two convolutions without padding (zero is no operand here) and a linear layer, all of -1 and +1."""
    model = Qonnx()
    x = model.bipolar(model.input("x", (2, 5, 8, 8)), "xq", 0.5)
    for name, shape in (("c", (7, 5, 3, 3)), ("d", (4, 7, 3, 3))):
        kernel = model.constant(model.rng.normal(0, 1, shape), np.float32, f"{name}_weight")
        wide = model.node("Conv", [x, model.bipolar(kernel, f"{name}_kernel", 0.25)], name)
        x = model.bipolar(wide, f"{name}_quantized", 1.0)
    rows = model.bipolar(model.constant(model.rng.normal(0, 1, (5, 64)), np.float32, "v"), "vq", 0.25)
    model.bipolar(model.node("Gemm", [model.node("Flatten", [x], "flat"), rows], "g", transB=1), "y", 1.0)
    return model.save(path, "y")
