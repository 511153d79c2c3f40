"""All mappings of one nest among some tilings: what each needs, and what it costs at least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp
from accel.mapping.bound import OUTER, ArrayBounds, Way
from accel.mapping.bound_parts import Bounds
from accel.mapping.mapping import ArrayMapping, VectorMapping, layer_step, most_groups_at_once
from accel.mapping.space import IntArray, Room, doublings, footprint, loop_sizes, row_by_row
from accel.mapping.vector_bound import VectorBounds

_Found = tuple[Way | None, IntArray, Bounds]
"""A way (None for vector work), which tilings are legal with it, and the bounds of all tilings."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The legal ones, way by way in the order of their tilings; every array has one entry a candidate."""

    cycles: IntArray
    """At least so many."""
    expected_cycles: IntArray
    """About so many."""
    tiles: IntArray
    _bounds: ArrayBounds | VectorBounds
    _found: tuple[_Found, ...]

    def __len__(self) -> int:
        return len(self.cycles)

    @property
    def actions(self) -> dict[str, IntArray]:
        """At least so many, by the field names of ``accel.result.Actions``."""
        names = self._found[0][2].actions if self._found else ()
        return {
            name: np.concatenate(
                [np.broadcast_to(bounds.actions[name], bounds.cycles.shape)[keep] for _, keep, bounds in self._found]
            )
            for name in names
        }

    def mapping(self, index: int) -> ArrayMapping | VectorMapping:
        """One of them."""
        way, _, tiling = self._find(index)
        if isinstance(self._bounds, VectorBounds):
            return self._bounds.mapping(tiling)
        assert way is not None
        return self._bounds.mapping(way, tiling)

    def unit_cycles(self, index: int) -> tuple[int, int, int]:
        """Of one of them: for how long array, vector unit and DMA are busy."""
        _, bounds, tiling = self._find(index)
        array, vector, dma = (int(np.broadcast_to(cycles, bounds.cycles.shape)[tiling]) for cycles in bounds.units)
        return array, vector, dma

    def _find(self, index: int) -> tuple[Way | None, Bounds, int]:
        """The way, its bounds, and the tiling."""
        for way, keep, bounds in self._found:
            if index < len(keep):
                return way, bounds, int(keep[index])
            index -= len(keep)
        raise IndexError(index)

    @classmethod
    def of(cls, op: FlowOp, flow: Flow, machine: Machine, room: Room, tilings: IntArray) -> Candidates:
        """Those of ``tilings`` that fit the buffers, each in every way that the machine and the nest allow."""
        fits = footprint(op, flow, machine, room, tilings).fits(machine, room)
        tilings = tilings[:, fits & row_by_row(op, room, tilings)]
        counts = -(-np.array(list(loop_sizes(op).values()))[:, None] // tilings)
        tiles = counts.prod(axis=0)
        everywhere = np.arange(tilings.shape[1])
        if not op.on_array:
            vector = VectorBounds(op, flow, machine, room, tilings)
            return cls._joined(vector, tiles, [(None, everywhere, vector.bounds())])
        array = ArrayBounds(op, flow, machine, room, tilings)
        found: list[_Found] = []
        for way in _ways(op, flow, machine):
            keep = everywhere
            if way.groups_at_once > 1:
                whole = (array.channel_tiles == 1) & (array.k_tiles == 1)
                keep = keep[whole & (tilings[0] >= way.groups_at_once)]
            if way.outer == "channels" and room.rows is not None:
                continue
            if way.outer == "channels":  # With one tile of either there is one order.
                keep = keep[((array.pixel_tiles > 1) & (array.channel_tiles > 1))[keep]]
            if keep.size:
                found.append((way, keep, array.of(way)))
        return cls._joined(array, tiles, found)

    @classmethod
    def _joined(cls, bounds: ArrayBounds | VectorBounds, tiles: IntArray, found: list[_Found]) -> Candidates:
        empty = np.zeros(0, np.int64)
        return cls(
            cycles=np.concatenate([empty, *(bound.cycles[keep] for _, keep, bound in found)]),
            expected_cycles=np.concatenate([empty, *(bound.expected_cycles[keep] for _, keep, bound in found)]),
            tiles=np.concatenate([empty, *(tiles[keep] for _, keep, _ in found)]),
            _bounds=bounds,
            _found=tuple(found),
        )


def _ways(op: FlowOp, flow: Flow, machine: Machine) -> Iterator[Way]:
    beside = most_groups_at_once(op, machine, layer_step(op, flow.tensors, machine))
    for dataflow in machine.array.dataflow:
        for groups_at_once in doublings(beside) if dataflow == "weight_stationary" else (1,):
            for outer in OUTER:
                yield Way(dataflow, outer, groups_at_once)
