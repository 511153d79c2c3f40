"""Networks by their shapes alone: integer layers in a row with random weights, for what depends on no value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCALE = np.float32(2**-6)
OPSET, IR_VERSION = 21, 10
_TYPES = {8: (np.int8, TensorProto.INT8), 16: (np.int16, TensorProto.INT16)}


class Chain:
    """A quantized ONNX network (QDQ) of convolutions, fully connected layers and pools, written layer by layer.

    Parameters
    ----------
    shape
        (images, channels, height, width) or (images, features) of the input, integers already.
    bits
        Of weights and activations, 8 or 16.
    """

    def __init__(self, name: str, shape: tuple[int, ...], bits: int = 8) -> None:
        self.name, self.shape, self._input_shape = name, shape, shape
        self._dtype, self._type = _TYPES[bits]
        self._limit = 2 ** (bits - 1)
        self._rng = np.random.default_rng(2017)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._add_constant("scale", SCALE)
        self._add_constant("zero", np.zeros((), self._dtype))
        self._last = "input"
        self.layers = self.weights = self.macs = 0
        """Layers that multiply, their weights, and their products for all images."""

    def conv(self, name: str, channels: int, kernel: int, stride: int = 1, pad: int = 0, groups: int = 1) -> None:
        """A convolution of square windows, and a Relu."""
        images, depth, height, width = self.shape
        weight = self._weight(name, (channels, depth // groups, kernel, kernel))
        self._layer("Conv", name, weight, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups)
        rows, columns = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
        self.shape = (images, channels, rows, columns)
        self._count(channels * depth // groups * kernel**2, images * rows * columns)

    def linear(self, name: str, features: int) -> None:
        """A fully connected layer, and a Relu; images before it become rows."""
        if len(self.shape) == 4:
            self._last = self._node("Flatten", f"{name}.flatten", [self._last], axis=1)
            self.shape = (self.shape[0], int(np.prod(self.shape[1:])))
        images, depth = self.shape
        self._layer("Gemm", name, self._weight(name, (features, depth)), transB=1)
        self.shape = (images, features)
        self._count(depth * features, images)

    def max_pool(self, name: str, kernel: int, stride: int) -> None:
        """The maximum over square windows."""
        images, channels, height, width = self.shape
        self._last = self._node("MaxPool", name, [self._last], kernel_shape=[kernel] * 2, strides=[stride] * 2)
        self.shape = (images, channels, (height - kernel) // stride + 1, (width - kernel) // stride + 1)

    def save(self, path: Path) -> Path:
        """Write the network."""
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info("input", self._type, self._input_shape)],
            [helper.make_tensor_value_info(self._last, self._type, self.shape)],
            self._constants,
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), path)
        return path

    def _count(self, weights: int, uses: int) -> None:
        self.layers += 1
        self.weights += weights
        self.macs += weights * uses

    def _layer(self, op: str, name: str, weight: str, **attributes: object) -> None:
        real = self._node("DequantizeLinear", f"{name}.input", [self._last, "scale", "zero"])
        made = self._node(op, name, [real, weight], **attributes)
        positive = self._node("Relu", f"{name}.relu", [made])
        self._last = self._node("QuantizeLinear", f"{name}.output", [positive, "scale", "zero"])

    def _weight(self, name: str, shape: tuple[int, ...]) -> str:
        values = self._rng.integers(-self._limit + 1, self._limit, shape, self._dtype)
        self._add_constant(f"{name}.weight", values)
        return self._node("DequantizeLinear", f"{name}.weight_real", [f"{name}.weight", "scale", "zero"])

    def _node(self, op: str, name: str, inputs: list[str], **attributes: object) -> str:
        self._nodes.append(helper.make_node(op, inputs, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    def _add_constant(self, name: str, value: np.ndarray | np.generic) -> None:
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
