"""FloatNet: write a float32 ONNX network node by node, as an exporter with folded batch norms would."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""The IR version that opset 17 came with; every onnxruntime since 1.12 reads it."""

Array = npt.NDArray[np.floating[Any]]
Tail = Literal["pool", "mean"]
"""How global average pooling is written: ``pool`` is GlobalAveragePool + Flatten (PyTorch's TorchScript
exporter), ``mean`` is ReduceMean + Reshape (its dynamo exporter)."""


class FloatNet:
    """A float32 ONNX network under construction; methods take tensor names and return the name they wrote.

    Parameters
    ----------
    name
        Name of the ONNX graph.
    input_shape
        (batch, channels, height, width) of the one input, ``input``.
    """

    def __init__(self, name: str, input_shape: tuple[int, int, int, int]) -> None:
        self.name = name
        self.input_shape = input_shape
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def conv(
        self, name: str, x: str, weight: Array, bias: Array, *, stride: int = 1, pad: int = 0, groups: int = 1
    ) -> str:
        """Convolve with ``weight`` (out, in / groups, height, width) and add ``bias`` (out,)."""
        return self._node(
            "Conv",
            name,
            [x, self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)],
            kernel_shape=list(weight.shape[2:]),
            strides=[stride, stride],
            pads=[pad] * 4,
            dilations=[1, 1],
            group=groups,
        )

    def relu(self, name: str, x: str) -> str:
        """max(x, 0)."""
        return self._node("Relu", name, [x])

    def relu6(self, name: str, x: str) -> str:
        """x clipped to 0 .. 6."""
        low = self._constant(f"{name}.min", np.array(0.0))
        return self._node("Clip", name, [x, low, self._constant(f"{name}.max", np.array(6.0))])

    def add(self, name: str, a: str, b: str) -> str:
        """Elementwise sum."""
        return self._node("Add", name, [a, b])

    def concat(self, name: str, *parts: str) -> str:
        """Tensors side by side along the channels."""
        return self._node("Concat", name, list(parts), axis=1)

    def max_pool(self, name: str, x: str, *, kernel: int, stride: int, pad: int = 0) -> str:
        """Maximum over kernel x kernel windows."""
        return self._node("MaxPool", name, [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def global_mean(self, name: str, x: str, channels: int, tail: Tail = "pool") -> str:
        """Mean over each channel's image, as a (batch, channels) matrix."""
        if tail == "pool":
            return self._node("Flatten", f"{name}.flatten", [self._node("GlobalAveragePool", name, [x])], axis=1)
        mean = self._node("ReduceMean", name, [x], axes=[-1, -2], keepdims=1)
        shape = numpy_helper.from_array(np.array([-1, channels], np.int64), f"{name}.shape")
        self._initializers.append(shape)
        return self._node("Reshape", f"{name}.reshape", [mean, shape.name])

    def linear(self, name: str, x: str, weight: Array, bias: Array) -> str:
        """``x weight^T + bias`` with ``weight`` (out features, in features)."""
        constants = [self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)]
        return self._node("Gemm", name, [x, *constants], alpha=1.0, beta=1.0, transB=1)

    def model(self, output: str, classes: int) -> onnx.ModelProto:
        """The finished network; ``output`` becomes the graph's (batch, classes) output ``logits``."""
        last = self._nodes[-1]
        if list(last.output) != [output]:
            raise ValueError(f"{output} is not what the last node writes")
        last.output[0] = "logits"
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [self.input_shape[0], classes])],
            self._initializers,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="intaccel workloads",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _node(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{name}.out"
        self._nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def _constant(self, name: str, value: Array) -> str:
        self._initializers.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name
