"""Parts of the bounds on mappings: what many tilings' loads, vector work and stores take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from accel.arch.spec import BufferSpec, Machine
from accel.flow.ir import Access, Affine, Flow, FlowOp, Shape4
from accel.mapping.cuts import Cut, kinds
from accel.mapping.mapping import cycles_at, parts
from accel.mapping.space import IntArray, Room
from accel.mapping.vector_work import work_on


@dataclass(frozen=True, slots=True)
class Bounds:
    """At least so much, for each tiling."""

    cycles: IntArray
    expected_cycles: IntArray
    """No bound: what the busiest part takes, and all that may not hide behind it."""
    actions: Counter[str]
    """Arrays, by the field names of ``accel.result.Actions``."""
    units: tuple[Any, Any, Any]
    """Cycles for which array, vector unit and DMA are busy."""

    @property
    def dram_bytes(self) -> Any:
        """Read and written."""
        return self.actions["dram_read_bytes"] + self.actions["dram_write_bytes"]


@dataclass(frozen=True, slots=True)
class Loads:
    """Fetches of an operand, tile by tile."""

    tiles: Any
    """How many loads."""
    content_bytes: Any
    dram_bytes: Any
    cycles: Any
    expected_cycles: Any
    """No bound: as if pieces of different pixels never shared a burst."""
    first_cycles: Any
    """Of the first tile alone."""
    least_bytes: Any
    """Of any tile's content."""
    large_tiles: Any
    """How many tiles are as large as any."""
    large_bytes: Any
    """Content of all of these."""

    @classmethod
    def of_boxes(
        cls, read: Access, op: FlowOp, tiles: Mapping[str, IntArray], count: Any, bits: int, machine: Machine
    ) -> Loads:
        """One fetch of a tensor's boxes, halos included.

        Parameters
        ----------
        tiles
            The tile's size along the loops that are cut.
        count
            How many boxes.
        """
        burst = 8 * machine.dram.burst_bytes
        _, channels, _, width = read.shape
        # Where only channels, or columns, are cut, a piece is so many bits an element of that axis.
        piece_bits = (0, bits, 0, bits * channels)
        sides = [
            _side(expression, limit, op, tiles, unit, burst)
            for expression, limit, unit in zip(read.index, read.shape, piece_bits, strict=True)
        ]
        b, c, h, w = sides
        content = parts(prod(side.total for side in sides) * bits, 8)
        bursts = parts(content, machine.dram.burst_bytes)
        apart = bits * (channels - c.largest) >= burst
        bursts = np.where(apart, b.total * h.total * w.total * c.pieces, bursts)
        apart = (c.least == channels) & (bits * channels * (width - w.largest) >= burst)
        bursts = np.where(apart, b.total * h.total * w.pieces, bursts)
        dram_bytes = np.maximum(bursts * machine.dram.burst_bytes, content)
        cut_off = (c.least < channels) & (bits * channels >= burst)
        expected = np.where(cut_off, b.total * h.total * w.total * c.pieces, bursts) * machine.dram.burst_bytes
        first = whole_bursts(parts(prod(side.first for side in sides) * bits, 8), machine)
        least = parts(prod(side.least for side in sides) * bits, 8)
        rate = rate_of(machine, machine.buffers.activation)
        large_tiles = prod(side.largest_count for side in sides)
        large = large_tiles * parts(prod(side.largest for side in sides) * bits, 8)
        return cls(
            count,
            content,
            dram_bytes,
            transfer_cycles(machine, rate, dram_bytes),
            transfer_cycles(machine, rate, np.maximum(expected, dram_bytes)),
            transfer_cycles(machine, rate, first),
            least,
            large_tiles,
            large,
        )


@dataclass(frozen=True, slots=True)
class Ends:
    """Vector work and stores of all output tiles."""

    vector_cycles: Any
    store_cycles: Any
    last_cycles: Any
    """The last tile's vector work, its store, and that one's latency."""
    actions: Counter[str]

    @classmethod
    def of(
        cls,
        op: FlowOp,
        flow: Flow,
        machine: Machine,
        room: Room,
        cuts: Mapping[str, Cut],
    ) -> Ends:
        """Output tiles are the product of ``cuts``."""
        vector_cycles, store_cycles = 0, 0
        actions: Counter[str] = Counter()
        for lengths, count in kinds(cuts):
            vector, store, done = _end(op, flow, machine, room, lengths)
            vector_cycles = vector_cycles + (count * vector).sum(axis=0)
            store_cycles = store_cycles + (count * store).sum(axis=0)
            for name, amount in done.items():
                actions[name] += (count * amount).sum(axis=0)
        lengths = {name: cut.last for name, cut in cuts.items()}
        vector, store, _ = _end(op, flow, machine, room, lengths)
        latency = 0 if room.write_on_chip else latency_of(machine)
        return cls(vector_cycles, store_cycles, vector + store + latency, actions)


def _end(
    op: FlowOp, flow: Flow, machine: Machine, room: Room, lengths: Mapping[str, Any]
) -> tuple[Any, Any, Counter[str]]:
    """Of output tiles of these sizes: cycles of vector work and of the store, and actions."""
    bits = flow.tensors[op.write.tensor].bits
    outputs = prod(lengths.values())
    work = work_on(op, outputs, flow.tensors, machine)
    content = parts(outputs * bits, 8)
    actions = work.actions
    target = "activation" if room.write_on_chip else "accumulator"
    actions[f"{target}_buffer_write_bytes"] = actions[f"{target}_buffer_write_bytes"] + content
    cycles = np.maximum(work.cycles, port_cycles(machine, actions))
    if room.write_on_chip:
        return cycles, 0 * content, actions
    box = [lengths["b"], 1, 1, 1]
    if op.on_array:
        box[1:] = [lengths["g"] * lengths["n"], lengths["oh"], lengths["ow"]]
    else:
        box[1:] = [lengths[name] for name in "chw"]
    moved = least_bursts(op.write.shape, bits, box, machine.dram.burst_bytes) * machine.dram.burst_bytes
    actions["accumulator_buffer_read_bytes"] = actions["accumulator_buffer_read_bytes"] + content
    actions["dram_write_bytes"] = moved
    return cycles, transfer_cycles(machine, rate_of(machine, machine.buffers.accumulator), moved), actions


def port_cycles(machine: Machine, actions: Mapping[str, Any]) -> Any:
    """Of the buffer whose port is slowest; a bank's two ports read and write at a time, its only one does either."""
    cycles = []
    for name, buffer in machine.buffers.by_name.items():
        read, written = actions[f"{name}_buffer_read_bytes"], actions[f"{name}_buffer_write_bytes"]
        moved = np.maximum(read, written) if buffer.ports == 2 else read + written
        cycles.append(cycles_at(buffer.width_bytes_per_cycle, np.asarray(moved)))
    return np.maximum(np.maximum(cycles[0], cycles[1]), cycles[2])


def least_bursts(shape: Shape4, bits: int, box: Sequence[Any], burst_bytes: int) -> Any:
    """Bursts that a box (b, c, h, w) of these sizes touches at least, wherever it lies; channels are innermost.

    Pieces nearer to each other than a burst leave none between them out; others have bursts of their own.
    """
    burst = 8 * burst_bytes
    b, c, h, w = box
    span, bursts, dense, step = bits, np.asarray(1), np.asarray(True), bits
    for length, size in ((c, shape[1]), (w, shape[3]), (h, shape[2]), (b, shape[0])):
        near = step - span < burst
        span = (length - 1) * step + span
        apart = length * bursts - near * (length - 1)
        bursts = np.where(dense & near, parts(span, burst), apart)
        dense = dense & (near | (np.asarray(length) == 1))
        step *= size
    return bursts


def rate_of(machine: Machine, buffer: BufferSpec) -> float:
    """Bytes a cycle between DRAM and a buffer, at most."""
    dram = machine.dram
    fastest = dram.sustained_bytes_per_cycle if dram.device is None else dram.bandwidth_bytes_per_cycle
    return min(fastest, buffer.width_bytes_per_cycle)


def latency_of(machine: Machine) -> int:
    """From the end of a transfer's turn until its data are there, at least; a device's open row may answer sooner."""
    return machine.dram.latency_cycles if machine.dram.device is None else 0


def transfer_cycles(machine: Machine, rate: float, size_bytes: Any) -> Any:
    """A transfer's turn, at least; those of a device follow each other without waiting for whole cycles."""
    return cycles_at(rate, size_bytes) if machine.dram.device is None else np.floor(size_bytes / rate).astype(np.int64)


def whole_bursts(size_bytes: Any, machine: Machine) -> Any:
    """So many bytes in whole bursts."""
    burst = machine.dram.burst_bytes
    return parts(size_bytes, burst) * burst


@dataclass(frozen=True, slots=True)
class _Side:
    """What a tiling's tiles touch along one axis of a tensor, one tile after another."""

    total: Any
    first: Any
    least: Any
    largest: Any
    largest_count: Any
    pieces: Any
    """Bursts, if every tile's elements were a piece by themselves."""


def _side(
    expression: Affine, limit: int, op: FlowOp, tiles: Mapping[str, IntArray], unit_bits: int, burst_bits: int
) -> _Side:
    sizes = op.sizes
    names = [name for name, _ in expression.terms if name in tiles and sizes[name] > 1]
    if not names:
        low, high = expression.span(op.whole)
        length = max(0, min(high, limit) - max(low, 0))
        return _Side(length, length, length, length, 1, parts(length * unit_bits, burst_bits))
    (name,) = names
    size, step = sizes[name], dict(expression.terms)[name]
    more = sum(factor * (sizes[other] - 1) for other, factor in expression.terms if other != name)
    lengths, place = np.unique(tiles[name], return_inverse=True)
    # All tiles of the first length, then those of the next one.
    counts = parts(size, lengths)
    begins = np.cumsum(counts) - counts
    each = np.repeat(lengths, counts)
    starts = (np.arange(len(each)) - np.repeat(begins, counts)) * each
    ends = np.minimum(starts + each, size)
    lows = np.clip(expression.offset + step * starts, 0, limit)
    spans = np.clip(expression.offset + step * (ends - 1) + more + 1, lows, limit) - lows
    largest = np.maximum.reduceat(spans, begins)
    is_largest = (spans == np.repeat(largest, counts)).astype(np.int64)
    return _Side(
        total=np.add.reduceat(spans, begins)[place],
        first=spans[begins][place],
        least=np.minimum.reduceat(spans, begins)[place],
        largest=largest[place],
        largest_count=np.add.reduceat(is_largest, begins)[place],
        pieces=np.add.reduceat(parts(spans * unit_bits, burst_bits), begins)[place],
    )
