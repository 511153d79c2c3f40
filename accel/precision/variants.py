"""One float network quantized at 8 bits, and with any of its layers narrower: the quantizer's integers, without files.

What a layer reads is stored as narrow as all of its readers allow; where others read it at 8 bits, the layer reads a
requantized copy. That is what the quantizer writes for such widths. A layer that makes what another reads narrower
changes as well: its weight scales move until the requantizer has the new ratio.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from accel.graph.ir import Conv, Graph, Linear, MaxPool, Node, Requantize, Reshape, Tensor, Weight
from accel.graph.onnx import load_network
from accel.numerics.encoding import Encoding, FloatArray
from accel.quantizer.calibrate import calibrate
from accel.quantizer.encode import encode
from accel.quantizer.images import image_batches
from accel.quantizer.layer import quantize_product
from accel.quantizer.options import LayerBits, QuantizeOptions
from accel.quantizer.plan import Plan, Step, plan
from accel.quantizer.prepare import prepare
from accel.quantizer.quantize import quantize_network
from accel.quantizer.statistics import Statistics

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]
BASE_BITS = 8


@dataclass(frozen=True, slots=True)
class LayerWidths:
    """Bits of a layer's weights, and of what it reads."""

    weights: int = BASE_BITS
    activations: int = BASE_BITS


class Variants:
    """A float network, calibrated once.

    Attributes
    ----------
    base
        The network with 8 bits everywhere.
    layers
        Names of the layers that have weights, in order.
    """

    def __init__(self, path: Path, images: FloatArray, where: str, scales: str, progress: Progress) -> None:
        self.options = QuantizeOptions(weights=BASE_BITS, activations=BASE_BITS, scales=scales)
        quantized = quantize_network(path, images, where, self.options, progress)
        self.base = _loaded(quantized.model, path)
        file = prepare(path, 0, images.shape[1:])
        self.plan: Plan = plan(file.source, self.options)
        self.steps: dict[str, Step] = {step.name: step for step in self.plan.steps if step.role == "product"}
        self.layers = tuple(self.steps)
        source = file.source.inputs[0]
        batches = image_batches(images, source.shape, source.name, where)
        looked_at = dict.fromkeys([*self.plan.stored, *(step.inputs[0] for step in self.steps.values())])
        self.seen: dict[str, Statistics] = calibrate(file.model, source.name, looked_at, batches, str(path), progress)

    def graph(self, widths: Mapping[str, LayerWidths]) -> Graph:
        """The network with those widths; nodes that they do not touch are the base's own objects."""
        tensors = dict(self.base.tensors)
        copies: dict[str, Node] = {}
        for node in self.base.nodes:
            asked = widths.get(node.name, LayerWidths())
            if node.name in self.steps and asked.activations != BASE_BITS:
                narrow = self._encoding(node.name, asked.activations)
                if chain := self._owned(node, widths):
                    tensors.update({name: _encoded(tensors[name], narrow) for name in chain})
                else:
                    copies[node.name], tensor = _copy(tensors[node.inputs[0]], narrow)
                    tensors[tensor.name] = tensor
        nodes: list[Node] = []
        copied: set[str] = set()
        for node in self.base.nodes:
            asked = widths.get(node.name, LayerWidths())
            inputs = node.inputs
            if node.name in copies:
                copy = copies[node.name]
                inputs = (copy.output,)
                if copy.output not in copied:
                    nodes.append(copy)
                copied.add(copy.output)
            made = tensors[node.output]
            if node.name in self.steps and (asked != LayerWidths() or made != self.base.tensors[node.output]):
                node = replace(node, inputs=inputs, op=self._operands(node, asked, tensors[inputs[0]], made))
            nodes.append(node)
        return replace(self.base, nodes=tuple(nodes), tensors=tensors)

    def readers_together(self) -> list[tuple[str, ...]]:
        """Layers that read the same tensor, in groups: a down-sampling convolution and its main branch, say."""
        groups: dict[str, list[str]] = {}
        for name, step in self.steps.items():
            groups.setdefault(self.plan.homes[step.inputs[0]], []).append(name)
        return [tuple(group) for group in groups.values()]

    def _encoding(self, layer: str, bits: int) -> Encoding:
        home = self.plan.homes[self.steps[layer].inputs[0]]
        return encode(self.seen[home], bits, self.options, f"{self.base.path}:{home}")

    def _operands(self, node: Node, asked: LayerWidths, source: Tensor, made: Tensor) -> Conv | Linear:
        """The layer with those widths, between tensors that are encoded so."""
        step, op = self.steps[node.name], node.op
        assert isinstance(op, Conv | Linear)
        reads = {step.name: LayerBits(asked.weights, asked.activations)}
        encodings = {self.plan.homes[step.inputs[0]]: {asked.activations: source.encoding}}
        stored = {}
        if step.output != self.plan.real_output:
            home = self.plan.homes[step.output]
            encodings[home] = {made.bits: made.encoding}
            stored[home] = made.bits
        layout = replace(self.plan, reads=reads, stored=stored)
        product = quantize_product(layout, step, encodings, self.seen, self.options)
        weight, bias = product.operands.weight, product.operands.bias
        values = weight.values.reshape(op.weight.values.shape)
        scale = np.broadcast_to(weight.scale, op.weight.scale.shape).astype(np.float32)
        return replace(op, weight=Weight(values, weight.qtype, scale), bias=None if bias is None else bias)

    def _owned(self, layer: Node, widths: Mapping[str, LayerWidths]) -> list[str]:
        """The tensors to narrow so that ``layer`` reads them so, if no one wants them wider; else none."""
        makers = {node.output: node for node in self.base.nodes}
        chain = [layer.inputs[0]]
        while chain[-1] in makers and self._only_hands_on(makers[chain[-1]]):
            chain.append(makers[chain[-1]].inputs[0])
        wanted = widths[layer.name].activations
        for node in self.base.nodes:
            for name in node.inputs:
                reads = widths.get(node.name, LayerWidths()).activations if node.name in self.steps else BASE_BITS
                if name in chain and node.output not in chain and reads != wanted:
                    return []
        return [] if chain[-1] not in makers or set(chain) & set(self.base.outputs) else chain

    def _only_hands_on(self, node: Node) -> bool:
        """Whether a node moves integers, or clips them: then both sides have one encoding."""
        source, made = (self.base.tensors[name] for name in (node.inputs[0], node.output))
        if isinstance(node.op, Requantize):
            return (source.qtype, source.scale, source.zero_point) == (made.qtype, made.scale, made.zero_point)
        return isinstance(node.op, Reshape | MaxPool)


def float_outputs(path: Path, graph: Graph, images: FloatArray) -> FloatArray:
    """What the float network makes of the images, its first output."""
    from accel.graph.float_reference import FloatNetwork

    network = FloatNetwork(path, graph)
    output = graph.outputs[0]
    batch = graph.batch
    parts: Iterator[FloatArray] = (
        network.tensors(images[start : start + batch])[output] for start in range(0, len(images), batch)
    )
    return np.concatenate(list(parts))


def _loaded(model: onnx.ModelProto, path: Path) -> Graph:
    """The quantized network as a graph that still names the float file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quantized.onnx"
        file.write_bytes(model.SerializeToString())
        return replace(load_network(file), path=str(path))


def _encoded(tensor: Tensor, encoding: Encoding) -> Tensor:
    return replace(tensor, qtype=encoding.qtype, scale=encoding.scale, zero_point=encoding.zero_point)


def _copy(tensor: Tensor, encoding: Encoding) -> tuple[Node, Tensor]:
    """The node that requantizes ``tensor``, and what it makes."""
    name = f"{tensor.name}_{encoding.qtype.bits}bit"
    node = Node(name, Requantize(), (tensor.name,), name, (name,))
    return node, replace(_encoded(tensor, encoding), name=name)
