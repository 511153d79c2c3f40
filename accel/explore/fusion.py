"""Which pairs of layers take turns unless somebody says otherwise: those that the clock finds no slower that way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import networkx as nx

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Flow
from accel.mapping.emit import emit
from accel.mapping.fusion import Pair, pairs
from accel.mapping.mapping import Mappings
from accel.mapping.residency import Residency, plan_residency
from accel.mapping.search import Choice, Chooser, signature
from accel.sim.engine import run


def plan(flow: Flow, machine: Machine) -> tuple[Residency, Mappings]:
    """What stays on chip, whole or row by row, and a mapping for every nest.

    Raises
    ------
    AccelError
        A nest whose smallest tile does not fit a buffer: which buffer, and by how many bytes.
    """
    residency = plan_residency(flow, machine)
    scale = _Scale(flow, machine, residency)
    taking: nx.Graph[int] = nx.Graph()
    for pair in pairs(flow, machine, residency):
        taking.add_edge(pair[0].first, pair[0].last, pair=pair, saved_cycles=scale.saved_cycles(pair))
    for first, last in nx.max_weight_matching(taking, weight="saved_cycles"):
        residency = residency.with_window(*taking.edges[first, last]["pair"])
    return residency, scale.chooser.all(residency)


class _Scale:
    """Weighs pairs, equal ones once."""

    def __init__(self, flow: Flow, machine: Machine, residency: Residency) -> None:
        self.flow = flow
        self.machine = machine
        self.residency = residency
        self.chooser = Chooser(flow, machine)
        self._known: dict[object, int] = {}

    def saved_cycles(self, pair: Pair) -> int:
        """By two layers alone that take turns, against one behind the other; below 0 if a layer finds no mapping."""
        window, rows = pair
        positions = list(rows)
        turns = self.residency.with_window(window, rows)
        ops = [(position, self.flow.ops[position]) for position in positions]
        rooms = [some.room(position, op) for some in (self.residency, turns) for position, op in ops]
        key = (window.rows, *rooms, *(signature(op, self.flow.tensors) for _, op in ops))
        if key not in self._known:
            self._known[key] = self._weigh(positions, turns)
        return self._known[key]

    def _weigh(self, positions: Sequence[int], turns: Residency) -> int:
        try:
            apart, together = (
                [self.chooser.at(position, some) for position in positions] for some in (self.residency, turns)
            )
        except AccelError:
            return -1
        if _expected(together) > sum(choice.cycles for choice in apart):
            return -1
        return self._time(positions, apart, self.residency) - self._time(positions, together, turns)

    def _time(self, positions: Sequence[int], choices: Sequence[Choice], residency: Residency) -> int:
        alone = replace(self.flow, ops=tuple(self.flow.ops[position] for position in positions))
        mappings = [choice.mapping for choice in choices]
        program = emit(alone, self.machine, mappings, residency.only(self.flow, positions))
        return max(run(program, self.machine).done)


def _expected(together: Sequence[Choice]) -> float:
    """Each unit works for both layers, and the busiest one decides, if none of the layers does by itself."""
    units = [float(sum(cycles)) for cycles in zip(*(choice.unit_cycles for choice in together), strict=True)]
    return max([*units, *(choice.cycles for choice in together)])
