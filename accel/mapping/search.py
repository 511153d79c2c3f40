"""Choose a mapping for each loop nest: among a few hundred tilings, the one that should take the fewest cycles.

Among mappings that the closed form cannot tell apart, the one with the fewest tiles wins. ``accel.explore`` searches
longer, with the clock itself.
"""

from __future__ import annotations

import numpy as np

from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.graph.ir import Tensor
from accel.mapping.candidates import Candidates
from accel.mapping.mapping import ArrayMapping, VectorMapping, layer_step
from accel.mapping.residency import Residency, nothing_stays
from accel.mapping.space import IntArray, Room, check_smallest, coarse, halved

_RESOLUTION = 0.03
"""Expectations closer than this are equal."""


def choose(
    flow: Flow, machine: Machine, residency: Residency | None = None
) -> tuple[ArrayMapping | VectorMapping | None, ...]:
    """A mapping for every nest of ``flow``, None for views; equal nests are searched once.

    Parameters
    ----------
    residency
        What stays on chip between layers; nothing unless given.

    Raises
    ------
    AccelError
        A nest whose smallest tile does not fit a buffer: which buffer, and by how many bytes.
    """
    known: dict[object, ArrayMapping | VectorMapping] = {}
    chosen: list[ArrayMapping | VectorMapping | None] = []
    stays = residency or nothing_stays(flow, machine)
    for position, op in enumerate(flow.ops):
        if op.is_view:
            chosen.append(None)
            continue
        room = stays.room(position, op)
        key = signature(op, flow.tensors), room
        if key not in known:
            known[key] = _choose_one(op, flow, machine, room)
        chosen.append(known[key])
    return tuple(chosen)


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
    return Candidates.of(op, flow, machine, room, halved(op))


def products_of(op: FlowOp, flow: Flow, machine: Machine) -> int:
    """How many neighbours along k a PE takes at a time; 1 for vector work."""
    return layer_step(op, flow.tensors, machine).products if op.on_array else 1


def _choose_one(op: FlowOp, flow: Flow, machine: Machine, room: Room) -> ArrayMapping | VectorMapping:
    found = candidates(op, flow, machine, room, coarse(op, machine, products_of(op, flow, machine)))
    limit = found.expected_cycles.min() * (1 + _RESOLUTION)
    as_cheap = np.flatnonzero(found.expected_cycles <= limit)
    fewest = np.lexsort((found.expected_cycles[as_cheap], found.tiles[as_cheap]))[0]
    return found.mapping(int(as_cheap[fewest]))
