"""The same network with operands of other widths: types only, for estimates that never look at data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from accel.errors import AccelError
from accel.graph.ir import Conv, Graph, Linear, MaxPool, Node, Reshape
from accel.numerics.qtype import BIPOLAR, QType

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

    Tensors that no layer reads (a residual sum on its way to another) have the activations' width.
    """
    layers = [node.name for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    asked = dict.fromkeys(layers, (widths.weights, widths.activations))
    if widths.first_last is not None and layers:
        asked[layers[0]] = asked[layers[-1]] = (widths.first_last, widths.first_last)
    return _with_layer_widths(graph, asked, widths.activations)


def _with_layer_widths(
    graph: Graph, asked: Mapping[str, tuple[int | None, int | None]], others: int | None = None
) -> Graph:
    """The graph with the widths of some layers as types.

    A layer's activations are its input tensor. Where two layers read one tensor, it has the wider of their widths; a
    view or a maximum has the width of what it comes from. The network's outputs stay as they are, and float tensors
    float.

    Parameters
    ----------
    asked
        By layer: bits of weights and of activations; None: as the network has them.
    others
        Bits of tensors that no layer reads; None: as the network has them.
    """
    bits = _tensor_bits(graph, asked)
    tensors = dict(graph.tensors)
    for name, tensor in graph.tensors.items():
        width = bits.get(name, others)
        if width is not None and tensor.qtype is not None and name not in graph.outputs:
            tensors[name] = replace(tensor, qtype=_activation_type(width, tensor.qtype))
    nodes = tuple(_with_weights(node, asked.get(node.name, (None, None))[0]) for node in graph.nodes)
    return replace(graph, nodes=nodes, tensors=tensors)


def _tensor_bits(graph: Graph, asked: Mapping[str, tuple[int | None, int | None]]) -> dict[str, int]:
    """Widths of the tensors that layers read, and of what those are copies of; only where some reader asks for one."""
    bits: dict[str, int] = {}
    changed: set[str] = set()
    for node in graph.nodes:
        if isinstance(node.op, Conv | Linear):
            source = node.inputs[0]
            _, width = asked.get(node.name, (None, None))
            changed |= {source} if width is not None else set()
            bits[source] = max(graph.tensors[source].bits if width is None else width, bits.get(source, 0))
    copies = [node for node in graph.nodes if isinstance(node.op, Reshape | MaxPool)]
    for node in reversed(copies):
        source, made = node.inputs[0], node.output
        if made in bits:
            bits[source] = max(bits[made], bits.get(source, 0))
            changed |= {source} if made in changed else set()
    for node in copies:
        source, made = node.inputs[0], node.output
        if source in bits:
            bits[made] = bits[source]
            changed |= {made} if source in changed else set()
    return {name: width for name, width in bits.items() if name in changed}


def _with_weights(node: Node, bits: int | None) -> Node:
    if bits is None or not isinstance(node.op, Conv | Linear):
        return node
    weight = replace(node.op.weight, qtype=_weight_type(bits, node.op.weight.qtype))
    return replace(node, op=replace(node.op, weight=weight))


def _activation_type(bits: int, qtype: QType) -> QType:
    return qtype if qtype.bits == bits else QType(bits, qtype.signed)


def _weight_type(bits: int, qtype: QType) -> QType:
    """One bit of a signed weight is -1 or +1."""
    return BIPOLAR if bits == 1 and qtype.signed else QType(bits, qtype.signed)
