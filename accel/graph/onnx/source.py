"""The ONNX graph in plain Python: nodes in order, attributes decoded, shapes static."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from accel.errors import AccelError

Array = npt.NDArray[Any]
_DOMAINS = {"ai.onnx": ""}


class Unsupported(Exception):  # noqa: N818 - a finding about one node; the importer gathers them into one AccelError
    """Why one ONNX node cannot be imported, and what to do about it."""

    def __init__(self, reason: str, hint: str = "") -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(reason)


@dataclass(frozen=True, slots=True, eq=False)
class SourceNode:
    """One ONNX node. Optional inputs that are absent are ``""``."""

    name: str
    domain: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: onnx.NodeProto

    def input(self, index: int) -> str:
        """The name of an input, or ``""``."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self._attribute(name, default, "an integer", int))

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """An attribute that lists integers."""
        value = self._attribute(name, default, "a list of integers", Sequence)
        if isinstance(value, str) or not all(isinstance(item, int) for item in value):
            raise Unsupported(f"its attribute {name} is {value!r}, and a list of integers is expected")
        return tuple(value)

    def real(self, name: str, default: float) -> float:
        """A float32 attribute."""
        return float(self._attribute(name, default, "a number", int | float))

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return str(self._attribute(name, default, "a text", str))

    def _attribute(self, name: str, default: Any, wanted: str, kind: Any) -> Any:
        value = self.attributes.get(name, default)
        if not isinstance(value, kind):
            raise Unsupported(f"its attribute {name} is {value!r}, and {wanted} is expected")
        return value


@dataclass(frozen=True, slots=True, eq=False)
class SourceInput:
    """A network input."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What the file says, before any of it is understood."""

    path: str
    name: str
    opset: int
    inputs: tuple[SourceInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[SourceNode, ...]
    constants: dict[str, Array]

    def maker(self, tensor: str) -> SourceNode | None:
        """The node that makes ``tensor``; None for an input or constant."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def readers(self, tensor: str) -> list[SourceNode]:
        """The nodes that read ``tensor``."""
        return [node for node in self.nodes if tensor in node.inputs]


def read_source(model: onnx.ModelProto, path: str) -> Source:
    """Decode the graph.

    Raises
    ------
    AccelError
        A dynamic shape, an input that nothing produces, a tensor made twice, a cycle.
    """
    graph = model.graph
    constants: dict[str, Array] = {}
    for tensor in graph.initializer:
        if tensor.name in constants:
            raise AccelError(f"the constant {tensor.name!r} is stored twice", path, "export the network again")
        constants[tensor.name] = _decode(tensor, path)
    inputs = tuple(_read_input(value, path) for value in graph.input if value.name not in constants)
    if not inputs:
        raise AccelError("the network has no input", path, "export the network again, its image as an input")
    nodes = _sort(_named(graph.node), {value.name for value in inputs} | set(constants), path)
    outputs = tuple(value.name for value in graph.output)
    if not outputs:
        raise AccelError("the network has no output", path, "export the network again")
    made = {name for node in nodes for name in node.outputs} | {value.name for value in inputs}
    for name in outputs:
        if name not in made:
            raise AccelError(f"output {name!r} is produced by no node", path)
    nodes = _needed(nodes, outputs)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return Source(path, graph.name or "network", opset, inputs, outputs, nodes, constants)


def _needed(nodes: tuple[SourceNode, ...], outputs: tuple[str, ...]) -> tuple[SourceNode, ...]:
    """Without the nodes whose results nobody reads."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if not any(node.outputs) or wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return tuple(kept[::-1])


def _decode(tensor: onnx.TensorProto, path: str) -> Array:
    try:
        return numpy_helper.to_array(tensor)
    except (KeyError, TypeError, ValueError) as error:
        raise AccelError(f"the constant {tensor.name!r} cannot be decoded ({error})", path) from None


def _read_input(value: onnx.ValueInfoProto, path: str) -> SourceInput:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise AccelError(f"input {value.name!r} has no shape", path, "export the network with a fixed input shape")
    sizes = [dim.dim_value for dim in tensor.shape.dim if dim.HasField("dim_value")]
    if any(size < 1 for size in sizes):
        raise AccelError(f"input {value.name!r} has an axis of size {min(sizes)}", path, "sizes are 1 or more")
    free = [dim.dim_param or "?" for dim in tensor.shape.dim if dim.dim_value <= 0]
    if free:
        shape = [str(dim.dim_value) if dim.dim_value > 0 else dim.dim_param or "?" for dim in tensor.shape.dim]
        fixed = ",".join(str(dim.dim_value) if dim.dim_value > 0 else "1" for dim in tensor.shape.dim)
        raise AccelError(
            f"input {value.name!r} has the dynamic shape ({', '.join(shape)})",
            path,
            "fix it with python -m onnxruntime.tools.make_dynamic_shape_fixed "
            f"--input_name {value.name} --input_shape {fixed} in.onnx out.onnx",
        )
    return SourceInput(value.name, tuple(dim.dim_value for dim in tensor.shape.dim), _element_type(value, path))


def _element_type(value: onnx.ValueInfoProto, path: str) -> np.dtype[Any]:
    number = value.type.tensor_type.elem_type
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        raise AccelError(f"input {value.name!r} has element type {number}, which ONNX does not define", path) from None


def _named(protos: Any) -> list[SourceNode]:
    """Decode the nodes; those without a name, or with one that is taken, get one of their own."""
    nodes: list[SourceNode] = []
    taken: set[str] = set()
    for index, proto in enumerate(protos):
        op_type = _text(proto.op_type)
        name = _text(proto.name) or f"{op_type}_{index}"
        while name in taken:
            name += "_"
        taken.add(name)
        attributes = {entry.name: _attribute_value(entry) for entry in proto.attribute}
        domain = _DOMAINS.get(_text(proto.domain), _text(proto.domain))
        inputs, outputs = tuple(map(_text, proto.input)), tuple(map(_text, proto.output))
        nodes.append(SourceNode(name, domain, op_type, inputs, outputs, attributes, proto))
    return nodes


def _text(value: str | bytes) -> str:
    """A name; protobuf hands those that are not UTF-8 over as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _attribute_value(entry: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(entry) if entry.type else None
    return _text(value) if isinstance(value, bytes) else value


def _sort(nodes: list[SourceNode], given: set[str], path: str) -> tuple[SourceNode, ...]:
    """Order the nodes so that each reads what is already there, in the file's order where that is one."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for output in filter(None, node.outputs):
            if output in makers or output in given:
                raise AccelError(f"tensor {output!r} is produced more than once", f"{path}:{node.name}")
            makers[output] = index
    order: nx.DiGraph[int] = nx.DiGraph()
    order.add_nodes_from(range(len(nodes)))
    for index, node in enumerate(nodes):
        for name in filter(None, node.inputs):
            if name not in makers and name not in given:
                raise AccelError(f"reads {name!r}, which nothing produces", f"{path}:{node.name}")
            if name in makers:
                order.add_edge(makers[name], index)
    try:
        return tuple(nodes[index] for index in nx.lexicographical_topological_sort(order))
    except nx.NetworkXUnfeasible:
        cycle = [nodes[edge[0]].name for edge in nx.find_cycle(order)]
        raise AccelError(f"nodes {', '.join(sorted(cycle))} form a cycle", path) from None
