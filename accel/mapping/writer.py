"""One layer's instructions, tile by tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from accel.flow.ir import FlowOp, Range, Region, elements
from accel.mapping.actions import OperandBits, array_actions
from accel.mapping.chip import TILES_AHEAD, Chip
from accel.mapping.layout import Place, Runs
from accel.mapping.mapping import (
    ArrayMapping,
    ArrayTile,
    NestMapping,
    VectorMapping,
    array_tiles,
    cut,
    fold_shape,
    layer_step,
)
from accel.mapping.mapping import vector_tiles as ranges_of_tiles
from accel.mapping.parameters import parameter_bytes
from accel.mapping.program import Compute, PortCycles, Store, Vector
from accel.mapping.ring import Held
from accel.mapping.vector_work import vector_work
from accel.result import Actions


@dataclass(frozen=True, slots=True)
class Tile:
    """An output tile's share of the loops, or, on the array, one of the steps along its reduction."""

    ranges: dict[str, Range]
    on_array: ArrayTile | None = None
    first: bool = True
    last: bool = True


@dataclass(slots=True)
class _Kind:
    """Instructions of equal shape do the same."""

    actions: Counter[str]
    ports: PortCycles
    folds: int
    stream: int
    lanes_cycles: int
    cycles: int
    times: int = 0


class LayerWriter(ABC):
    """Writes a layer's tiles one after another, whenever it is told to."""

    def __init__(self, chip: Chip, position: int, op: FlowOp, turn: int) -> None:
        self.chip = chip
        self.position = position
        self.op = op
        self.ready = chip.barrier
        """What must be done before operands that stay on chip are read."""
        self.made = -1
        """The last Vector."""
        self.output = -1
        """The last instruction that brought a part of the output where it belongs."""
        self._work = chip.work.copy()
        """The last instructions that worked on tiles of this layer or, as long as these are few, of layers before."""
        self._first_slot = turn * chip.slots
        self._made_tiles = 0
        self._stays = op.write.tensor in chip.residency.kept
        self._kinds: dict[Hashable, _Kind] = {}
        self._moved: Counter[str] = Counter()

    @abstractmethod
    def tiles(self) -> Iterator[Tile]:
        """In the order in which they are to be put."""

    @abstractmethod
    def put(self, tile: Tile) -> None:
        """Write the instructions of one."""

    @property
    def pass_bytes(self) -> int:
        """Of weights that are read again and again."""
        return 0

    def actions(self) -> Actions:
        """Everything that has been written so far."""
        counts = Counter(self._moved)
        for kind in self._kinds.values():
            for name, amount in kind.actions.items():
                counts[name] += kind.times * amount
        return Actions(**counts)

    def _accumulators(self) -> tuple[int, tuple[int, ...]]:
        """The next accumulator slot, and what must have freed it."""
        slot = self._first_slot + self._made_tiles % self.chip.slots
        self._made_tiles += 1
        return slot, self.chip.freed[slot]

    @property
    def _ahead(self) -> int:
        """Where operands of the next tile are asked for."""
        return self._work[0] if len(self._work) == TILES_AHEAD else -1

    def _works(self, index: int) -> None:
        """An instruction has taken a tile of operands."""
        self._work.append(index)
        self.chip.work.append(index)

    def _load_activations(self, boxes: tuple[Region, ...]) -> Held | None:
        """The operands that do not stay on chip, as one tile; None if all do."""
        chip, kept = self.chip, self.chip.residency.kept
        parts = [
            (part, read, box)
            for part, (read, box) in enumerate(zip(self.op.reads, boxes, strict=True))
            if read.tensor not in kept
        ]
        if not parts:
            return None
        key = (self.position, boxes)
        held = chip.activations.find(key)
        if held is not None:
            return held
        size_bytes = sum(ceil(elements(box) * chip.flow.tensors[read.tensor].bits / 8) for _, read, box in parts)
        held, waits = chip.activations.claim(key, size_bytes)
        self._moved["activation_buffer_write_bytes"] += size_bytes
        loads = [
            chip.load(
                self.position,
                "activation",
                held,
                part,
                read.tensor,
                box,
                chip.runs(read, box),
                waits + chip.barrier,
                self._ahead,
            )
            for part, read, box in parts
        ]
        self._moved["dram_read_bytes"] += sum(load.size_bytes for load in loads)
        held.loads = tuple(load.index for load in loads)
        return held

    def _finish(
        self, operands: tuple[Region, ...], held: Held | None, accumulator: int, box: Region, waits: tuple[int, ...]
    ) -> None:
        """The Vector that makes ``box``, and the Store that takes it away unless it stays."""
        chip, op, index = self.chip, self.op, len(self.chip.instructions)
        tensor, outputs = op.write.tensor, elements(box)
        kind = self._kinds.get(outputs)
        if kind is None:
            kind = self._kinds[outputs] = self._vector_kind(box)
        kind.times += 1
        chip.add(
            Vector(
                index,
                self.position,
                waits,
                None if held is None else held.offset,
                operands,
                accumulator,
                box,
                self._stays,
                kind.ports,
                kind.lanes_cycles,
                kind.cycles,
            )
        )
        self.made = self.output = index
        if not self._stays:
            runs = chip.runs(op.write, box)
            size_bytes = chip.bursts(runs)
            self._moved["dram_write_bytes"] += size_bytes
            self.output = index + 1
            chip.add(Store(index + 1, self.position, (index,), accumulator, tensor, box, runs, size_bytes))
        chip.freed[accumulator] = (self.output,)

    def _vector_kind(self, box: Region) -> _Kind:
        tensors = self.chip.flow.tensors
        work = vector_work(self.op, box, tensors, self.chip.machine)
        out_bytes = ceil(elements(box) * tensors[self.op.write.tensor].bits / 8)
        work.actions[f"{'activation' if self._stays else 'accumulator'}_buffer_write_bytes"] += out_bytes
        ports = self.chip.port_cycles(work.actions)
        if not self._stays:
            work.actions["accumulator_buffer_read_bytes"] += out_bytes
        return _Kind(work.actions, ports, 0, 0, work.lanes_cycles, max(work.cycles, ports.slowest[1]))


class VectorWriter(LayerWriter):
    """Elementwise or window work."""

    def __init__(self, chip: Chip, position: int, op: FlowOp, mapping: VectorMapping, turn: int) -> None:
        super().__init__(chip, position, op, turn)
        self.mapping = mapping
        self._on_chip = any(read.tensor in chip.residency.kept for read in op.reads)

    def tiles(self) -> Iterator[Tile]:  # noqa: D102
        return map(Tile, ranges_of_tiles(self.op, self.mapping))

    def put(self, tile: Tile) -> None:  # noqa: D102
        boxes = tuple(read.region(tile.ranges) for read in self.op.reads)
        held = self._load_activations(boxes)
        accumulator, room = self._accumulators()
        loads = () if held is None else held.loads
        on_chip = self.ready if self._on_chip else ()
        waits = tuple(dict.fromkeys((*loads, *on_chip, *room)))
        self._finish(boxes, held, accumulator, self.op.write.region(tile.ranges), waits)
        index = self.made
        self._works(index)
        if held is not None:
            held.readers.append(index)


class ArrayWriter(LayerWriter):
    """A multiply-accumulate nest."""

    def __init__(self, chip: Chip, position: int, op: FlowOp, mapping: ArrayMapping, turn: int) -> None:
        super().__init__(chip, position, op, turn)
        self.mapping = mapping
        self._step = layer_step(op, chip.flow.tensors, chip.machine)
        self._stored = OperandBits(op.weight_bits, chip.flow.tensors[op.reads[0].tensor].bits)
        self._whole = op.whole
        self._images: dict[Hashable, Region] = {}
        self._weight_places: dict[Hashable, Place] = {}
        self._accumulator = 0
        self._room: tuple[int, ...] = ()

    def tiles(self) -> Iterator[Tile]:  # noqa: D102
        for tile, first, last in array_tiles(self.op, self.mapping):
            own = {"g": tile.g, "b": tile.b, "oh": tile.oh, "ow": tile.ow, "n": tile.n}
            # All of c, kh, kw, as activations are not cut along k.
            yield Tile(self._whole | own, tile, first, last)

    @property
    def pass_bytes(self) -> int:
        """Of the tiles that follow one another until the inner loop begins again."""
        size = self.op.sizes
        count = len(cut(size["c"] * size["kh"] * size["kw"], self.mapping.k))
        if self.mapping.outer == "pixels":
            count *= len(cut(size["n"], self.mapping.n))
        tiles = [tile for (tile, _, _), _ in zip(array_tiles(self.op, self.mapping), range(count), strict=False)]
        return sum({(tile.g, tile.n, tile.k): self._weight_bytes(tile) for tile in tiles}.values())

    def put(self, tile: Tile) -> None:  # noqa: D102
        on_array = tile.on_array
        assert on_array is not None
        weights = self._load_weights(on_array, tile.last)
        pixels = on_array.g, on_array.b, on_array.oh, on_array.ow
        image = self._images.get(pixels)
        if image is None:
            image = self._images[pixels] = self.op.reads[0].region(tile.ranges)
        activations = self._load_activations((image,))
        if tile.first:
            self._accumulator, self._room = self._accumulators()
        index = self._compute(tile, on_array, weights, activations, image)
        weights.readers.append(index)
        if activations is not None:
            activations.readers.append(index)
        if tile.last:
            self._finish((), None, self._accumulator, self.op.write.region(tile.ranges), (index,))

    def _weight_bytes(self, tile: ArrayTile) -> int:
        return ceil(tile.groups * tile.channels * tile.depth * self.op.weight_bits / 8)

    def _load_weights(self, tile: ArrayTile, last: bool) -> Held:
        chip = self.chip
        box = (tile.g, tile.n, tile.k)
        key = (self.position, box)
        held = chip.weights.find(key)
        if held is not None:
            return held
        content = self._weight_bytes(tile)
        held, waits = chip.weights.claim(key, content)
        name = f"{self.op.name}.weight"
        place = self._weight_places.get(box)
        if place is None:
            parameters = tile.groups * tile.channels * parameter_bytes(self.op, chip.machine) if last else 0
            place = self._weight_places[box] = chip.layout.add(name, content + parameters)
        runs = Runs(8 * place.address, 8 * place.size_bytes)
        load = chip.load(self.position, "weight", held, 0, name, box, runs, waits, self._ahead)
        self._moved["weight_buffer_write_bytes"] += content
        self._moved["dram_read_bytes"] += load.size_bytes
        held.loads = (load.index,)
        return held

    def _compute(self, tile: Tile, on_array: ArrayTile, weights: Held, activations: Held | None, image: Region) -> int:
        chip = self.chip
        shape = (on_array.groups, on_array.pixels, on_array.channels, on_array.depth, tile.first)
        kind = self._kinds.get(shape)
        if kind is None:
            kind = self._kinds[shape] = self._array_kind(on_array, tile.first)
        kind.times += 1
        there = self.ready if activations is None else activations.loads
        room = self._room if tile.first else ()
        compute = Compute(
            index=len(chip.instructions),
            layer=self.position,
            waits=(*weights.loads, *there, *room, *self._other_array()),
            tile=on_array,
            first=tile.first,
            last=tile.last,
            weight_offset=weights.offset,
            activation_offset=None if activations is None else activations.offset,
            image=image,
            accumulator_slot=self._accumulator,
            weight_load=weights.loads[0],
            activation_load=there[-1] if there else None,
            room=room[0] if room else None,
            folds=kind.folds,
            stream=kind.stream,
            ports=kind.ports,
        )
        self._works(compute.index)
        chip.add(compute)
        chip.last_compute = compute.index, self.mapping.dataflow
        return compute.index

    def _other_array(self) -> Sequence[int]:
        """A tile under another dataflow, which must have left the array."""
        index, dataflow = self.chip.last_compute
        return (index,) if index is not None and dataflow != self.mapping.dataflow else ()

    def _array_kind(self, tile: ArrayTile, first: bool) -> _Kind:
        machine, mapping = self.chip.machine, self.mapping
        actions = array_actions(
            machine, mapping.dataflow, tile, first, self._stored, self._step, mapping.groups_at_once
        )
        folds, stream = fold_shape(mapping.dataflow, tile, machine.array, self._step, mapping.groups_at_once)
        return _Kind(actions, self.chip.port_cycles(actions), folds, stream, 0, 0)


def writer_of(
    chip: Chip, position: int, op: FlowOp, mapping: NestMapping | None, turn: int
) -> ArrayWriter | VectorWriter:
    """For a layer of the flow that is not a view.

    Parameters
    ----------
    turn
        Which of the layers of its stage it is.
    """
    if isinstance(mapping, ArrayMapping):
        return ArrayWriter(chip, position, op, mapping, turn)
    assert mapping is not None
    return VectorWriter(chip, position, op, mapping, turn)
