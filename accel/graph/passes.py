"""Passes: plain functions Graph -> Graph, each valid in, valid out.

An imported QDQ network is full of float islands: DequantizeLinear, float operations, QuantizeLinear. The passes turn
each into one integer operation with the same meaning, and leave float32 only at the network's edges::

    dequantize -> conv -> relu -> quantize      becomes   conv, clamped
    dequantize -> relu -> max_pool -> quantize  becomes   requantize, clamped -> max_pool
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from accel.graph.check import check, check_integer
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
    Op,
    Quantize,
    Requantize,
    Reshape,
    Tensor,
)
from accel.graph.normalize import fold, normalized
from accel.graph.rebase import rebase_activations
from accel.numerics.elementwise import Sum, dequantize
from accel.numerics.pool import Mean

__all__ = ["PASSES", "rebase_activations", "run_passes"]

Pass = Callable[[Graph], Graph]
_FUSED_BITS = 8
"""The width of onnxruntime's integer additions and means."""


def run_passes(graph: Graph, operators: Mapping[str, str] | None = None) -> Graph:
    """All of ``PASSES``, with a check after the import and after each of them.

    Parameters
    ----------
    operators
        What messages call the nodes' operations, by node name; None: as the graph does.

    Raises
    ------
    AccelError
        Float operations that could not become integer ones: all of them at once.
    """
    check(graph)
    for run in PASSES:
        graph = run(graph)
        check(graph)
    check_integer(graph, operators)
    return graph


def merge_duplicates(graph: Graph) -> Graph:
    """Two Quantize or Dequantize nodes that do the same become one."""
    first: dict[tuple[object, ...], str] = {}
    alias: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        node = _redirect(node, alias)
        out = graph.tensors[node.output]
        key = (type(node.op), node.inputs, out.qtype, out.scale, out.zero_point)
        known = first.setdefault(key, node.output) if isinstance(node.op, Quantize | Dequantize) else node.output
        if known == node.output or node.output in graph.outputs:
            nodes.append(node)
        else:
            alias[node.output] = known
    return _rebuilt(graph, nodes)


def sink_dequantize(graph: Graph) -> Graph:
    """Pooling maxima and reshaping commute with dequantizing: do them on the integers."""
    return _sink(graph, lambda node, _: isinstance(node.op, MaxPool | Reshape))


def sink_clamps(graph: Graph) -> Graph:
    """So does a clamp whose bounds are integers' values, or beyond them all (a Relu): what no Quantize took along."""
    return _sink(graph, _stays_exact)


def _sink(graph: Graph, commutes: Callable[[Node, Tensor], bool]) -> Graph:
    makers = {node.output: node for node in graph.nodes}
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        maker = makers.get(node.inputs[0])
        if maker is None or not isinstance(maker.op, Dequantize) or not commutes(node, tensors[maker.inputs[0]]):
            nodes.append(node)
            continue
        source, out = tensors[maker.inputs[0]], tensors[node.output]
        moved = replace(source, name=_fresh(tensors, f"{node.output}_quantized"), shape=out.shape)
        tensors[moved.name] = moved
        after = Node(_fresh_node(nodes, maker.name), maker.op, (moved.name,), node.output, maker.origin)
        origin = _joined(maker.origin, node.origin)
        nodes += [replace(node, inputs=(source.name,), output=moved.name, origin=origin), after]
        makers[node.output] = after
    return remove_dead(_rebuilt(replace(graph, tensors=tensors), nodes))


def _stays_exact(node: Node, source: Tensor) -> bool:
    """Whether clamping (or moving) the integers of ``source`` says the same as doing it to their real values."""
    if isinstance(node.op, MaxPool | Reshape):
        return True
    if not isinstance(node.op, Requantize) or node.op.clamp is None:
        return False
    low, high = node.op.clamp
    encoding = source.encoding
    integers = np.array([*encoding.bounds(node.op.clamp), encoding.qtype.min, encoding.qtype.max])
    low_step, high_step, least, greatest = dequantize(integers, encoding).tolist()
    return bool((low <= least or low == low_step) and (high >= greatest or high == high_step))


@dataclass(frozen=True, slots=True)
class _Island:
    """What lies between integers and a Quantize node."""

    core: Node | None
    """The operation that computes; None where only clamps and movers stand between."""
    sources: tuple[str, ...]
    """The integer tensors that it reads (or the float32 network input)."""
    movers: tuple[Node, ...]
    clamp: tuple[float, float] | None
    clamper: Node
    """The node that clamps last; the Quantize where none does."""
    origin: tuple[str, ...]


def fuse_islands(graph: Graph) -> Graph:
    """Each island of float operations that ends in a Quantize becomes integer operations."""
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        island = _island(graph, node) if isinstance(node.op, Quantize) else None
        nodes += [node] if island is None else _integer_nodes(island, node, tensors)
    return remove_dead(_rebuilt(replace(graph, tensors=tensors), nodes))


def fuse_float_outputs(graph: Graph) -> Graph:
    """A product or mean whose result leaves the network as float32 reads the integers themselves."""
    makers = {node.output: node for node in graph.nodes}
    nodes = []
    for node in graph.nodes:
        maker = makers.get(node.inputs[0])
        ends = isinstance(node.op, Conv | Linear | AveragePool) and graph.tensors[node.output].qtype is None
        if ends and maker is not None and isinstance(maker.op, Dequantize):
            op = _folded_for_good(node.op, graph.tensors[maker.inputs[0]])
            node = replace(node, op=op, inputs=maker.inputs, origin=_joined(maker.origin, node.origin))
        nodes.append(node)
    return remove_dead(_rebuilt(graph, nodes))


def _folded_for_good(op: Op, source: Tensor) -> Op:
    """A layer whose normalized result stays real: its biases are rounded, as a float bias would be."""
    if not isinstance(op, Conv | Linear) or op.normalization is None or op.normalization.thresholds is not None:
        return op
    folded = fold(op, source)
    return op if folded is None else replace(op, weight=folded.weight, bias=folded.bias, normalization=None)


def remove_dead(graph: Graph) -> Graph:
    """Nodes whose result nobody reads go."""
    live, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if node.output in live:
            live.update(node.inputs)
            kept.append(node)
    return _rebuilt(graph, kept[::-1])


def drop_identities(graph: Graph) -> Graph:
    """Requantizing to the same scale and reshaping to the same shape change nothing."""
    alias: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        node = _redirect(node, alias)
        if not _is_identity(graph, node):
            nodes.append(node)
        elif (maker := _sole_maker(graph, nodes, node.inputs[0])) is not None:
            origin = _joined(nodes[maker].origin, node.origin)
            nodes[maker] = replace(nodes[maker], output=node.output, origin=origin)
        elif node.output not in graph.outputs:
            alias[node.output] = node.inputs[0]
        else:
            nodes.append(node)
    return _rebuilt(graph, nodes)


def merge_reshapes(graph: Graph) -> Graph:
    """A reshape of a reshape reads the first one's input."""
    makers = {node.output: node for node in graph.nodes}
    nodes = []
    for node in graph.nodes:
        maker = makers.get(node.inputs[0])
        if isinstance(node.op, Reshape) and maker is not None and isinstance(maker.op, Reshape):
            node = replace(node, inputs=maker.inputs, origin=_joined(maker.origin, node.origin))
            makers[node.output] = node
        nodes.append(node)
    return remove_dead(_rebuilt(graph, nodes))


PASSES: tuple[Pass, ...] = (
    merge_duplicates,
    sink_dequantize,
    fuse_islands,
    sink_clamps,
    fuse_islands,
    fuse_float_outputs,
    merge_reshapes,
    drop_identities,
)


def _island(graph: Graph, quantize: Node) -> _Island | None:
    """Walk back from ``quantize`` to integers; None where the float values on the way are used elsewhere."""
    makers = {node.output: node for node in graph.nodes}
    movers: list[Node] = []
    clamp: tuple[float, float] | None = None
    clamper, origin = quantize, quantize.origin
    tensor = quantize.inputs[0]
    while True:
        maker = makers.get(tensor)
        if maker is None:
            return _Island(None, (tensor,), tuple(movers), clamp, clamper, origin) if movers or clamp else None
        origin = _joined(maker.origin, origin)
        if isinstance(maker.op, Dequantize):
            return _Island(None, maker.inputs, tuple(movers), clamp, clamper, origin)
        if tensor in graph.outputs or len(list(graph.consumers(tensor))) != 1:
            return None
        if isinstance(maker.op, MaxPool | Reshape):
            movers.insert(0, maker)
        elif isinstance(maker.op, Requantize):
            clamper = maker if clamp is None else clamper
            clamp = _both(maker.op.clamp, clamp)
        else:
            break
        tensor = maker.inputs[0]
    feeders = [makers.get(source) for source in maker.inputs]
    if not all(feeder is not None and isinstance(feeder.op, Dequantize) for feeder in feeders):
        return None
    origin = _joined(*(feeder.origin for feeder in feeders if feeder is not None), origin)
    sources = tuple(feeder.inputs[0] for feeder in feeders if feeder is not None)
    return _Island(maker, sources, tuple(movers), clamp, clamper, origin)


def _both(inner: tuple[float, float] | None, outer: tuple[float, float] | None) -> tuple[float, float] | None:
    """One clamp that does what ``inner`` and then ``outer`` do."""
    if inner is None or outer is None:
        return inner or outer
    low, high = outer
    return min(max(inner[0], low), high), min(max(inner[1], low), high)


def _integer_nodes(island: _Island, quantize: Node, tensors: dict[str, Tensor]) -> list[Node]:
    """The island in integers; the last node writes what ``quantize`` wrote."""
    out = tensors[quantize.output]
    nodes: list[Node] = []
    current = tensors[island.sources[0]]
    if island.core is not None:
        operation = island.core.op
        if isinstance(operation, Conv | Linear) and operation.normalization is not None:
            operation = normalized(operation, current, out, island.clamp)
        else:
            operation = _formula(operation, [tensors[name] for name in (*island.sources, out.name)])
            operation = _clamped(operation, out, island.clamp)
        core = replace(island.core, op=operation, inputs=island.sources)
        current = _write(nodes, tensors, core, out, tensors[core.output].shape)
        if isinstance(core.op, Concat) and out.encoding.bounds(island.clamp) != out.encoding.bounds(None):
            change = replace(island.clamper, op=Requantize(island.clamp), inputs=(current.name,))
            current = _write(nodes, tensors, change, out, current.shape)
    elif current.qtype is None:
        first = replace(quantize, inputs=(current.name,))
        current = _write(nodes, tensors, first, out, current.shape)
        if out.encoding.bounds(island.clamp) != out.encoding.bounds(None):
            change = replace(island.clamper, op=Requantize(island.clamp), inputs=(current.name,))
            current = _write(nodes, tensors, change, out, current.shape)
    elif island.clamp is not None or current.encoding != out.encoding or not island.movers:
        change = replace(island.clamper, op=Requantize(island.clamp), inputs=(current.name,))
        current = _write(nodes, tensors, change, out, current.shape)
    for mover in island.movers:
        moved = replace(mover, inputs=(current.name,))
        current = _write(nodes, tensors, moved, current, tensors[mover.output].shape)
    last = replace(nodes[-1], output=quantize.output, origin=island.origin)
    return [*nodes[:-1], last]


def _formula(op: Op, tensors: list[Tensor]) -> Op:
    """The operation as onnxruntime computes it: fused where all ``tensors`` are int8 or all uint8, else in float32."""
    qtypes = {tensor.qtype for tensor in tensors}
    if len(qtypes) == 1 and tensors[0].bits == _FUSED_BITS:
        return op
    if isinstance(op, Add):
        return replace(op, sum=Sum.OF_REALS)
    return replace(op, mean=Mean.UNROUNDED) if isinstance(op, AveragePool) else op


def _clamped(op: Op, out: Tensor, clamp: tuple[float, float] | None) -> Op:
    bounds = out.encoding.bounds(clamp)
    if isinstance(op, Conv | Linear | Add | AveragePool) and bounds != out.encoding.bounds(None):
        return replace(op, clamp=bounds)
    return op


def _write(
    nodes: list[Node], tensors: dict[str, Tensor], node: Node, encoded_as: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """Append ``node``, writing a new integer tensor."""
    tensor = replace(encoded_as, name=_fresh(tensors, f"{node.output}_quantized"), shape=shape)
    tensors[tensor.name] = tensor
    nodes.append(replace(node, output=tensor.name))
    return tensor


def _is_identity(graph: Graph, node: Node) -> bool:
    source, out = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    if isinstance(node.op, Reshape):
        return source.shape == out.shape
    integers = source.qtype is not None and out.qtype is not None
    return isinstance(node.op, Requantize) and node.op.clamp is None and integers and source.encoding == out.encoding


def _sole_maker(graph: Graph, nodes: list[Node], tensor: str) -> int | None:
    """The position of the node that writes ``tensor``, if only one node reads it and it is no output."""
    if tensor in graph.outputs or len(list(graph.consumers(tensor))) != 1:
        return None
    return next((index for index, node in enumerate(nodes) if node.output == tensor), None)


def _redirect(node: Node, alias: dict[str, str]) -> Node:
    return replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs)) if alias else node


def _joined(*origins: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for origin in origins for name in origin))


def _fresh(taken: dict[str, Tensor], name: str) -> str:
    while name in taken:
        name += "_"
    return name


def _fresh_node(nodes: list[Node], name: str) -> str:
    taken = {node.name for node in nodes}
    while name in taken:
        name += "_"
    return name


def _rebuilt(graph: Graph, nodes: list[Node]) -> Graph:
    """The graph with these nodes and the tensors that they name."""
    used = {*graph.inputs, *graph.outputs, *(name for node in nodes for name in (*node.inputs, node.output))}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    return replace(graph, nodes=tuple(nodes), tensors=tensors)
