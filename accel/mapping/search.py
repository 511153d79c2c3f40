"""Choose a mapping for each loop nest: among a few hundred tilings, the one that should take the fewest cycles.

Among mappings that the closed form cannot tell apart, the one with the fewest tiles wins. ``accel.explore`` searches
longer, with the clock itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Flow, FlowOp
from accel.graph.ir import Tensor
from accel.mapping.candidates import Candidates
from accel.mapping.mapping import Mappings, NestMapping, layer_step
from accel.mapping.residency import Residency, nothing_stays
from accel.mapping.space import IntArray, Room, check_smallest, coarse, halved

_RESOLUTION = 0.03
"""Expectations closer than this are equal."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A mapping for a nest, and what it should take."""

    mapping: NestMapping
    cycles: float
    """By itself, from its first load to its last store."""
    unit_cycles: tuple[int, int, int]
    """Array, vector unit and DMA."""


class Chooser:
    """Chooses nest by nest; equal nests with equal room are searched once."""

    def __init__(self, flow: Flow, machine: Machine) -> None:
        self.flow = flow
        self.machine = machine
        self._known: dict[object, Choice] = {}

    def best(self, op: FlowOp, room: Room) -> Choice:
        """The mapping that should take the fewest cycles.

        Raises
        ------
        AccelError
            The nest's smallest tile does not fit a buffer: which buffer, and by how many bytes.
        """
        key = signature(op, self.flow.tensors), room
        if key not in self._known:
            self._known[key] = _choose_one(op, self.flow, self.machine, room)
        return self._known[key]

    def at(self, position: int, residency: Residency) -> Choice:
        """``best`` for a nest of the flow that is not a view."""
        op = self.flow.ops[position]
        return self.best(op, residency.room(position, op))

    def all(self, residency: Residency) -> Mappings:
        """A mapping for every nest."""
        return tuple(
            None if op.is_view else self.at(position, residency).mapping for position, op in enumerate(self.flow.ops)
        )


def choose(flow: Flow, machine: Machine, residency: Residency | None = None) -> Mappings:
    """A mapping for every nest of ``flow``.

    Parameters
    ----------
    residency
        What stays on chip between layers; nothing unless given.

    Raises
    ------
    AccelError
        As for ``Chooser.best``.
    """
    return Chooser(flow, machine).all(residency or nothing_stays(flow, machine))


def signature(op: FlowOp, tensors: dict[str, Tensor]) -> object:
    """What the choice depends on."""
    reads = tuple((read.shape, read.index, tensors[read.tensor].bits) for read in op.reads)
    weight_bits = op.weight_bits if op.on_array else 0
    return op.kind, weight_bits, op.dims, reads, tensors[op.write.tensor].bits, len(op.epilogue)


def candidates(op: FlowOp, flow: Flow, machine: Machine, room: Room, tilings: IntArray) -> Candidates:
    """The legal mappings among ``tilings``, or, where none of these fits, among ones that go down to one iteration.

    Raises
    ------
    AccelError
        No mapping at all is legal.
    """
    found = Candidates.of(op, flow, machine, room, tilings)
    if len(found):
        return found
    check_smallest(op, flow, machine, room)
    found = Candidates.of(op, flow, machine, room, halved(op))
    if len(found):
        return found
    raise AccelError(
        f"no tile with all channels of a row fits the buffers of machine {machine.name}",
        f"{flow.path}:{op.node.name}",
        "let the layer take turns with no other",
    )


def products_of(op: FlowOp, flow: Flow, machine: Machine) -> int:
    """How many neighbours along k a PE takes at a time; 1 for vector work."""
    return layer_step(op, flow.tensors, machine).products if op.on_array else 1


def _choose_one(op: FlowOp, flow: Flow, machine: Machine, room: Room) -> Choice:
    found = candidates(op, flow, machine, room, coarse(op, machine, products_of(op, flow, machine)))
    limit = found.expected_cycles.min() * (1 + _RESOLUTION)
    as_cheap = np.flatnonzero(found.expected_cycles <= limit)
    fewest = np.lexsort((found.expected_cycles[as_cheap], found.tiles[as_cheap]))[0]
    best = int(as_cheap[fewest])
    return Choice(found.mapping(best), float(found.expected_cycles[best]), found.unit_cycles(best))
