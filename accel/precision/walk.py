"""A network run image by image on the golden model, with any rule for how a layer's products become sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.graph.batch import is_batchable, with_images
from accel.graph.execute import execute_node, layer_output, layer_sums
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.graph.rebase import from_file
from accel.numerics.arithmetic import Arithmetic
from accel.numerics.mac import Int64Array

Array = npt.NDArray[Any]
SumsOf = Callable[[Graph, Node, Array], Int64Array]
"""(graph, convolution or linear node, its input) -> final sums."""
OnLayer = Callable[[Graph, Node, Array, Int64Array, Array], None]
"""Told of each convolution and linear layer: (graph, node, input, final sums, output)."""

_OPERANDS_AT_ONCE = 1 << 24
"""Activations that a layer gathers for its products at a time; more images than that go one after another."""


def exact_sums(graph: Graph, node: Node, x: Array) -> Int64Array:
    """Sums in accumulators that hold everything."""
    return layer_sums(graph, node, x)[0]


def chunks(graph: Graph, data: Array) -> Iterator[tuple[Graph, Array]]:
    """A handful of images at a time, with the graph for that many.

    Parameters
    ----------
    data
        The network's input as the file has it; a multiple of the graph's own batch size.
    """
    size = graph.batch
    if is_batchable(graph):
        size *= max(1, _OPERANDS_AT_ONCE // max(_gathered(graph), 1))
    for start in range(0, len(data), size):
        part = data[start : start + size]
        yield (graph if len(part) == graph.batch else with_images(graph, len(part))), part


def walk(
    graph: Graph, part: Array, arithmetic: Arithmetic, sums_of: SumsOf = exact_sums, on_layer: OnLayer | None = None
) -> dict[str, Array]:
    """Run one chunk; every tensor by name."""
    source = graph.inputs[0]
    tensors: dict[str, Array] = {source: np.ascontiguousarray(from_file(graph.tensors[source], part))}
    for node in graph.nodes:
        inputs = [tensors[name] for name in node.inputs]
        if not isinstance(node.op, Conv | Linear):
            tensors[node.output], _ = execute_node(graph, node, inputs, None, arithmetic)
            continue
        sums = sums_of(graph, node, inputs[0])
        tensors[node.output] = layer_output(graph, node, sums, arithmetic)
        if on_layer is not None:
            on_layer(graph, node, inputs[0], sums, tensors[node.output])
    return tensors


def product_nodes(graph: Graph) -> Mapping[str, Conv | Linear]:
    """Convolutions and linear layers by node name, in order."""
    return {node.name: node.op for node in graph.nodes if isinstance(node.op, Conv | Linear)}


def classes_of(graph: Graph, values: Array) -> npt.NDArray[np.int64] | None:
    """The class that each image's output names; None if the output is no row of classes."""
    shape = graph.tensors[graph.outputs[0]].shape
    if len(shape) < 2 or prod(shape[1:]) != max(shape[1:]) or max(shape[1:]) < 2:
        return None
    chosen: npt.NDArray[np.int64] = values.reshape(len(values), -1).argmax(axis=1)
    return chosen


def share(chosen: npt.NDArray[np.int64] | None, truth: npt.NDArray[np.int64] | None) -> float | None:
    """How often two lists of classes say the same; None without either."""
    return None if chosen is None or truth is None else float((chosen == truth).mean())


def _gathered(graph: Graph) -> int:
    """Activations that the largest layer gathers for one batch: outputs of a channel times products."""
    sizes = [0]
    for node in graph.nodes:
        if isinstance(node.op, Conv | Linear):
            values = node.op.weight.values
            sizes.append(graph.tensors[node.output].size // len(values) * prod(values.shape[1:]))
    return max(sizes)
