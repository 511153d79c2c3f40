"""Flow + Machine + mappings -> Program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from math import ceil

from accel.arch.multiplier import Step
from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Access, Flow, FlowOp, Range, Region, elements
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.layout import Layout, Place, Runs, runs_of
from accel.mapping.mapping import (
    ArrayMapping,
    ArrayTile,
    VectorMapping,
    array_tiles,
    cut,
    fold_shape,
    layer_step,
    tile_ranges,
    vector_tiles,
)
from accel.mapping.parameters import parameter_bytes
from accel.mapping.program import Compute, Instruction, Layer, Load, PortCycles, Program, Store, Vector
from accel.mapping.residency import Residency, nothing_stays
from accel.mapping.ring import Held, Ring
from accel.mapping.vector_work import vector_work
from accel.result import Actions

TILES_AHEAD = 2
"""How many tiles before their own one operands are asked for: one under way, the next one's there."""


def emit(
    flow: Flow,
    machine: Machine,
    mappings: Sequence[ArrayMapping | VectorMapping | None],
    residency: Residency | None = None,
) -> Program:
    """Write the instructions of every layer.

    Layers run one after another: activations of a layer are loaded when the layer before has stored its last output.
    Weights know no such barrier; they are fetched ahead as soon as there is room.

    Parameters
    ----------
    residency
        What stays on chip between layers; nothing unless given.
    """
    emitter = _Emitter(flow, machine, residency or nothing_stays(flow, machine))
    layers = [emitter.layer(op, mapping) for op, mapping in zip(flow.ops, mappings, strict=True)]
    _check_capacity(flow, machine, emitter.layout.end)
    issue = tuple(sorted(range(len(emitter.instructions)), key=emitter.issue_place))
    return Program(
        flow,
        machine.name,
        tuple(layers),
        tuple(emitter.instructions),
        issue,
        emitter.layout.places,
        emitter.residency,
    )


def _check_capacity(flow: Flow, machine: Machine, size_bytes: int) -> None:
    device = machine.dram.device
    if device is not None and size_bytes > device.capacity_bytes:
        raise AccelError(
            f"weights and activations take {size_bytes} bytes, and the DRAM of {machine.name} has "
            f"{device.capacity_bytes} ({size_bytes - device.capacity_bytes} too few)",
            flow.path,
            "give the device more rows or channels, or simulate fewer images at a time",
        )


class _Emitter:
    def __init__(self, flow: Flow, machine: Machine, residency: Residency) -> None:
        self.flow = flow
        self.machine = machine
        self.residency = residency
        self.layout = Layout(flow, machine.dram.burst_bytes, residency.kept)
        self.instructions: list[Instruction] = []
        buffers = machine.buffers
        self.buffers = buffers.by_name
        self.weights = Ring(buffers.weight.capacity_bytes, buffers.weight.double_buffered)
        self.activations = Ring(buffers.activation.capacity_bytes, buffers.activation.double_buffered)
        self.freed: list[tuple[int, ...]] = [()] * (2 if buffers.accumulator.double_buffered else 1)
        """By accumulator slot, the instruction that took its last result away."""
        self.tiles = 0
        self.work: list[int] = []
        """Computes and Vectors so far."""
        self.weight_places: dict[Hashable, Place] = {}
        self.earliest: dict[int, int] = {}
        """Where a Load is issued at the earliest."""
        self.barrier: tuple[int, ...] = ()
        self.layers = 0
        self.actions: Counter[str] = Counter()
        self.shape_actions: dict[Hashable, Counter[str]] = {}

    def issue_place(self, index: int) -> int:
        """Tile by tile, but every transfer as early as may be: right behind the last of what it waits for.

        A transfer that is not ready holds up those behind it. So a Store comes right behind its Vector, and Loads run
        ahead of their tiles as far as there is room, but no further than hides their latency.
        """
        instruction = self.instructions[index]
        if not isinstance(instruction, Load | Store):
            return index
        return self.earliest[index] if isinstance(instruction, Load) else max(instruction.waits)

    def layer(self, op: FlowOp, mapping: ArrayMapping | VectorMapping | None) -> Layer:
        self.actions = Counter()
        start = len(self.instructions)
        if isinstance(mapping, ArrayMapping):
            self._array_layer(op, mapping)
        elif isinstance(mapping, VectorMapping):
            self._vector_layer(op, mapping)
        ends = [
            i.index for i in self.instructions[start:] if isinstance(i, Store) or (isinstance(i, Vector) and i.stays)
        ]
        if ends:
            self.barrier = (ends[-1],)
        self.layers += 1
        return Layer(op, mapping, Actions(**self.actions))

    def _array_layer(self, op: FlowOp, mapping: ArrayMapping) -> None:
        step = layer_step(op, self.flow.tensors, self.machine)
        tiles = list(array_tiles(op, mapping))
        self._begin_layer(self._weight_bytes(op, [tile for tile, _, _ in tiles[: _pass_tiles(op, mapping)]]))
        accumulator = 0
        room: tuple[int, ...] = ()
        images: dict[Hashable, Region] = {}
        for tile, first, last in tiles:
            weights = self._load_weights(op, tile, last)
            pixels = tile.g, tile.b, tile.oh, tile.ow
            image = images.get(pixels)
            if image is None:
                image = images[pixels] = op.reads[0].region(tile_ranges(op, tile))
            activations = self._load_activations(op, (image,))
            if first:
                accumulator, room = self._accumulators()
            compute = self._compute(
                op, mapping, step, tile, (first, last), (weights, activations), image, accumulator, room
            )
            for held in (weights, activations):
                if held is not None:
                    held.readers.append(compute.index)
            if last:
                box = op.write.region(tile_ranges(op, tile))
                self._finish(op, (), None, accumulator, box, (compute.index,))

    def _vector_layer(self, op: FlowOp, mapping: VectorMapping) -> None:
        self._begin_layer(0)
        for ranges in vector_tiles(op, mapping):
            boxes = tuple(read.region(ranges) for read in op.reads)
            held = self._load_activations(op, boxes)
            accumulator, room = self._accumulators()
            loads = () if held is None else held.loads
            on_chip = self.barrier if self._some_on_chip(op) else ()
            vector = self._finish(
                op, boxes, held, accumulator, op.write.region(ranges), tuple(dict.fromkeys((*loads, *on_chip, *room)))
            )
            if held is not None:
                held.readers.append(vector)

    def _begin_layer(self, weight_bytes: int) -> None:
        """Tiles of activations of the layer before are of no more use; weights make room for this layer's."""
        self.activations.limit(self.residency.free_bytes[self.layers])
        self.weights.room_for(weight_bytes)

    def _accumulators(self) -> tuple[int, tuple[int, ...]]:
        """The next accumulator slot, and what must have freed it."""
        slot = self.tiles % len(self.freed)
        self.tiles += 1
        return slot, self.freed[slot]

    def _weight_bytes(self, op: FlowOp, tiles: Sequence[ArrayTile]) -> int:
        """Of different tiles' weights."""
        different = {(tile.g, tile.n, tile.k): tile for tile in tiles}
        return sum(ceil(tile.groups * tile.channels * tile.depth * op.weight_bits / 8) for tile in different.values())

    def _load_weights(self, op: FlowOp, tile: ArrayTile, last: bool) -> Held:
        key = (self.layers, tile.g, tile.n, tile.k)
        held = self.weights.find(key)
        if held is not None:
            return held
        content = self._weight_bytes(op, [tile])
        held, waits = self.weights.claim(key, content)
        name = f"{op.name}.weight"
        place = self.weight_places.get(key)
        if place is None:
            parameters = tile.groups * tile.channels * parameter_bytes(op, self.machine) if last else 0
            place = self.weight_places[key] = self.layout.add(name, content + parameters)
        self.actions["weight_buffer_write_bytes"] += content
        box = (tile.g, tile.n, tile.k)
        runs = Runs(8 * place.address, 8 * place.size_bytes)
        held.loads = (self._load("weight", held, 0, name, box, runs, waits),)
        return held

    def _load(
        self,
        buffer: str,
        held: Held,
        part: int,
        tensor: str,
        box: Region | tuple[Range, Range, Range],
        runs: Runs,
        waits: tuple[int, ...],
    ) -> int:
        size = self._bursts(runs)
        self.actions["dram_read_bytes"] += size
        index = len(self.instructions)
        ahead = self.work[-TILES_AHEAD] if len(self.work) >= TILES_AHEAD else -1
        self.earliest[index] = max(ahead, *waits, -1)
        self.instructions.append(
            Load(index, self.layers, waits, buffer, held.offset, held.size_bytes, part, tensor, box, runs, size)
        )
        return index

    def _some_on_chip(self, op: FlowOp) -> bool:
        return any(read.tensor in self.residency.kept for read in op.reads)

    def _load_activations(self, op: FlowOp, boxes: tuple[Region, ...]) -> Held | None:
        """The operands that do not stay on chip, as one tile; None if all do."""
        kept = self.residency.kept
        parts = [
            (part, read, box)
            for part, (read, box) in enumerate(zip(op.reads, boxes, strict=True))
            if read.tensor not in kept
        ]
        if not parts:
            return None
        held = self.activations.find(boxes)
        if held is not None:
            return held
        sizes = [ceil(elements(box) * self.flow.tensors[read.tensor].bits / 8) for _, read, box in parts]
        held, waits = self.activations.claim(boxes, sum(sizes))
        self.actions["activation_buffer_write_bytes"] += sum(sizes)
        held.loads = tuple(
            self._load("activation", held, part, read.tensor, box, self._runs(read, box), waits + self.barrier)
            for part, read, box in parts
        )
        return held

    def _runs(self, access: Access, box: Region) -> Runs:
        return runs_of(self.layout.places[access.tensor], access.shape, self.flow.tensors[access.tensor].bits, box)

    def _compute(
        self,
        op: FlowOp,
        mapping: ArrayMapping,
        step: Step,
        tile: ArrayTile,
        ends: tuple[bool, bool],
        operands: tuple[Held, Held | None],
        image: Region,
        accumulator: int,
        room: tuple[int, ...],
    ) -> Compute:
        first, last = ends
        weights, activations = operands
        activation_loads = self.barrier if activations is None else activations.loads
        shape = (self.layers, mapping.dataflow, tile.groups, tile.pixels, tile.channels, tile.depth, first)
        actions = self.shape_actions.get(shape)
        if actions is None:
            stored = OperandBits(op.weight_bits, self.flow.tensors[op.reads[0].tensor].bits)
            actions = self.shape_actions[shape] = array_actions(
                self.machine, mapping.dataflow, tile, first, stored, step, mapping.groups_at_once
            )
        self.actions.update(actions)
        folds, stream = fold_shape(mapping.dataflow, tile, self.machine.array, step, mapping.groups_at_once)
        compute = Compute(
            index=len(self.instructions),
            layer=self.layers,
            waits=(*weights.loads, *activation_loads, *(room if first else ())),
            tile=tile,
            first=first,
            last=last,
            weight_offset=weights.offset,
            activation_offset=None if activations is None else activations.offset,
            image=image,
            accumulator_slot=accumulator,
            weight_load=weights.loads[0],
            activation_load=activation_loads[-1] if activation_loads else None,
            room=room[0] if first and room else None,
            folds=folds,
            stream=stream,
            ports=self._ports(actions),
        )
        self.work.append(compute.index)
        self.instructions.append(compute)
        return compute

    def _ports(self, actions: Mapping[str, int]) -> PortCycles:
        """A bank's two ports read and write at a time; its only one does either."""
        cycles = {}
        for name, buffer in self.buffers.items():
            read, written = actions[f"{name}_buffer_read_bytes"], actions[f"{name}_buffer_write_bytes"]
            moved = max(read, written) if buffer.ports == 2 else read + written
            cycles[name] = ceil(moved / buffer.width_bytes_per_cycle)
        return PortCycles(**cycles)

    def _finish(
        self,
        op: FlowOp,
        operands: tuple[Region, ...],
        held: Held | None,
        accumulator: int,
        box: Region,
        waits: tuple[int, ...],
    ) -> int:
        """The Vector that makes ``box``, and the Store that takes it away unless it stays; the Vector's index."""
        tensor = op.write.tensor
        stays = tensor in self.residency.kept
        work = vector_work(op, box, self.flow.tensors, self.machine)
        out_bytes = ceil(elements(box) * self.flow.tensors[tensor].bits / 8)
        actions = work.actions
        actions[f"{'activation' if stays else 'accumulator'}_buffer_write_bytes"] += out_bytes
        self.actions.update(actions)
        ports = self._ports(actions)
        index, cycles = len(self.instructions), max(work.cycles, ports.slowest[1])
        offset = None if held is None else held.offset
        self.instructions.append(
            Vector(
                index, self.layers, waits, offset, operands, accumulator, box, stays, ports, work.lanes_cycles, cycles
            )
        )
        if operands:
            self.work.append(index)
        self.freed[accumulator] = (index,)
        if stays:
            return index
        runs = self._runs(op.write, box)
        size = self._bursts(runs)
        self.actions["accumulator_buffer_read_bytes"] += out_bytes
        self.actions["dram_write_bytes"] += size
        self.instructions.append(Store(index + 1, self.layers, (index,), accumulator, tensor, box, runs, size))
        self.freed[accumulator] = (index + 1,)
        return index

    def _bursts(self, runs: Runs) -> int:
        burst = self.machine.dram.burst_bytes
        return runs.bursts(burst) * burst


def _pass_tiles(op: FlowOp, mapping: ArrayMapping) -> int:
    """How many tiles follow one another until the inner loop begins again."""
    size = op.sizes
    ks = len(cut(size["c"] * size["kh"] * size["kw"], mapping.k))
    return ks if mapping.outer == "channels" else ks * len(cut(size["n"], mapping.n))
