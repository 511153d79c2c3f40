"""A network by the published laws of bits, beside what a machine makes of it: they disagree, and that is the point."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accel.arch.spec import Machine
from accel.compile import fit_to_machine
from accel.errors import AccelError
from accel.flow.lower import lower
from accel.graph.ir import Conv, Graph, Linear, Node
from accel.precision.laws import Load, aqt_linear, bops, memory_bits
from accel.precision.what_if import Widths, with_widths
from accel.records import estimate_graph
from accel.studies.cost_laws import CostLaws, Costs, LayerCosts, total

EIGHT_BITS = Widths(weights=8, activations=8)


def study(name: str, graph: Graph, machine: Machine | None = None, widths: Widths | None = None) -> CostLaws:
    """Every layer by every law, at its widths and at 8 bits.

    Parameters
    ----------
    name
        Of the network, for the record.
    machine
        Estimates cycles and energy; None: laws alone.
    widths
        What to put in the place of the file's; None: nothing. A machine without such widths has no cycles and no
        energy, and a note says why.
    """
    asked = widths or Widths()
    here = costs_of(name, with_widths(graph, asked), machine)
    at_8_bits = costs_of(name, with_widths(graph, EIGHT_BITS), machine)
    reference = {layer.name: layer.costs for layer in at_8_bits.layers}
    return CostLaws(
        network=name,
        machine="" if machine is None else machine.name,
        batch=graph.batch,
        what_if=str(asked),
        notes=tuple(note for note in (here.problem, at_8_bits.problem and f"at 8 bits: {at_8_bits.problem}") if note),
        layers=tuple(replace(layer, at_8_bits=reference[layer.name]) for layer in here.layers),
        others=here.others,
        others_at_8_bits=at_8_bits.others,
    )


@dataclass(frozen=True, slots=True)
class AtWidths:
    """What one choice of widths costs."""

    layers: list[LayerCosts]
    others: Costs
    """Of layers without products."""
    problem: str = ""
    """Why the machine has no cycles; empty where it has, or where there is none."""

    @property
    def total(self) -> Costs:
        """Of the whole network."""
        return total([*(layer.costs for layer in self.layers), self.others])


def costs_of(name: str, graph: Graph, machine: Machine | None) -> AtWidths:
    """A network's costs at the widths that its types have, by every law and on a machine."""
    macs = {op.node.name: op.macs for op in lower(graph).ops if op.on_array}
    layers = [_by_laws(graph, node, macs[node.name]) for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    unknown = Costs(cycles=None, energy_pj=None)
    if machine is None:
        return AtWidths(layers, unknown)
    try:
        fitted = fit_to_machine(graph, machine)
    except AccelError as error:
        return AtWidths(layers, unknown, f"no cycles on {machine.name}: {error.what}")
    result = estimate_graph(name, fitted, machine)
    measured = {layer.name: layer for layer in result.layers if layer.unit == "array"}
    rest = [layer for layer in result.layers if layer.unit != "array"]
    others = Costs(
        cycles=sum(layer.cycles.total for layer in rest), energy_pj=sum(layer.energy.total_pj for layer in rest)
    )
    known = [
        replace(
            layer,
            costs=replace(
                layer.costs,
                cycles=measured[layer.name].cycles.total,
                energy_pj=measured[layer.name].energy.total_pj,
            ),
        )
        for layer in layers
    ]
    return AtWidths(known, others)


def _by_laws(graph: Graph, node: Node, macs: int) -> LayerCosts:
    op, source = node.op, graph.tensors[node.inputs[0]]
    assert isinstance(op, Conv | Linear)
    load = Load(macs, op.weight.values.size, op.weight.qtype.bits, source.bits)
    costs = Costs(bops(load), aqt_linear(load), memory_bits(load), None, None)
    return LayerCosts(
        node.name, node.kind, load.weight_bits, load.activation_bits, load.macs, load.weights, costs, costs
    )
