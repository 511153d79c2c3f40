"""Where onnxruntime's fusion changes what a network says, and so makes onnxruntime no witness of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from accel.graph.onnx.builder import SAME_SCALE

Array = npt.NDArray[Any]
_CLAMPS = ("Relu", "Clip")
_WITH_BIAS = ("Conv", "Gemm")


def fusion_doubt(model: onnx.ModelProto, kept: Collection[str]) -> str:
    """Why the fused network is another one; empty where it is the same.

    - Integer products take a bias as steps of input scale x weight scale, whatever scale the file gives it.
    - Of two QuantizeLinear and DequantizeLinear pairs in a row, one goes: values are rounded once, not twice.

    Parameters
    ----------
    model
        As the file has it.
    kept
        The tensors that are still made after fusing.
    """
    islands = _Islands(model)
    biases = [node.name or node.output[0] for node in model.graph.node if islands.bias_has_other_scale(node)]
    if biases:
        return f"onnxruntime takes no notice of the bias's scale in {', '.join(biases)}"
    pairs = [name for name in islands.pairs_in_a_row() if name not in kept]
    if pairs:
        return f"onnxruntime drops one of two QuantizeLinear in a row, which made {', '.join(pairs)}"
    return ""


class _Islands:
    """Constants and makers of a model's tensors."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant":
                self.constants.update((node.output[0], entry.t) for entry in node.attribute if entry.name == "value")
        self.makers = {name: node for node in self.nodes for name in node.output}

    def bias_has_other_scale(self, node: onnx.NodeProto) -> bool:
        """Whether a product's quantized bias is not in steps of input scale x weight scale."""
        if node.op_type not in _WITH_BIAS or len(node.input) < 3:
            return False
        x, weight, bias = (self._scale(name) for name in node.input[:3])
        if x is None or weight is None or bias is None:
            return False
        steps = x.reshape(-1) * weight.reshape(-1)
        return not np.allclose(bias.reshape(-1), steps, rtol=SAME_SCALE, atol=0)

    def pairs_in_a_row(self) -> Iterator[str]:
        """The float32 tensors between two pairs whose encodings differ, clamped there or not."""
        for node in self.nodes:
            if node.op_type != "QuantizeLinear":
                continue
            maker = self.makers.get(node.input[0])
            while maker is not None and maker.op_type in _CLAMPS:
                maker = self.makers.get(maker.input[0])
            if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] in self.constants:
                continue
            if not self._same_encoding(maker, node):
                yield maker.output[0]

    def _scale(self, name: str) -> Array | None:
        maker = self.makers.get(name)
        return None if maker is None or maker.op_type != "DequantizeLinear" else self._value(maker.input[1])

    def _same_encoding(self, one: onnx.NodeProto, other: onnx.NodeProto) -> bool:
        return all(
            a == b or np.array_equal(self._value(a), self._value(b))
            for a, b in zip_longest(one.input[1:], other.input[1:], fillvalue="")
        )

    def _value(self, name: str) -> Array:
        """A constant; nothing where there is none."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else np.empty(0)
