"""The search for a network's mappings: each kind of nest once, on as many processes as one likes.

Every nest is searched by itself, on an idle machine. In the network its first loads hide behind the layer before, and
so a mapping that begins faster may win nothing there. What the network as a whole makes worse is taken back.

Nests of layers that could take turns are searched twice: for that, and for running one behind the other. The network
is then timed with no pair, and with every pair in one of two runs, as neighbours share a layer. Pairs that save most
together, none of them sharing a layer, are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import networkx as nx

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.explore.fusion import plan
from accel.explore.nest import Effort, Found, search
from accel.explore.objective import Figures, Objective, Prices, counts, gain
from accel.explore.workers import each
from accel.flow.ir import Flow, FlowOp
from accel.mapping.emit import emit
from accel.mapping.fusion import Pair, pairs
from accel.mapping.mapping import Mappings
from accel.mapping.residency import Residency, plan_residency
from accel.mapping.search import Chooser, signature
from accel.sim.simulate import run_clock


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is decided about a network, and what that costs; one entry a nest of the flow."""

    residency: Residency
    mappings: Mappings
    figures: tuple[Figures, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What a search has found; one entry a nest of the flow."""

    before: Plan
    """Without a search."""
    after: Plan
    found: tuple[Found | None, ...]
    """Each nest by itself; None for views."""
    same_as: tuple[int, ...]
    """The first nest of the same kind."""


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
    """Search a mapping for every nest of ``flow``, and the pairs of layers that take turns.

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
    work = _Work(flow, machine, prices, objective)
    before = work.timed(*plan(flow, machine))
    apart = plan_residency(flow, machine)
    possible = work.possible_pairs(apart)
    turns = [_with(apart, some) for some in _apart_from_each_other(possible)]
    work.search([before.residency, apart, *turns], effort, seed, processes, progress)
    plans = [work.best(residency) for residency in (apart, *turns)]
    chosen = work.choose_pairs(possible, plans[0], plans[1:])
    plans += [before, work.best(before.residency), work.best(_with(apart, chosen))]
    after = min(plans, key=lambda found: total(found.figures).rank(objective))
    kinds = [work.kind(position, after.residency) for position in range(len(flow.ops))]
    return Search(
        before,
        after,
        tuple(work.found.get(kind) for kind in kinds),
        tuple(kinds.index(kind) for kind in kinds),
    )


class _Work:
    """One search."""

    def __init__(self, flow: Flow, machine: Machine, prices: Prices, objective: Objective) -> None:
        self.flow = flow
        self.machine = machine
        self.prices = prices
        self.objective = objective
        self.chooser = Chooser(flow, machine)
        self.found: dict[object, Found] = {}
        """By kind of nest."""
        self._best: dict[object, Plan] = {}
        """By the pairs that take turns."""

    def kind(self, position: int, residency: Residency) -> object:
        """What a search depends on; a view is of a kind of its own."""
        op = self.flow.ops[position]
        return position if op.is_view else (signature(op, self.flow.tensors), residency.room(position, op))

    def possible_pairs(self, residency: Residency) -> list[Pair]:
        """Those whose layers both find a mapping."""
        return [pair for pair in pairs(self.flow, self.machine, residency) if self._has_mappings(pair, residency)]

    def _has_mappings(self, pair: Pair, residency: Residency) -> bool:
        turns = residency.with_window(*pair)
        try:
            for position in pair[1]:
                self.chooser.at(position, turns)
        except AccelError:
            return False
        return True

    def search(
        self,
        residencies: Sequence[Residency],
        effort: Effort,
        seed: int,
        processes: int,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        """Find a mapping for every kind of nest."""
        first: dict[object, tuple[int, Residency]] = {}
        for residency in residencies:
            for position, op in enumerate(self.flow.ops):
                if not op.is_view:
                    first.setdefault(self.kind(position, residency), (position, residency))
        tell = progress or (lambda text, done, total: None)
        jobs = []
        for position, residency in first.values():
            op = self.flow.ops[position]
            start = self.chooser.at(position, residency).mapping
            alone = residency.only(self.flow, [position])
            nest = _alone(op, self.flow)
            jobs.append((op, nest, self.machine, alone, self.prices, self.objective, effort, seed, start))
        found = each(search, jobs, processes, lambda number, done: tell(jobs[number][0].name, done, len(jobs)))
        self.found = dict(zip(first, found, strict=True))

    def best(self, residency: Residency) -> Plan:
        """With what was found, or what had been chosen before where that is better in the network."""
        windows = frozenset(residency.windows)
        if windows not in self._best:
            self._best[windows] = self._better(residency)
        return self._best[windows]

    def _better(self, residency: Residency) -> Plan:
        kinds = [self.kind(position, residency) for position in range(len(self.flow.ops))]
        old = self.timed(residency, self.chooser.all(residency))
        found = [self.found.get(kind) for kind in kinds]
        new = self.timed(residency, tuple(None if one is None else one.mapping for one in found))
        # What one layer of a pair loses, the other may show.
        turns = residency.turns
        stages = [turns.get(position, position) for position in range(len(kinds))]
        both = [tuple(kind for kind, its in zip(kinds, stages, strict=True) if its == stage) for stage in stages]
        worse = set()
        for kind in set(both):
            mine = [position for position, its in enumerate(both) if its == kind]
            then, now = (total([some.figures[at] for at in mine]).rank(self.objective) for some in (old, new))
            if now > then:
                worse.add(kind)
        mixed = tuple(
            then if kind in worse else now for then, now, kind in zip(old.mappings, new.mappings, both, strict=True)
        )
        return min(old, self.timed(residency, mixed), key=lambda some: total(some.figures).rank(self.objective))

    def choose_pairs(self, possible: Sequence[Pair], apart: Plan, turns: Sequence[Plan]) -> list[Pair]:
        """Those that save most together; each of ``turns`` has some of them."""
        whole = total(apart.figures)
        taking: nx.Graph[int] = nx.Graph()
        for window, rows in possible:
            span = slice(window.first, window.last + 1)
            there = next(some for some in turns if window in some.residency.windows)
            saved = gain(total(apart.figures[span]), total(there.figures[span]), whole, self.objective)
            if saved > 0:
                taking.add_edge(window.first, window.last, pair=(window, rows), saved=saved)
        edges = sorted(tuple(sorted(edge)) for edge in nx.max_weight_matching(taking, weight="saved"))
        return [taking.edges[edge]["pair"] for edge in edges]

    def timed(self, residency: Residency, mappings: Mappings) -> Plan:
        """With what each nest costs in the network."""
        program = emit(self.flow, self.machine, mappings, residency)
        clock = run_clock(program, self.machine)
        figures = tuple(
            Figures.of(cycles.total, counts(replace(layer.actions, **dram)), self.prices)
            for cycles, layer, dram in zip(clock.cycles, program.layers, clock.dram, strict=True)
        )
        return Plan(residency, mappings, figures)


def _apart_from_each_other(possible: Sequence[Pair]) -> list[list[Pair]]:
    """Two lots in which no two pairs share a layer: a layer is in two pairs at most, once as the second."""
    lots: list[list[Pair]] = [[], []]
    for pair in possible:
        free = [lot for lot in lots if not lot or lot[-1][0].last < pair[0].first]
        free[0].append(pair)
    return [lot for lot in lots if lot]


def _with(residency: Residency, some: Sequence[Pair]) -> Residency:
    for pair in some:
        residency = residency.with_window(*pair)
    return residency


def total(figures: Sequence[Figures]) -> Figures:
    """Of a network."""
    return Figures(
        sum(one.cycles for one in figures),
        sum(one.energy_pj for one in figures),
        sum(one.dram_bytes for one in figures),
    )


def _alone(op: FlowOp, flow: Flow) -> Flow:
    """One nest with its tensors: what a process needs to know."""
    names = {op.write.tensor, op.node.output, *(read.tensor for read in op.reads)}
    return replace(flow, ops=(op,), inputs=(), outputs=(), tensors={name: flow.tensors[name] for name in names})
