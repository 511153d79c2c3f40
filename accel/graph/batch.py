"""The same network for another number of images at a time."""

from __future__ import annotations

from dataclasses import replace

from accel.graph.ir import Concat, Graph


def with_images(graph: Graph, images: int) -> Graph:
    """The graph with ``images`` along the first axis of every tensor; only shapes change.

    Raises
    ------
    ValueError
        Some tensor does not have the images along its first axis; see ``is_batchable``.
    """
    if not is_batchable(graph):
        raise ValueError(f"{graph.name} does not keep its images along the first axis")
    tensors = {name: replace(tensor, shape=(images, *tensor.shape[1:])) for name, tensor in graph.tensors.items()}
    return replace(graph, tensors=tensors)


def is_batchable(graph: Graph) -> bool:
    """Whether every tensor has the images along its first axis, so that their number may change."""
    for node in graph.nodes:
        if isinstance(node.op, Concat) and node.op.axis in (0, -len(graph.tensors[node.output].shape)):
            return False
    return all(tensor.shape[:1] == (graph.batch,) for tensor in graph.tensors.values())
