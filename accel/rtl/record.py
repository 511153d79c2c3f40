"""A layer's array work, recorded while the simulator runs: what the RTL will be given, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.arch.timing import ArrayTiming
from accel.flow.ir import Range
from accel.mapping.program import Compute, Vector
from accel.rtl.stimulus import Tile
from accel.sim.memory import ActivationTile
from accel.sim.side_by_side import block_diagonal, side_by_side
from accel.sim.simulate import Simulator

Array = npt.NDArray[Any]
_BEFORE_CYCLES = 8
"""The recording begins this long before its first load."""


@dataclass(frozen=True, slots=True, eq=False)
class Requantized:
    """What one Vector made of a tile's sums; arrays of one shape, (groups, pixels, channels)."""

    tile: int
    """Whose sums they were."""
    biases: Array
    scales: Array
    """Words of the machine's requantizer."""
    channels: Array
    """Of the layer."""
    values: Array
    """As the simulator has them."""


@dataclass(slots=True, eq=False)
class LayerRecord:
    """One array layer of a program."""

    position: int
    """In the program."""
    tiles: list[Tile] = field(default_factory=list)
    computes: list[Compute] = field(default_factory=list)
    sums: list[Array] = field(default_factory=list)
    """After each tile: (groups, pixels, channels), groups that are in the array at once side by side."""
    requantized: list[Requantized] = field(default_factory=list)
    """Empty if the layer's output is float."""
    begins: list[int] = field(default_factory=list)
    """Of each tile, as ``Timeline.begin``; counted, like all cycles of a record, from ``first_cycle``."""
    consumed: int = 0
    done: int = 0
    """Both of the last tile, as in ``Timeline``."""
    first_cycle: int = 0
    """Of the network's cycles."""
    array_overflows: int = 0
    bias_overflows: int = 0


class Recorder:
    """Observes a simulation; hands out each layer's record when another one begins that does not take turns with it.

    Parameters
    ----------
    layers
        Positions of the layers to record.
    on_layer
        Called with each record; call ``close`` for the last.
    """

    def __init__(self, simulator: Simulator, layers: Collection[int], on_layer: Callable[[LayerRecord], None]) -> None:
        self.simulator = simulator
        self.layers = layers
        self.on_layer = on_layer
        self.stages = simulator.program.stages
        self.records: dict[int, LayerRecord] = {}
        self.matrices: dict[object, Array] = {}

    def close(self) -> None:
        """Hand out the layers in progress."""
        for record in self.records.values():
            self.on_layer(record)
        self.records, self.matrices = {}, {}

    def computed(self, compute: Compute, image: ActivationTile, weights: Array, sums: Array, overflows: int) -> None:
        """Record a tile."""
        if any(self.stages[position] != self.stages[compute.layer] for position in self.records):
            self.close()
        if compute.layer not in self.layers:
            return
        if compute.layer not in self.records:
            first = first_cycle(self.simulator, compute)
            self.records[compute.layer] = LayerRecord(compute.layer, first_cycle=first)
        record = self.records[compute.layer]
        timeline, start = self.simulator.timeline, record.first_cycle
        record.tiles.append(self._tile(compute, image, weights, start))
        record.computes.append(compute)
        record.sums.append(side_by_side(sums, self._groups_at_once(compute)).copy())
        record.begins.append(timeline.begin[compute.index] - start)
        record.consumed = timeline.consumed[compute.index] - start
        record.done = timeline.done[compute.index] - start
        record.array_overflows += overflows

    def finished(self, vector: Vector, sums: Array, values: Array, overflows: int) -> None:
        """Record what became of the sums of the tile before."""
        record = self.records.get(vector.layer)
        if record is None:
            return
        layer = self.simulator.layers[vector.layer]
        record.bias_overflows += overflows
        if layer.tensors[layer.op.node.output].qtype is None:
            return
        groups, _, channels = sums.shape
        biases, scales = layer.constants(vector.box, groups, channels)
        (b0, b1), (c0, _), (h0, h1), (w0, w1) = vector.box
        image = values.reshape(b1 - b0, groups, channels, h1 - h0, w1 - w0).transpose(1, 0, 3, 4, 2)
        first = c0 + np.arange(groups)[:, None, None] * layer.op.sizes["n"]
        record.requantized.append(
            Requantized(
                tile=_tile_in(record, vector),
                biases=np.broadcast_to(biases, sums.shape),
                scales=np.broadcast_to(scales, sums.shape),
                channels=np.broadcast_to(first + np.arange(channels), sums.shape),
                values=image.reshape(sums.shape),
            )
        )

    def _tile(self, compute: Compute, image: ActivationTile, weights: Array, start: int) -> Tile:
        load_ready, stream_ready = ready_cycles(self.simulator, compute, start)
        beside = self._groups_at_once(compute)
        firsts = range(0, compute.tile.groups + beside, beside)
        return Tile(
            operands=tuple(
                (self._activations(compute, groups, image), self._weights(compute, groups, weights))
                for groups in pairwise(firsts)
            ),
            groups_at_once=beside,
            first=compute.first,
            slot=compute.accumulator_slot,
            load_ready=load_ready,
            stream_ready=stream_ready,
            stretch=self.simulator.timeline.stretch[compute.index],
        )

    def _groups_at_once(self, compute: Compute) -> int:
        return self.simulator.layers[compute.layer].groups_at_once

    def _activations(self, compute: Compute, groups: Range, image: ActivationTile) -> Array:
        tile = compute.tile
        key = ("activations", compute.layer, tile.g[0] + groups[0], tile.b, tile.oh, tile.ow, tile.k)
        if key not in self.matrices:
            layer = self.simulator.layers[compute.layer]
            self.matrices[key] = layer.activation_matrix(tile, groups, image.parts[0], image.boxes[0])
        return self.matrices[key]

    def _weights(self, compute: Compute, groups: Range, weights: Array) -> Array:
        tile = compute.tile
        key = ("weights", compute.layer, tile.g[0] + groups[0], tile.n, tile.k)
        if key not in self.matrices:
            there = weights[slice(*groups)]
            missing = groups[1] - groups[0] - len(there)
            whole = np.pad(there, ((0, missing), (0, 0), (0, 0))) if missing else there
            self.matrices[key] = block_diagonal(whole, self.simulator.layers[compute.layer].op.sizes["c"])
        return self.matrices[key]


def first_cycle(simulator: Simulator, compute: Compute) -> int:
    """The network's cycle from which a layer is recorded, ``compute`` being its first."""
    return simulator.timeline.begin[compute.index] - simulator.layers[compute.layer].timing.lead_cycles - _BEFORE_CYCLES


def _tile_in(record: LayerRecord, vector: Vector) -> int:
    """The last tile that the vector waits for."""
    return max(number for number, compute in enumerate(record.computes) if compute.index in vector.waits)


def ready_cycles(simulator: Simulator, compute: Compute, start: int) -> tuple[int, int]:
    """When what a tile loads, and all that it works on, was in the buffers; counted from ``start``, 0 if before it.

    Between two tiles of a layer that takes turns, the array works for the other layer: what comes next is held back
    until it is through with that.
    """
    timeline, timing = simulator.timeline, simulator.layers[compute.layer].timing
    done = timeline.done
    ready = max((done[index] for index in compute.waits), default=0)
    load_ready = _load_ready(compute, timing, done) if timing.overlapped else ready
    before = _tile_before(simulator, compute)
    if before is not None and before.layer != compute.layer:
        ready = max(ready, timeline.consumed[before.index])
        load_ready = load_ready if timing.overlapped else ready
    return max(0, load_ready - start), max(0, ready - start)


def _tile_before(simulator: Simulator, compute: Compute) -> Compute | None:
    """The one that was on the array before this one."""
    instructions = simulator.program.instructions
    earlier = (instructions[index] for index in range(compute.index - 1, -1, -1))
    return next((instruction for instruction in earlier if isinstance(instruction, Compute)), None)


def _load_ready(compute: Compute, timing: ArrayTiming, done: list[int]) -> int:
    """When what travels into the array ahead of the stream was in its buffer (or the room for results was free)."""
    if timing.dataflow == "weight_stationary":
        return done[compute.weight_load]
    first = compute.activation_load if timing.dataflow == "input_stationary" else compute.room
    return 0 if first is None else done[first]
