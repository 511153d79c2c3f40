"""Flow + Machine + mappings -> Program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import ceil

from accel.arch.multiplier import Step
from accel.arch.spec import Machine
from accel.flow.ir import Flow, FlowOp, Range, Region, elements
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.mapping import (
    ArrayMapping,
    ArrayTile,
    VectorMapping,
    array_tiles,
    fold_shape,
    layer_step,
    vector_tiles,
)
from accel.mapping.program import Compute, Instruction, Layer, Load, Program, Store, Vector
from accel.mapping.thresholds import levels
from accel.mapping.vector_work import vector_work
from accel.result import Actions

BIAS_BYTES = 4
PARAMETER_BYTES = 8
"""Per output channel: a 32-bit bias and a 32-bit multiplier."""


def emit(flow: Flow, machine: Machine, mappings: Sequence[ArrayMapping | VectorMapping | None]) -> Program:
    """Write the instructions of every layer.

    Layers run one after another: activations of a layer are loaded when the layer before has stored its last output.
    Weights know no such barrier; they are fetched ahead as soon as a slot is free.
    """
    emitter = _Emitter(flow, machine)
    layers = [emitter.layer(op, mapping) for op, mapping in zip(flow.ops, mappings, strict=True)]
    instructions = tuple(emitter.instructions)
    return Program(flow, machine.name, tuple(layers), instructions, _issue(instructions))


def _issue(instructions: Sequence[Instruction]) -> tuple[int, ...]:
    """Tile by tile, but every transfer as early as may be: right behind the last of what it waits for.

    A transfer that is not ready holds up those behind it. So Loads run ahead of their tiles as far as there are slots,
    and a Store comes right behind its Vector.
    """

    def place(index: int) -> int:
        instruction = instructions[index]
        return max(instruction.waits, default=-1) if isinstance(instruction, Load | Store) else index

    return tuple(sorted(range(len(instructions)), key=place))


class _Slots:
    """The slots of one buffer: what each holds, and which instructions still read it."""

    def __init__(self, count: int) -> None:
        self.contents: list[Hashable] = [None] * count
        self.loads: list[int] = [-1] * count
        self.readers: list[list[int]] = [[] for _ in range(count)]
        self.oldest_first = list(range(count))

    def find(self, key: Hashable) -> int | None:
        """The slot that holds ``key`` already."""
        for slot, held in enumerate(self.contents):
            if held == key:
                self._touch(slot)
                return slot
        return None

    def claim(self, key: Hashable) -> tuple[int, tuple[int, ...]]:
        """The least recently used slot, and what must have let go of it before it may be filled."""
        slot = self.oldest_first[0]
        self._touch(slot)
        waits = tuple(self.readers[slot])
        self.contents[slot], self.readers[slot] = key, []
        return slot, waits

    def _touch(self, slot: int) -> None:
        self.oldest_first.remove(slot)
        self.oldest_first.append(slot)


class _Emitter:
    def __init__(self, flow: Flow, machine: Machine) -> None:
        self.flow = flow
        self.machine = machine
        self.instructions: list[Instruction] = []
        buffers = machine.buffers
        self.weights, self.activations, self.accumulators = (
            _Slots(2 if buffer.double_buffered else 1)
            for buffer in (buffers.weight, buffers.activation, buffers.accumulator)
        )
        self.barrier: tuple[int, ...] = ()
        self.layers = 0
        self.actions: Counter[str] = Counter()
        self.shape_actions: dict[Hashable, Counter[str]] = {}

    def layer(self, op: FlowOp, mapping: ArrayMapping | VectorMapping | None) -> Layer:
        self.actions = Counter()
        start = len(self.instructions)
        if isinstance(mapping, ArrayMapping):
            self._array_layer(op, mapping)
        elif isinstance(mapping, VectorMapping):
            self._vector_layer(op, mapping)
        stores = [i.index for i in self.instructions[start:] if isinstance(i, Store)]
        if stores:
            self.barrier = (stores[-1],)
        self.layers += 1
        return Layer(op, mapping, Actions(**self.actions))

    def _array_layer(self, op: FlowOp, mapping: ArrayMapping) -> None:
        step = layer_step(op, self.flow.tensors, self.machine)
        accumulator = 0
        room: tuple[int, ...] = ()
        for tile, first, last in array_tiles(op, mapping):
            ranges = self._ranges(op, tile)
            weight, weight_load = self._load_weights(op, tile, last)
            activation, activation_loads = self._load_activations(op, ranges)
            if first:
                accumulator, room = self.accumulators.claim(None)
            compute = self._compute(
                op,
                mapping,
                step,
                tile,
                (first, last),
                (weight, activation, accumulator),
                (weight_load, *activation_loads),
                room,
            )
            self.weights.readers[weight].append(compute.index)
            self.activations.readers[activation].append(compute.index)
            if last:
                box = op.write.region(ranges)
                self._finish(op, None, accumulator, box, (compute.index,))

    def _vector_layer(self, op: FlowOp, mapping: VectorMapping) -> None:
        for ranges in vector_tiles(op, mapping):
            activation, loads = self._load_activations(op, ranges)
            accumulator, room = self.accumulators.claim(None)
            vector = self._finish(op, activation, accumulator, op.write.region(ranges), (*loads, *room))
            self.activations.readers[activation].append(vector)

    def _load_weights(self, op: FlowOp, tile: ArrayTile, last: bool) -> tuple[int, int]:
        key = (self.layers, tile.g, tile.n, tile.k)
        held = self.weights.find(key)
        if held is not None:
            return held, self.weights.loads[held]
        slot, waits = self.weights.claim(key)
        bits = tile.groups * tile.channels * tile.depth * op.weight_bits
        parameters = tile.groups * tile.channels * self._parameter_bytes(op) if last else 0
        size = self._bursts(ceil(bits / 8) + parameters)
        self.actions["weight_buffer_write_bytes"] += ceil(bits / 8)
        self.actions["dram_read_bytes"] += size
        index = len(self.instructions)
        box = (tile.g, tile.n, tile.k)
        self.instructions.append(Load(index, self.layers, waits, "weight", slot, 0, f"{op.name}.weight", box, size))
        self.weights.loads[slot] = index
        return slot, index

    def _parameter_bytes(self, op: FlowOp) -> int:
        """Per output channel: a bias and a multiplier, or a bias and thresholds as wide as the accumulators."""
        steps = levels(op.node)
        return BIAS_BYTES + ceil(steps * self.machine.pe.accumulator_bits / 8) if steps else PARAMETER_BYTES

    def _load_activations(self, op: FlowOp, ranges: dict[str, Range]) -> tuple[int, tuple[int, ...]]:
        boxes = tuple(read.region(ranges) for read in op.reads)
        key = (self.layers, boxes)
        held = self.activations.find(key)
        if held is not None:
            return held, (self.activations.loads[held],)
        slot, waits = self.activations.claim(key)
        indices = []
        for part, (read, box) in enumerate(zip(op.reads, boxes, strict=True)):
            content = ceil(elements(box) * self.flow.tensors[read.tensor].bits / 8)
            size = self._bursts(content)
            self.actions["activation_buffer_write_bytes"] += content
            self.actions["dram_read_bytes"] += size
            index = len(self.instructions)
            self.instructions.append(
                Load(index, self.layers, waits + self.barrier, "activation", slot, part, read.tensor, box, size)
            )
            indices.append(index)
        self.activations.loads[slot] = indices[-1]
        return slot, tuple(indices)

    def _compute(
        self,
        op: FlowOp,
        mapping: ArrayMapping,
        step: Step,
        tile: ArrayTile,
        ends: tuple[bool, bool],
        slots: tuple[int, int, int],
        loads: tuple[int, ...],
        room: tuple[int, ...],
    ) -> Compute:
        first, last = ends
        shape = (self.layers, mapping.dataflow, tile.groups, tile.pixels, tile.channels, tile.depth, first)
        actions = self.shape_actions.get(shape)
        if actions is None:
            stored = OperandBits(op.weight_bits, self.flow.tensors[op.reads[0].tensor].bits)
            actions = self.shape_actions[shape] = array_actions(
                self.machine, mapping.dataflow, tile, first, stored, step, mapping.groups_at_once
            )
        self.actions.update(actions)
        folds, stream = fold_shape(mapping.dataflow, tile, self.machine.array, step, mapping.groups_at_once)
        port_cycles, port = self._port(actions)
        compute = Compute(
            index=len(self.instructions),
            layer=self.layers,
            waits=(*loads, *(room if first else ())),
            tile=tile,
            first=first,
            last=last,
            weight_slot=slots[0],
            activation_slot=slots[1],
            accumulator_slot=slots[2],
            weight_load=loads[0],
            activation_load=loads[-1],
            room=room[0] if first and room else None,
            folds=folds,
            stream=stream,
            port_cycles=port_cycles,
            port=port,
        )
        self.instructions.append(compute)
        return compute

    def _port(self, actions: Counter[str]) -> tuple[int, str]:
        buffers = self.machine.buffers
        needs = (
            (ceil(actions["weight_buffer_read_bytes"] / buffers.weight.width_bytes_per_cycle), "weight"),
            (
                ceil(actions["activation_buffer_read_bytes"] / buffers.activation.width_bytes_per_cycle),
                "activation",
            ),
            (
                ceil(actions["accumulator_buffer_write_bytes"] / buffers.accumulator.width_bytes_per_cycle),
                "accumulator",
            ),
        )
        return max(needs, key=lambda need: need[0])

    def _finish(self, op: FlowOp, activation: int | None, accumulator: int, box: Region, waits: tuple[int, ...]) -> int:
        """The Vector that makes ``box`` and the Store that takes it away; the Vector's index."""
        work = vector_work(op, box, self.flow.tensors, self.machine)
        out_bytes = ceil(elements(box) * self.flow.tensors[op.write.tensor].bits / 8)
        size = self._bursts(out_bytes)
        self.actions.update(work.actions)
        self.actions["accumulator_buffer_write_bytes"] += out_bytes
        self.actions["accumulator_buffer_read_bytes"] += out_bytes
        self.actions["dram_write_bytes"] += size
        vector = Vector(len(self.instructions), self.layers, waits, activation, accumulator, box, work.cycles)
        store = Store(vector.index + 1, self.layers, (vector.index,), accumulator, op.write.tensor, box, size)
        self.instructions += (vector, store)
        self.accumulators.readers[accumulator] = [store.index]
        return vector.index

    def _ranges(self, op: FlowOp, tile: ArrayTile) -> dict[str, Range]:
        """The loop ranges whose data a tile touches: all of c, kh, kw, as activations are not cut along k."""
        ranges = dict(op.whole)
        ranges.update(g=tile.g, b=tile.b, oh=tile.oh, ow=tile.ow, n=tile.n)
        return ranges

    def _bursts(self, size_bytes: int) -> int:
        burst = self.machine.dram.burst_bytes
        return -(-size_bytes // burst) * burst
