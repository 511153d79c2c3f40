"""What a mapping would cost, in closed form: only to compare mappings; reported cycles come from the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

from accel.arch.spec import BufferSpec, Machine
from accel.arch.timing import ArrayTiming
from accel.flow.ir import Access, Flow, FlowOp, Shape4
from accel.mapping.layout import moved_bytes
from accel.mapping.mapping import ArrayMapping, Block, VectorMapping, fold_shape, layer_step, most_groups_at_once
from accel.mapping.vector_work import vector_work


@dataclass(frozen=True, slots=True)
class Room:
    """What a layer's tiles have of the activation buffer."""

    activation_bytes: int
    """For operands that are loaded, all that are there at a time."""
    reads_on_chip: tuple[bool, ...]
    """By operand: it stays on chip, and is read where it lies."""
    write_on_chip: bool
    """The output stays on chip."""

    @classmethod
    def whole(cls, op: FlowOp, machine: Machine) -> Room:
        """For a layer whose tensors go through DRAM."""
        return cls(machine.buffers.activation.capacity_bytes, (False,) * len(op.reads), False)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that one tile needs in each buffer."""

    weight: int
    activation: int
    accumulator: int

    @property
    def total(self) -> int:
        """All buffers together."""
        return self.weight + self.activation + self.accumulator

    def excess(self, machine: Machine, room: Room) -> dict[str, tuple[int, int]]:
        """Buffer name -> (needed, available) where it does not fit."""
        buffers = machine.buffers
        activation_bytes = room.activation_bytes // (2 if buffers.activation.double_buffered else 1)
        need = {
            "weight": (self.weight, buffers.weight.tile_bytes),
            "activation": (self.activation, activation_bytes),
            "accumulator": (self.accumulator, buffers.accumulator.tile_bytes),
        }
        return {name: pair for name, pair in need.items() if pair[0] > pair[1]}


@dataclass(frozen=True, slots=True)
class Price:
    """Smaller is better."""

    cycles: float
    tiles: int


class ArrayPrices:
    """Footprints and prices of one multiply-accumulate nest on one machine."""

    def __init__(self, op: FlowOp, flow: Flow, machine: Machine, room: Room | None = None) -> None:
        self.read = op.reads[0]
        self.room = room or Room.whole(op, machine)
        self.machine = machine
        self.size = op.sizes
        self.depth = self.size["c"] * self.size["kh"] * self.size["kw"]
        self.weight_bits = op.weight_bits
        self.activation_bits = flow.tensors[self.read.tensor].bits
        self.write = op.write
        self.out_bits = flow.tensors[op.write.tensor].bits
        self.slot_bits = max(machine.pe.accumulator_bits, self.out_bits)
        self.vector_cycles = prod(op.write.shape) / machine.vector.lanes * (1 + len(op.epilogue))
        self.step = layer_step(op, flow.tensors, machine)
        self.most_groups_at_once = most_groups_at_once(op, machine, self.step)
        self.timings = {dataflow: ArrayTiming.of(machine.array, dataflow) for dataflow in machine.array.dataflow}

    def footprint(self, g: int, b: int, oh: int, ow: int, n: int, k: int) -> Footprint:
        """What the largest tile of these sizes needs."""
        return Footprint(
            weight=ceil(g * n * k * self.weight_bits / 8),
            activation=0
            if self.room.reads_on_chip[0]
            else ceil(prod(self._image(g, b, oh, ow)) * self.activation_bits / 8),
            accumulator=ceil(g * b * oh * ow * n * self.slot_bits / 8),
        )

    def _image(self, g: int, b: int, oh: int, ow: int) -> Shape4:
        return touched(self.read, self.size | {"g": g, "b": b, "oh": oh, "ow": ow})

    def mappings(
        self, tile: tuple[int, int, int, int, int, int], footprint: Footprint
    ) -> Iterator[tuple[Price, ArrayMapping]]:
        """Every dataflow and loop order of one tiling, priced.

        The busiest unit sets the pace, slots that wait to be filled again included; what nothing can hide comes on
        top: the first loads, the last tile's vector work and its store.
        """
        g, b, oh, ow, n, k = tile
        size, machine = self.size, self.machine
        groups = ceil(size["g"] / g)
        pixel_tiles = ceil(size["b"] / b) * ceil(size["oh"] / oh) * ceil(size["ow"] / ow)
        channel_tiles, k_tiles = ceil(size["n"] / n), ceil(self.depth / k)
        outputs = groups * pixel_tiles * channel_tiles
        bandwidth, latency = machine.dram.bandwidth_bytes_per_cycle, machine.dram.latency_cycles
        weight_slots, activation_slots, accumulator_slots = map(_slots, _buffers(machine))
        all_weights = size["g"] * size["n"] * self.depth * self.weight_bits / 8
        burst = machine.dram.burst_bytes
        image_bytes = out_bytes = 0
        if not self.room.reads_on_chip[0]:
            image_bytes = moved_bytes(self.read.shape, self.activation_bits, self._image(g, b, oh, ow), burst)
        if not self.room.write_on_chip:
            made = touched(self.write, size | {"g": g, "b": b, "oh": oh, "ow": ow, "n": n})
            out_bytes = outputs * moved_bytes(self.write.shape, self.out_bits, made, burst)
        store_latency = 0 if self.room.write_on_chip else outputs * latency
        first_and_last = footprint.weight + image_bytes + out_bytes / outputs
        exposed = first_and_last / bandwidth + self.vector_cycles / outputs
        weights, activations = machine.buffers.weight, machine.buffers.activation
        weights_bytes, activation_bytes = weights.capacity_bytes, self.room.activation_bytes
        stay = {
            "pixels": (_stay(weights, weights_bytes, channel_tiles * k_tiles, footprint.weight), True),
            "channels": (
                _stay(weights, weights_bytes, k_tiles, footprint.weight),
                _stay(activations, activation_bytes, pixel_tiles, footprint.activation),
            ),
        }
        whole_groups = k == self.depth and n == size["n"]
        beside = min(g, self.most_groups_at_once) if whole_groups else 1
        for dataflow, timing in self.timings.items():
            groups_at_once = beside if dataflow == "weight_stationary" else 1
            compute = self._compute_cycles(tile, timing, groups_at_once)
            for outer, (weights_stay, activations_stay) in stay.items():
                weight_reads = 1 if weights_stay else pixel_tiles
                weight_loads = groups * channel_tiles * k_tiles * weight_reads
                activation_loads = groups * pixel_tiles * (1 if activations_stay else channel_tiles)
                activation_loads = 0 if self.room.reads_on_chip[0] else activation_loads
                weight_cycles = all_weights * weight_reads / bandwidth
                activation_cycles = image_bytes * activation_loads / bandwidth
                out_cycles = out_bytes / bandwidth
                busiest = max(
                    compute,
                    self.vector_cycles,
                    weight_cycles + activation_cycles + out_cycles,
                    (weight_loads * latency + weight_cycles + compute) / weight_slots,
                    (activation_loads * latency + activation_cycles + compute) / activation_slots,
                    (store_latency + out_cycles + self.vector_cycles + compute) / accumulator_slots,
                )
                mapping = ArrayMapping(dataflow, g, b, oh, ow, n, k, outer, groups_at_once)
                yield Price(busiest + exposed, outputs * k_tiles), mapping

    def _compute_cycles(
        self, tile: tuple[int, int, int, int, int, int], timing: ArrayTiming, groups_at_once: int
    ) -> int:
        """Array cycles of all tiles; tiles of equal size are counted together."""
        size, array = self.size, self.machine.array
        g, b, oh, ow, n, k = tile
        channel_sizes, k_sizes = _sizes(size["n"], n), _sizes(self.depth, k)
        total = 0
        for images, image_count in _sizes(size["b"], b):
            for rows, row_count in _sizes(size["oh"], oh):
                for columns, column_count in _sizes(size["ow"], ow):
                    count = image_count * row_count * column_count
                    for channels, channel_count in channel_sizes:
                        for depth, depth_count in k_sizes:
                            for groups, group_count in _sizes(size["g"], g):
                                block = Block(groups, images * rows * columns, channels, depth)
                                folds, stream = fold_shape(timing.dataflow, block, array, self.step, groups_at_once)
                                times = count * channel_count * depth_count * group_count
                                total += times * timing.issue_cycles(folds, stream)
        return total


class VectorPrices:
    """Footprints and prices of one nest of vector work on one machine."""

    def __init__(self, op: FlowOp, flow: Flow, machine: Machine, room: Room | None = None) -> None:
        self.op = op
        self.room = room or Room.whole(op, machine)
        self.flow = flow
        self.machine = machine
        self.size = op.sizes

    def footprint(self, b: int, c: int, h: int, w: int) -> Footprint:
        """What the largest tile of these sizes needs: all operands, and the outputs."""
        tile = self.size | {"b": b, "c": c, "h": h, "w": w}
        tensors = self.flow.tensors
        loaded = (read for read, on_chip in zip(self.op.reads, self.room.reads_on_chip, strict=True) if not on_chip)
        inputs = sum(ceil(prod(touched(read, tile)) * tensors[read.tensor].bits / 8) for read in loaded)
        return Footprint(0, inputs, ceil(b * c * h * w * tensors[self.op.write.tensor].bits / 8))

    def mapping(self, tile: tuple[int, int, int, int], footprint: Footprint) -> tuple[Price, VectorMapping]:
        """One tiling, priced: the busiest of DRAM and vector unit, and the first load and last store."""
        dram = self.machine.dram
        count = prod(ceil(self.size[name] / step) for name, step in zip("bchw", tile, strict=True))
        b, c, h, w = tile
        work = vector_work(self.op, ((0, b), (0, c), (0, h), (0, w)), self.flow.tensors, self.machine).cycles
        transfer = self._moved_bytes(tile) / dram.bandwidth_bytes_per_cycle
        refill = (dram.latency_cycles + work + transfer) / _slots(self.machine.buffers.activation)
        return Price(count * max(transfer, work, refill) + transfer, count), VectorMapping(b, c, h, w)

    def _moved_bytes(self, tile: tuple[int, int, int, int]) -> int:
        """Between DRAM and the chip, for one tile."""
        sizes = self.size | dict(zip("bchw", tile, strict=True))
        accesses = [
            *(read for read, on_chip in zip(self.op.reads, self.room.reads_on_chip, strict=True) if not on_chip),
            *([] if self.room.write_on_chip else [self.op.write]),
        ]
        burst, tensors = self.machine.dram.burst_bytes, self.flow.tensors
        return sum(
            moved_bytes(access.shape, tensors[access.tensor].bits, touched(access, sizes), burst) for access in accesses
        )


def touched(access: Access, sizes: dict[str, int]) -> Shape4:
    """Elements along each axis that the largest tile of these sizes can touch."""
    spans = []
    for expression, limit in zip(access.index, access.shape, strict=True):
        span = 1
        for name, step in expression.terms:
            span += step * (sizes[name] - 1)
        spans.append(min(limit, span))
    return spans[0], spans[1], spans[2], spans[3]


def _sizes(size: int, step: int) -> list[tuple[int, int]]:
    """(tile size, how many of it)."""
    whole, rest = divmod(size, step)
    return ([(step, whole)] if whole else []) + ([(rest, 1)] if rest else [])


def _slots(buffer: BufferSpec) -> int:
    return 2 if buffer.double_buffered else 1


def _stay(buffer: BufferSpec, capacity_bytes: int, tiles: int, tile_bytes: int) -> bool:
    """Whether tiles that are read again and again are loaded once."""
    return tiles == 1 or (buffer.double_buffered and tiles * tile_bytes <= capacity_bytes)


def _buffers(machine: Machine) -> tuple[BufferSpec, BufferSpec, BufferSpec]:
    return machine.buffers.weight, machine.buffers.activation, machine.buffers.accumulator
