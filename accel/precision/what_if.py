"""The same network with operands of other widths: types only, for estimates that never look at data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accel.errors import AccelError
from accel.graph.ir import Conv, Graph, Linear, MaxPool, Node, Reshape
from accel.numerics.qtype import QType

LEGAL_BITS = range(1, 17)


@dataclass(frozen=True, slots=True)
class Widths:
    """Widths that someone asks for; None: as the network has them."""

    weights: int | None = None
    activations: int | None = None
    first_last: int | None = None
    """Both operands of the first and of the last layer."""

    def __post_init__(self) -> None:
        for name, bits in (
            ("weights", self.weights),
            ("activations", self.activations),
            ("first-last", self.first_last),
        ):
            if bits is not None and bits not in LEGAL_BITS:
                raise AccelError(f"--{name} is {bits}", "", f"legal are {LEGAL_BITS[0]} to {LEGAL_BITS[-1]} bits")

    def __str__(self) -> str:
        parts = [
            f"{name} {bits} bits"
            for name, bits in (
                ("weights", self.weights),
                ("activations", self.activations),
                ("first and last layer", self.first_last),
            )
            if bits is not None
        ]
        return ", ".join(parts)


def with_widths(graph: Graph, widths: Widths) -> Graph:
    """The graph with those widths as types; its constants keep their values, which may not fit them.

    A layer's activations are its input tensor. Where two layers read one tensor, it has the wider of their widths.
    A view or a maximum has the width of what it comes from. Tensors that no layer reads (a residual sum on its way to
    another) have the activations' width; the network's outputs stay as they are, and float tensors float.
    """
    layers = [node for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    ends = {layers[0].name, layers[-1].name} if layers else set()
    wanted: dict[str, int] = {}
    for node in layers:
        bits = widths.activations
        if node.name in ends and widths.first_last is not None:
            bits = widths.first_last
        if bits is not None:
            source = node.inputs[0]
            wanted[source] = max(bits, wanted.get(source, 0))
    copies = [node for node in graph.nodes if isinstance(node.op, Reshape | MaxPool)]
    for node in reversed(copies):
        if node.output in wanted:
            source = node.inputs[0]
            wanted[source] = max(wanted[node.output], wanted.get(source, 0))
    for node in copies:
        if node.inputs[0] in wanted:
            wanted[node.output] = wanted[node.inputs[0]]
    tensors = dict(graph.tensors)
    for name, tensor in graph.tensors.items():
        bits = wanted.get(name, widths.activations)
        if bits is not None and tensor.qtype is not None and name not in graph.outputs:
            tensors[name] = replace(tensor, qtype=QType(bits, tensor.qtype.signed))
    nodes = tuple(_with_weights(node, widths, node.name in ends) for node in graph.nodes)
    return replace(graph, nodes=nodes, tensors=tensors)


def _with_weights(node: Node, widths: Widths, is_end: bool) -> Node:
    bits = widths.first_last if is_end and widths.first_last is not None else widths.weights
    if bits is None or not isinstance(node.op, Conv | Linear):
        return node
    weight = replace(node.op.weight, qtype=QType(bits, node.op.weight.qtype.signed))
    return replace(node, op=replace(node.op, weight=weight))
