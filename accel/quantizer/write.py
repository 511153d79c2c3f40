"""The quantized network as ONNX nodes, in either of two dialects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from accel.graph.onnx.source import SourceNode
from accel.numerics.encoding import Encoding, IntArray
from accel.quantizer.plan import Plan, Step
from accel.quantizer.weights import QuantizedWeight

_PRODUCER = "accel quantize"


@dataclass(frozen=True, slots=True, eq=False)
class Operands:
    """The integers of a layer with weights."""

    weight: QuantizedWeight
    bias: IntArray | None
    """In units of input scale x weight scale."""
    bias_scale: npt.NDArray[np.float32]
    bias_bits: int


@dataclass
class Sheet:
    """Nodes and constants under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant; its name, another one where something else has it."""
        return self.keep(numpy_helper.from_array(np.asarray(value, dtype), name))

    def keep(self, tensor: onnx.TensorProto) -> str:
        """Add a constant; its name, another one where something else has it."""
        while tensor.name in self.constants and self.constants[tensor.name] != tensor:
            tensor.name += "_"
        self.constants[tensor.name] = tensor
        return str(tensor.name)

    def add(self, op_type: str, inputs: Iterable[str], output: str, name: str, domain: str = "", **extra: Any) -> str:
        """Add a node; the name of what it writes."""
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name, domain=domain, **extra))
        return output


class Dialect(Protocol):
    """How a file says that a tensor is quantized."""

    clamps_integers: bool
    """Whether a Relu or Clip that saturation does not do stands behind the quantized product, not before."""

    def activation(self, sheet: Sheet, tensor: str, encoding: Encoding, stem: str, output: str) -> str:
        """Quantize ``tensor``; the float tensor that stands for it: ``output``, or one named after ``stem``."""

    def weight(self, sheet: Sheet, name: str, weight: QuantizedWeight, transposed: bool) -> str:
        """Weights as a float tensor; ``transposed``: output channels last."""

    def bias(self, sheet: Sheet, name: str, operands: Operands) -> str:
        """A bias as a float tensor."""

    def opsets(self) -> list[onnx.OperatorSetIdProto]:
        """Of the operators beyond the standard ones."""


@dataclass
class _Writer:
    plan: Plan
    dialect: Dialect
    encodings: Mapping[str, Mapping[int, Encoding]]
    operands: Mapping[str, Operands]
    sheet: Sheet = field(default_factory=Sheet)
    readable: dict[tuple[str, int], str] = field(default_factory=dict)
    """By activation and width: the float tensor that stands for its integers."""

    def run(self) -> None:
        source = self.plan.source.inputs[0].name
        self.quantize(source, source)
        for step in self.plan.steps:
            inputs = [self.read(step, name) for name in step.inputs]
            self.emit(step, inputs)

    def read(self, step: Step, tensor: str) -> str:
        """The float tensor to read; a narrower copy where the step asks for one."""
        home = self.plan.homes[tensor]
        stored = self.plan.stored[home]
        bits = stored if step.role == "mover" else self.plan.reads[step.name].activations or stored
        if (tensor, bits) not in self.readable:
            self.readable[tensor, bits] = self.dialect.activation(
                self.sheet, self.readable[tensor, stored], self.encodings[home][bits], f"{tensor}_{bits}bit", ""
            )
        return self.readable[tensor, bits]

    def emit(self, step: Step, inputs: list[str]) -> None:
        """The step's node, what it clamps, and its result quantized."""
        node, output = step.node, step.output
        rest = self.products(step) if step.role == "product" else self.constants(node, len(inputs))
        if output == self.plan.real_output:
            self.copy(node, [*inputs, *rest], output)
            return
        home = self.plan.homes[output]
        encoding = self.encodings[home][self.plan.stored[home]]
        made = self.before(output)
        if step.clamp is None or self.saturates(step, encoding):
            self.copy(node, [*inputs, *rest], made)
        else:
            between = self.before(node.outputs[0])
            self.copy(node, [*inputs, *rest], between)
            if self.dialect.clamps_integers:
                between = self.dialect.activation(self.sheet, between, encoding, node.outputs[0], "")
            self.clamp(step.clamp, between, made)
        self.quantize(output, made)

    def products(self, step: Step) -> list[str]:
        operands, node = self.operands[step.name], step.node
        transposed = node.op_type == "MatMul"
        rest = [self.dialect.weight(self.sheet, self.own(step, 1, "weight"), operands.weight, transposed)]
        if operands.bias is not None:
            rest.append(self.dialect.bias(self.sheet, self.own(step, 2, "bias"), operands))
        return rest

    def own(self, step: Step, index: int, kind: str) -> str:
        """A name for a layer's constant: that in the float network, unless it has none or shares it."""
        name = step.node.input(index)
        return name if name and len(self.plan.source.readers(name)) == 1 else f"{step.name}.{kind}"

    def copy(self, node: SourceNode, inputs: list[str], output: str) -> None:
        """The node with other tensors; a Gemm always has its weights as (out, in)."""
        made = onnx.NodeProto()
        made.CopyFrom(node.proto)
        made.name = node.name
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.append(output)
        if node.op_type == "Gemm":
            del made.attribute[:]
            made.attribute.append(helper.make_attribute("transB", 1))
        self.sheet.nodes.append(made)

    def clamp(self, node: SourceNode, tensor: str, output: str) -> None:
        self.copy(node, [tensor, *self.constants(node, 1)], output)

    def constants(self, node: SourceNode, start: int) -> list[str]:
        """The node's constant operands from that one on, as they are."""
        values = self.plan.source.constants
        return [name and self.sheet.constant(name, values[name], values[name].dtype) for name in node.inputs[start:]]

    def before(self, tensor: str) -> str:
        """The name of a tensor before it is quantized; a network output's own name belongs to what comes after."""
        return f"{tensor}_real" if tensor in self.plan.source.outputs else tensor

    def quantize(self, tensor: str, made: str) -> None:
        home = self.plan.homes[tensor]
        stored = self.plan.stored[home]
        output = tensor if tensor in self.plan.source.outputs else ""
        self.readable[tensor, stored] = self.dialect.activation(
            self.sheet, made, self.encodings[home][stored], tensor, output
        )

    def saturates(self, step: Step, encoding: Encoding) -> bool:
        """Whether the output type's own limits do what the step's Relu or Clip does."""
        assert step.clamp is not None
        return encoding.bounds(clamp_bounds(step.clamp, self.plan)) == (encoding.qtype.min, encoding.qtype.max)


def clamp_bounds(node: SourceNode, plan: Plan) -> tuple[float, float]:
    """The real bounds of a Relu or Clip."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    low, high = (
        float(plan.source.constants[name].reshape(-1)[0]) if name else default
        for name, default in ((node.input(1), -float("inf")), (node.input(2), float("inf")))
    )
    return low, high


def write_model(
    plan: Plan,
    dialect: Dialect,
    encodings: Mapping[str, Mapping[int, Encoding]],
    operands: Mapping[str, Operands],
    model: onnx.ModelProto,
    ir_version: int,
) -> onnx.ModelProto:
    """The quantized network.

    Parameters
    ----------
    encodings
        By home and width.
    operands
        By layer with weights.
    model
        The float network: its inputs, outputs and opset stay.
    """
    writer = _Writer(plan, dialect, encodings, operands)
    writer.run()
    sheet = writer.sheet
    inputs = [value for value in model.graph.input if value.name == plan.source.inputs[0].name]
    graph = helper.make_graph(sheet.nodes, plan.source.name, inputs, model.graph.output, list(sheet.constants.values()))
    standard = helper.make_opsetid("", plan.source.opset)
    return helper.make_model(
        graph, opset_imports=[standard, *dialect.opsets()], ir_version=ir_version, producer_name=_PRODUCER
    )
