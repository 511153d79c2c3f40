"""Layers whose sums are compared with thresholds, on machines with and without units for that."""

from __future__ import annotations

from dataclasses import replace

from accel.arch.spec import Machine
from accel.errors import AccelError, listed
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.graph.normalize import use_folded


def without_thresholds(graph: Graph, machine: Machine) -> Graph:
    """The graph with rounded biases in place of the thresholds that are too many for the machine's vector unit.

    Raises
    ------
    AccelError
        All layers that are too many for it and that nothing can take the place of.
    """
    nodes, refused = [], []
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Conv | Linear) and _is_beyond(node, machine):
            if op.folded is None:
                refused.append(node)
            else:
                node = replace(node, op=use_folded(op))
        nodes.append(node)
    if refused:
        most = max(levels(node) for node in refused)
        raise AccelError(
            f"{listed([node.name for node in refused])}: sums are compared with up to {most} thresholds, and a lane "
            f"of the vector unit compares with {machine.vector.threshold_steps}",
            graph.path,
            f"choose a machine with vector.threshold_steps of {most} or more than {machine.name}'s",
        )
    return replace(graph, nodes=tuple(nodes))


def threshold_notes(graph: Graph, machine: Machine) -> list[str]:
    """Which layers of the network as loaded the machine runs with rounded biases in place of thresholds."""
    rounded = [node.name for node in graph.nodes if _is_beyond(node, machine)]
    if not rounded:
        return []
    return [
        f"the normalization of {len(rounded)} layers ({rounded[0]} first) is folded into their biases and those are "
        f"rounded, as {machine.name} compares with {machine.vector.threshold_steps} thresholds (vector.threshold_steps)"
    ]


def levels(node: Node) -> int:
    """How many thresholds a node compares a sum with."""
    op = node.op
    return op.thresholds.levels if isinstance(op, Conv | Linear) and op.thresholds is not None else 0


def _is_beyond(node: Node, machine: Machine) -> bool:
    return levels(node) > machine.vector.threshold_steps
