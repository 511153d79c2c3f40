"""Source to Graph: one converter for each ONNX operator, and one error for everything that has none."""

from __future__ import annotations

import numpy as np
import onnx

from accel.errors import AccelError
from accel.graph.ir import Graph, Tensor
from accel.graph.onnx import normalization, qonnx, quantized, real
from accel.graph.onnx.builder import Builder
from accel.graph.onnx.fold import fold, is_foldable
from accel.graph.onnx.source import Source, SourceNode, Unsupported
from accel.graph.problems import Problem, refuse

_QUANTIZING = quantized.CONVERTERS | qonnx.CONVERTERS
_CONVERTERS = _QUANTIZING | real.CONVERTERS | normalization.CONVERTERS
_ATTRIBUTES = quantized.ATTRIBUTES | qonnx.ATTRIBUTES | normalization.ATTRIBUTES
_MERGEABLE = ("Pad",)
_MERGED = (
    "run python -m onnxruntime.quantization.preprocess on the float network before quantizing it, "
    "which merges BatchNormalization and Pad into convolutions"
)
SUPPORTED = "supported are " + ", ".join(sorted({op_type for _, op_type in _CONVERTERS}))


def convert(source: Source) -> Graph:
    """Write the file's nodes as graph nodes, float islands included.

    Raises
    ------
    AccelError
        The network is not quantized, or has nodes that cannot be imported: all of them at once.
    """
    if not any((node.domain, node.op_type) in _QUANTIZING for node in source.nodes):
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
    for value in source.inputs:
        if value.name not in builder.tensors:
            raise AccelError(f"nothing reads input {value.name!r}", source.path, "export the network without it")
    return builder.graph()


def _begin(source: Source) -> Builder:
    builder = Builder(source, dict(source.constants))
    for value in source.inputs:
        if value.dtype == np.float32:
            builder.tensors[value.name] = Tensor(value.name, value.shape, None)
    return builder


def _convert_node(builder: Builder, node: SourceNode) -> None:
    key = (node.domain, node.op_type)
    if not node.outputs or not node.outputs[0]:
        raise Unsupported("it has no output")
    if is_foldable(builder, node):
        builder.constants.update(fold(builder, node))
    elif key in _CONVERTERS:
        _check_attributes(node, builder.source.opset)
        _CONVERTERS[key](builder, node)
    else:
        where = f" of {node.domain}" if node.domain else ""
        hint = f"{_MERGED}; {SUPPORTED}" if node.op_type in _MERGEABLE else SUPPORTED
        raise Unsupported(f"the operation{where} is not supported", hint)


def _check_attributes(node: SourceNode, opset: int) -> None:
    """A misspelt attribute must not fall back to its default, and one that has none must be there."""
    if node.domain:
        known, required = _ATTRIBUTES[node.op_type], quantized.REQUIRED.get(node.op_type, frozenset())
    else:
        attributes = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes
        known = frozenset(attributes)
        required = frozenset(name for name, entry in attributes.items() if entry.required)
    for name in node.attributes:
        if name not in known:
            raise Unsupported(f"its attribute {name} is none of {node.op_type}'s")
    for name in sorted(required - node.attributes.keys()):
        raise Unsupported(f"it lacks the attribute {name}")
