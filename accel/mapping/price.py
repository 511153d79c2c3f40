"""What a mapping would cost, in closed form: only to compare mappings; reported cycles come from the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

from accel.arch.spec import BufferSpec, Machine
from accel.arch.timing import ArrayTiming
from accel.flow.ir import Access, Flow, FlowOp
from accel.mapping.mapping import ArrayMapping, Block, VectorMapping, fold_shape, layer_step, most_groups_at_once
from accel.mapping.vector_work import vector_work


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

    def excess(self, machine: Machine) -> dict[str, tuple[int, int]]:
        """Buffer name -> (needed, available) where it does not fit."""
        buffers = machine.buffers
        need = {
            "weight": (self.weight, buffers.weight.tile_bytes),
            "activation": (self.activation, buffers.activation.tile_bytes),
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

    def __init__(self, op: FlowOp, flow: Flow, machine: Machine) -> None:
        self.read = op.reads[0]
        self.machine = machine
        self.size = op.sizes
        self.depth = self.size["c"] * self.size["kh"] * self.size["kw"]
        self.weight_bits = op.weight_bits
        self.activation_bits = flow.tensors[self.read.tensor].bits
        out_bits = flow.tensors[op.write.tensor].bits
        self.slot_bits = max(machine.pe.accumulator_bits, out_bits)
        self.out_bytes = prod(op.write.shape) * out_bits / 8
        self.vector_cycles = prod(op.write.shape) / machine.vector.lanes * (1 + len(op.epilogue))
        self.step = layer_step(op, flow.tensors, machine)
        self.most_groups_at_once = most_groups_at_once(op, machine, self.step)
        self.timings = {dataflow: ArrayTiming.of(machine.array, dataflow) for dataflow in machine.array.dataflow}

    def footprint(self, g: int, b: int, oh: int, ow: int, n: int, k: int) -> Footprint:
        """What the largest tile of these sizes needs."""
        return Footprint(
            weight=ceil(g * n * k * self.weight_bits / 8),
            activation=ceil(
                touched(self.read, self.size | {"g": g, "b": b, "oh": oh, "ow": ow}) * self.activation_bits / 8
            ),
            accumulator=ceil(g * b * oh * ow * n * self.slot_bits / 8),
        )

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
        first_and_last = footprint.weight + footprint.activation + self.out_bytes / outputs
        exposed = first_and_last / bandwidth + self.vector_cycles / outputs
        stay = {
            "pixels": (channel_tiles * k_tiles <= weight_slots, True),
            "channels": (k_tiles <= weight_slots, pixel_tiles <= activation_slots),
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
                weight_cycles = all_weights * weight_reads / bandwidth
                activation_cycles = footprint.activation * activation_loads / bandwidth
                out_cycles = self.out_bytes / bandwidth
                busiest = max(
                    compute,
                    self.vector_cycles,
                    weight_cycles + activation_cycles + out_cycles,
                    (weight_loads * latency + weight_cycles + compute) / weight_slots,
                    (activation_loads * latency + activation_cycles + compute) / activation_slots,
                    (outputs * latency + out_cycles + self.vector_cycles + compute) / accumulator_slots,
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

    def __init__(self, op: FlowOp, flow: Flow, machine: Machine) -> None:
        self.op = op
        self.flow = flow
        self.machine = machine
        self.size = op.sizes

    def footprint(self, b: int, c: int, h: int, w: int) -> Footprint:
        """What the largest tile of these sizes needs: all operands, and the outputs."""
        tile = self.size | {"b": b, "c": c, "h": h, "w": w}
        tensors = self.flow.tensors
        inputs = sum(ceil(touched(read, tile) * tensors[read.tensor].bits / 8) for read in self.op.reads)
        return Footprint(0, inputs, ceil(b * c * h * w * tensors[self.op.write.tensor].bits / 8))

    def mapping(self, tile: tuple[int, int, int, int], footprint: Footprint) -> tuple[Price, VectorMapping]:
        """One tiling, priced: the busiest of DRAM and vector unit, and the first load and last store."""
        dram = self.machine.dram
        count = prod(ceil(self.size[name] / step) for name, step in zip("bchw", tile, strict=True))
        b, c, h, w = tile
        work = vector_work(self.op, ((0, b), (0, c), (0, h), (0, w)), self.flow.tensors, self.machine).cycles
        transfer = (footprint.activation + footprint.accumulator) / dram.bandwidth_bytes_per_cycle
        refill = (dram.latency_cycles + work + transfer) / _slots(self.machine.buffers.activation)
        return Price(count * max(transfer, work, refill) + transfer, count), VectorMapping(b, c, h, w)


def touched(access: Access, sizes: dict[str, int]) -> int:
    """Elements that the largest tile of these sizes can touch."""
    count = 1
    for expression, limit in zip(access.index, access.shape, strict=True):
        span = 1
        for name, step in expression.terms:
            span += step * (sizes[name] - 1)
        count *= min(limit, span)
    return count


def _sizes(size: int, step: int) -> list[tuple[int, int]]:
    """(tile size, how many of it)."""
    whole, rest = divmod(size, step)
    return ([(step, whole)] if whole else []) + ([(rest, 1)] if rest else [])


def _slots(buffer: BufferSpec) -> int:
    return 2 if buffer.double_buffered else 1


def _buffers(machine: Machine) -> tuple[BufferSpec, BufferSpec, BufferSpec]:
    return machine.buffers.weight, machine.buffers.activation, machine.buffers.accumulator
