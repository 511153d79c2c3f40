"""Source to Graph: one converter for each ONNX operator, and one error for everything that has none."""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from accel.errors import AccelError
from accel.graph.ir import Graph, Tensor
from accel.graph.onnx import quantized, real
from accel.graph.onnx.builder import Builder
from accel.graph.onnx.source import Array, Source, SourceNode, Unsupported
from accel.graph.problems import Problem, refuse

_CONVERTERS = quantized.CONVERTERS | real.CONVERTERS
SUPPORTED = "supported are " + ", ".join(sorted({op_type for _, op_type in _CONVERTERS}))


def convert(source: Source) -> Graph:
    """Write the file's nodes as graph nodes, float islands included.

    Raises
    ------
    AccelError
        The network is not quantized, or has nodes that cannot be imported: all of them at once.
    """
    if not any((node.domain, node.op_type) in quantized.CONVERTERS for node in source.nodes):
        raise AccelError(
            "is a float network: it holds no QuantizeLinear, DequantizeLinear or QLinear operation",
            source.path,
            "quantize it with onnxruntime.quantization.quantize_static",
        )
    builder = _begin(source)
    problems: list[Problem] = []
    broken: set[str] = set()
    for node in source.nodes:
        if (node.domain, node.op_type) in _CONVERTERS and broken.intersection(node.inputs):
            broken.update(node.outputs)
            continue
        try:
            _convert_node(builder, node)
        except Unsupported as finding:
            problems.append(Problem(node.name, node.op_type, finding.reason, finding.hint))
            broken.update(node.outputs)
    refuse(problems, source.path)
    for name in source.outputs:
        if name not in builder.tensors:
            raise AccelError(f"output {name!r} is a constant", source.path)
    return builder.graph()


def _begin(source: Source) -> Builder:
    builder = Builder(source, dict(source.constants))
    for value in source.inputs:
        if value.dtype == np.float32:
            builder.tensors[value.name] = Tensor(value.name, value.shape, None)
    return builder


def _convert_node(builder: Builder, node: SourceNode) -> None:
    key = (node.domain, node.op_type)
    if _is_constant(builder, node):
        builder.constants.update(_evaluate(builder, node))
    elif key in _CONVERTERS:
        _refuse_unknown_attributes(node, builder.source.opset)
        _CONVERTERS[key](builder, node)
    else:
        where = f" of {node.domain}" if node.domain else ""
        raise Unsupported(f"the operation{where} is not supported", SUPPORTED)


def _refuse_unknown_attributes(node: SourceNode, opset: int) -> None:
    """A misspelt attribute must not fall back to its default."""
    known = quantized.ATTRIBUTES.get(node.op_type, frozenset())
    if not node.domain:
        known = frozenset(onnx.defs.get_schema(node.op_type, opset, node.domain).attributes)
    for name in node.attributes:
        if name not in known:
            raise Unsupported(f"its attribute {name} is none of {node.op_type}'s")


def _is_constant(builder: Builder, node: SourceNode) -> bool:
    """Whether the node computes with constants only (the shape arithmetic that exporters leave behind)."""
    if node.op_type == "Constant":
        return True
    if node.op_type == "Shape" and not node.domain:
        return node.input(0) in builder.tensors or node.input(0) in builder.constants
    if (node.domain, node.op_type) in quantized.CONVERTERS or not any(node.inputs):
        return False
    return all(name in builder.constants for name in node.inputs if name)


def _evaluate(builder: Builder, node: SourceNode) -> dict[str, Array]:
    known = {name: builder.constants[name] for name in node.inputs if name in builder.constants}
    for name in node.inputs:
        if name in builder.tensors:
            known[name] = np.empty(builder.tensors[name].shape, np.int8)
    types = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in known.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.outputs]
    graph = onnx.helper.make_graph([node.proto], node.name, types, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", builder.source.opset)])
    try:
        values = ReferenceEvaluator(model).run(None, known)
    except Exception as error:  # the evaluator raises whatever the operator's Python code does
        raise Unsupported(f"it cannot be computed from its constants ({error})") from error
    return {name: np.asarray(value) for name, value in zip(node.outputs, values, strict=True) if name}
