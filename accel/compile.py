"""Graph + Machine -> Program: every step between a network and its instructions, in order."""

from __future__ import annotations

from pathlib import Path

from accel.arch.spec import Machine
from accel.collector import no_collection
from accel.errors import AccelError, listed
from accel.explore.fusion import plan
from accel.flow.lower import lower
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.graph.rebase import rebase_activations
from accel.mapping.emit import emit
from accel.mapping.file import load_mappings
from accel.mapping.program import Program
from accel.mapping.scales import check_scales
from accel.mapping.thresholds import without_thresholds


def fit_to_machine(graph: Graph, machine: Machine) -> Graph:
    """The graph with activations of the machine's sign (shifted by half their range where the file has the other one).

    Raises
    ------
    AccelError
        Layers whose weights or activations the processing elements cannot hold, or else scales that the requantizer
        cannot take: all of them at once.
    """
    fitted = without_thresholds(rebase_activations(graph, machine.pe.activation.signed), machine)
    layers: dict[str, list[str]] = {}
    for node in fitted.nodes:
        for problem in _problems(fitted, node, machine):
            layers.setdefault(problem, []).append(node.name)
    if layers:
        raise AccelError(
            "; ".join(
                f"{listed(names)} {'has' if len(names) == 1 else 'have'} {what}" for what, names in layers.items()
            ),
            graph.path,
            f"choose a machine with wider processing elements than {machine.name}'s",
        )
    check_scales(fitted, machine)
    return fitted


def compile_graph(graph: Graph, machine: Machine, mapping: Path | None = None) -> Program:
    """Lower, map and emit a graph that ``fit_to_machine`` has prepared.

    Parameters
    ----------
    mapping
        A file of mappings; None: they are chosen.

    Raises
    ------
    AccelError
        A layer that fits no mapping, or a file that does not fit network and machine.
    """
    flow = lower(graph)
    with no_collection():
        residency, mappings = plan(flow, machine) if mapping is None else load_mappings(mapping, flow, machine)
        return emit(flow, machine, mappings, residency)


def _problems(graph: Graph, node: Node, machine: Machine) -> list[str]:
    """What a layer has that the processing elements cannot take."""
    if not isinstance(node.op, Conv | Linear):
        return []
    activation = graph.tensors[node.inputs[0]].qtype
    assert activation is not None
    pairs = (("weights", node.op.weight.qtype, machine.pe.weight), ("activations", activation, machine.pe.activation))
    problems = [
        f"{found} {what}, and the processing elements take {legal}"
        for what, found, legal in pairs
        if not (legal.holds(found) or machine.pe.split_operands)
    ]
    if machine.pe.activation.bipolar and isinstance(node.op, Conv) and any(node.op.pads):
        problems.append("padding with zeros, and bipolar processing elements have none")
    return problems
