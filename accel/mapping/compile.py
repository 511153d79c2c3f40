"""Graph + Machine -> Program: every step between a network and its instructions, in order."""

from __future__ import annotations

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.lower import lower
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.graph.rebase import rebase_activations
from accel.mapping.emit import emit
from accel.mapping.program import Program
from accel.mapping.scales import check_scales
from accel.mapping.search import choose
from accel.mapping.thresholds import without_thresholds


def fit_to_machine(graph: Graph, machine: Machine) -> Graph:
    """The graph with activations of the machine's sign (shifted by half their range where the file has the other one).

    Raises
    ------
    AccelError
        A layer whose weights or activations the processing elements cannot hold, or else a scale that the requantizer
        cannot take: all such layers at once.
    """
    fitted = without_thresholds(rebase_activations(graph, machine.pe.activation.signed), machine)
    problems = [problem for node in fitted.nodes for problem in _too_wide(fitted, node, machine)]
    if problems:
        raise AccelError(
            "; ".join(problems),
            graph.path,
            f"choose a machine with wider processing elements than {machine.name}'s",
        )
    check_scales(fitted, machine)
    return fitted


def compile_graph(graph: Graph, machine: Machine) -> Program:
    """Lower, map and emit a graph that ``fit_to_machine`` has prepared."""
    flow = lower(graph)
    return emit(flow, machine, choose(flow, machine))


def _too_wide(graph: Graph, node: Node, machine: Machine) -> list[str]:
    if not isinstance(node.op, Conv | Linear):
        return []
    activation = graph.tensors[node.inputs[0]].qtype
    assert activation is not None
    pairs = (("weights", node.op.weight.qtype, machine.pe.weight), ("activations", activation, machine.pe.activation))
    problems = [
        f"{node.name} has {found} {what}, and the processing elements take {legal}"
        for what, found, legal in pairs
        if not (legal.holds(found) or machine.pe.split_operands)
    ]
    if machine.pe.activation.bipolar and isinstance(node.op, Conv) and any(node.op.pads):
        problems.append(f"{node.name} pads with zeros, and bipolar processing elements have none")
    return problems
