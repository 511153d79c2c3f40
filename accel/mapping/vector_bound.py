"""What a tiling of vector work costs at least, in closed form and for many tilings at once."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.mapping.bound_parts import Bounds, Ends, Loads, latency_of
from accel.mapping.cuts import Cut
from accel.mapping.mapping import VectorMapping, parts
from accel.mapping.space import VECTOR_LOOPS, IntArray, Room, loop_sizes


class VectorBounds:
    """Bounds of one nest of vector work on one machine, for many tilings (``space``)."""

    def __init__(self, op: FlowOp, flow: Flow, machine: Machine, room: Room, tilings: IntArray) -> None:
        self.op, self.flow, self.machine, self.room, self.tilings = op, flow, machine, room, tilings
        sizes = loop_sizes(op)
        self.cuts = {name: Cut.of(size, tile) for (name, size), tile in zip(sizes.items(), tilings, strict=True)}

    def mapping(self, index: int) -> VectorMapping:
        """One tiling."""
        return VectorMapping(*(int(size) for size in self.tilings[:, index]))

    def bounds(self) -> Bounds:
        """All tilings."""
        machine, room, latency = self.machine, self.room, latency_of(self.machine)
        buffers, tensors = machine.buffers, self.flow.tensors
        ends = Ends.of(self.op, self.flow, machine, room, self.cuts)
        tiles: Any = prod(cut.tiles for cut in self.cuts.values())
        sides = dict(zip(VECTOR_LOOPS, self.tilings, strict=True))
        fetched = [
            Loads.of_boxes(read, self.op, sides, tiles, tensors[read.tensor].bits, machine)
            for read, on_chip in zip(self.op.reads, room.reads_on_chip, strict=True)
            if not on_chip
        ]
        loading = sum(load.cycles for load in fetched)
        first = sum(load.first_cycles for load in fetched) + (latency if fetched else 0)
        chain = ends.vector_cycles + ends.store_cycles + (0 if room.write_on_chip else tiles * latency)
        bounds = [
            first + ends.vector_cycles,
            loading + (latency if fetched else 0) + ends.last_cycles,
            loading + ends.store_cycles,
            parts(chain, buffers.accumulator.slots),
        ]
        actions = ends.actions.copy()
        # Named where nothing is loaded, too: a search may want less of it.
        actions["dram_read_bytes"] = np.zeros_like(tiles)
        for load in fetched:
            actions.update(activation_buffer_write_bytes=load.content_bytes, dram_read_bytes=load.dram_bytes)
        if fetched and not buffers.activation.double_buffered:
            bounds.append(tiles * latency + loading + ends.vector_cycles)
        cycles = reduce(np.maximum, bounds)
        # As transfers are asked for about two tiles ahead, and wait behind others that are not ready.
        expected = sum(load.expected_cycles for load in fetched)
        queue = tiles * machine.dram.latency_cycles + expected + ends.vector_cycles + ends.store_cycles
        moving = expected + ends.store_cycles
        busiest = [ends.vector_cycles, moving, *bounds[2:], parts(queue, buffers.activation.slots)]
        alone = reduce(np.maximum, busiest)
        return Bounds(cycles, alone + first + ends.last_cycles, actions, (0, ends.vector_cycles, moving))
