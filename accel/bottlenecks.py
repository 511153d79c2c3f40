"""What holds a network up on a machine, and what more of each resource would bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from accel.arch.more import Variant, variants
from accel.arch.spec import Machine
from accel.compile import compile_graph, fit_to_machine
from accel.errors import AccelError
from accel.explore.workers import each
from accel.flow.ir import Flow
from accel.graph.ir import Graph
from accel.mapping.emit import emit
from accel.mapping.mapping import Mappings, NestMapping
from accel.mapping.residency import Residency
from accel.mapping.space import footprint, loop_sizes
from accel.records import estimate_program
from accel.result import Result
from accel.studies.bottleneck import Bottleneck, More


def study(
    name: str,
    graph: Graph,
    machine: Machine,
    processes: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bottleneck:
    """Estimate the network on the machine, and on each machine with more of one resource.

    There it is mapped anew, and takes the mapping that it had where that is quicker.

    Parameters
    ----------
    processes
        How many estimate at a time, where it pays; the record does not depend on it.

    Raises
    ------
    AccelError
        The network does not run on ``machine``. That it does not on one of the others is part of the record.
    """
    report = progress or (lambda text, done, total: None)
    tried = list(variants(machine))
    report("as it is", 0, len(tried) + 1)
    # No variant changes the widths of operands or the requantizer, which is what a graph is fitted to.
    fitted = fit_to_machine(graph, machine)
    program = compile_graph(fitted, machine)
    here = estimate_program(name, fitted.batch, machine, program)
    mappings = tuple(layer.mapping for layer in program.layers)
    report("more of each resource", 1, len(tried) + 1)
    more = each(
        _more,
        [(name, fitted, variant, program.residency, mappings) for variant in tried],
        processes,
        lambda number, done: report(f"more {tried[number].resource}", done + 1, len(tried) + 1),
    )
    return Bottleneck(here, tuple(more))


def _more(name: str, graph: Graph, variant: Variant, residency: Residency, mappings: Mappings) -> More:
    problem = variant.problem
    if variant.machine is not None:
        try:
            results = list(_estimates(name, graph, variant.machine, residency, mappings))
        except AccelError as error:
            problem = error.what
        else:
            result = min(results, key=lambda result: result.latency_cycles)
            area = None if result.area is None else result.area.total_mm2
            return More(variant.resource, variant.change, result.latency_cycles, result.energy_pj, area)
    return More(variant.resource, variant.change, None, None, None, problem)


def _estimates(name: str, graph: Graph, machine: Machine, residency: Residency, mappings: Mappings) -> Iterator[Result]:
    """Mapped anew, and as it was if that fits: half of a buffer holds less than all of it."""
    anew = compile_graph(graph, machine)
    yield estimate_program(name, graph.batch, machine, anew)
    if (anew.residency, tuple(layer.mapping for layer in anew.layers)) == (residency, mappings):
        return
    if all(_fits(anew.flow, machine, residency, position, mapping) for position, mapping in enumerate(mappings)):
        as_it_was = emit(anew.flow, machine, mappings, residency)
        yield estimate_program(name, graph.batch, machine, as_it_was)


def _fits(flow: Flow, machine: Machine, residency: Residency, position: int, mapping: NestMapping | None) -> bool:
    if mapping is None:
        return True
    op = flow.ops[position]
    room = residency.room(position, op)
    tile = [getattr(mapping, loop) for loop in loop_sizes(op)]
    return not footprint(op, flow, machine, room, tile).excess(machine, room)
