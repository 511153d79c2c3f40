"""Graph -> Flow: each node becomes a loop nest (a Concat one for each input).

A Requantize that is the only reader of a nest's result rides along with it: the vector unit applies it before the
result is written, and no memory traffic comes between.
"""

from __future__ import annotations

from dataclasses import replace

from accel.errors import AccelError
from accel.flow.ir import Access, Affine, Dim, Flow, FlowOp, canonical_shape
from accel.graph.ir import AveragePool, Concat, Conv, Graph, Linear, MaxPool, Node, Requantize, Reshape

_B, _C, _H, _W = (Affine(((axis, 1),)) for axis in "bchw")


def lower(graph: Graph) -> Flow:
    """Turn every node into loops.

    Raises
    ------
    AccelError
        A Concat along an axis that a four-axis view does not keep apart.
    """
    ops: list[FlowOp] = []
    for node in graph.nodes:
        host = _host(graph, node, ops)
        if host is None:
            ops += _lower_node(graph, node)
        else:
            write = replace(ops[host].write, tensor=node.output)
            ops[host] = replace(ops[host], write=write, epilogue=(*ops[host].epilogue, node))
    return Flow(graph.name, graph.path, tuple(ops), graph.tensors, graph.inputs, graph.outputs)


def _host(graph: Graph, node: Node, ops: list[FlowOp]) -> int | None:
    """The nest that can take ``node`` along, if there is one."""
    if not isinstance(node.op, Requantize) or node.inputs[0] in graph.outputs:
        return None
    if len(list(graph.consumers(node.inputs[0]))) > 1:
        return None
    for position, op in enumerate(ops):
        if op.write.tensor == node.inputs[0] and not op.is_view and not isinstance(op.body, Concat):
            return position
    return None


def _lower_node(graph: Graph, node: Node) -> list[FlowOp]:
    op = node.op
    if isinstance(op, Conv):
        return [_convolution(graph, node, op)]
    if isinstance(op, Linear):
        return [_linear(graph, node, op)]
    if isinstance(op, MaxPool):
        return [_pool(graph, node, op.kernel, op.strides, op.dilations, op.pads)]
    if isinstance(op, AveragePool):
        return [_pool(graph, node, op.kernel, op.strides, (1, 1), op.pads)]
    if isinstance(op, Concat):
        return _concat(graph, node, op)
    if isinstance(op, Reshape):
        source, target = (_whole(graph, name) for name in (node.inputs[0], node.output))
        return [FlowOp(node.name, node, (), (source,), target)]
    return [_elementwise(graph, node)]


def _whole(graph: Graph, tensor: str) -> Access:
    return Access(tensor, canonical_shape(graph.tensors[tensor].shape), (_B, _C, _H, _W))


def _window(out: str, kernel: str, stride: int, dilation: int, pad: int) -> Affine:
    return Affine(((out, stride), (kernel, dilation)), -pad)


def _convolution(graph: Graph, node: Node, op: Conv) -> FlowOp:
    out_channels, c, kh, kw = op.weight.values.shape
    n = out_channels // op.groups
    shape_in = canonical_shape(graph.tensors[node.inputs[0]].shape)
    shape_out = canonical_shape(graph.tensors[node.output].shape)
    dims = (
        Dim("b", shape_out[0]),
        Dim("g", op.groups),
        Dim("n", n),
        Dim("oh", shape_out[2]),
        Dim("ow", shape_out[3]),
        Dim("kh", kh, reduction=True),
        Dim("kw", kw, reduction=True),
        Dim("c", c, reduction=True),
    )
    out_channel = Affine((("g", n), ("n", 1)))
    rows = _window("oh", "kh", op.strides[0], op.dilations[0], op.pads[0])
    columns = _window("ow", "kw", op.strides[1], op.dilations[1], op.pads[1])
    read = Access(node.inputs[0], shape_in, (_B, Affine((("g", c), ("c", 1))), rows, columns))
    weight = Access(
        "weight",
        (out_channels, c, kh, kw),
        (out_channel, _C, Affine((("kh", 1),)), Affine((("kw", 1),))),
    )
    write = Access(node.output, shape_out, (_B, out_channel, Affine((("oh", 1),)), Affine((("ow", 1),))))
    return FlowOp(node.name, node, dims, (read,), write, weight)


def _linear(graph: Graph, node: Node, op: Linear) -> FlowOp:
    n, c = op.weight.values.shape
    rows = graph.tensors[node.inputs[0]].size // c
    shape_in, shape_out = (rows, c, 1, 1), (rows, n, 1, 1)
    ones = (Dim("oh", 1), Dim("ow", 1), Dim("kh", 1, reduction=True), Dim("kw", 1, reduction=True))
    dims = (Dim("b", shape_in[0]), Dim("g", 1), Dim("n", n), *ones, Dim("c", c, reduction=True))
    zero = Affine()
    read = Access(node.inputs[0], shape_in, (_B, _C, zero, zero))
    weight = Access("weight", (n, c, 1, 1), (Affine((("n", 1),)), _C, zero, zero))
    write = Access(node.output, shape_out, (_B, Affine((("n", 1),)), zero, zero))
    return FlowOp(node.name, node, dims, (read,), write, weight)


def _pool(
    graph: Graph,
    node: Node,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> FlowOp:
    shape_in = canonical_shape(graph.tensors[node.inputs[0]].shape)
    shape_out = canonical_shape(graph.tensors[node.output].shape)
    outer = tuple(Dim(name, size) for name, size in zip("bchw", shape_out, strict=True))
    dims = (*outer, Dim("kh", kernel[0], reduction=True), Dim("kw", kernel[1], reduction=True))
    rows = _window("h", "kh", strides[0], dilations[0], pads[0])
    columns = _window("w", "kw", strides[1], dilations[1], pads[1])
    read = Access(node.inputs[0], shape_in, (_B, _C, rows, columns))
    return FlowOp(node.name, node, dims, (read,), _whole(graph, node.output))


def _elementwise(graph: Graph, node: Node) -> FlowOp:
    write = _whole(graph, node.output)
    dims = tuple(Dim(name, size) for name, size in zip("bchw", write.shape, strict=True))
    return FlowOp(node.name, node, dims, tuple(_whole(graph, name) for name in node.inputs), write)


def _concat(graph: Graph, node: Node, op: Concat) -> list[FlowOp]:
    shape = graph.tensors[node.output].shape
    axis = op.axis % len(shape)
    if len(shape) != 4 and axis != len(shape) - 1:
        raise AccelError(
            f"Concat joins a tensor of {len(shape)} axes along axis {op.axis}",
            f"{graph.path}:{node.name}",
            "join images along any axis, and other tensors along their last one",
        )
    axis4 = axis if len(shape) == 4 else 1
    ops, offset = [], 0
    for part, name in enumerate(node.inputs):
        read = _whole(graph, name)
        index = [_B, _C, _H, _W]
        index[axis4] = Affine((("bchw"[axis4], 1),), offset)
        offset += read.shape[axis4]
        write = Access(node.output, canonical_shape(shape), (index[0], index[1], index[2], index[3]))
        dims = tuple(Dim(axis_name, size) for axis_name, size in zip("bchw", read.shape, strict=True))
        ops.append(FlowOp(f"{node.name}[{part}]", node, dims, (read,), write, part=part))
    return ops
