"""Constant folding: the shape arithmetic that exporters leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from accel.graph.onnx.builder import Builder
from accel.graph.onnx.source import Array, SourceNode, Unsupported

_NEVER_LARGER = frozenset(
    [
        "Abs",
        "Cast",
        "Ceil",
        "Concat",
        "Constant",
        "Flatten",
        "Floor",
        "Identity",
        "Neg",
        "Not",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators whose result is no larger than their operands together."""
_BROADCASTING = frozenset(
    ["Add", "And", "Div", "Equal", "Expand", "Greater", "Less", "Max", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Where"]
)
_FOLDED = _NEVER_LARGER | _BROADCASTING | {"ConstantOfShape", "Gather"}
"""What is cheap to evaluate. Nothing with a subgraph: a loop may run for ever."""
_LARGEST_RESULT = 1 << 24
"""Elements of a result that is larger than its operands."""


def is_foldable(builder: Builder, node: SourceNode) -> bool:
    """Whether the node computes with constants only, and what it computes is cheap."""
    if node.domain or node.op_type not in _FOLDED:
        return False
    if node.op_type == "Constant":
        return True
    if node.op_type == "Shape":
        return node.input(0) in builder.tensors or node.input(0) in builder.constants
    return any(node.inputs) and all(name in builder.constants for name in node.inputs if name)


def fold(builder: Builder, node: SourceNode) -> dict[str, Array]:
    """The values of a foldable node's outputs, by name."""
    if "sparse_value" in node.attributes:
        raise Unsupported("its value is sparse, and dense constants are supported")
    known = {name: builder.constants[name] for name in node.inputs if name in builder.constants}
    try:
        size = _result_size(node, [known[name] for name in node.inputs if name in known])
        if size > max(_LARGEST_RESULT, *(value.size for value in known.values()), 0):
            raise Unsupported(f"it makes a constant of {size:,} elements, and {_LARGEST_RESULT:,} are supported")
        for name in node.inputs:
            if name in builder.tensors:
                known[name] = np.broadcast_to(np.int8(0), builder.tensors[name].shape)
        values = _evaluate(node, known, builder.source.opset)
    except Unsupported:
        raise
    except Exception as error:  # the evaluator raises whatever the operator's Python code does
        reason = " ".join(str(error).split())
        raise Unsupported(f"it cannot be computed from its constants ({reason})") from error
    return {name: np.asarray(value) for name, value in zip(node.outputs, values, strict=True) if name}


def _result_size(node: SourceNode, operands: Sequence[Array]) -> int:
    """At most how many elements the node makes; 0 where that is no more than it reads."""
    if node.op_type == "ConstantOfShape":
        return prod(operands[0].reshape(-1).tolist())
    if node.op_type == "Gather":
        return operands[0].size * operands[1].size
    if node.op_type not in _BROADCASTING:
        return 0
    shapes = [operand.shape for operand in operands]
    if node.op_type == "Expand":
        shapes[1] = tuple(operands[1].reshape(-1).tolist())
    # numpy.broadcast_shapes refuses the largest ones.
    rank = max(map(len, shapes))
    return prod(max(sizes) for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True))


def _evaluate(node: SourceNode, known: dict[str, Array], opset: int) -> Sequence[Array]:
    types = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in known.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.outputs]
    graph = onnx.helper.make_graph([node.proto], node.name, types, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(model).run(None, known))
