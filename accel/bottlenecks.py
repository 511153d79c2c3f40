"""What holds a network up on a machine, and what more of each resource would bring."""

from __future__ import annotations

from collections.abc import Callable

from accel.arch.more import Variant, variants
from accel.arch.spec import Machine
from accel.compile import fit_to_machine
from accel.errors import AccelError
from accel.explore.workers import each
from accel.graph.ir import Graph
from accel.records import estimate_graph
from accel.studies.bottleneck import Bottleneck, More


def study(
    name: str,
    graph: Graph,
    machine: Machine,
    processes: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bottleneck:
    """Estimate the network on the machine, and on each machine with more of one resource, mapped anew.

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
    here = estimate_graph(name, fitted, machine)
    report("more of each resource", 1, len(tried) + 1)
    more = each(
        _more,
        [(name, fitted, variant) for variant in tried],
        processes,
        lambda number, done: report(f"more {tried[number].resource}", done + 1, len(tried) + 1),
    )
    return Bottleneck(here, tuple(more))


def _more(name: str, graph: Graph, variant: Variant) -> More:
    problem = variant.problem
    if variant.machine is not None:
        try:
            result = estimate_graph(name, graph, variant.machine)
        except AccelError as error:
            problem = error.what
        else:
            area = None if result.area is None else result.area.total_mm2
            return More(variant.resource, variant.change, result.latency_cycles, result.energy_pj, area)
    return More(variant.resource, variant.change, None, None, None, problem)
