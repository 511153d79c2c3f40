"""The search for a network's mappings: each kind of nest once, on as many processes as one likes.

Every nest is searched by itself, on an idle machine. In the network its first loads hide behind the layer before, and
so a mapping that begins faster may win nothing there. What the network as a whole makes worse is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from accel.arch.spec import Machine
from accel.explore.nest import Effort, Found, search
from accel.explore.objective import Figures, Objective, Prices, counts
from accel.explore.workers import each
from accel.flow.ir import Flow, FlowOp
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.residency import Residency, plan_residency
from accel.mapping.search import choose, signature
from accel.sim.simulate import run_clock

Mappings = tuple[ArrayMapping | VectorMapping | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What a search has found; one entry a nest of the flow."""

    before: Mappings
    """As ``choose`` has them."""
    after: Mappings
    found: tuple[Found | None, ...]
    """Each nest by itself; None for views."""
    same_as: tuple[int, ...]
    """The first nest of the same kind, which was the one searched."""
    figures_before: tuple[Figures, ...]
    """In the network."""
    figures_after: tuple[Figures, ...]


def search_network(
    flow: Flow,
    machine: Machine,
    prices: Prices,
    objective: Objective = "cycles",
    effort: Effort = "quick",
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Search:
    """Search a mapping for every nest of ``flow``.

    Parameters
    ----------
    seed
        Of what is drawn from spaces that are too large to search whole; equal seeds give equal mappings.
    processes
        How many search at a time; what they find does not depend on it.
    progress
        Told (nest, nests done, nests in all).

    Raises
    ------
    AccelError
        A nest without a legal mapping: which buffer is too small, and by how many bytes.
    """
    residency = plan_residency(flow, machine)
    before = choose(flow, machine, residency)
    first: dict[object, int] = {}
    same_as = tuple(
        position
        if op.is_view
        else first.setdefault((signature(op, flow.tensors), residency.room(position, op)), position)
        for position, op in enumerate(flow.ops)
    )
    tell = progress or (lambda text, done, total: None)
    kinds = list(first.values())
    jobs = []
    for position in kinds:
        op = flow.ops[position]
        alone = residency.alone(position, op)
        jobs.append((op, _alone(op, flow), machine, alone, prices, objective, effort, seed, before[position]))
    searched = each(search, jobs, processes, lambda number, done: tell(flow.ops[kinds[number]].name, done, len(jobs)))
    found = dict(zip(kinds, searched, strict=True))
    results = tuple(found.get(position) for position in same_as)
    after = tuple(None if result is None else result.mapping for result in results)
    figures_before, figures_after = (
        _in_the_network(flow, machine, residency, prices, some) for some in (before, after)
    )
    after = _without_losses(before, after, same_as, figures_before, figures_after, objective)
    figures_after = _in_the_network(flow, machine, residency, prices, after)
    if total(figures_after).rank(objective) > total(figures_before).rank(objective):
        after, figures_after = before, figures_before
    return Search(before, after, results, same_as, figures_before, figures_after)


def total(figures: Sequence[Figures]) -> Figures:
    """Of a network."""
    return Figures(
        sum(one.cycles for one in figures),
        sum(one.energy_pj for one in figures),
        sum(one.dram_bytes for one in figures),
    )


def _in_the_network(
    flow: Flow, machine: Machine, residency: Residency, prices: Prices, mappings: Mappings
) -> tuple[Figures, ...]:
    program = emit(flow, machine, mappings, residency)
    clock = run_clock(program, machine)
    return tuple(
        Figures.of(cycles.total, counts(replace(layer.actions, **dram)), prices)
        for cycles, layer, dram in zip(clock.cycles, program.layers, clock.dram, strict=True)
    )


def _without_losses(
    before: Mappings,
    after: Mappings,
    same_as: tuple[int, ...],
    figures_before: tuple[Figures, ...],
    figures_after: tuple[Figures, ...],
    objective: Objective,
) -> Mappings:
    """``after``, but as before where all nests of a kind together are worse in the network."""
    worse = set()
    for kind in set(same_as):
        mine = [position for position, first in enumerate(same_as) if first == kind]
        then, now = (
            total([figures[position] for position in mine]).rank(objective)
            for figures in (figures_before, figures_after)
        )
        if now > then:
            worse.add(kind)
    return tuple(old if kind in worse else new for old, new, kind in zip(before, after, same_as, strict=True))


def _alone(op: FlowOp, flow: Flow) -> Flow:
    """One nest with its tensors: what a process needs to know."""
    names = {op.write.tensor, op.node.output, *(read.tensor for read in op.reads)}
    return replace(flow, ops=(op,), inputs=(), outputs=(), tensors={name: flow.tensors[name] for name in names})
