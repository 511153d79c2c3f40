"""The float network beside the integer one: its tensors, which of them belong together, and how far they are apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from accel.errors import AccelError
from accel.graph.ir import Graph
from accel.graph.onnx.file import read_model
from accel.graph.onnx.session import all_outputs, exposed_session
from accel.numerics.encoding import FloatArray

_SUFFIXES = ("_QuantizeLinear_Output", "_quantized")
"""What onnxruntime's quantizer appends to a float tensor's name."""


class FloatNetwork:
    """A float ONNX network, ready to run beside the integer one.

    Parameters
    ----------
    path
        The float network, with one input.
    graph
        The integer network whose tensors are to have partners.

    Raises
    ------
    AccelError
        The file cannot be read, has several inputs, or onnxruntime cannot load it.
    """

    def __init__(self, path: str | Path, graph: Graph) -> None:
        model = read_model(Path(path))
        if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
            raise AccelError("this network is quantized itself", str(path), "give the float network it was made from")
        constants = {tensor.name for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in constants]
        if len(inputs) != 1:
            raise AccelError(f"the float network has {len(inputs)} inputs", str(path), "give one with one input")
        self.path = str(path)
        self.input = inputs[0]
        self.partners = pair_tensors(graph, path) | _same_names(graph, model.graph)
        try:
            self.session = exposed_session(model)
        except Exception as error:  # onnxruntime raises a class of its own for each status code
            reason = " ".join(str(error).split())
            raise AccelError(f"onnxruntime cannot load it: {reason}", self.path) from error

    def tensors(self, images: npt.ArrayLike) -> dict[str, FloatArray]:
        """Run one batch: the float values that belong to each integer tensor, by the integer tensor's name.

        Raises
        ------
        AccelError
            The images do not fit the float network.
        """
        feeds = {self.input: np.asarray(images, np.float32)}
        try:
            values = feeds | all_outputs(self.session, feeds)
        except Exception as error:  # onnxruntime raises a class of its own for each status code
            reason = " ".join(str(error).split())
            raise AccelError(f"onnxruntime cannot run it on these images: {reason}", self.path) from error
        return {name: values[partner] for name, partner in self.partners.items() if partner in values}


def _same_names(graph: Graph, model: onnx.GraphProto) -> dict[str, str]:
    """Tensors that are float32 in the integer network too, such as its output."""
    made = {name for node in model.node for name in node.output}
    return {name: name for name, tensor in graph.tensors.items() if tensor.qtype is None and name in made}


def pair_tensors(graph: Graph, float_path: str | Path) -> dict[str, str]:
    """Which float tensor each integer tensor of ``graph`` stands for, by the names that the quantizer leaves.

    A tensor without a partner is absent. Where the quantizer dropped a Relu or Clip, because saturation does its work,
    the partner is what follows it.
    """
    model = read_model(Path(float_path)).graph
    made = {name for node in model.node for name in node.output} | {value.name for value in model.input}
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items() if tensor.qtype is not None}
    stems = {name: _stem(name) for name in shapes}
    pairs = {name: stem for name, stem in stems.items() if stem in made}
    makers = {node.output: node for node in graph.nodes}
    outputs = {node.name: node.output[0] for node in model.node if node.name}
    for name in shapes.keys() - pairs.keys():
        for origin in reversed(makers[name].origin if name in makers else ()):
            stem = origin.removesuffix("_quant")
            if stem in outputs:
                pairs[name] = outputs[stem]
                break
    taken = set(pairs.values())
    return {name: _after_clamps(model, partner, taken) for name, partner in sorted(pairs.items())}


def _stem(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _after_clamps(model: onnx.GraphProto, name: str, taken: set[str]) -> str:
    """Follow Relu and Clip nodes that have no integer tensor of their own."""
    while True:
        readers: list[Any] = [node for node in model.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in ("Relu", "Clip") or readers[0].output[0] in taken:
            return name
        name = readers[0].output[0]
