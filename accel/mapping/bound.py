"""What a mapping costs at least, in closed form and for thousands of tilings at once; the clock has the last word.

A bound is what the mapping's busiest part takes by itself, with what nothing can hide before its beginning and behind
its end: the first loads, the last wave on its way out, the last tile's vector work and its store. The parts are the
array, the vector unit, DRAM, and each buffer, whose places wait to be filled or emptied again. No clock is
faster, so a search may leave out what is bound to be worse than something it has timed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import prod
from typing import Any

import numpy as np

from accel.arch.spec import BufferSpec, Dataflow, Machine
from accel.arch.timing import ArrayTiming
from accel.flow.ir import Flow, FlowOp
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.bound_parts import (
    Bounds,
    Ends,
    Loads,
    latency_of,
    port_cycles,
    rate_of,
    transfer_cycles,
    whole_bursts,
)
from accel.mapping.cuts import Cut, kinds
from accel.mapping.mapping import ArrayMapping, Block, fold_shape, layer_step, parts
from accel.mapping.parameters import parameter_bytes
from accel.mapping.space import IntArray, Room, loop_sizes

OUTER = ("pixels", "channels")


@dataclass(frozen=True, slots=True)
class Way:
    """What an array mapping decides besides its tile's sizes."""

    dataflow: Dataflow
    outer: str
    groups_at_once: int = 1


@dataclass(frozen=True, slots=True)
class _ArrayWork:
    cycles: Any
    least_cycles: Any
    """Of any tile."""
    tail_cycles: Any
    """Of the last tile, until its last result is out."""
    weight_area: Any
    """Bytes of each tile's weights times the cycles for which the array works with them."""
    actions: Counter[str]


class ArrayBounds:
    """Bounds of one multiply-accumulate nest on one machine, for many tilings (``space``)."""

    def __init__(self, op: FlowOp, flow: Flow, machine: Machine, room: Room, tilings: IntArray) -> None:
        self.op, self.flow, self.machine, self.room, self.tilings = op, flow, machine, room, tilings
        self.step = layer_step(op, flow.tensors, machine)
        self.activation_bits = flow.tensors[op.reads[0].tensor].bits
        sizes = loop_sizes(op)
        self.cuts = {name: Cut.of(size, tile) for (name, size), tile in zip(sizes.items(), tilings, strict=True)}
        counts = {name: cut.tiles for name, cut in self.cuts.items()}
        self.group_tiles, self.channel_tiles, self.k_tiles = counts["g"], counts["n"], counts["k"]
        self.pixel_tiles = counts["b"] * counts["oh"] * counts["ow"]
        self.output_tiles = self.group_tiles * self.pixel_tiles * self.channel_tiles
        self.arrays: dict[tuple[Dataflow, int], _ArrayWork] = {}
        self.weights = self._weights()
        self.ends = Ends.of(op, flow, machine, room, {name: self.cuts[name] for name in ("g", "n", "b", "oh", "ow")})

    def mapping(self, way: Way, index: int) -> ArrayMapping:
        """One tiling, one way."""
        g, b, oh, ow, n, k = self.tilings[:, index].tolist()
        return ArrayMapping(way.dataflow, g, b, oh, ow, n, k, way.outer, way.groups_at_once)

    def of(self, way: Way) -> Bounds:
        """All tilings, one way."""
        key = (way.dataflow, way.groups_at_once)
        if key not in self.arrays:
            self.arrays[key] = self._array_work(*key)
        work, ends, weights = self.arrays[key], self.ends, self.weights[way.outer]
        loads = [weights]
        activations = None if self.room.reads_on_chip[0] else self._activations(way.outer)
        if activations is not None:
            loads.append(activations)
        buffers, latency = self.machine.buffers, latency_of(self.machine)
        first = np.maximum(sum(load.first_cycles for load in loads), self._lead(way.dataflow, activations))
        loading = sum(load.cycles for load in loads)
        behind = work.tail_cycles + ends.last_cycles
        chain = work.cycles + ends.vector_cycles + ends.store_cycles + self.output_tiles * work.tail_cycles
        if not self.room.write_on_chip:
            chain = chain + self.output_tiles * latency
        weight_area = work.weight_area + weights.content_bytes * latency + weights.least_bytes * weights.cycles
        bounds = [
            latency + first + work.cycles + behind,
            latency + first + work.least_cycles + work.tail_cycles + ends.vector_cycles,
            loading + latency + work.least_cycles + behind,
            loading + ends.store_cycles,
            parts(chain, buffers.accumulator.slots),
            _held(buffers.weight, buffers.weight.capacity_bytes, weight_area, weights, work, latency),
        ]
        if activations is not None:
            area = activations.least_bytes * (work.cycles + activations.cycles) + activations.content_bytes * latency
            bounds.append(_held(buffers.activation, self.room.activation_bytes, area, activations, work, latency))
        actions = work.actions.copy()
        actions.update(ends.actions)
        actions.update(weight_buffer_write_bytes=weights.content_bytes, dram_read_bytes=weights.dram_bytes)
        if activations is not None:
            actions.update(
                activation_buffer_write_bytes=activations.content_bytes, dram_read_bytes=activations.dram_bytes
            )
        cycles = reduce(np.maximum, bounds)
        units = work.cycles, ends.vector_cycles, loading + ends.store_cycles
        alone = [*units, *bounds[4:]]
        # Transfers are asked for about two tiles ahead, and wait in a queue behind others that are not ready.
        names = ("weight", "activation")
        for name, load in zip(names, loads, strict=False):
            ahead = buffers.by_name[name].slots
            alone.append(parts(load.tiles * self.machine.dram.latency_cycles + load.cycles + work.cycles, ahead))
        return Bounds(cycles, reduce(np.maximum, alone) + latency + first + behind, actions, units)

    def _lead(self, dataflow: Dataflow, activations: Loads | None) -> Any:
        """From the end of a first load's latency to the array's begin, if nothing else takes longer."""
        lead = ArrayTiming.of(self.machine.array, dataflow).lead_cycles
        if dataflow == "weight_stationary":
            return self.weights["pixels"].first_cycles + lead
        if dataflow == "input_stationary" and activations is not None:
            return activations.first_cycles + lead
        return np.zeros_like(self.output_tiles)

    def _weights(self) -> dict[str, Loads]:
        """All fetches of weights, by what is outer: once if all that is read again fits the buffer, else every time.

        Tiles lie behind one another, the oldest forgotten first. So of tiles that are read in turns, all are there the
        next time if all fit, and otherwise none, but perhaps smaller ones that lie where the others do not fit.
        """
        machine, buffer, bits = self.machine, self.machine.buffers.weight, self.op.weight_bits
        rate = rate_of(machine, buffer)
        groups, channels, reduction = cuts = self.cuts["g"], self.cuts["n"], self.cuts["k"]
        # Kinds of tiles along three axes; of those along k, parameters come with the last.
        g, g_count = groups.lengths[:, None, None], groups.counts[:, None, None]
        n, n_count = channels.lengths[:, None], channels.counts[:, None]
        k = np.stack([reduction.first, reduction.last])
        k_count = np.stack([self.k_tiles - 1, np.ones_like(self.k_tiles)])
        parameters = g * n * parameter_bytes(self.op, machine) * np.array([[0], [1]])
        count = g_count * n_count * k_count
        content = parts(g * n * k * bits, 8)
        moved = whole_bursts(content + parameters, machine)
        turn_cycles = transfer_cycles(machine, rate, moved)
        large = (g == groups.first) & (n == channels.first) & (k == reduction.first)
        of_channels = (k_count * content).sum(axis=2, keepdims=True)
        read_in_turns = {
            "pixels": (self.k_tiles * self.channel_tiles, (n_count * of_channels).sum(axis=1, keepdims=True)),
            "channels": (self.k_tiles, of_channels),
        }
        first, least = (
            parts(prod(sizes) * bits, 8) for sizes in ([cut.first for cut in cuts], [cut.last for cut in cuts])
        )
        first_cycles = transfer_cycles(machine, rate, whole_bursts(first, machine))
        found = {}
        for outer, (number, size_bytes) in read_in_turns.items():
            stay = (number == 1) | (buffer.double_buffered & (size_bytes <= buffer.capacity_bytes))
            fetches = count * np.where(large & ~stay, self.pixel_tiles, 1)
            tiles, content_bytes, dram_bytes, cycles = (
                (fetches * each).sum(axis=(0, 1, 2)) for each in (1, content, moved, turn_cycles)
            )
            found[outer] = Loads(tiles, content_bytes, dram_bytes, cycles, cycles, first_cycles, least, 0, 0)
        return found

    def _activations(self, outer: str) -> Loads:
        """All fetches of activations."""
        once = self._activations_once
        if outer == "pixels":
            return once
        # Of a pass over the pixels of the groups that are fewest together.
        in_a_pass = once.content_bytes * self.cuts["g"].last // self.op.sizes["g"]
        buffer = self.machine.buffers.activation
        stay = (self.pixel_tiles == 1) | (buffer.double_buffered & (in_a_pass <= self.room.activation_bytes))
        again = np.where(stay, 0, self.channel_tiles - 1)
        rate = rate_of(self.machine, buffer)
        return replace(
            once,
            tiles=once.tiles + again * once.large_tiles,
            content_bytes=once.content_bytes + again * once.large_bytes,
            dram_bytes=once.dram_bytes + again * once.large_bytes,
            cycles=once.cycles + transfer_cycles(self.machine, rate, again * once.large_bytes),
        )

    @cached_property
    def _activations_once(self) -> Loads:
        (read,) = self.op.reads
        tiles = dict(zip(("g", "b", "oh", "ow"), self.tilings, strict=False))
        count = self.group_tiles * self.pixel_tiles
        return Loads.of_boxes(read, self.op, tiles, count, self.activation_bits, self.machine)

    def _array_work(self, dataflow: Dataflow, groups_at_once: int) -> _ArrayWork:
        """What the array is busy with, a port that is too narrow included."""
        machine, timing = self.machine, ArrayTiming.of(self.machine.array, dataflow)
        stored = OperandBits(self.op.weight_bits, self.activation_bits)
        names = ("g", "n", "b", "oh", "ow", "k")
        total = np.zeros_like(self.output_tiles)
        weight_area = np.zeros_like(total)
        least = np.full_like(total, np.iinfo(np.int64).max)
        actions: Counter[str] = Counter()
        for length, count in kinds({name: self.cuts[name] for name in names}):
            tile = Block(length["g"], length["b"] * length["oh"] * length["ow"], length["n"], length["k"])
            folds, stream = fold_shape(dataflow, tile, machine.array, self.step, groups_at_once)
            done = array_actions(machine, dataflow, tile, False, stored, self.step, groups_at_once)
            # What follows the shorter tile of a reduction may begin earlier behind it than behind one of its own size.
            last = _period(timing, stream, np.where(tile.depth < self.cuts["k"].first, 0, timing.shift_out_cycles))
            issue = (folds - 1) * _period(timing, stream, timing.shift_out_cycles) + last
            busy = np.maximum(issue, port_cycles(machine, self._as_if_first(done, tile)))
            weights_bytes = parts(tile.groups * tile.channels * tile.depth * self.op.weight_bits, 8)
            total += (count * busy).sum(axis=0)
            weight_area += (count * busy * weights_bytes).sum(axis=0)
            least = np.minimum(least, np.where(count > 0, busy, np.iinfo(np.int64).max).min(axis=0))
            for name, amount in done.items():
                actions[name] += (count * amount).sum(axis=0)
        # A first tile along k adds to nothing.
        outputs = prod(self.op.write.shape)
        actions["accumulator_adds"] -= outputs
        actions["accumulator_buffer_read_bytes"] -= parts(outputs * machine.pe.accumulator_bits, 8)
        sizes = {name: cut.last for name, cut in self.cuts.items()}
        final = Block(sizes["g"], sizes["b"] * sizes["oh"] * sizes["ow"], sizes["n"], sizes["k"])
        _, stream = fold_shape(dataflow, final, machine.array, self.step, groups_at_once)
        tail = np.zeros_like(total)
        if timing.overlapped:
            period = _period(timing, stream, timing.shift_out_cycles)
            tail = np.maximum(0, stream + timing.flush_cycles - period)
        return _ArrayWork(total, least, tail, weight_area, actions)

    def _as_if_first(self, done: Counter[str], tile: Block) -> Counter[str]:
        """Less what a first tile along k does not read from the accumulators."""
        less = done.copy()
        sums = parts(tile.groups * tile.pixels * tile.channels * self.machine.pe.accumulator_bits, 8)
        less["accumulator_buffer_read_bytes"] = np.maximum(0, less["accumulator_buffer_read_bytes"] - sums)
        return less


def _held(buffer: BufferSpec, capacity_bytes: int, area: Any, loads: Loads, work: _ArrayWork, latency: int) -> Any:
    """How long a buffer needs to hold every tile from when it is fetched until the array has read it.

    ``area``: bytes times cycles of all tiles. Without double buffering there is one at a time.
    """
    if buffer.double_buffered:
        return area // capacity_bytes
    return loads.tiles * latency + loads.cycles + work.cycles


def _period(timing: ArrayTiming, stream: Any, shift_out_cycles: Any) -> Any:
    """``ArrayTiming.period`` for many streams."""
    if not timing.overlapped:
        return timing.load_cycles + stream + timing.flush_cycles
    wait = np.maximum(stream, shift_out_cycles)
    hidden = np.maximum(wait, timing.load_cycles)
    if not timing.serialized_short_folds:
        return hidden
    behind = timing.behind_wave_cycles
    return np.where(stream < behind, np.maximum(wait, stream + behind), hidden)
