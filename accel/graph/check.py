"""What must hold of a graph, between passes and of a finished one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, prod

import numpy as np

from accel.errors import AccelError
from accel.graph.ir import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dequantize,
    Graph,
    Linear,
    MaxPool,
    Node,
    Quantize,
    Requantize,
    Reshape,
    Tensor,
    Weight,
)
from accel.graph.problems import Problem, refuse
from accel.numerics.pool import output_size
from accel.numerics.requantize import multiplier

_ISLAND = "float operations need quantized inputs and a result that only QuantizeLinear reads, or that is an output"
_NORMALIZED = (
    "a normalization is taken in where one quantizer reads its result, of up to 8 bits unless weights can be negated, "
    "or where it is the network's output"
)
_ON_INPUT = (
    "take it out of the network and feed the network what it makes: only Relu, Clip, MaxPool and reshapes can stay"
)
_LARGEST_TENSOR = 2**31
"""Elements."""


def check(graph: Graph) -> None:
    """Names, order, shapes, types and scales agree.

    Raises
    ------
    AccelError
        The first thing that does not hold, with the node's name.
    """
    for tensor in graph.tensors.values():
        for finding in _tensor_findings(tensor):
            raise AccelError(finding, f"{graph.path}:{tensor.name}")
    seen: set[str] = set()
    made = set(graph.inputs)
    for node in graph.nodes:
        for finding in _node_findings(graph, node, made):
            raise AccelError(finding, f"{graph.path}:{node.name}")
        if node.name in seen:
            raise AccelError(f"two nodes are named {node.name!r}", graph.path)
        seen.add(node.name)
        made.add(node.output)
    for name in graph.outputs:
        if name not in made:
            raise AccelError(f"output {name!r} is made by no node", graph.path)


def check_integer(graph: Graph, operators: Mapping[str, str] | None = None) -> None:
    """Float32 stays at the network's edges: read by Quantize, and made at the end.

    A network may end in a convolution, a linear layer or a mean whose result is not quantized again, or reshapes it.

    Parameters
    ----------
    operators
        The ONNX operators by node name, for the message; None: what the graph calls them.

    Raises
    ------
    AccelError
        All nodes that compute in float32.
    """
    operators, problems = operators or {}, []
    for node in graph.nodes:
        for finding, hint in _float_use(graph, node):
            name = next((name for name in (node.name, *node.origin) if name in operators), node.name)
            problems.append(Problem(name, operators.get(name, node.kind), finding, hint))
    refuse(problems, graph.path)


def _float_use(graph: Graph, node: Node) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do about it."""
    out = graph.tensors[node.output]
    if isinstance(node.op, Conv | Linear) and node.op.normalization is not None:
        yield "its normalized result has no integer form", _NORMALIZED
        return
    for name in node.inputs:
        if graph.tensors[name].qtype is not None or isinstance(node.op, Quantize):
            continue
        if name in graph.inputs:
            yield f"it computes on the float32 input {name!r} before that is quantized", _ON_INPUT
            return
        if not isinstance(node.op, Reshape):
            yield f"it computes on {name!r} in float32", _ISLAND
            return
    if out.qtype is not None or isinstance(node.op, Dequantize):
        return
    if any(not isinstance(reader.op, Reshape) for reader in graph.consumers(out.name)):
        readers = ", ".join(repr(reader.name) for reader in graph.consumers(out.name))
        yield f"its float32 result {out.name!r} is not only quantized: it is read by {readers}", _ISLAND
    elif not isinstance(node.op, Conv | Linear | AveragePool | Reshape):
        yield f"its result {out.name!r} leaves the network as float32 without being quantized", _ISLAND


def _tensor_findings(tensor: Tensor) -> Iterator[str]:
    if any(size < 1 for size in tensor.shape):
        yield f"tensor {tensor.name!r} has shape {list(tensor.shape)}"
    if prod(tensor.shape) > _LARGEST_TENSOR:
        yield f"tensor {tensor.name!r} has shape {list(tensor.shape)}, and {_LARGEST_TENSOR:,} elements are supported"
    if tensor.qtype is None:
        return
    if not (isfinite(tensor.scale) and tensor.scale > 0 and float(np.float32(tensor.scale)) == tensor.scale):
        yield f"tensor {tensor.name!r} has scale {tensor.scale}, and scales are positive, finite and float32"
    if not tensor.qtype.min <= tensor.zero_point <= tensor.qtype.max:
        yield f"tensor {tensor.name!r} has zero point {tensor.zero_point}, which {tensor.qtype} does not hold"


def _node_findings(graph: Graph, node: Node, made: set[str]) -> Iterator[str]:
    for name in (*node.inputs, node.output):
        if name not in graph.tensors:
            yield f"tensor {name!r} is not in the graph"
            return
    for name in node.inputs:
        if name not in made:
            yield f"it reads {name!r} before anything has made it"
    if node.output in made:
        yield f"tensor {node.output!r} is made twice"
    sources = [graph.tensors[name] for name in node.inputs]
    out = graph.tensors[node.output]
    if not isinstance(node.op, Concat) and len(sources) != (2 if isinstance(node.op, Add) else 1):
        yield f"it has {len(sources)} inputs"
        return
    expected = _expected_shape(node, sources, out)
    if expected != out.shape:
        yield f"it writes {list(out.shape)}, and its inputs make {list(expected)}"
    yield from _type_findings(node, sources, out)


def _expected_shape(node: Node, sources: list[Tensor], out: Tensor) -> tuple[int, ...]:
    op, shape = node.op, sources[0].shape
    match op:
        case Conv():
            kernel = op.weight.values.shape[2:]
            return (shape[0], len(op.weight.values), *_windows(shape, kernel, op.strides, op.dilations, op.pads))
        case MaxPool():
            return (*shape[:2], *_windows(shape, op.kernel, op.strides, op.dilations, op.pads))
        case AveragePool():
            return (*shape[:2], *_windows(shape, op.kernel, op.strides, (1, 1), op.pads))
        case Linear():
            return (*shape[:-1], len(op.weight.values))
        case Concat():
            joined = list(shape)
            joined[op.axis] = sum(source.shape[op.axis] for source in sources)
            return tuple(joined)
        case Reshape():
            return out.shape if prod(shape) == prod(out.shape) else shape
        case _:
            return next((source.shape for source in sources if source.shape != out.shape), out.shape)


def _windows(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> Iterator[int]:
    """Output height and width."""
    for axis in range(2):
        both_sides = pads[axis] + pads[axis + 2]
        yield output_size(shape[2 + axis], kernel[axis], strides[axis], dilations[axis], both_sides)


def _type_findings(node: Node, sources: list[Tensor], out: Tensor) -> Iterator[str]:
    op = node.op
    if isinstance(op, Quantize) and (sources[0].qtype is not None or out.qtype is None):
        yield "it quantizes something other than float32 to integers"
    if isinstance(op, Dequantize) and (sources[0].qtype is None or out.qtype is not None):
        yield "it dequantizes something other than integers to float32"
    if isinstance(op, MaxPool | Reshape) and (sources[0].qtype, sources[0].scale, sources[0].zero_point) != (
        out.qtype,
        out.scale,
        out.zero_point,
    ):
        yield "it changes what integers mean, and it only moves them"
    if isinstance(op, Conv | Linear):
        yield from _weight_findings(op.weight, op.bias, sources[0], out)
    if isinstance(op, Add | AveragePool | Concat | Requantize) and out.qtype is not None:
        window = prod(op.kernel) if isinstance(op, AveragePool) else 1
        for source in sources:
            yield from _ratio_findings(source, out, window)
    clamp = getattr(op, "clamp", None)
    if clamp is None or out.qtype is None or isinstance(op, Requantize):
        return
    if not out.qtype.min <= clamp[0] <= clamp[1] <= out.qtype.max:
        yield f"it clamps to {clamp}, which is not a range of {out.qtype}"


def _ratio_findings(source: Tensor, out: Tensor, window: int) -> Iterator[str]:
    """Whether float32 holds what adding up ``window`` integers of one scale and dividing by another's can make."""
    if source.qtype is None:
        return
    largest = np.float32(source.qtype.max - source.qtype.min) * np.float32(window)
    limits = np.finfo(np.float32)
    with np.errstate(all="ignore"):
        ratio = np.float32(source.scale) / np.float32(out.scale)
        least, sums, steps = ratio / np.float32(window), largest * np.float32(source.scale), largest * ratio
    if least < limits.tiny or not (isfinite(sums) and isfinite(steps)):
        yield f"its input scale {source.scale:g} and output scale {out.scale:g} lead beyond what float32 holds"


def _weight_findings(weight: Weight, bias: object, source: Tensor, out: Tensor) -> Iterator[str]:
    channels = len(weight.values)
    if weight.scale.size not in (1, channels):
        yield f"its weights have {weight.scale.size} scales for {channels} output channels"
    if isinstance(bias, np.ndarray) and bias.shape != (channels,):
        yield f"its bias has shape {list(bias.shape)} for {channels} output channels"
    if not weight.values.size:
        yield f"its weights have shape {list(weight.values.shape)}"
        return
    low, high = int(weight.values.min()), int(weight.values.max())
    if low < weight.qtype.min or high > weight.qtype.max:
        yield f"its weights run from {low} to {high}, which {weight.qtype} does not hold"
    if source.qtype is not None and out.qtype is not None:
        with np.errstate(over="ignore", under="ignore"):
            scales = multiplier(source.scale, weight.scale, out.scale)
        if not np.all(np.isfinite(scales)):
            yield "its input scale x weight scale / output scale is not finite"
